/**
 * Which entries of Talos's stand in the configurations of this user's clients, for whoever wants to check them.
 * Reads alone; a file that cannot be read as what it should be is told, and hides nothing of the others.
 */

import { TalosError } from "../../errors.ts";
import { JsonError } from "../../identity/strict_json.ts";
import type { Context } from "../context.ts";
import { type Client, CLIENT_IDS, type ConfigFacts, configFile, parseClient } from "./client.ts";
import { directoriesIn, isThere } from "./config_facts.ts";
import { readConfigFile } from "./config_file.ts";
import { type ConfigValue, isOurs, isTable, type ServerEntry } from "./entry.ts";
import { dialectOf, parseJsonc } from "./jsonc.ts";
import { parseTomlTables } from "./toml_tables.ts";
import { readTomlServer } from "./toml_edit.ts";

/** A client's configuration that is there. */
export interface ClientConfig {
  /** Whose. */
  readonly client: Client;
  /** Where. */
  readonly file: string;
  /** The entries that start `mcp-connect`, by name. */
  readonly entries: readonly InstalledEntry[];
  /** Why the file cannot be read; null when it can. */
  readonly fault: string | null;
}

/** An entry that starts `mcp-connect`. */
export interface InstalledEntry {
  /** Its name. */
  readonly name: string;
  /** `PEER[/SERVICE][@HOST:PORT]`, as it stands there; empty when nothing stands there. */
  readonly target: string;
  /** What it starts. */
  readonly entry: ServerEntry;
}

const MACHINE: ConfigFacts = { directories: directoriesIn, exists: isThere };

/** Returns the configurations that are there. Throws nothing but a lack of permission. */
export async function clientConfigs(
  { os, env }: Pick<Context, "os" | "env">,
): Promise<ClientConfig[]> {
  const configs: ClientConfig[] = [];
  for (const client of CLIENT_IDS.map(parseClient)) {
    const file = configFile(os, env, MACHINE, client.id);
    try {
      const { text, bytes } = await readConfigFile(file);
      if (bytes === null) continue;
      configs.push({ client, file, entries: entriesOf(client, text), fault: null });
    } catch (error) {
      if (!(error instanceof JsonError || error instanceof TalosError)) throw error;
      configs.push({ client, file, entries: [], fault: error.message });
    }
  }
  return configs;
}

/** Returns Talos's entries in a configuration of `client`. Throws JsonError. */
export function entriesOf(client: Client, text: string): InstalledEntry[] {
  return Object.entries(servers(client, text)).flatMap(([name, value]) => {
    if (!isTable(value) || !isOurs(value)) return [];
    const { command, args, env } = value;
    const words = Array.isArray(args) ? args.map(String) : [];
    const variables = Object.entries(isTable(env) ? env : {}).map((
      [key, one],
    ) => [key, String(one)]);
    return [{
      name,
      target: words[words.indexOf("mcp-connect") + 1] ?? "",
      entry: { command: String(command), args: words, env: Object.fromEntries(variables) },
    }];
  });
}

function servers(client: Client, text: string): { readonly [name: string]: ConfigValue } {
  if (client.format === "toml") {
    const names = parseTomlTables(text).flatMap(({ path: [section, name] }) =>
      section === client.section && name !== undefined ? [name] : []
    );
    return Object.fromEntries([...new Set(names)].map((name) => [
      name,
      readTomlServer(text, { section: client.section, name }) ?? null,
    ]));
  }
  const root = parseJsonc(text, dialectOf(client.format))?.value;
  const section = isTable(root) ? root[client.section] : undefined;
  return isTable(section) ? section : {};
}
