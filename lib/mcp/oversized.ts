/**
 * What a line over the limit leaves behind: the one message fails, the session lives.
 *
 * An over-long request is answered with an error in place of the server; an over-long response is
 * replaced by an error for the call it answers. Notifications, and lines nobody can make sense of, are
 * dropped.
 */

import type { Bytes } from "../bytes.ts";
import { talosErrorReply } from "./jsonrpc.ts";
import type { OversizedLine } from "./lines.ts";
import type { PendingCalls } from "./pending.ts";
import { scanLine } from "./scan.ts";

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
  if (line.method !== null) return { to: "back", reply: requestReply(line.id.token, line, limit) };
  const call = answered.settle(line.id.key);
  if (call === null) return null;
  return { to: "on", reply: responseReply(call.idToken, line, limit) };
}

/**
 * Returns what becomes of `line`, which passed the pipeline but is beyond the peer's limit: for each
 * request an error for its sender, for each response one in its place. `pending` holds the calls that
 * went in the line's direction; those in it are settled.
 */
export function tooLargeForPeer(
  line: Bytes,
  limit: number,
  pending: PendingCalls,
): OversizedOutcome[] {
  const scanned = scanLine(line, "towards_agent");
  if (scanned.kind === "invalid") return [];
  const messages = scanned.kind === "batch" ? scanned.elements.map((e) => e.message) : [scanned];
  return messages.flatMap((message): OversizedOutcome[] => {
    if (message.kind === "notification" || message.id === null) return [];
    const { token, key } = message.id;
    if (message.kind === "response") {
      return [{ to: "on", reply: responseReply(token, line, limit) }];
    }
    pending.settle(key);
    return [{ to: "back", reply: requestReply(token, line, limit) }];
  });
}

interface Sized {
  readonly length: number;
}

function requestReply(id: Bytes, { length }: Sized, limit: number): Bytes {
  const text = `The message is too large: it has ${length} bytes, the limit is ${limit}`;
  return talosErrorReply(id, "message_too_large", text, { bytes: length, limit });
}

function responseReply(id: Bytes, { length }: Sized, limit: number): Bytes {
  const text = `The reply is too large: it has ${length} bytes, the limit is ${limit}`;
  return talosErrorReply(id, "message_too_large", text, { bytes: length, limit });
}
