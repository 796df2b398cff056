/**
 * Key derivation from HMAC: HKDF of the Noise specification, and HKDF-SHA-256 of RFC 5869.
 *
 * The Noise form is RFC 5869 with the chaining key as salt and an empty info, cut at two or three
 * whole digests; it is generic over the HMAC because Noise is generic over the hash.
 */

import { hkdfSync } from "node:crypto";
import type { Bytes } from "../bytes.ts";
import { CryptoError } from "./errors.ts";
import { SHA256_BYTES } from "./sha256.ts";

/** Returns the HMAC tag of `parts`, one after the other, under `key`. */
export type Hmac = (key: Uint8Array, ...parts: readonly Uint8Array[]) => Bytes;

/** The most that RFC 5869 §2.3 derives at once from SHA-256: 255 digests. */
export const MAX_HKDF_SHA256_BYTES = 255 * SHA256_BYTES;

const ONE = Uint8Array.of(1);
const TWO = Uint8Array.of(2);
const THREE = Uint8Array.of(3);

/** HKDF with two outputs, each as long as the hash (Noise revision 34 §4.3). */
export function noiseHkdf2(
  hmac: Hmac,
  chainingKey: Uint8Array,
  inputKeyMaterial: Uint8Array,
): [Bytes, Bytes] {
  const tempKey = hmac(chainingKey, inputKeyMaterial);
  const output1 = hmac(tempKey, ONE);
  const output2 = hmac(tempKey, output1, TWO);
  tempKey.fill(0);
  return [output1, output2];
}

/** HKDF with three outputs, each as long as the hash (Noise revision 34 §4.3). */
export function noiseHkdf3(
  hmac: Hmac,
  chainingKey: Uint8Array,
  inputKeyMaterial: Uint8Array,
): [Bytes, Bytes, Bytes] {
  const tempKey = hmac(chainingKey, inputKeyMaterial);
  const output1 = hmac(tempKey, ONE);
  const output2 = hmac(tempKey, output1, TWO);
  const output3 = hmac(tempKey, output2, THREE);
  tempKey.fill(0);
  return [output1, output2, output3];
}

/**
 * HKDF-SHA-256 (RFC 5869): extract with `salt`, expand with `info` to `length` bytes.
 *
 * An empty salt means 32 zero bytes. Throws CryptoError "bad_length" unless `length` is a whole
 * number from 1 to {@link MAX_HKDF_SHA256_BYTES}.
 */
export function hkdfSha256(
  salt: Uint8Array,
  inputKeyMaterial: Uint8Array,
  info: Uint8Array,
  length: number,
): Bytes {
  if (!Number.isInteger(length) || length < 1 || length > MAX_HKDF_SHA256_BYTES) {
    throw new CryptoError(
      "bad_length",
      `Cannot derive a key: ${length} bytes are asked for, the range is 1 to ${MAX_HKDF_SHA256_BYTES}`,
    );
  }
  return new Uint8Array(hkdfSync("sha256", inputKeyMaterial, salt, info, length));
}
