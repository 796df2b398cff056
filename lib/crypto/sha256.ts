/**
 * SHA-256 (FIPS 180-4) and HMAC-SHA-256 (RFC 2104), by `node:crypto`.
 *
 * Both take their input in parts, so that callers need not concatenate first.
 */

import { createHash, createHmac } from "node:crypto";
import type { Bytes } from "../bytes.ts";
import { bytesOf } from "./node_crypto.ts";

/** The length of a SHA-256 digest and of an HMAC-SHA-256 tag. */
export const SHA256_BYTES = 32;

/** Returns the 32-byte SHA-256 digest of `parts`, one after the other. */
export function sha256(...parts: readonly Uint8Array[]): Bytes {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return bytesOf(hash.digest());
}

/** Returns the 32-byte HMAC-SHA-256 tag of `parts`, one after the other, under `key`. */
export function hmacSha256(key: Uint8Array, ...parts: readonly Uint8Array[]): Bytes {
  const hmac = createHmac("sha256", key);
  for (const part of parts) hmac.update(part);
  return bytesOf(hmac.digest());
}
