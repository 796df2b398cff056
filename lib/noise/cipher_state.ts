/**
 * CipherState (Noise revision 34 §5.1): a key and the counter that is its nonce.
 *
 * Each message takes the next nonce; a message that is not authentic leaves the nonce alone. The
 * counter is a number, so a key is exhausted after 2^53 − 1 messages and not after 2^64 − 1: earlier
 * than the specification demands, never later. Sealing writes into a buffer of the caller, because a
 * record has a length in front and is sent together with others. Not for concurrent use.
 */

import { type Bytes, EMPTY } from "../bytes.ts";
import { NoiseError } from "./errors.ts";
import {
  CIPHER_KEY_BYTES,
  type CipherFunctions,
  MAX_MESSAGE_BYTES,
  NONCE_BYTES,
  TAG_BYTES,
} from "./suite.ts";

const MAX_NONCE = Number.MAX_SAFE_INTEGER;
const COUNTER_AT = 4;

// The nonce 2^64 − 1, which is reserved for REKEY (§4.2), is the same in both byte orders.
const REKEY_NONCE = new Uint8Array(NONCE_BYTES).fill(0xff, COUNTER_AT);
const ZEROS = new Uint8Array(CIPHER_KEY_BYTES);

/** Encrypts or decrypts the messages of one direction, or the fields of a handshake. */
export class CipherState {
  readonly #cipher: CipherFunctions;
  readonly #littleEndian: boolean;
  readonly #nonceBytes = new Uint8Array(NONCE_BYTES);
  readonly #nonceView = new DataView(this.#nonceBytes.buffer);
  #key: Bytes | undefined;
  #nonce = 0;
  #dead = false;

  /**
   * InitializeKey(key): without a key, messages pass through unencrypted. Throws NoiseError
   * "bad_length" unless the key is 32 bytes long.
   *
   * @param nonce The first nonce; other than 0 only to test what happens near the end of the counter.
   */
  constructor(cipher: CipherFunctions, key?: Bytes, nonce = 0) {
    if (key !== undefined && key.length !== CIPHER_KEY_BYTES) {
      throw new NoiseError(
        "bad_length",
        `Cannot use a cipher key: its length is ${key.length} bytes, it must be ${CIPHER_KEY_BYTES}`,
      );
    }
    this.#cipher = cipher;
    this.#littleEndian = cipher.nonceByteOrder === "little";
    this.#key = key?.slice();
    this.#nonce = nonce;
  }

  /** HasKey(). */
  get hasKey(): boolean {
    return this.#key !== undefined;
  }

  /** n: the number of messages so far, over all keys since the last InitializeKey. */
  get nonce(): number {
    return this.#nonce;
  }

  /** Returns how long the ciphertext of `length` bytes is: 16 more, once there is a key. */
  sealedLength(length: number): number {
    return this.#key === undefined ? length : length + TAG_BYTES;
  }

  /**
   * EncryptWithAd of the concatenation of `parts`, into `out` from `offset` on. Returns the number of
   * bytes written: the length of all parts, plus 16 if there is a key.
   *
   * Throws NoiseError "message_too_long" above 65,535 bytes, "buffer_too_small", "nonce_exhausted",
   * "dead"; nothing is written then.
   */
  encryptInto(
    associatedData: Uint8Array,
    parts: readonly Uint8Array[],
    out: Uint8Array,
    offset: number,
  ): number {
    this.#requireAlive();
    let length = 0;
    for (const part of parts) length += part.length;
    const total = this.sealedLength(length);
    requireMessageLength(total);
    if (out.length - offset < total) {
      throw new NoiseError(
        "buffer_too_small",
        `Cannot encrypt: ${total} bytes are needed at offset ${offset}, the buffer has ${out.length}`,
      );
    }
    if (this.#key === undefined) {
      let at = offset;
      for (const part of parts) {
        out.set(part, at);
        at += part.length;
      }
      return total;
    }
    this.#encodeNonce();
    this.#cipher.sealInto(this.#key, this.#nonceBytes, associatedData, parts, out, offset);
    this.#nonce++;
    return total;
  }

  /** EncryptWithAd: returns the ciphertext of `plaintext`. Throws as {@link encryptInto} does. */
  encryptWithAd(associatedData: Uint8Array, plaintext: Uint8Array): Bytes {
    const total = this.sealedLength(plaintext.length);
    requireMessageLength(total);
    const out = new Uint8Array(total);
    this.encryptInto(associatedData, [plaintext], out, 0);
    return out;
  }

  /**
   * DecryptWithAd: returns the plaintext of `ciphertext`, in memory of its own.
   *
   * Throws NoiseError "decrypt_failed" when it is not authentic, "message_too_short" below 16 bytes,
   * "message_too_long" above 65,535, "nonce_exhausted", "dead"; the nonce stays as it was then.
   */
  decryptWithAd(associatedData: Uint8Array, ciphertext: Uint8Array): Bytes {
    this.#requireAlive();
    requireMessageLength(ciphertext.length);
    if (this.#key === undefined) return new Uint8Array(ciphertext);
    if (ciphertext.length < TAG_BYTES) {
      throw new NoiseError(
        "message_too_short",
        `Cannot decrypt: the ciphertext has ${ciphertext.length} bytes, its tag alone has ${TAG_BYTES}`,
      );
    }
    this.#encodeNonce();
    let plaintext: Bytes;
    try {
      plaintext = this.#cipher.open(this.#key, this.#nonceBytes, associatedData, ciphertext);
    } catch (cause) {
      throw new NoiseError(
        "decrypt_failed",
        `Cannot decrypt: the ciphertext of ${ciphertext.length} bytes with nonce ${this.#nonce} is not authentic`,
        { cause },
      );
    }
    this.#nonce++;
    return plaintext;
  }

  /**
   * Rekey(): k = REKEY(k), the first 32 bytes of ENCRYPT(k, 2^64 − 1, "", 32 zeros) (§4.2, §11.3). The
   * nonce goes on. Throws NoiseError "dead"; "missing_key" without a key.
   */
  rekey(): void {
    this.#requireAlive();
    const old = this.#key;
    if (old === undefined) {
      throw new NoiseError("missing_key", "Cannot rekey: the cipher state has no key");
    }
    const sealed = new Uint8Array(CIPHER_KEY_BYTES + TAG_BYTES);
    this.#cipher.sealInto(old, REKEY_NONCE, EMPTY, [ZEROS], sealed, 0);
    this.#key = sealed.slice(0, CIPHER_KEY_BYTES);
    sealed.fill(0);
    old.fill(0);
  }

  /** Overwrites the key with zeros; every further use throws NoiseError "dead". */
  destroy(): void {
    this.#key?.fill(0);
    this.#key = undefined;
    this.#dead = true;
  }

  #requireAlive(): void {
    if (this.#dead) throw new NoiseError("dead", "Cannot use a cipher state: it was destroyed");
  }

  #encodeNonce(): void {
    if (this.#nonce >= MAX_NONCE) {
      throw new NoiseError(
        "nonce_exhausted",
        `Cannot use a cipher key any longer: ${MAX_NONCE} messages were the last`,
      );
    }
    const high = Math.floor(this.#nonce / 2 ** 32);
    const low = this.#nonce >>> 0;
    if (this.#littleEndian) {
      this.#nonceView.setUint32(COUNTER_AT, low, true);
      this.#nonceView.setUint32(COUNTER_AT + 4, high, true);
    } else {
      this.#nonceView.setUint32(COUNTER_AT, high);
      this.#nonceView.setUint32(COUNTER_AT + 4, low);
    }
  }
}

/** Throws NoiseError "message_too_long" above 65,535 bytes, the limit of every Noise message (§3). */
export function requireMessageLength(length: number): void {
  if (length > MAX_MESSAGE_BYTES) {
    throw new NoiseError(
      "message_too_long",
      `Cannot use a Noise message: its length is ${length} bytes, the limit is ${MAX_MESSAGE_BYTES}`,
    );
  }
}
