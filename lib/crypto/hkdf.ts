/**
 * Key derivation from HMAC: HKDF of the Noise specification.
 *
 * It is RFC 5869 with the chaining key as salt and an empty info, cut at two or three
 * whole digests; it is generic over the HMAC because Noise is generic over the hash.
 */

import type { Bytes } from "../bytes.ts";

/** Returns the HMAC tag of `parts`, one after the other, under `key`. */
export type Hmac = (key: Uint8Array, ...parts: readonly Uint8Array[]) => Bytes;

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
