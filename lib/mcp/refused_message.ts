/**
 * What a refused line was meant to be, so that whoever waits for it can be told. A guess, from an id and a
 * method found by counting brackets: it serves to answer, never to let anything pass.
 *
 * An agent sends nothing but messages, so whatever cannot be told is answered as a request. A server prints
 * all kinds of things on its stdout, so only what names JSON-RPC counts as a message there.
 */

import { Buffer } from "node:buffer";

import type { Bytes } from "../bytes.ts";
import type { MessageId } from "./message_id.ts";
import type { PendingCalls } from "./pending.ts";
import type { Direction } from "./pipeline.ts";
import type { Refusal } from "./refusals.ts";
import type { InvalidLine } from "./scan.ts";

/** A message that is refused, as far as it matters for telling somebody. */
export type RefusedMessage =
  /** Its id is null when none can be named. */
  | { readonly kind: "request"; readonly id: MessageId | null }
  | { readonly kind: "response"; readonly id: MessageId }
  | { readonly kind: "notification" };

/** A line that is refused for one of these had an id, even if none can be named. */
const FAULTS_OF_IDS: ReadonlySet<Refusal> = new Set([
  "id_type",
  "duplicate_key",
  "identifier_too_long",
]);

/**
 * Returns what `line` was meant to be; null for what is nobody's message. `pending` holds the calls that
 * went in the same direction as the line, `answered` those which lines of this direction answer, by
 * `idAtServer` if the line is an agent's.
 */
export function refusedMessage(
  direction: Direction,
  line: Bytes,
  { reason, id, method, idAtServer }: InvalidLine & { readonly idAtServer: MessageId | null },
  pending: PendingCalls,
  answered: PendingCalls,
): RefusedMessage | null {
  if (direction === "to_agent" && (reason === "jsonrpc_version" || !namesJsonRpc(line))) {
    return null;
  }
  if (method !== null || reason === "method_type") {
    const isRequest = id !== null || FAULTS_OF_IDS.has(reason);
    return isRequest ? { kind: "request", id } : { kind: "notification" };
  }
  if (idAtServer !== null && answered.get(idAtServer.key) !== null) {
    return { kind: "response", id: idAtServer };
  }
  if (direction === "to_agent") return null;
  // Not under an id by which the agent waits for something else.
  const taken = id !== null && pending.get(id.key) !== null;
  return { kind: "request", id: taken ? null : id };
}

/** Tells whether `jsonrpc` stands in `line` as a string: in a message quoted inside a string it does not. */
function namesJsonRpc(line: Bytes): boolean {
  return Buffer.from(line.buffer, line.byteOffset, line.length).includes('"jsonrpc"');
}
