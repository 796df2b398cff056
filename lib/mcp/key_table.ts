/**
 * Finds the second of two equal keys in one JSON object, for all objects that are open at a time.
 *
 * Keys are compared as the text they stand for, escapes resolved. Small objects compare each new key
 * with those before it. Large ones sort the hashes of their keys when they close, and look closer only
 * at hashes that occur twice: n log n for any input, 16 bytes a key, and no object per key. The hash is
 * seeded per process, so that nobody can prepare keys that collide; if they do, a Set of strings decides.
 */

import { type Bytes, EMPTY } from "../bytes.ts";
import { Violation } from "./refusals.ts";

/** Up to this many keys an object is searched linearly, which is faster than sorting there. */
const LINEAR_KEYS = 32;

/** Int32 fields of one key: start (in the line, or `~start` in the unescaped bytes), length, hash, offset. */
const FIELDS = 4;

/** Bytes of scratch that are kept between lines; what a giant message needed beyond goes back. */
const KEPT_BYTES = 1 << 20;

/** Two secret numbers: where a key's hash begins, and the odd factor of each step. */
export interface KeyHash {
  /** Where a hash begins: a random 32-bit number. */
  readonly start: number;
  /** What each step multiplies by: a random odd 32-bit number. */
  readonly factor: number;
}

/** Returns a seed for {@link KeyTable} from 8 random bytes. */
export function keyHash(random: Uint32Array): KeyHash {
  return { start: (random[0] ?? 0) | 0, factor: (random[1] ?? 0) | 1 };
}

/** The keys of all open objects. One instance serves one line after another. */
export class KeyTable {
  readonly #hash: KeyHash;
  #line: Bytes = EMPTY;
  #keys = new Int32Array(64 * FIELDS);
  #used = 0;
  #unescaped = new Uint8Array(256);
  #unescapedUsed = 0;
  #frames: { keys: number; unescaped: number }[] = [];
  #depth = 0;
  #base = 0;

  /** Makes a table whose hashes are seeded with `hash`. */
  constructor(hash: KeyHash) {
    this.#hash = hash;
  }

  /** Forgets everything and turns to `line`. */
  open(line: Bytes): void {
    this.#line = line;
    this.#used =
      this.#unescapedUsed =
      this.#depth =
      this.#base =
        0;
    if (this.#keys.byteLength > KEPT_BYTES) this.#keys = new Int32Array(64 * FIELDS);
    if (this.#unescaped.byteLength > KEPT_BYTES) this.#unescaped = new Uint8Array(256);
  }

  /** An object opens. */
  enter(): void {
    const frame = this.#frames[this.#depth] ??= { keys: 0, unescaped: 0 };
    frame.keys = this.#base = this.#used;
    frame.unescaped = this.#unescapedUsed;
    this.#depth++;
  }

  /** The innermost object closes. Throws Violation when two of its many keys are equal. */
  leave(): void {
    if (this.#used - this.#base > LINEAR_KEYS * FIELDS) this.#searchSorted();
    this.#depth--;
    const frame = this.#frames[this.#depth];
    if (frame === undefined) throw new Error("Cannot leave an object: none is open");
    this.#used = frame.keys;
    this.#unescapedUsed = frame.unescaped;
    this.#base = this.#frames[this.#depth - 1]?.keys ?? 0;
  }

  /**
   * Adds the key whose text stands at `start`, and returns the index behind it: that of the first byte
   * for which `stops` is not 0. If that byte is not `terminator`, nothing was added. Throws Violation when
   * the object has this key already.
   */
  addPlain(start: number, stops: Uint8Array, terminator: number): number {
    const line = this.#line;
    const length = line.length;
    const factor = this.#hash.factor;
    let hash = this.#hash.start;
    let at = start;
    while (at < length) {
      const byte = line[at]!;
      if (stops[byte] !== 0) break;
      hash = Math.imul(hash ^ byte, factor);
      hash ^= hash >>> 15;
      at++;
    }
    if (at < length && line[at] === terminator) this.#add(start, at - start, hash, start - 1);
    return at;
  }

  /**
   * Adds the key that stands with escapes in `start..stop` of the line; its escapes must be valid, lone
   * surrogates are kept as they are (in what WTF-8 makes of them).
   * Throws Violation when the object has this key already, and when it holds an escaped NUL.
   */
  addEscaped(start: number, stop: number): void {
    const from = this.#unescapedUsed;
    this.#unescape(start, stop);
    const { factor } = this.#hash;
    let hash = this.#hash.start;
    for (let at = from; at < this.#unescapedUsed; at++) {
      const byte = this.#unescaped[at]!;
      if (byte === 0) throw new Violation("escaped_nul", start - 1);
      hash = Math.imul(hash ^ byte, factor);
      hash ^= hash >>> 15;
    }
    this.#add(~from, this.#unescapedUsed - from, hash, start - 1);
  }

  #add(start: number, length: number, hash: number, offset: number): void {
    if (this.#used + FIELDS > this.#keys.length) {
      const larger = new Int32Array(this.#keys.length * 2);
      larger.set(this.#keys);
      this.#keys = larger;
    }
    const keys = this.#keys;
    const linearEnd = Math.min(this.#used, this.#base + LINEAR_KEYS * FIELDS);
    for (let key = this.#base; key < linearEnd; key += FIELDS) {
      if (
        keys[key + 2] === hash && keys[key + 1] === length && this.#same(keys[key]!, start, length)
      ) {
        throw new Violation("duplicate_key", offset);
      }
    }
    keys[this.#used] = start;
    keys[this.#used + 1] = length;
    keys[this.#used + 2] = hash;
    keys[this.#used + 3] = offset;
    this.#used += FIELDS;
  }

  #same(a: number, b: number, length: number): boolean {
    const left = a < 0 ? this.#unescaped : this.#line;
    const right = b < 0 ? this.#unescaped : this.#line;
    const leftStart = a < 0 ? ~a : a;
    const rightStart = b < 0 ? ~b : b;
    for (let i = 0; i < length; i++) {
      if (left[leftStart + i] !== right[rightStart + i]) return false;
    }
    return true;
  }

  /** Searches the innermost object for equal keys by way of equal hashes. */
  #searchSorted(): void {
    const keys = this.#keys;
    const hashes = new Int32Array((this.#used - this.#base) / FIELDS);
    for (let i = 0; i < hashes.length; i++) hashes[i] = keys[this.#base + i * FIELDS + 2]!;
    hashes.sort();
    let repeated: Set<number> | undefined;
    for (let i = 1; i < hashes.length; i++) {
      if (hashes[i] === hashes[i - 1]) (repeated ??= new Set()).add(hashes[i]!);
    }
    if (repeated === undefined) return;
    // Latin-1 is a bijection between bytes and characters: equal strings mean equal bytes.
    const latin1 = new TextDecoder("latin1");
    const seen = new Set<string>();
    for (let key = this.#base; key < this.#used; key += FIELDS) {
      if (!repeated.has(keys[key + 2]!)) continue;
      const start = keys[key]!;
      const from = start < 0 ? ~start : start;
      const source = start < 0 ? this.#unescaped : this.#line;
      const text = latin1.decode(source.subarray(from, from + keys[key + 1]!));
      if (seen.has(text)) throw new Violation("duplicate_key", keys[key + 3]!);
      seen.add(text);
    }
  }

  /** Appends the UTF-8 form of the text that stands with escapes in `start..stop` of the line. */
  #unescape(start: number, stop: number): void {
    const line = this.#line;
    // No escape stands for more bytes than it has itself.
    const needed = this.#unescapedUsed + (stop - start);
    if (needed > this.#unescaped.length) {
      const larger = new Uint8Array(Math.max(needed, this.#unescaped.length * 2));
      larger.set(this.#unescaped);
      this.#unescaped = larger;
    }
    const out = this.#unescaped;
    let used = this.#unescapedUsed;
    for (let at = start; at < stop;) {
      const byte = line[at]!;
      if (byte !== 0x5c) {
        out[used++] = byte;
        at++;
        continue;
      }
      const kind = line[at + 1]!;
      if (kind !== 0x75) {
        out[used++] = SIMPLE_ESCAPES.get(kind) ?? kind;
        at += 2;
        continue;
      }
      let point = hex4(line, at + 2);
      at += 6;
      if (point >= 0xd800 && point < 0xdc00) {
        const low = line[at] === 0x5c && line[at + 1] === 0x75 ? hex4(line, at + 2) : -1;
        if (low >= 0xdc00 && low < 0xe000) {
          point = 0x10000 + ((point - 0xd800) << 10) + (low - 0xdc00);
          at += 6;
        }
      }
      used = putCodePoint(out, used, point);
    }
    this.#unescapedUsed = used;
  }
}

/** `\b \f \n \r \t`; the others stand for themselves. */
const SIMPLE_ESCAPES: ReadonlyMap<number, number> = new Map([
  [0x62, 0x08],
  [0x66, 0x0c],
  [0x6e, 0x0a],
  [0x72, 0x0d],
  [0x74, 0x09],
]);

function putCodePoint(out: Uint8Array, at: number, point: number): number {
  if (point < 0x80) {
    out[at++] = point;
  } else if (point < 0x800) {
    out[at++] = 0xc0 | (point >> 6);
    out[at++] = 0x80 | (point & 0x3f);
  } else if (point < 0x10000) {
    out[at++] = 0xe0 | (point >> 12);
    out[at++] = 0x80 | ((point >> 6) & 0x3f);
    out[at++] = 0x80 | (point & 0x3f);
  } else {
    out[at++] = 0xf0 | (point >> 18);
    out[at++] = 0x80 | ((point >> 12) & 0x3f);
    out[at++] = 0x80 | ((point >> 6) & 0x3f);
    out[at++] = 0x80 | (point & 0x3f);
  }
  return at;
}

const HEX_VALUES = new Int8Array(256).fill(-1);
for (let digit = 0; digit < 16; digit++) {
  HEX_VALUES[digit.toString(16).charCodeAt(0)] = digit;
  HEX_VALUES[digit.toString(16).toUpperCase().charCodeAt(0)] = digit;
}

/** Returns the number that four hexadecimal digits at `at` make, or −1 when they are not there. */
export function hex4(line: Uint8Array, at: number): number {
  if (at + 4 > line.length) return -1;
  const a = HEX_VALUES[line[at]!]!;
  const b = HEX_VALUES[line[at + 1]!]!;
  const c = HEX_VALUES[line[at + 2]!]!;
  const d = HEX_VALUES[line[at + 3]!]!;
  return (a | b | c | d) < 0 ? -1 : (a << 12) | (b << 8) | (c << 4) | d;
}
