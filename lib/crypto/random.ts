/**
 * Randomness as a parameter.
 *
 * Whatever needs random bytes takes a {@link RandomBytes}; only the outermost code passes
 * {@link systemRandom}. So every core is a function of its inputs and tests can replay it.
 */

import type { Bytes } from "../bytes.ts";

/** Returns `length` fresh random bytes. */
export type RandomBytes = (length: number) => Bytes;

/** What the Web Crypto API hands out at once. */
const QUOTA_BYTES = 65_536;

/** The operating system's generator, through the Web Crypto API. */
export const systemRandom: RandomBytes = (length) => {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length; at += QUOTA_BYTES) {
    crypto.getRandomValues(bytes.subarray(at, at + QUOTA_BYTES));
  }
  return bytes;
};
