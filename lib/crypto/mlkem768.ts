/**
 * ML-KEM-768 (FIPS 203), by noble: `node:crypto` has no ML-KEM in Deno yet.
 *
 * Deterministic: seed and encapsulation randomness are parameters. Decapsulation of a ciphertext that
 * was not made for the key does not fail but returns an unpredictable secret (FIPS 203 §6.3, implicit
 * rejection): only what is encrypted under it afterwards tells. The code is constant-time as far as a
 * JavaScript engine allows, which is no promise.
 */

import { ml_kem768 } from "@noble/post-quantum/ml-kem.js";
import type { Bytes } from "../bytes.ts";
import { type Brand, branded } from "./brand.ts";
import { CryptoError, requireLength } from "./errors.ts";

/** The length of an encapsulation (public) key. */
export const MLKEM768_PUBLIC_KEY_BYTES = 1184;

/** The length of a decapsulation (secret) key in its expanded form. */
export const MLKEM768_SECRET_KEY_BYTES = 2400;

/** The length of a ciphertext. */
export const MLKEM768_CIPHERTEXT_BYTES = 1088;

/** The length of a key seed: d ‖ z. The seed is the form in which to store a key pair. */
export const MLKEM768_SEED_BYTES = 64;

/** The length of the randomness m of one encapsulation. */
export const MLKEM768_ENCAPSULATION_RANDOM_BYTES = 32;

/** A decapsulation key of 2,400 bytes. */
export type MlKem768SecretKey = Brand<Bytes, "MlKem768SecretKey">;

/** An ML-KEM-768 key pair. */
export interface MlKem768KeyPair {
  /** The 1,184-byte encapsulation key. */
  readonly publicKey: Bytes;
  /** The 2,400-byte decapsulation key. */
  readonly secretKey: MlKem768SecretKey;
}

/** What one encapsulation yields. */
export interface MlKem768Encapsulation {
  /** 1,088 bytes for the owner of the key. */
  readonly ciphertext: Bytes;
  /** The 32-byte secret that both now share. */
  readonly sharedSecret: Bytes;
}

/** Returns the key pair of a 64-byte `seed` (FIPS 203 §7.1). Throws CryptoError "bad_length". */
export function mlkem768KeyPair(seed: Bytes): MlKem768KeyPair {
  requireLength("an ML-KEM-768 seed", seed, MLKEM768_SEED_BYTES);
  const { publicKey, secretKey } = ml_kem768.keygen(seed);
  return { publicKey: new Uint8Array(publicKey), secretKey: branded(new Uint8Array(secretKey)) };
}

/**
 * Encapsulates to `publicKey` with 32 bytes of fresh randomness (FIPS 203 §7.2).
 *
 * Throws CryptoError "bad_public_key" when a coefficient of the key is not reduced (the modulus check),
 * "bad_length" for an input of another length.
 */
export function mlkem768Encapsulate(publicKey: Bytes, random: Bytes): MlKem768Encapsulation {
  requireLength("an ML-KEM-768 public key", publicKey, MLKEM768_PUBLIC_KEY_BYTES);
  requireLength(
    "ML-KEM-768 encapsulation randomness",
    random,
    MLKEM768_ENCAPSULATION_RANDOM_BYTES,
  );
  try {
    const { cipherText, sharedSecret } = ml_kem768.encapsulate(publicKey, random);
    return {
      ciphertext: new Uint8Array(cipherText),
      sharedSecret: new Uint8Array(sharedSecret),
    };
  } catch (cause) {
    throw new CryptoError(
      "bad_public_key",
      `Cannot encapsulate to an ML-KEM-768 public key of ${publicKey.length} bytes: it fails the modulus check`,
      { cause },
    );
  }
}

/**
 * Returns the 32-byte shared secret of `ciphertext` (FIPS 203 §7.3): an unpredictable one when the
 * ciphertext was not made for this key. Throws CryptoError "bad_length".
 */
export function mlkem768Decapsulate(ciphertext: Bytes, secretKey: MlKem768SecretKey): Bytes {
  requireLength("an ML-KEM-768 ciphertext", ciphertext, MLKEM768_CIPHERTEXT_BYTES);
  requireLength("an ML-KEM-768 secret key", secretKey, MLKEM768_SECRET_KEY_BYTES);
  return new Uint8Array(ml_kem768.decapsulate(ciphertext, secretKey));
}
