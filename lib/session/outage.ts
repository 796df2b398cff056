/**
 * The time in which no connection carries a session: since when, what was tried and failed, how long it may
 * last; and what is told of it to whoever reports it to people.
 */

import type { Clock } from "../clock.ts";
import type { PathLabel } from "../transport/transport.ts";

/** What happened to the path of a session. */
export type PathEvent =
  | {
    readonly kind: "lost";
    /** Which way the bytes went. */
    readonly path: PathLabel;
    /** What the connection ended with. */
    readonly why: string;
  }
  | {
    readonly kind: "retrying";
    /** Counts the attempts that failed since the loss, from 1. */
    readonly failures: number;
    /** What the last one failed with. */
    readonly why: string;
    /** Time since the loss, in milliseconds. */
    readonly afterMs: number;
  }
  | {
    readonly kind: "resumed";
    /** Which way the bytes go. */
    readonly path: PathLabel;
    /** Time since the loss, in milliseconds. */
    readonly afterMs: number;
    /** Messages of ours that the other end lacks, and that are sent once more. */
    readonly replayed: number;
  };

/** Learns what happens to a path. */
export type PathObserver = (event: PathEvent) => void;

/** One time without a connection, until it is disposed: carried on or over. */
export class Outage implements Disposable {
  /** When it began, in monotonic milliseconds. */
  readonly since: number;
  readonly #clock: Clock;
  readonly #timer: Disposable;
  #failures = 0;
  #lastError: unknown;
  /** Made when it is waited for. */
  #over: PromiseWithResolvers<void> | undefined;

  /**
   * Begins now, because of `error`. Calls `tooLong` once it has lasted for `limitMs` milliseconds, with what was
   * in the way last.
   */
  constructor(
    clock: Clock,
    error: unknown,
    limitMs: number,
    tooLong: (lastError: unknown) => void,
  ) {
    this.#clock = clock;
    this.#lastError = error;
    this.since = clock.monotonic();
    this.#timer = clock.after(limitMs, () => tooLong(this.#lastError));
  }

  /** Resolves when the session is carried again or over. */
  get over(): Promise<void> {
    this.#over ??= Promise.withResolvers();
    return this.#over.promise;
  }

  /** Notes that an attempt to carry the session on has failed, and returns what there is to tell of it. */
  attemptFailed(error: Error): PathEvent {
    this.#lastError = error;
    const afterMs = this.#clock.monotonic() - this.since;
    return { kind: "retrying", failures: ++this.#failures, why: error.message, afterMs };
  }

  /** Ends it. */
  [Symbol.dispose](): void {
    this.#timer[Symbol.dispose]();
    this.#over?.resolve();
  }
}
