/**
 * JSON-RPC error replies that Talos makes itself, and the table of its error codes.
 *
 * A reply carries the request's id exactly as it came. Programs tell Talos's errors by `data.talos`, which
 * is literal and stable; the number only has to be nobody else's. JSON-RPC 2.0 §5.1 gives −32000…−32099 to
 * implementations. Of these MCP 2026-07-28 (basic, Error Codes) takes −32020…−32099 for itself, says that
 * nobody may read a meaning into −32000…−32019, and would rather have new errors outside of both. Talos
 * stays in −32005…−32019 as far as they reach, because it is part of the transport and not of the application whose numbers
 * lie outside, and keeps away from the five that software does read:
 *
 *     −32000  ConnectionClosed in the MCP SDKs       −32003  missing client capability, and
 *     −32001  RequestTimeout in the MCP SDKs         −32004  unsupported protocol version,
 *     −32002  resource not found, up to 2025-11-25           in release candidates of 2026-07-28
 */

import { type Bytes, concat, utf8 } from "../bytes.ts";

/** Talos's errors towards an agent. Numbers are never given to another error. */
export const RPC_ERRORS = {
  /** The host cannot be reached, directly or by relay. */
  unreachable: -32005,
  /** This peer may not use this service. */
  unauthorized: -32006,
  /** Who answered is not who was asked for. */
  wrong_key: -32007,
  /** The two clocks differ by more than 60 s. */
  clock_skew: -32008,
  /** The host has no such service. */
  unknown_service: -32009,
  /** Our own wallet is missing, locked or damaged. */
  wallet: -32010,
  /** The MCP server's process has ended, or could not be started. */
  child_exited: -32011,
  /** The message, or the reply to it, is larger than the limit. */
  message_too_large: -32012,
  /** The line is not forwarded: see `refusals.ts`. */
  refused_line: -32013,
  /** The connection was lost for good; the call was not run and may be repeated. */
  connection_lost_not_run: -32014,
  /** The connection was lost for good; whether the call was run is unknown. */
  connection_lost_outcome_unknown: -32015,
  /** Too many calls, sessions or connections at once. */
  busy: -32016,
  /** The policy forbids this method, tool, prompt, resource or argument. */
  not_permitted: -32017,
  /** The tool is not what it was when it was accepted. */
  tool_changed: -32018,
  /** A limit of the policy is reached: requests per minute, bytes per day, seconds per call. */
  limit_reached: -32019,
  /** Our own command was typed wrong, or names nobody: nothing was dialled. The range above is full. */
  usage: -31999,
} as const;

/** The stable name of an error, `data.talos`: a key of {@link RPC_ERRORS}. */
export type RpcErrorName = keyof typeof RPC_ERRORS;

/** A value of JSON. */
export type Json =
  | string
  | number
  | boolean
  | null
  | readonly Json[]
  | { readonly [key: string]: Json };

/** What a program or a user can do with an error. */
export interface RpcErrorDetails {
  /** Given by the error itself. */
  readonly talos?: never;
  /** How the host was reached or tried: `direct` or `relay`. */
  readonly path?: string;
  /** What the user can do next, one sentence or command each. */
  readonly hint?: readonly string[];
  /** Of a call that failed on its way: whether it may have been run. */
  readonly run?: "no" | "unknown";
  /** Facts of this one error. */
  readonly [key: string]: Json;
}

/** What accompanies an error: its stable name, a key of {@link RPC_ERRORS} or one of a standard code, and details. */
export type RpcErrorData = { readonly talos: string } & { readonly [key: string]: Json };

const LINE_BREAKS = /[\u0085\u2028\u2029]/g;

/**
 * Returns an error reply as one line, without a line feed. `idToken` is the JSON token of the request's
 * id as it stood; null when it could not be read, and then the reply has no id (JSON-RPC 2.0 would have
 * null there, MCP 2025-11-25 and later leave it out, and the MCP SDK refuses null).
 */
export function errorReply(
  idToken: Bytes | null,
  code: number,
  message: string,
  data: RpcErrorData,
): Bytes {
  if (!Number.isSafeInteger(code)) throw new RangeError(`Cannot reply: ${code} is no error code`);
  // JSON allows these inside strings, some line readers end a line at them.
  const error = JSON.stringify({ code, message, data }).replace(
    LINE_BREAKS,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
  const tail = utf8(`"error":${error}}`);
  if (idToken === null) return concat(HEAD, tail);
  return concat(HEAD, ID, idToken, COMMA, tail);
}

const HEAD = utf8('{"jsonrpc":"2.0",');
const ID = utf8('"id":');
const COMMA = utf8(",");

/** Returns the reply for one of Talos's own errors: code and `data.talos` come from {@link RPC_ERRORS}. */
export function talosErrorReply(
  idToken: Bytes | null,
  name: RpcErrorName,
  message: string,
  details: RpcErrorDetails = {},
): Bytes {
  return errorReply(idToken, RPC_ERRORS[name], message, { talos: name, ...details });
}
