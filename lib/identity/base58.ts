/**
 * Base58 with the Bitcoin alphabet ("base58btc" of the multibase table), for short values.
 *
 * Each leading zero byte is one leading `1`; so every byte string has exactly one form. The work grows
 * with the square of the length, hence the bound: this is for keys, not for data.
 */

import type { Bytes } from "../bytes.ts";

/** The longest value that is encoded: a multicodec prefix and a 64-byte key would fit. */
const MAX_BASE58_BYTES = 66;

/** The longest text that is decoded: what {@link MAX_BASE58_BYTES} take. */
const MAX_BASE58_CHARACTERS = 91;

const ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
const ZERO = "1";
const BASE = 58;

const VALUE: Readonly<Record<string, number>> = Object.fromEntries(
  [...ALPHABET].map((character, value) => [character, value]),
);

/** Returns the base58 form of at most 66 `bytes`. Throws RangeError beyond that. */
export function encodeBase58(bytes: Uint8Array): string {
  if (bytes.length > MAX_BASE58_BYTES) {
    throw new RangeError(`Cannot encode base58: ${bytes.length} bytes, limit ${MAX_BASE58_BYTES}`);
  }
  const digits = convert(bytes, 256, BASE);
  let text = ZERO.repeat(leadingZeros(bytes));
  for (const digit of digits) text += ALPHABET.charAt(digit);
  return text;
}

/**
 * Returns the bytes of a base58 `text` of at most 91 characters. Throws RangeError beyond that, and
 * SyntaxError for a foreign character; see {@link foreignCharacter} for a precise answer.
 */
export function decodeBase58(text: string): Bytes {
  if (text.length > MAX_BASE58_CHARACTERS) {
    throw new RangeError(
      `Cannot decode base58: ${text.length} characters, limit ${MAX_BASE58_CHARACTERS}`,
    );
  }
  const values = new Uint8Array(text.length);
  for (let at = 0; at < text.length; at++) {
    const value = VALUE[text.charAt(at)];
    if (value === undefined) throw new SyntaxError("not base58");
    values[at] = value;
  }
  const zeros = leadingZeros(values);
  const rest = convert(values, BASE, 256);
  const bytes = new Uint8Array(zeros + rest.length);
  bytes.set(rest, zeros);
  return bytes;
}

/** Returns the index of the first character of `text` that is not base58, or -1. */
export function foreignCharacter(text: string): number {
  for (let at = 0; at < text.length; at++) if (VALUE[text.charAt(at)] === undefined) return at;
  return -1;
}

/** Returns the digits of a number in another base, both most significant first, without zeros ahead. */
function convert(digits: Uint8Array, from: number, to: number): number[] {
  const result: number[] = [];
  for (const digit of digits) {
    let carry = digit;
    for (let at = 0; at < result.length; at++) {
      carry += (result[at] ?? 0) * from;
      result[at] = carry % to;
      carry = Math.floor(carry / to);
    }
    for (; carry > 0; carry = Math.floor(carry / to)) result.push(carry % to);
  }
  return result.reverse();
}

function leadingZeros(digits: Uint8Array): number {
  let count = 0;
  while (count < digits.length && digits[count] === 0) count++;
  return count;
}
