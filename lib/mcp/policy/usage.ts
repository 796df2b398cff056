/**
 * What one peer has used of one service: requests in the last 60 seconds, bytes of today, calls that run.
 *
 * Pure but for the clock that is handed in. The minute is counted in seconds, on a clock that never goes
 * back; a day is one of UTC, and another one only when the wall clock is a day or more ahead, or two behind.
 */

import { DAY_MS } from "../../limits.ts";

/** What outlives the process. Times are Unix milliseconds. */
export interface StoredUsage {
  /** The day, counted from 1970. */
  readonly day: number;
  /** Bytes of that day. */
  readonly bytes: number;
  /** The requests of the last minute: in which second, how many. */
  readonly requests: readonly (readonly [second: number, count: number])[];
}

const WINDOW_S = 60;

/** What one peer has used of one service. */
export class Usage {
  #day: number;
  #bytes: number;
  /** By second, the oldest first. */
  #requests: (readonly [second: number, count: number])[];
  #calls = 0;
  #changed = false;
  /** What ends calls that have ended unnoticed: one for each session. */
  readonly reviewers = new Set<() => void>();

  /** Goes on from what was stored. `now` is Unix time in milliseconds. */
  constructor(stored: StoredUsage | null, now: number) {
    const second = Math.floor(now / 1000);
    this.#day = stored?.day ?? Math.floor(now / DAY_MS);
    this.#bytes = stored?.bytes ?? 0;
    // What a clock that went back since would put into the future happened just now.
    this.#requests = (stored?.requests ?? []).map(([at, count]) => [Math.min(at, second), count]);
  }

  /** Whether there is something that was not stored since {@link stored} was asked for. */
  get changed(): boolean {
    return this.#changed;
  }

  /** Calls that run. */
  get calls(): number {
    return this.#calls;
  }

  /** Whether `limit` calls run, all sessions asked. */
  isBusy(limit: number): boolean {
    if (this.#calls < limit) return false;
    for (const review of this.reviewers) review();
    return this.#calls >= limit;
  }

  /** Bytes of today. */
  bytes(now: number): number {
    const day = Math.floor(now / DAY_MS);
    if (day > this.#day || day < this.#day - 1) {
      this.#day = day;
      this.#bytes = 0;
      this.#changed = true;
    }
    return this.#bytes;
  }

  /** Requests in the 60 seconds before `now`. */
  requests(now: number): number {
    const second = Math.floor(now / 1000);
    // The second in which one fell counts whole, so that no 60 seconds hold more.
    this.#requests = this.#requests.filter(([at]) => at >= second - WINDOW_S);
    return this.#requests.reduce((sum, [, count]) => sum + count, 0);
  }

  /** Until there is room again for a request, in seconds. */
  retryAfter(now: number): number {
    const [oldest] = this.#requests[0] ?? [Math.floor(now / 1000)];
    return Math.max(1, oldest + WINDOW_S + 1 - Math.floor(now / 1000));
  }

  /** Counts a request. */
  addRequest(now: number): void {
    const second = Math.floor(now / 1000);
    const last = this.#requests.at(-1);
    if (last !== undefined && last[0] >= second) {
      this.#requests[this.#requests.length - 1] = [last[0], last[1] + 1];
    } else this.#requests.push([second, 1]);
    this.#changed = true;
  }

  /** Counts bytes of messages. */
  addBytes(count: number, now: number): void {
    this.#bytes = this.bytes(now) + count;
    this.#changed = true;
  }

  /** A call begins. */
  begin(): void {
    this.#calls++;
  }

  /** A call has ended. */
  end(): void {
    this.#calls--;
  }

  /** Returns what is to be stored, which counts as stored from now on. */
  stored(now: number): StoredUsage {
    this.#changed = false;
    this.requests(now);
    return { day: this.#day, bytes: this.#bytes, requests: this.#requests };
  }

  /** What {@link stored} returned could not be stored. */
  notStored(): void {
    this.#changed = true;
  }
}
