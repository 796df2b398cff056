/**
 * Randomness that repeats: xoshiro128** 1.1 of Blackman and Vigna, for tests, fuzzing and simulation.
 *
 * The same seed gives the same numbers on every machine and in every version, so that a failure is named
 * by its seed. Any text or number is a seed; derived streams are seeds with more text (`"7/msgpack/41"`).
 * It is predictable: no key, nonce or token outside a test may ever come from it.
 */

type State = readonly [number, number, number, number];

/** A repeatable source of numbers, bytes and choices. */
export class SeededRandom {
  #a: number;
  #b: number;
  #c: number;
  #d: number;

  /** Starts from a seed, or, to compare with published sequences, from a raw state of four u32. */
  constructor(seed: string | number | State) {
    [this.#a, this.#b, this.#c, this.#d] = typeof seed === "object" ? seed : stateOf(String(seed));
  }

  /** Returns an integer from 0 to 2^32 − 1. */
  uint32(): number {
    const scaled = Math.imul(this.#b, 5);
    const result = Math.imul((scaled << 7) | (scaled >>> 25), 9) >>> 0;
    const shifted = this.#b << 9;
    this.#c ^= this.#a;
    this.#d ^= this.#b;
    this.#b ^= this.#c;
    this.#a ^= this.#d;
    this.#c ^= shifted;
    this.#d = (this.#d << 11) | (this.#d >>> 21);
    return result;
  }

  /** Returns an integer from 0 to `end` − 1, with a bias of `end` / 2^32; `end` is from 1 to 2^32. */
  below(end: number): number {
    return Math.floor((this.uint32() / 2 ** 32) * end);
  }

  /** Returns an integer from `least` to `most`, both included. */
  between(least: number, most: number): number {
    return least + this.below(most - least + 1);
  }

  /** Returns true with the given probability, from 0 to 1. */
  chance(probability: number): boolean {
    return this.uint32() < probability * 2 ** 32;
  }

  /** Returns one of `choices`. Throws RangeError when there is none. */
  pick<T>(choices: readonly T[]): T {
    if (choices.length === 0) throw new RangeError("Cannot pick: there are no choices");
    return choices[this.below(choices.length)]!;
  }

  /** Returns `length` bytes. Bound to its object, so it can be passed on as a source of randomness. */
  readonly bytes = (length: number): Uint8Array<ArrayBuffer> => {
    const bytes = new Uint8Array(length);
    for (let i = 0; i < length; i++) bytes[i] = this.uint32() >>> 24;
    return bytes;
  };
}

/** Spreads a text over four words: FNV-1a from four starting points, each finished as by MurmurHash3. */
function stateOf(text: string): State {
  const word = (start: number): number => {
    let hash = 0x811c9dc5 ^ start;
    for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
    hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
    hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
    return (hash ^ (hash >>> 16)) >>> 0;
  };
  // The last word is never 0 in all four at once: xoshiro stands still in the state of zeros.
  return [word(0), word(0x9e3779b9), word(0x3c6ef372), word(0xdaa66d2b) | 1];
}
