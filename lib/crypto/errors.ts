/**
 * The errors of the crypto layer.
 *
 * Lengths and names of things may appear in a text, their bytes never do.
 */

import { TalosError } from "../errors.ts";

/** What can go wrong in the crypto layer. */
export type CryptoErrorCode =
  /** A key, nonce, seed or other input is not as long as it must be. */
  | "bad_length"
  /** A public key is malformed, non-canonical, off the curve, of small order or has a torsion part. */
  | "bad_public_key"
  /** A signature label is empty, not ASCII or contains NUL. */
  | "bad_label"
  /** A Diffie-Hellman result is all zero: the other side's point has small order. */
  | "low_order_point"
  /** A ciphertext, its associated data, its nonce or its key is not the one that was sealed. */
  | "authentication_failed"
  /** A caller's output buffer ends before the result does. */
  | "buffer_too_small";

/** A deliberate error of the crypto layer. */
export class CryptoError extends TalosError<CryptoErrorCode> {}

/**
 * Throws CryptoError "bad_length" unless `bytes` is exactly `length` bytes long.
 *
 * @param what The name of the input, as the sentence has it: "an Ed25519 seed".
 */
export function requireLength(what: string, bytes: Uint8Array, length: number): void {
  if (bytes.length !== length) {
    throw new CryptoError(
      "bad_length",
      `Cannot use ${what}: its length is ${bytes.length} bytes, it must be ${length}`,
    );
  }
}
