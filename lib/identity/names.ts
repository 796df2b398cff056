/**
 * Names that people give, and the names of services.
 *
 * - A *wallet name* describes its owner to others: up to 64 bytes of printable text. Spaces, `/` and `@`
 *   are fine ("Ops/Anna Müller"); it is shown, never resolved.
 * - A *petname* is what I call a peer. It is typed where Peer IDs are, so it has no white space, no `/`
 *   (before a service), no `@` (before an address), no `-` ahead (an option), and does not begin like a
 *   Peer ID.
 * - A *server name* is one MCP server of a peer: 1 to 64 of `a-z 0-9 . _ -`, a letter or digit ahead.
 *   It also names a file, hence lower case only: some file systems ignore case.
 * - A *service* is what goes over the wire: `messages` or `mcp/<server name>`. People type the server
 *   name alone; so no server may be called `messages`.
 */

import type { Brand } from "../crypto/brand.ts";
import { utf8 } from "../bytes.ts";
import { MAX_NAME_BYTES } from "../limits.ts";
import { printable } from "../log.ts";
import { PEER_ID_START } from "./peer_id.ts";
import { IdentityError } from "./errors.ts";

/** What a wallet's owner is called, in Unicode normal form C. */
export type WalletName = Brand<string, "WalletName">;

/** What a contact is called here, in Unicode normal form C. */
export type Petname = Brand<string, "Petname">;

/** The name of one MCP server of a peer, as people type it. */
export type ServerName = Brand<string, "ServerName">;

/** A service as it goes over the wire: `messages` or `mcp/<server name>`. */
export type ServiceName = Brand<string, "ServiceName">;

const MCP_PREFIX = "mcp/";
const SERVER_NAME = /^[a-z0-9][a-z0-9._-]{0,63}$/;
const MAX_QUOTED_CHARACTERS = 80;
const RESERVED_SERVER_NAMES: readonly string[] = ["messages"];

// Control characters, lone surrogates, private use, line and paragraph separators, bidirectional
// controls, invisible operators and the byte order mark. Joiners stay: emoji and some scripts need them.
const UNPRINTABLE =
  /[\p{Cc}\p{Cs}\p{Co}\p{Zl}\p{Zp}\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff]/u;

// A petname is also safe from invisible characters, tags included: two petnames never look the same.
const INVISIBLE = /[\p{Cf}\p{Default_Ignorable_Code_Point}]/u;

/** The service that takes messages and files. */
export const MESSAGES_SERVICE: ServiceName = parseServiceName("messages");

/** The MCP server that is meant where none is named. */
export const DEFAULT_SERVER: ServerName = parseServerName("default");

/**
 * The service on which a process answers the other commands of its own home. It is not a
 * {@link ServiceName}: nobody can grant it, only the same identity may open it.
 */
export const CONTROL_SERVICE = "talos/control";

/** The service on which whoever holds a ticket proves it. No {@link ServiceName} either: anybody may open it. */
export const JOIN_SERVICE = "talos/join";

/** Tells whether a service is one of Talos itself, which nobody can grant or revoke. */
export function isReserved(service: string): boolean {
  return service === CONTROL_SERVICE || service === JOIN_SERVICE;
}

/** Returns `text` as a wallet name. Throws IdentityError "name_invalid". */
export function parseWalletName(text: string): WalletName {
  const name = normalised("wallet name", text);
  if (name.trim() !== name) throw invalid("wallet name", "it begins or ends with a space");
  if (!isWalletName(name)) throw new TypeError("unreachable");
  return name;
}

/** Returns `text` as a petname. Throws IdentityError "name_invalid". */
export function parsePetname(text: string): Petname {
  const name = normalised("petname", text);
  if (/\s/u.test(name)) throw invalid("petname", "it has a space");
  if (INVISIBLE.test(name)) throw invalid("petname", "it has an invisible character");
  if (name.includes("/")) throw invalid("petname", 'it has a "/", which goes before a service');
  if (name.includes("@")) throw invalid("petname", 'it has an "@", which goes before an address');
  if (name.startsWith("-")) throw invalid("petname", 'it begins with "-", as options do');
  if (name.startsWith(PEER_ID_START) || name.startsWith("did:")) {
    throw invalid("petname", "it begins like a Peer ID");
  }
  if (!isPetname(name)) throw new TypeError("unreachable");
  return name;
}

/** Returns `text` as a server name. Throws IdentityError "name_invalid". */
export function parseServerName(text: string): ServerName {
  if (RESERVED_SERVER_NAMES.includes(text)) {
    throw invalid(serverNameText(text), "that is a service of its own");
  }
  if (text === "") throw invalid(serverNameText(text), "it is empty");
  if (!isServerName(text)) {
    throw invalid(
      serverNameText(text),
      "it is not 1 to 64 characters of a-z, 0-9, dot, underscore and hyphen after a letter or digit",
    );
  }
  return text;
}

function serverNameText(text: string): string {
  return `server name ${JSON.stringify(printable(text, MAX_QUOTED_CHARACTERS))}`;
}

/**
 * Returns the server name that is nearest to `text`: lower case, with a hyphen for each run of what no such
 * name has. Null where that is none either: it is too long, empty, or a service of its own.
 */
export function foldServerName(text: string): ServerName | null {
  const folded = text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase()
    .replace(/[^a-z0-9._-]+/g, "-").replace(/^[._-]+|-+$/g, "");
  return isServerName(folded) ? folded : null;
}

/** Returns the service that offers the MCP server `name`. */
export function mcpService(name: ServerName): ServiceName {
  const service = MCP_PREFIX + name;
  if (!isServiceName(service)) throw new TypeError("unreachable");
  return service;
}

/** Returns the MCP server that `service` offers, or null when it is `messages`. */
export function serverOf(service: ServiceName): ServerName | null {
  if (service === MESSAGES_SERVICE) return null;
  return parseServerName(service.slice(MCP_PREFIX.length));
}

/** Returns the service as people type it: the server name alone, or `messages`. */
export function serviceLabel(service: ServiceName): string {
  return serverOf(service) ?? service;
}

/**
 * Returns `text` as a service in its wire form: exactly `messages` or `mcp/<server name>`. Throws
 * IdentityError "name_invalid".
 */
export function parseServiceName(text: string): ServiceName {
  if (!isServiceName(text)) {
    throw invalid("service", 'it is neither "messages" nor "mcp/" and a server name');
  }
  return text;
}

/**
 * Returns the service that a person means: `messages`, a server name, or the wire form. Throws
 * IdentityError "name_invalid".
 */
export function parseTypedService(text: string): ServiceName {
  return isServiceName(text) ? text : mcpService(parseServerName(text));
}

function normalised(kind: string, text: string): string {
  const name = text.normalize("NFC");
  if (name === "") throw invalid(kind, "it is empty");
  const length = utf8(name).length;
  if (length > MAX_NAME_BYTES) {
    throw invalid(kind, `it has ${length} bytes, the limit is ${MAX_NAME_BYTES}`);
  }
  const at = name.search(UNPRINTABLE);
  if (at >= 0) throw invalid(kind, `character ${at + 1} is not printable`);
  return name;
}

function isWalletName(name: string): name is WalletName {
  return name !== "" && name.trim() === name;
}

function isPetname(name: string): name is Petname {
  return name !== "" && !/[\s/@]/u.test(name);
}

function isServerName(text: string): text is ServerName {
  return SERVER_NAME.test(text) && !RESERVED_SERVER_NAMES.includes(text);
}

function isServiceName(text: string): text is ServiceName {
  return text === "messages" ||
    (text.startsWith(MCP_PREFIX) && isServerName(text.slice(MCP_PREFIX.length)));
}

const EXAMPLES: Readonly<Record<string, string>> = {
  "wallet name": 'choose one that people know you by: talos init --name "Ops/Anna Müller"',
  petname: "choose one that is easy to type: talos contacts add anna PEER-ID",
};

function invalid(kind: string, reason: string): IdentityError {
  const example = EXAMPLES[kind];
  return new IdentityError("name_invalid", `Cannot use the ${kind}: ${reason}`, {
    hints: example === undefined ? [] : [example],
  });
}
