/**
 * Token buckets by key: how often each caller may do something. Pure bookkeeping; time is a parameter.
 *
 * A bucket that is full again is the same as none and is dropped now and then, so memory is bounded by the
 * callers of the last minutes, and in any case by a number.
 */

import { MAX_BUCKETS, type Rate } from "../limits.ts";

interface Bucket {
  /** What was in it at `at`. */
  readonly tokens: number;
  /** Monotonic milliseconds. */
  readonly at: number;
}

/** Fewer buckets than this are never looked through. */
const MIN_PRUNED = 1024;

/** One bucket for each key, all of one rate. */
export class TokenBuckets {
  readonly #rate: Rate;
  readonly #limit: number;
  readonly #buckets = new Map<string, Bucket>();
  #pruneAt = MIN_PRUNED;

  /** Makes buckets that are full. */
  constructor(rate: Rate, limit = MAX_BUCKETS) {
    this.#rate = rate;
    this.#limit = limit;
  }

  /** How many are remembered. */
  get size(): number {
    return this.#buckets.size;
  }

  /**
   * Takes a token, or `count`, out of the bucket of `key` and returns 0, or returns in how many milliseconds
   * there will be as many.
   *
   * @param now Monotonic milliseconds.
   */
  take(key: string, now: number, count = 1): number {
    const wait = this.wait(key, now, count);
    if (wait > 0) return wait;
    const tokens = this.#tokens(key, now) - count;
    this.#buckets.delete(key); // to the end: what was used last is forgotten last
    this.#buckets.set(key, { tokens, at: now });
    if (this.#buckets.size > this.#pruneAt) this.#prune(now);
    return 0;
  }

  /** Returns in how many milliseconds there will be a token, or `count`, for `key`; 0 when there is. */
  wait(key: string, now: number, count = 1): number {
    const missing = count - this.#tokens(key, now);
    return missing <= 0 ? 0 : Math.ceil(missing * 60_000 / this.#rate.perMinute);
  }

  #tokens(key: string, now: number): number {
    const bucket = this.#buckets.get(key);
    return bucket === undefined ? this.#rate.burst : this.#filled(bucket, now);
  }

  #filled({ tokens, at }: Bucket, now: number): number {
    return Math.min(this.#rate.burst, tokens + (now - at) * this.#rate.perMinute / 60_000);
  }

  #prune(now: number): void {
    for (const [key, bucket] of this.#buckets) {
      if (this.#filled(bucket, now) >= this.#rate.burst) this.#buckets.delete(key);
    }
    for (const key of this.#buckets.keys()) {
      if (this.#buckets.size <= this.#limit / 2) break;
      this.#buckets.delete(key);
    }
    this.#pruneAt = Math.max(MIN_PRUNED, 2 * this.#buckets.size);
  }
}
