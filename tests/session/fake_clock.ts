/**
 * A clock whose time moves only when it is told to.
 *
 * `advance` fires what becomes due, in order, and lets everything that follows from it happen before time
 * moves on. That holds for promises and in-memory transports; what the operating system does takes time of
 * its own.
 */

import type { Clock } from "../../lib/clock.ts";

interface Timer {
  readonly at: number;
  readonly action: () => void;
}

/** Lets everything happen that is ready to: a whole turn of the event loop, all promise jobs included. */
export function turn(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve));
}

/** Time in the hands of a test. */
export class FakeClock implements Clock {
  readonly #timers = new Set<Timer>();
  #monotonic = 0;
  #wallAhead: number;

  /** `now` is the Unix time at which it begins, in milliseconds. */
  constructor(now = 1_750_000_000_000) {
    this.#wallAhead = now;
  }

  /** How many timers are set. */
  get timers(): number {
    return this.#timers.size;
  }

  now(): number {
    return this.#monotonic + this.#wallAhead;
  }

  monotonic(): number {
    return this.#monotonic;
  }

  after(ms: number, action: () => void): Disposable {
    const timer = { at: this.#monotonic + ms, action };
    this.#timers.add(timer);
    return { [Symbol.dispose]: () => void this.#timers.delete(timer) };
  }

  /** Moves time on by `ms` milliseconds. */
  async advance(ms: number): Promise<void> {
    const until = this.#monotonic + ms;
    await turn();
    for (let timer = this.#nextBy(until); timer !== undefined; timer = this.#nextBy(until)) {
      this.#timers.delete(timer);
      this.#monotonic = Math.max(this.#monotonic, timer.at);
      timer.action();
      await turn();
    }
    this.#monotonic = until;
    await turn();
  }

  /** Moves wall time by `ms` and monotonic time not at all, as a machine that slept does. */
  jump(ms: number): void {
    this.#wallAhead += ms;
  }

  /** Moves time on without firing anything, as if the process had stood still; then fires what is due. */
  async freeze(ms: number): Promise<void> {
    this.#monotonic += ms;
    await this.advance(0);
  }

  #nextBy(until: number): Timer | undefined {
    let next: Timer | undefined;
    for (const timer of this.#timers) {
      if (timer.at <= until && (next === undefined || timer.at < next.at)) next = timer;
    }
    return next;
  }
}
