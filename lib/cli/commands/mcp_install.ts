/** `talos mcp-install PEER[/SERVICE] --client CLIENT`: makes a peer's MCP server one of a client's. */

import { TalosError } from "../../errors.ts";
import type { OperatingSystem } from "../../identity/file_path.ts";
import { type ClientId, configFile, parseClient } from "../clients/client.ts";
import { directoriesIn, isThere } from "../clients/config_facts.ts";
import { peerEntry } from "../clients/connect_entry.ts";
import { parseEntryName } from "../clients/entry.ts";
import { entryText, type Installed, installEntry, removeEntry } from "../clients/install.ts";
import { type Answered, roundTrip } from "../clients/round_trip.ts";
import type { Context } from "../context.ts";
import { CliError } from "../errors.ts";
import { shellLine } from "../shell_line.ts";
import type { RegistryFlags } from "../registry_choice.ts";

/** The options of `talos mcp-install`. */
export interface McpInstallOptions extends RegistryFlags {
  /** Which client. */
  readonly client: string;
  /** The entry's name. */
  readonly name?: string;
  /** Only show what would be written. */
  readonly print?: boolean;
  /** Take the entry out. */
  readonly remove?: boolean;
  /** Overwrite another's entry, and write while the client runs. */
  readonly force?: boolean;
  /** Whether to try what was written. */
  readonly verify: boolean;
}

/** Writes, shows or removes the entry, and tries it. Throws TalosError. */
export async function mcpInstallCommand(
  context: Context,
  options: McpInstallOptions,
  target: string,
): Promise<void> {
  const { os, env, output } = context;
  if (options.print === true && options.remove === true) {
    throw new CliError("usage", "Cannot use --print together with --remove");
  }
  const client = parseClient(options.client);
  const given = options.name === undefined ? undefined : parseEntryName(options.name);
  const { entry, name: usual, peer } = await peerEntry(context, options, target);
  const name = given ?? usual;
  const facts = { directories: directoriesIn, exists: isThere };
  const file = configFile(os, env, facts, client.id);
  const place = { client, file, name, force: options.force === true };
  const value = { client: client.id, name, file };
  if (options.print === true) {
    if (!output.json) output.say(`this belongs into ${file}`);
    output.result(entryText(place, entry), { ...value, action: "printed", entry });
    return;
  }
  if (options.remove === true) {
    const removed = await removeEntry(context, place);
    output.result(sentence(place, removed), { ...value, ...shown(removed) });
    return;
  }
  const installed = await installEntry(context, place, entry);
  const result = (answered: Answered | null) =>
    output.result(
      [sentence(place, installed), ...(answered === null ? [] : [greeting(answered)])].join("\n"),
      { ...value, ...shown(installed), entry, verified: answered },
      [{ command: removal(os, client.id, target, given), purpose: "to take it out again" }],
    );
  if (installed.isNewFile && installed.action === "added") {
    context.log.warn(`there was no configuration of ${client.title}: is it installed?`, { file });
  }
  if (/[\\/]_npx[\\/]/.test(entry.command)) {
    context.log.warn(
      "this Deno lies in a cache of npx, which may be emptied: install Deno, and run this again",
    );
  }
  if (!options.verify) result(null);
  else {
    try {
      result(await roundTrip(context, entry));
    } catch (error) {
      result(null);
      throw error instanceof TalosError ? error.advise(`see why: talos doctor ${peer}`) : error;
    }
  }
  if (installed.action !== "unchanged" && !output.json) output.say(client.restart);
}

function removal(os: OperatingSystem, client: ClientId, target: string, name?: string): string {
  const named = name === undefined ? [] : ["--name", name];
  return shellLine(os, ["talos", "mcp-install", target, "--client", client, ...named, "--remove"]);
}

const SENTENCES: Readonly<Record<Installed["action"], (name: string, title: string) => string>> = {
  added: (name, title) => `${title} has the server "${name}" now`,
  changed: (name, title) => `${title} has the server "${name}" as it should be now`,
  unchanged: (name, title) => `${title} has the server "${name}" already`,
  removed: (name, title) => `${title} has no server "${name}" any more`,
  absent: (name, title) => `${title} has no server "${name}"`,
};

function sentence(
  { client, file, name }: Parameters<typeof removeEntry>[1],
  { action, backup, by }: Installed,
): string {
  const how = by === null ? file : `${file}, by ${by}`;
  const before = backup === null ? "" : `\nas it was before: ${backup}`;
  return `${SENTENCES[action](name, client.title)}: ${how}${before}`;
}

function greeting({ server, version, tools }: Answered): string {
  return `it answers: ${server} ${version}, ${tools} ${tools === 1 ? "tool" : "tools"}`;
}

function shown({ action, by, backup }: Installed) {
  return { action, by, backup };
}
