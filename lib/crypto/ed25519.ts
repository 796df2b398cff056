/**
 * Ed25519 (RFC 8032): identities and their signatures.
 *
 * Every signature is over label ‖ 0x00 ‖ message, so that what was signed for one purpose is never
 * valid for another. A signature is valid exactly when `node:crypto` says so: libraries differ on edge
 * cases, and one judge in all places means that no two parts of Talos disagree. A public key from
 * outside must pass {@link isSafeEd25519PublicKey}, which demands membership in the prime-order group;
 * that costs a scalar multiplication, hence once per key and not once per signature.
 */

import { sign as nodeSign, verify as nodeVerify } from "node:crypto";
import { ed25519 } from "@noble/curves/ed25519.js";
import { type Bytes, concat, utf8 } from "../bytes.ts";
import { type Brand, branded } from "./brand.ts";
import { CryptoError, requireLength } from "./errors.ts";
import { bytesOf, privateKeyObject, publicKeyObject, rawPublicKeyOf } from "./node_crypto.ts";
import type { RandomBytes } from "./random.ts";

/** The length of a public key (RFC 8032 §5.1.5). */
export const ED25519_PUBLIC_KEY_BYTES = 32;

/** The length of a secret key, which is the seed of RFC 8032 §5.1.5. */
export const ED25519_SECRET_KEY_BYTES = 32;

/** The length of a signature (RFC 8032 §5.1.6). */
export const ED25519_SIGNATURE_BYTES = 64;

/** A public key of 32 bytes: the canonical encoding of a point of the prime-order group. */
export type Ed25519PublicKey = Brand<Bytes, "Ed25519PublicKey">;

/** A secret key: the 32-byte seed. */
export type Ed25519SecretKey = Brand<Bytes, "Ed25519SecretKey">;

// deno-lint-ignore no-control-regex -- the whole of ASCII but NUL, which ends a label.
const LABEL = /^[\x01-\x7f]+$/;
const NUL = Uint8Array.of(0);

/** Returns a new secret key. */
export function generateEd25519SecretKey(random: RandomBytes): Ed25519SecretKey {
  return parseEd25519SecretKey(random(ED25519_SECRET_KEY_BYTES));
}

/** Returns a copy of a 32-byte seed as a secret key. Throws CryptoError "bad_length". */
export function parseEd25519SecretKey(bytes: Bytes): Ed25519SecretKey {
  requireLength("an Ed25519 secret key", bytes, ED25519_SECRET_KEY_BYTES);
  return branded(bytes.slice());
}

/** Returns the public key of `secret` (RFC 8032 §5.1.5). */
export function ed25519PublicKey(secret: Ed25519SecretKey): Ed25519PublicKey {
  return branded(rawPublicKeyOf(privateKeyObject("ed25519", secret)));
}

/**
 * Tells whether `bytes` are a public key that is safe in every use: 32 bytes, canonically encoded, on
 * the curve, not of small order, without a torsion component (so A + T never passes for A).
 */
export function isSafeEd25519PublicKey(bytes: Bytes): bytes is Ed25519PublicKey {
  if (bytes.length !== ED25519_PUBLIC_KEY_BYTES) return false;
  try {
    // The second argument asks for RFC 8032 §5.1.3 decoding, which refuses y ≥ p and −0.
    const point = ed25519.Point.fromBytes(bytes, false);
    return !point.isSmallOrder() && point.isTorsionFree();
  } catch {
    return false; // not the canonical encoding of any point
  }
}

/**
 * Returns the 64-byte signature of `message` for the purpose `label`.
 *
 * @param label ASCII without NUL, not empty; else CryptoError "bad_label" is thrown.
 */
export function sign(label: string, secret: Ed25519SecretKey, message: Uint8Array): Bytes {
  const signed = labelled(label, message);
  return bytesOf(nodeSign(null, signed, privateKeyObject("ed25519", secret)));
}

/**
 * Tells whether `signature` is one of `message` for the purpose `label` by the owner of `publicKey`.
 *
 * False for anything else, a signature of another length included. Throws only CryptoError
 * "bad_label", which is a mistake of the caller.
 */
export function verify(
  label: string,
  publicKey: Ed25519PublicKey,
  message: Uint8Array,
  signature: Uint8Array,
): boolean {
  const signed = labelled(label, message);
  if (signature.length !== ED25519_SIGNATURE_BYTES) return false;
  try {
    return nodeVerify(null, signed, publicKeyObject("ed25519", publicKey), signature);
  } catch {
    // Only a key that no parser let through gets here: it is no point, so it signed nothing.
    return false;
  }
}

function labelled(label: string, message: Uint8Array): Bytes {
  if (!LABEL.test(label)) {
    throw new CryptoError(
      "bad_label",
      `Cannot use a signature label of ${label.length} characters: it must be ASCII without NUL and not empty`,
    );
  }
  return concat(utf8(label), NUL, message);
}
