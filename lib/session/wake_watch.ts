/**
 * Notices that this machine has slept: wall time has passed that monotonic time knows nothing of.
 *
 * No system tells a program so in a way that Deno passes on, so the two clocks are compared once a second.
 * Somebody who sets the clock looks the same; what follows from it must be harmless.
 */

import type { Clock } from "../clock.ts";
import { CLOCK_JUMP_MS, WAKE_CHECK_MS } from "../limits.ts";

/** Calls back after each sleep until it is disposed. */
export class WakeWatch implements Disposable {
  readonly #clock: Clock;
  readonly #woke: (sleptMs: number) => void;
  /** Wall minus monotonic time, as last seen. */
  #offset: number;
  #timer: Disposable | undefined;

  /** Calls `woke` with how far the clocks jumped apart, in milliseconds; less than 0 if wall time went back. */
  constructor(clock: Clock, woke: (sleptMs: number) => void) {
    this.#clock = clock;
    this.#woke = woke;
    this.#offset = clock.now() - clock.monotonic();
    this.#schedule();
  }

  /** Stops watching. */
  [Symbol.dispose](): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
  }

  #schedule(): void {
    this.#timer = this.#clock.after(WAKE_CHECK_MS, () => this.#compare());
  }

  #compare(): void {
    this.#schedule();
    const offset = this.#clock.now() - this.#clock.monotonic();
    const sleptMs = offset - this.#offset;
    this.#offset = offset;
    if (Math.abs(sleptMs) > CLOCK_JUMP_MS) this.#woke(sleptMs);
  }
}
