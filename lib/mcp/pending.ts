/**
 * The calls of one direction of a session that wait for a reply.
 *
 * An id is taken until its reply comes or its caller cancels it; a second request with the same id is
 * refused, because no reply could be told from the other's. A cancelled call leaves the table, as no reply
 * need follow, and is remembered for a while, so that a reply that was already under way is recognised.
 * Memory is bounded by `MAX_PENDING_CALLS`, `REMEMBERED_CANCELLED_CALLS` and, for the ids and names of each
 * of the two, `MAX_PENDING_CALL_BYTES`; beyond it calls are refused, or forgotten if they were cancelled.
 */

import type { Bytes } from "../bytes.ts";
import {
  MAX_PENDING_CALL_BYTES,
  MAX_PENDING_CALLS,
  REMEMBERED_CANCELLED_CALLS,
} from "../limits.ts";
import type { MessageId } from "./message_id.ts";

/** A call that waits for its reply. */
export interface PendingCall {
  /** The JSON token of the request's id: a copy. */
  readonly idToken: Bytes;
  /** The id's key. */
  readonly key: string;
  /** The request's method. */
  readonly method: string;
  /** The tool or prompt that it names, or null. */
  readonly name: string | null;
  /** When it was added: the injected clock's milliseconds. */
  readonly startedAt: number;
}

/** A call whose reply has come. */
export interface SettledCall extends PendingCall {
  /** Whether its caller had cancelled it before. */
  readonly cancelled: boolean;
}

/** What became of a call that was to be added: `duplicate` if its id waits already, `busy` if too many or too much do. */
export type Addition = "added" | "duplicate" | "busy";

/** The pending calls of one direction. */
export class PendingCalls {
  readonly #now: () => number;
  readonly #limit: number;
  readonly #calls = new Map<string, PendingCall>();
  /** Cancelled calls, the oldest first. */
  readonly #cancelled = new Map<string, PendingCall>();
  #bytes = 0;
  #cancelledBytes = 0;

  /** Makes an empty table. `now` is a clock in milliseconds, `limit` the most calls that may wait. */
  constructor(now: () => number, limit = MAX_PENDING_CALLS) {
    this.#now = now;
    this.#limit = limit;
  }

  /** How many calls wait, cancelled ones not counted. */
  get size(): number {
    return this.#calls.size;
  }

  /** Adds a call unless its id waits already or the table is full. */
  add(id: MessageId, method: string, name: string | null): Addition {
    if (this.#calls.has(id.key)) return "duplicate";
    const call = { idToken: id.token, key: id.key, method, name, startedAt: this.#now() };
    const bytes = bytesOf(call);
    if (this.#calls.size >= this.#limit || this.#bytes + bytes > MAX_PENDING_CALL_BYTES) {
      return "busy";
    }
    this.#takeCancelled(id.key);
    this.#calls.set(id.key, { ...call, idToken: id.token.slice() });
    this.#bytes += bytes;
    return "added";
  }

  /** Returns the waiting call with this key, or null. */
  get(key: string): PendingCall | null {
    return this.#calls.get(key) ?? null;
  }

  /** A reply has come: returns its call, which waits no longer. Null when nobody asked for it. */
  settle(key: string): SettledCall | null {
    const call = this.#take(key);
    if (call !== null) return { ...call, cancelled: false };
    const cancelled = this.#takeCancelled(key);
    return cancelled === null ? null : { ...cancelled, cancelled: true };
  }

  /** The caller cancels: returns the call, which waits no longer. Null when none with this key waits. */
  cancelled(key: string): PendingCall | null {
    const call = this.#take(key);
    if (call === null) return null;
    this.#cancelled.set(key, call);
    this.#cancelledBytes += bytesOf(call);
    for (const oldest of this.#cancelled.keys()) {
      if (
        this.#cancelled.size <= REMEMBERED_CANCELLED_CALLS &&
        this.#cancelledBytes <= MAX_PENDING_CALL_BYTES
      ) break;
      this.#takeCancelled(oldest);
    }
    return call;
  }

  /** Returns every waiting call, the oldest first. */
  waiting(): readonly PendingCall[] {
    return [...this.#calls.values()];
  }

  /** Forgets the cancelled calls: whoever would have answered them is gone. */
  forgetCancelled(): void {
    this.#cancelled.clear();
    this.#cancelledBytes = 0;
  }

  /** Yields every waiting call, the oldest first, and takes each out of the table. Forgets the cancelled ones. */
  *drain(): Generator<PendingCall, void, undefined> {
    this.forgetCancelled();
    for (const [key, call] of this.#calls) {
      this.#take(key);
      yield call;
    }
  }

  #take(key: string): PendingCall | null {
    const call = this.#calls.get(key);
    if (call === undefined) return null;
    this.#calls.delete(key);
    this.#bytes -= bytesOf(call);
    return call;
  }

  #takeCancelled(key: string): PendingCall | null {
    const call = this.#cancelled.get(key);
    if (call === undefined) return null;
    this.#cancelled.delete(key);
    this.#cancelledBytes -= bytesOf(call);
    return call;
  }
}

/** Returns what a call's id and names take at most: two bytes for each UTF-16 unit. */
function bytesOf({ idToken, key, method, name }: PendingCall): number {
  return idToken.length + 2 * (key.length + method.length + (name?.length ?? 0));
}
