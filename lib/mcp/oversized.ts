/**
 * What a line over the limit leaves behind: the one request fails, the session lives.
 *
 * An over-long request is answered with an error in place of the server; an over-long response is
 * replaced by an error for the call it answers. Notifications, and lines nobody can make sense of, are
 * dropped.
 */

import type { Bytes } from "../bytes.ts";
import { talosErrorReply } from "./jsonrpc.ts";
import type { OversizedLine } from "./lines.ts";
import type { PendingCalls } from "./pending.ts";

/** Where the error for an over-long line goes: `back` to its sender, or `on` in its place. */
export interface OversizedOutcome {
  /** `back` to its sender, or `on` in its place. */
  readonly to: "back" | "on";
  /** The error reply, one line. */
  readonly reply: Bytes;
}

/**
 * Returns what becomes of `line`, or null when nothing does. `answered` holds the calls that responses of
 * this direction answer; the one that `line` answered is settled.
 */
export function oversizedOutcome(
  line: Pick<OversizedLine, "length" | "id" | "method">,
  limit: number,
  answered: PendingCalls,
): OversizedOutcome | null {
  if (line.id === null) return null;
  if (line.method !== null) {
    const text = `The message is too large: it has ${line.length} bytes, the limit is ${limit}`;
    return { to: "back", reply: talosErrorReply(line.id.token, "message_too_large", text) };
  }
  const call = answered.settle(line.id.key);
  if (call === null) return null;
  const text = `The reply is too large: it has ${line.length} bytes, the limit is ${limit}`;
  return { to: "on", reply: talosErrorReply(call.idToken, "message_too_large", text) };
}
