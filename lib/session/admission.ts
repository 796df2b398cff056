/**
 * Who may take up room before it is known who they are: bounds on half-open connections, and the
 * ephemeral keys seen lately. Pure bookkeeping.
 */

import { MAX_HALF_OPEN, MAX_HALF_OPEN_PER_SOURCE, RECENT_EPHEMERALS } from "../limits.ts";

/** Counts connections whose handshake is not finished, in all and per source. */
export class HalfOpenLimiter {
  readonly #perSource = new Map<string, number>();
  readonly #limits: { readonly total: number; readonly perSource: number };
  #total = 0;

  /** Bounds as given, or those of limits.ts. */
  constructor(limits = { total: MAX_HALF_OPEN, perSource: MAX_HALF_OPEN_PER_SOURCE }) {
    this.#limits = limits;
  }

  /** How many are half-open now. */
  get total(): number {
    return this.#total;
  }

  /** How many sources have half-open connections now. */
  get sources(): number {
    return this.#perSource.size;
  }

  /** Takes a place for `source`, given back by disposing it (once or often). Null when none is left. */
  enter(source: string): Disposable | null {
    const taken = this.#perSource.get(source) ?? 0;
    if (this.#total >= this.#limits.total || taken >= this.#limits.perSource) return null;
    this.#total++;
    this.#perSource.set(source, taken + 1);
    let inside = true;
    return {
      [Symbol.dispose]: () => {
        if (!inside) return;
        inside = false;
        this.#leave(source);
      },
    };
  }

  #leave(source: string): void {
    this.#total--;
    const left = (this.#perSource.get(source) ?? 1) - 1;
    if (left === 0) this.#perSource.delete(source);
    else this.#perSource.set(source, left);
  }
}

/** Remembers the last {@link RECENT_EPHEMERALS} keys, oldest out first. */
export class RecentEphemerals {
  readonly #seen = new Set<string>();
  readonly #limit: number;

  /** Keeps at most `limit` keys. */
  constructor(limit = RECENT_EPHEMERALS) {
    this.#limit = limit;
  }

  /** Notes a key and returns whether it was new. */
  firstSeen(key: string): boolean {
    if (this.#seen.has(key)) return false;
    this.#seen.add(key);
    if (this.#seen.size > this.#limit) {
      const oldest = this.#seen.values().next();
      if (oldest.done !== true) this.#seen.delete(oldest.value);
    }
    return true;
  }
}
