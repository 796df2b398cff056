/**
 * Writing an entry into a client's configuration, or taking it out.
 *
 * Where the client has a command for it, that is asked to add and to remove, and what it did is read again; where
 * it has none, cannot be found, fails, or does something else, the file is changed here, and so is an entry that
 * only has to change, since the clients' commands would drop what the user added to it. Nothing is touched when
 * the file cannot be read as what it should be, when the name belongs to somebody else's entry, and while Claude
 * Desktop runs.
 */

import { messageOf, TalosError } from "../../errors.ts";
import { JsonError } from "../../identity/strict_json.ts";
import { resolveProgram } from "../../mcp/program.ts";
import type { Context } from "../context.ts";
import { CliError } from "../errors.ts";
import { isExecutable } from "../executable.ts";
import type { Client } from "./client.ts";
import { backUp, type ConfigFile, readConfigFile, replaceConfigFile } from "./config_file.ts";
import { type ConfigValue, entryMembers, isOurs, likeness, type ServerEntry } from "./entry.ts";
import { type JsonPlace, readJsonServer, removeJsonServer, setJsonServer } from "./json_edit.ts";
import { dialectOf } from "./jsonc.ts";
import { addArguments, removeArguments } from "./own_command.ts";
import { runningClaudeDesktop } from "./running_client.ts";
import { readTomlServer, removeTomlServer, setTomlServer } from "./toml_edit.ts";

/** Where an entry goes. */
export interface EntryPlace {
  /** The client. */
  readonly client: Client;
  /** Its configuration. */
  readonly file: string;
  /** The entry's name. */
  readonly name: string;
  /** Whether to overwrite an entry of somebody else, and to write while the client runs. */
  readonly force: boolean;
}

/** What was done. */
export interface Installed {
  /** What became of the entry. */
  readonly action: "added" | "changed" | "unchanged" | "removed" | "absent";
  /** The client's program that did it; null when the file was changed here, or not at all. */
  readonly by: string | null;
  /** The copy of the file as it was; null when there was none or nothing was done. */
  readonly backup: string | null;
  /** Whether there was no configuration before. */
  readonly isNewFile: boolean;
}

/** Writes the entry. Throws CliError "client_config", "entry_taken" or "client_running". */
export async function installEntry(
  context: Context,
  place: EntryPlace,
  entry: ServerEntry,
): Promise<Installed> {
  const { client, name, force } = place;
  const config = await readConfigFile(place.file);
  const members = entryMembers(client, entry);
  const found = readServer(config, place);
  const how = likeness(found, members);
  const isNewFile = config.bytes === null;
  if (how === "same") return { action: "unchanged", by: null, backup: null, isNewFile };
  if (how === "foreign" && !force) throw taken(place);
  const change = (now: ConfigFile) =>
    changed(
      now,
      place,
      (text, at) =>
        client.format === "toml"
          ? setTomlServer(text, at, members, how === "foreign")
          : setJsonServer(text, dialectOf(client.format), at, members, how === "foreign"),
    );
  change(config); // what cannot be done is refused before anything is
  await requireQuit(context, place);
  const backup = await backUp(config, context.clock.now());
  const args = how === "absent" ? addArguments(client.id, name, entry) : null;
  const isDone = async () =>
    likeness(readServer(await readConfigFile(place.file), place), members) === "same";
  const by = await ownProgram(context, place, args, isDone);
  if (by === null) {
    const now = await readConfigFile(place.file);
    await replaceConfigFile(now, change(now));
  }
  return { action: how === "absent" ? "added" : "changed", by, backup, isNewFile };
}

/** Takes the entry out. Throws as {@link installEntry} does. */
export async function removeEntry(context: Context, place: EntryPlace): Promise<Installed> {
  const { client, name, force } = place;
  const config = await readConfigFile(place.file);
  const found = readServer(config, place);
  const isNewFile = config.bytes === null;
  if (found === undefined) return { action: "absent", by: null, backup: null, isNewFile };
  if (!isOurs(found) && !force) throw taken(place);
  const change = (now: ConfigFile) =>
    changed(
      now,
      place,
      (text, at) =>
        client.format === "toml"
          ? removeTomlServer(text, at)
          : removeJsonServer(text, dialectOf(client.format), at),
    );
  change(config);
  await requireQuit(context, place);
  const backup = await backUp(config, context.clock.now());
  const isDone = async () => readServer(await readConfigFile(place.file), place) === undefined;
  const by = await ownProgram(context, place, removeArguments(client.id, name), isDone);
  if (by === null) {
    const now = await readConfigFile(place.file);
    await replaceConfigFile(now, change(now));
  }
  return { action: "removed", by, backup, isNewFile };
}

/** Returns the entry as a whole configuration of the client would have it, for people to copy. */
export function entryText({ client, name }: EntryPlace, entry: ServerEntry): string {
  const members = entryMembers(client, entry);
  const at = { section: client.section, name };
  const text = client.format === "toml"
    ? setTomlServer("", at, members, false)
    : setJsonServer("", dialectOf(client.format), at, members, false);
  return text.trimEnd();
}

function readServer(config: ConfigFile, { client, name }: EntryPlace): ConfigValue | undefined {
  const at = { section: client.section, name };
  return understood(
    config,
    client,
    () =>
      client.format === "toml"
        ? readTomlServer(config.text, at)
        : readJsonServer(config.text, dialectOf(client.format), at),
  );
}

function changed(
  config: ConfigFile,
  { client, name }: EntryPlace,
  change: (text: string, at: JsonPlace) => string,
): string {
  return understood(config, client, () => change(config.text, { section: client.section, name }));
}

/** Turns what cannot be read into an error that names the file. */
function understood<T>({ path }: ConfigFile, { title }: Client, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof JsonError)) throw error;
    throw new CliError(
      "client_config",
      `Cannot change ${path}, nothing in it was touched: ${error.message}`,
      {
        cause: error,
        hints: [
          "mend the file and run this again; with --print, this shows what to write by hand",
          `${title} may not be able to read it either`,
        ],
      },
    );
  }
}

async function requireQuit({ os, log }: Context, { client, force }: EntryPlace): Promise<void> {
  if (client.id !== "claude-desktop" || force) return;
  const pids = await runningClaudeDesktop(os);
  if (pids === null) {
    log.warn("cannot tell whether Claude Desktop runs; if it does, quit it and run this again");
    return;
  }
  if (pids.length === 0) return;
  throw new CliError(
    "client_running",
    `Claude Desktop runs (process ${pids.join(", ")}) and would overwrite what is written now`,
    {
      hints: [
        "quit it first: closing its window is not enough, its icon beside the clock has Quit",
        "or write all the same, with --force",
      ],
    },
  );
}

function taken({ client, file, name }: EntryPlace): CliError {
  return new CliError(
    "entry_taken",
    `${client.title} has an entry "${name}" that is not one of Talos's, in ${file}`,
    { hints: ["choose another name: --name NAME", "or overwrite it, with --force"] },
  );
}

/** Has the client's own program do it; returns its name when it did, null when the file has to be changed here. */
async function ownProgram(
  { os, env, log }: Context,
  { client: { program } }: EntryPlace,
  args: readonly string[] | null,
  isDone: () => Promise<boolean>,
): Promise<string | null> {
  if (program === undefined || args === null) return null;
  const search = { PATH: env("PATH") ?? "", PATHEXT: env("PATHEXT") ?? "" };
  let state: string;
  try {
    const { argv: [path, ...words], rawArguments } = resolveProgram(
      os,
      Object.fromEntries(Object.entries(search).filter(([, value]) => value !== "")),
      { exists: isExecutable },
      [program, ...args],
      Deno.cwd(),
    );
    const { success, code } = await new Deno.Command(path, {
      args: words,
      windowsRawArguments: rawArguments,
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).output();
    if (await isDone()) return program;
    state = success ? "it ended well, but the entry is not as it should be" : `exit status ${code}`;
  } catch (error) {
    const isMissing = error instanceof TalosError && error.code === "command_not_found";
    if (isMissing) return null;
    state = messageOf(error);
  }
  log.warn("the client's own command did not do it, so its file is changed here", {
    program,
    state,
  });
  return null;
}
