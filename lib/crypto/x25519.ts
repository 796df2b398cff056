/**
 * X25519 (RFC 7748 §5), and the way from an Ed25519 key pair to its X25519 key pair.
 *
 * A key pair keeps its `node:crypto` key object, so that repeated agreements do not import the secret
 * again. An all-zero result is refused (RFC 7748 §6.1): it would mean that the other side chose a
 * point of small order and so knows the result without knowing any secret. The birational map
 * (RFC 7748 §4.1) sends A and −A to one X25519 key: whoever needs to know which it was must be told
 * the Ed25519 key.
 */

import { diffieHellman, type KeyObject } from "node:crypto";
import { ed25519 } from "@noble/curves/ed25519.js";
import type { Bytes } from "../bytes.ts";
import { type Brand, branded } from "./brand.ts";
import type { Ed25519PublicKey, Ed25519SecretKey } from "./ed25519.ts";
import { CryptoError, requireLength } from "./errors.ts";
import { bytesOf, privateKeyObject, publicKeyObject, rawPublicKeyOf } from "./node_crypto.ts";
import type { RandomBytes } from "./random.ts";

/** The length of a public key: a u-coordinate. */
export const X25519_PUBLIC_KEY_BYTES = 32;

/** The length of a secret key: a scalar before clamping. */
export const X25519_SECRET_KEY_BYTES = 32;

/** A public key of 32 bytes. X25519 takes every 32 bytes; the shared secret is what is checked. */
export type X25519PublicKey = Brand<Bytes, "X25519PublicKey">;

/** A secret key of 32 bytes. X25519 clamps it by itself. */
export type X25519SecretKey = Brand<Bytes, "X25519SecretKey">;

/** A key pair that is ready for repeated use. */
export class X25519KeyPair {
  /** The 32-byte public key. */
  readonly publicKey: X25519PublicKey;
  // Private fields, so that printing a key pair does not print its secret.
  readonly #secretKey: X25519SecretKey;
  readonly #keyObject: KeyObject;

  /** Makes the key pair of `secretKey`. */
  constructor(secretKey: X25519SecretKey) {
    this.#secretKey = secretKey;
    this.#keyObject = privateKeyObject("x25519", secretKey);
    this.publicKey = branded(rawPublicKeyOf(this.#keyObject));
  }

  /** The 32-byte secret key, for whoever must store it. */
  get secretKey(): X25519SecretKey {
    return this.#secretKey;
  }

  /**
   * Returns the 32-byte shared secret with the owner of `remotePublicKey` (RFC 7748 §6.1).
   *
   * Throws CryptoError "low_order_point" when it would be all zero, "bad_length" unless the key is
   * 32 bytes long.
   */
  diffieHellman(remotePublicKey: Bytes): Bytes {
    requireLength("an X25519 public key", remotePublicKey, X25519_PUBLIC_KEY_BYTES);
    const publicKey = publicKeyObject("x25519", remotePublicKey);
    let shared: Bytes;
    try {
      shared = bytesOf(diffieHellman({ privateKey: this.#keyObject, publicKey }));
    } catch (cause) {
      // With keys of the right length the native derivation fails for an all-zero result only.
      throw lowOrderPoint(cause);
    }
    let bits = 0;
    for (const byte of shared) bits |= byte;
    if (bits === 0) throw lowOrderPoint();
    return shared;
  }
}

/** Returns a new key pair. */
export function generateX25519KeyPair(random: RandomBytes): X25519KeyPair {
  return new X25519KeyPair(parseX25519SecretKey(random(X25519_SECRET_KEY_BYTES)));
}

/** Returns a copy of 32 bytes as a secret key. Throws CryptoError "bad_length". */
export function parseX25519SecretKey(bytes: Bytes): X25519SecretKey {
  requireLength("an X25519 secret key", bytes, X25519_SECRET_KEY_BYTES);
  return branded(bytes.slice());
}

/** Returns the X25519 public key of the same key pair (RFC 7748 §4.1: u = (1 + y) / (1 − y)). */
export function x25519FromEd25519Public(publicKey: Ed25519PublicKey): X25519PublicKey {
  return branded(new Uint8Array(ed25519.utils.toMontgomery(publicKey)));
}

/** Returns the X25519 secret key of the same key pair: the lower half of SHA-512(seed), clamped. */
export function x25519FromEd25519Secret(secretKey: Ed25519SecretKey): X25519SecretKey {
  return branded(new Uint8Array(ed25519.utils.toMontgomerySecret(secretKey)));
}

function lowOrderPoint(cause?: unknown): CryptoError {
  return new CryptoError(
    "low_order_point",
    "Cannot agree on a shared secret: the other side's X25519 key is of small order",
    { cause },
  );
}
