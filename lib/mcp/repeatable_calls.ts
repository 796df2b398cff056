/**
 * Calls of tools that may be run twice, because whoever configured the agent's side named them: when their
 * server dies, they are made once more to the next one instead of being answered *outcome unknown*. Pure.
 *
 * It watches as an interceptor and keeps a copy of each such call until it is answered. Calls that have no
 * room, and all calls of tools that were not named, are answered as ever.
 */

import type { Bytes } from "../bytes.ts";
import { MAX_REPEATABLE_CALLS_BYTES } from "../limits.ts";
import type { Interceptor, Passing, Verdict } from "./pipeline.ts";

const FORWARD: Verdict = { action: "forward" };

/** The waiting calls that may be made once more. */
export class RepeatableCalls implements Interceptor {
  /** For logs. */
  readonly name = "repeatable calls";
  readonly #tools: ReadonlySet<string>;
  /** The call by the key of its id. */
  readonly #calls = new Map<string, Bytes>();
  /** Keys of calls that are made again, and are not kept then. */
  readonly #again = new Set<string>();
  #bytes = 0;

  /** Keeps the calls of `tools`, by their names. */
  constructor(tools: Iterable<string>) {
    this.#tools = new Set(tools);
  }

  /** Looks at one message, and lets it pass. */
  intercept({ direction, message, bytes, call }: Passing): Verdict {
    if (this.#tools.size === 0) return FORWARD;
    if (direction === "to_agent") {
      if (call !== undefined) this.forget(call.key);
    } else if (message.kind === "notification") {
      if (message.cancels !== null) this.forget(message.cancels.key);
    } else if (message.kind === "request" && message.method === "tools/call") {
      if (message.name !== null && this.#tools.has(message.name)) this.#keep(message.id.key, bytes);
    }
    return FORWARD;
  }

  /** Returns the call with this key if it may be made once more, and lets it be so just this time. */
  take(key: string): Bytes | null {
    const call = this.#calls.get(key);
    if (call === undefined) return null;
    this.forget(key);
    this.#again.add(key);
    return call;
  }

  /** The call with this key waits no longer. */
  forget(key: string): void {
    this.#again.delete(key);
    this.#bytes -= this.#calls.get(key)?.length ?? 0;
    this.#calls.delete(key);
  }

  /** Forgets the calls that wait no longer, as far as nothing passed here that told. */
  retain(isWaiting: (key: string) => boolean): void {
    for (const key of this.#calls.keys()) if (!isWaiting(key)) this.forget(key);
  }

  #keep(key: string, call: Bytes): void {
    if (this.#again.delete(key)) return;
    this.forget(key);
    if (this.#bytes + call.length > MAX_REPEATABLE_CALLS_BYTES) return;
    this.#bytes += call.length;
    this.#calls.set(key, call.slice());
  }
}
