/**
 * The entry of an MCP client that starts `talos mcp-connect`: its name, its words, and whether one that is
 * there is ours. Pure.
 */

import type { PeerId } from "../../identity/peer_id.ts";
import { CliError } from "../errors.ts";
import type { Client } from "./client.ts";

/** A server as a client starts it. */
export interface ServerEntry {
  /** The program, by its full path. */
  readonly command: string;
  /** Its arguments. */
  readonly args: readonly string[];
  /** What its environment has besides. */
  readonly env: Readonly<Record<string, string>>;
}

/** A value as it stands in a client's configuration. */
export type ConfigValue =
  | null
  | boolean
  | number
  | string
  | readonly ConfigValue[]
  | { readonly [key: string]: ConfigValue };

/** Some clients take no other characters, and put the name before that of each tool, 64 in all. */
const ENTRY_NAME = /^[A-Za-z0-9][A-Za-z0-9_-]{0,39}$/;

const MAX_NAME_CHARACTERS = 40;

/** The beginning of a Peer ID that stands for it where it has no name: enough to be typed, too. */
const SHORT_ID_CHARACTERS = 12;

/** Returns what `--name` says. Throws CliError "usage". */
export function parseEntryName(text: string): string {
  if (ENTRY_NAME.test(text)) return text;
  throw new CliError(
    "usage",
    `Cannot use --name: it is not 1 to ${MAX_NAME_CHARACTERS} characters of a-z, A-Z, 0-9, hyphen and ` +
      "underscore after a letter or digit",
  );
}

/** Returns the name of an entry that nobody named: `talos-<petname or beginning of the ID>[-service]`. */
export function defaultEntryName(
  peer: PeerId,
  petname: string | undefined,
  service: string | undefined,
): string {
  const plain = (petname ?? "").normalize("NFKD").replace(/\p{M}/gu, "")
    .replace(/[^A-Za-z0-9_-]+/g, "-").replace(/^-+|-+$/g, "");
  const who = plain === "" ? peer.slice(0, SHORT_ID_CHARACTERS) : plain;
  const what = service === undefined ? "" : `-${service.replace(/[^A-Za-z0-9_-]+/g, "-")}`;
  return `talos-${who}${what}`.slice(0, MAX_NAME_CHARACTERS).replace(/-+$/, "");
}

/** Returns the members that `client` wants of an entry, in their order. */
export function entryMembers(
  { typed }: Pick<Client, "typed">,
  { command, args, env }: ServerEntry,
): Readonly<Record<string, ConfigValue>> {
  return {
    ...(typed ? { type: "stdio" } : {}),
    command,
    args,
    ...(Object.keys(env).length === 0 ? {} : { env }),
  };
}

/** What an entry that is there is to one that is wanted. */
export type Likeness =
  /** There is none. */
  | "absent"
  /** It has all that is wanted. */
  | "same"
  /** It is one of Talos's, with other arguments. */
  | "ours"
  /** It is somebody else's. */
  | "foreign";

/** Compares what is there with what is wanted. Members that are not wanted are the user's. */
export function likeness(
  found: ConfigValue | undefined,
  members: Readonly<Record<string, ConfigValue>>,
): Likeness {
  if (found === undefined) return "absent";
  if (!isTable(found)) return "foreign";
  const same = Object.entries(members).every(([key, value]) => sameValue(found[key], value));
  if (same) return "same";
  return isOurs(found) ? "ours" : "foreign";
}

/** Tells whether an entry starts `talos mcp-connect`, from source or as an executable. */
export function isOurs(found: ConfigValue): boolean {
  if (!isTable(found)) return false;
  const { command, args } = found;
  if (typeof command !== "string" || !Array.isArray(args)) return false;
  const program = command.split(/[\\/]/).at(-1)?.replace(/\.(?:exe|cmd)$/i, "").toLowerCase();
  return (program === "talos" || program === "deno") && args.includes("mcp-connect");
}

/** Tells whether a value has members. */
export function isTable(
  value: ConfigValue | undefined,
): value is { readonly [key: string]: ConfigValue } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Tells whether two values are equal; the order of members does not count. */
export function sameValue(a: ConfigValue | undefined, b: ConfigValue | undefined): boolean {
  if (Array.isArray(a) && Array.isArray(b)) {
    return a.length === b.length && a.every((item, index) => sameValue(item, b[index]));
  }
  if (isTable(a) && isTable(b)) {
    const keys = Object.keys(a);
    return keys.length === Object.keys(b).length &&
      keys.every((key) => Object.hasOwn(b, key) && sameValue(a[key], b[key]));
  }
  return a === b;
}
