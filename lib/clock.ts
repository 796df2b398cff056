/**
 * Time as a parameter: whatever waits or stamps takes a {@link Clock}, so that tests decide when time
 * passes.
 */

import { race } from "./race.ts";

/** Wall time, monotonic time and timers. */
export interface Clock {
  /** Unix time in milliseconds. May jump. */
  now(): number;
  /** Milliseconds since some fixed moment. Never goes back. */
  monotonic(): number;
  /** Calls `action` once in `ms` milliseconds, unless what it returns was disposed before. */
  after(ms: number, action: () => void): Disposable;
}

/** The system's clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after(ms, action) {
    const timer = setTimeout(action, ms);
    return { [Symbol.dispose]: () => clearTimeout(timer) };
  },
};

/**
 * Returns what `promise` gives, or `otherwise` when it takes longer than `ms` milliseconds. The
 * promise goes on either way, and holds nothing of ours afterwards.
 */
export async function within<T, U>(
  clock: Clock,
  ms: number,
  promise: Promise<T>,
  otherwise: U,
): Promise<T | U> {
  const { promise: elapsed, resolve } = Promise.withResolvers<U>();
  using _timer = clock.after(ms, () => resolve(otherwise));
  return await race<T | U>(promise, elapsed);
}
