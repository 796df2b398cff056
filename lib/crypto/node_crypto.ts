/**
 * How raw keys and results cross the border of `node:crypto`.
 *
 * `node:crypto` takes Curve25519 keys only inside DER. For these curves the DER around the 32 bytes
 * is constant (RFC 8410 §4 and §7), so a prefix does the work of an encoder. Results come back as
 * `Buffer`; they leave this layer as plain byte strings over the same memory, never copied.
 */

import { createPrivateKey, createPublicKey, type KeyObject } from "node:crypto";
import { Buffer } from "node:buffer";
import type { Bytes } from "../bytes.ts";

/** The curves whose keys are 32 raw bytes. */
export type Curve = "x25519" | "ed25519";

const RAW_KEY_BYTES = 32;

const DER_PREFIX = {
  // SEQUENCE, version 0, the curve's object identifier, OCTET STRING in OCTET STRING.
  private: {
    x25519: Buffer.from("302e020100300506032b656e04220420", "hex"),
    ed25519: Buffer.from("302e020100300506032b657004220420", "hex"),
  },
  // SEQUENCE, the curve's object identifier, BIT STRING.
  public: {
    x25519: Buffer.from("302a300506032b656e032100", "hex"),
    ed25519: Buffer.from("302a300506032b6570032100", "hex"),
  },
} as const;

/** Returns the private key object of 32 raw bytes. The caller has checked the length. */
export function privateKeyObject(curve: Curve, raw: Bytes): KeyObject {
  const key = Buffer.concat([DER_PREFIX.private[curve], raw]);
  try {
    return createPrivateKey({ key, format: "der", type: "pkcs8" });
  } finally {
    key.fill(0);
  }
}

/** Returns the public key object of 32 raw bytes, which need not be a point of the curve. */
export function publicKeyObject(curve: Curve, raw: Bytes): KeyObject {
  const key = Buffer.concat([DER_PREFIX.public[curve], raw]);
  return createPublicKey({ key, format: "der", type: "spki" });
}

/** Returns the 32 raw bytes of the public key that belongs to a private key object. */
export function rawPublicKeyOf(privateKey: KeyObject): Bytes {
  const der = createPublicKey(privateKey).export({ format: "der", type: "spki" });
  return new Uint8Array(der.subarray(der.length - RAW_KEY_BYTES));
}

/** Returns `buffer` as a plain byte string, over the same memory unless that is shared. */
export function bytesOf(buffer: Buffer): Bytes {
  return buffer.buffer instanceof ArrayBuffer
    ? new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.length)
    : new Uint8Array(buffer);
}
