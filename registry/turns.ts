/**
 * The turns that all connections of a registry share: after so many frames, whoever they are of, timers and
 * sockets come first. A bound per connection would let a hundred of them take a hundred times as long. Pure but
 * for `setImmediate`.
 */

import { FRAMES_PER_TURN } from "./limits.ts";

/** Counts the frames of all connections. */
export class Turns {
  #left = FRAMES_PER_TURN;
  #next: Promise<void> | null = null;

  /**
   * Counts what was taken.
   *
   * @param frames How much of a turn it was worth.
   * Returns what to wait for before taking more, or null.
   */
  spend(frames = 1): Promise<void> | null {
    if (this.#next !== null) return this.#next;
    this.#left -= frames;
    if (this.#left > 0) return null;
    this.#next = new Promise((resolve) => {
      setImmediate(() => {
        this.#left = FRAMES_PER_TURN;
        this.#next = null;
        resolve();
      });
    });
    return this.#next;
  }
}
