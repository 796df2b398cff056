/**
 * How long to wait between attempts to reach a lost peer. Pure: randomness and times are parameters.
 *
 * Pauses double from 50 ms. Their limit is 1 s in the first five minutes, so that a path that returns is
 * used within 2 s, and 5 s afterwards. Each pause is a random part, at least half, of that: many callers of
 * one host do not come back in step.
 */

import type { RandomBytes } from "../crypto/random.ts";
import {
  EARLY_REDIAL_MS,
  EARLY_REDIAL_PERIOD_MS,
  FIRST_REDIAL_MS,
  LATE_REDIAL_MS,
} from "../limits.ts";

/** The pauses after attempts that failed. */
export class Backoff {
  readonly #random: RandomBytes;
  #pauseMs = FIRST_REDIAL_MS;

  /** Begins with the shortest pause. */
  constructor(random: RandomBytes) {
    this.#random = random;
  }

  /** Returns the next pause, in milliseconds, `lostForMs` milliseconds after the loss. */
  next(lostForMs: number): number {
    const limit = lostForMs < EARLY_REDIAL_PERIOD_MS ? EARLY_REDIAL_MS : LATE_REDIAL_MS;
    const pauseMs = Math.min(this.#pauseMs, limit);
    this.#pauseMs = Math.min(2 * pauseMs, LATE_REDIAL_MS);
    const [high = 0, low = 0] = this.#random(2);
    return pauseMs * (1 + ((high << 8) | low) / 0x1_0000) / 2;
  }

  /** Begins again with the shortest pause. */
  reset(): void {
    this.#pauseMs = FIRST_REDIAL_MS;
  }
}
