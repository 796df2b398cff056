/**
 * The calls of one direction of a session that wait for a reply.
 *
 * An id is taken until its reply comes or its caller cancels it; a second request with the same id is
 * refused, because no reply could be told from the other's. A cancelled call leaves the table, as no reply
 * need follow, and is remembered for a while, so that a reply that was already under way is recognised.
 * Memory is bounded by `MAX_PENDING_CALLS` and `REMEMBERED_CANCELLED_CALLS`; beyond it calls are refused.
 */

import type { Bytes } from "../bytes.ts";
import { MAX_PENDING_CALLS, REMEMBERED_CANCELLED_CALLS } from "../limits.ts";
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

/** What became of a call that was to be added: `duplicate` if its id waits already, `busy` if too many do. */
export type Addition = "added" | "duplicate" | "busy";

/** The pending calls of one direction. */
export class PendingCalls {
  readonly #now: () => number;
  readonly #limit: number;
  readonly #calls = new Map<string, PendingCall>();
  /** Cancelled calls, the oldest first. */
  readonly #cancelled = new Map<string, PendingCall>();

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
    if (this.#calls.size >= this.#limit) return "busy";
    this.#cancelled.delete(id.key);
    this.#calls.set(id.key, {
      idToken: id.token.slice(),
      key: id.key,
      method,
      name,
      startedAt: this.#now(),
    });
    return "added";
  }

  /** Returns the waiting call with this key, or null. */
  get(key: string): PendingCall | null {
    return this.#calls.get(key) ?? null;
  }

  /** A reply has come: returns its call, which waits no longer. Null when nobody asked for it. */
  settle(key: string): SettledCall | null {
    const call = this.#calls.get(key);
    if (call !== undefined) {
      this.#calls.delete(key);
      return { ...call, cancelled: false };
    }
    const cancelled = this.#cancelled.get(key);
    if (cancelled === undefined) return null;
    this.#cancelled.delete(key);
    return { ...cancelled, cancelled: true };
  }

  /** The caller cancels: returns the call, which waits no longer. Null when none with this key waits. */
  cancelled(key: string): PendingCall | null {
    const call = this.#calls.get(key);
    if (call === undefined) return null;
    this.#calls.delete(key);
    this.#cancelled.set(key, call);
    if (this.#cancelled.size > REMEMBERED_CANCELLED_CALLS) {
      for (const oldest of this.#cancelled.keys()) {
        this.#cancelled.delete(oldest);
        break;
      }
    }
    return call;
  }

  /** Yields every waiting call, the oldest first, and takes each out of the table. Forgets the cancelled ones. */
  *drain(): Generator<PendingCall, void, undefined> {
    this.#cancelled.clear();
    for (const [key, call] of this.#calls) {
      this.#calls.delete(key);
      yield call;
    }
  }
}
