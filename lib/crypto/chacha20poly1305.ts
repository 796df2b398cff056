/**
 * ChaCha20-Poly1305 (RFC 8439 §2.8), by `node:crypto`.
 *
 * A sealed message is the ciphertext and behind it the 16-byte tag. Nonces are the caller's: a nonce
 * used twice under one key gives the plaintexts away. `node:crypto` always allocates what it returns,
 * so sealing into a caller's buffer costs one copy and opening costs none; in return a message may be
 * sealed from several parts that nobody has to concatenate.
 */

import { createCipheriv, createDecipheriv } from "node:crypto";
import type { Bytes } from "../bytes.ts";
import { CryptoError, requireLength } from "./errors.ts";
import { bytesOf } from "./node_crypto.ts";

/** The length of a key. */
export const CHACHA20POLY1305_KEY_BYTES = 32;

/** The length of a nonce (96 bits). */
export const CHACHA20POLY1305_NONCE_BYTES = 12;

/** How much longer a sealed message is than its plaintext. */
export const CHACHA20POLY1305_TAG_BYTES = 16;

const ALGORITHM = "chacha20-poly1305";
const OPTIONS = { authTagLength: CHACHA20POLY1305_TAG_BYTES } as const;

/**
 * Seals the concatenation of `parts` into `out` from `offset` on and returns the number of bytes
 * written: the length of all parts plus 16.
 *
 * `out` may hold a part, provided that each part's ciphertext lands on that part or on memory that no
 * later part occupies. Throws CryptoError "bad_length" (key, nonce) or "buffer_too_small", before
 * anything is written.
 */
export function sealInto(
  key: Uint8Array,
  nonce: Uint8Array,
  associatedData: Uint8Array,
  parts: readonly Uint8Array[],
  out: Uint8Array,
  offset: number,
): number {
  let total = CHACHA20POLY1305_TAG_BYTES;
  for (const part of parts) total += part.length;
  if (out.length - offset < total) {
    throw new CryptoError(
      "buffer_too_small",
      `Cannot seal: ${total} bytes are needed at offset ${offset}, the buffer has ${out.length}`,
    );
  }
  requireKeyAndNonce(key, nonce);
  const cipher = createCipheriv(ALGORITHM, key, nonce, OPTIONS);
  if (associatedData.length > 0) {
    cipher.setAAD(associatedData, { plaintextLength: total - CHACHA20POLY1305_TAG_BYTES });
  }
  let at = offset;
  for (const part of parts) {
    if (part.length === 0) continue;
    out.set(cipher.update(part), at);
    at += part.length;
  }
  cipher.final();
  out.set(cipher.getAuthTag(), at);
  return total;
}

/**
 * Returns `plaintext` sealed: its ciphertext and the 16-byte tag. Throws CryptoError "bad_length".
 *
 * @param key 32 bytes.
 * @param nonce 12 bytes, never used before under this key.
 * @param associatedData What is authenticated along with the plaintext but not sent.
 */
export function seal(
  key: Uint8Array,
  nonce: Uint8Array,
  associatedData: Uint8Array,
  plaintext: Uint8Array,
): Bytes {
  const out = new Uint8Array(plaintext.length + CHACHA20POLY1305_TAG_BYTES);
  sealInto(key, nonce, associatedData, [plaintext], out, 0);
  return out;
}

/**
 * Returns the plaintext of `sealed`, in memory of its own.
 *
 * Throws CryptoError "authentication_failed" when key, nonce, associated data or a single bit of
 * `sealed` differ from what was sealed, or when `sealed` is shorter than a tag; "bad_length" for a
 * key or nonce of another length.
 */
export function open(
  key: Uint8Array,
  nonce: Uint8Array,
  associatedData: Uint8Array,
  sealed: Uint8Array,
): Bytes {
  requireKeyAndNonce(key, nonce);
  const textLength = sealed.length - CHACHA20POLY1305_TAG_BYTES;
  if (textLength < 0) throw authenticationFailed(sealed.length);
  const decipher = createDecipheriv(ALGORITHM, key, nonce, OPTIONS);
  decipher.setAuthTag(sealed.subarray(textLength));
  if (associatedData.length > 0) decipher.setAAD(associatedData, { plaintextLength: textLength });
  const plaintext = decipher.update(sealed.subarray(0, textLength));
  try {
    decipher.final();
  } catch (cause) {
    // What was decrypted is not authentic: nobody may see it.
    plaintext.fill(0);
    throw authenticationFailed(sealed.length, cause);
  }
  return bytesOf(plaintext);
}

function requireKeyAndNonce(key: Uint8Array, nonce: Uint8Array): void {
  requireLength("a ChaCha20-Poly1305 key", key, CHACHA20POLY1305_KEY_BYTES);
  requireLength("a ChaCha20-Poly1305 nonce", nonce, CHACHA20POLY1305_NONCE_BYTES);
}

function authenticationFailed(length: number, cause?: unknown): CryptoError {
  return new CryptoError(
    "authentication_failed",
    `Cannot open a sealed message of ${length} bytes: it is not authentic`,
    { cause },
  );
}
