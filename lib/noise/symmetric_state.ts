/**
 * SymmetricState (Noise revision 34 §5.2): the chaining key, the handshake hash, and the cipher state
 * of the handshake.
 *
 * The hash h takes in everything both sides have said, and is the associated data of every encrypted
 * field; the chaining key ck takes in every shared secret. Superseded secrets are overwritten, as far
 * as that means anything in a garbage-collected language.
 */

import { type Bytes, EMPTY, utf8 } from "../bytes.ts";
import { noiseHkdf2, noiseHkdf3 } from "../crypto/hkdf.ts";
import { CipherState } from "./cipher_state.ts";
import { CIPHER_KEY_BYTES, type NoiseSuite } from "./suite.ts";

/** The symmetric half of a handshake. */
export class SymmetricState {
  readonly #suite: NoiseSuite;
  #cipherState: CipherState;
  #ck: Bytes;
  #h: Bytes;

  /** InitializeSymmetric(protocol_name). */
  constructor(suite: NoiseSuite, protocolName: string) {
    this.#suite = suite;
    const name = utf8(protocolName);
    if (name.length <= suite.hash.digestBytes) {
      this.#h = new Uint8Array(suite.hash.digestBytes);
      this.#h.set(name);
    } else {
      this.#h = suite.hash.hash(name);
    }
    this.#ck = this.#h.slice();
    this.#cipherState = new CipherState(suite.cipher);
  }

  /** HasKey() of the handshake's cipher state: whether fields are encrypted by now. */
  get hasKey(): boolean {
    return this.#cipherState.hasKey;
  }

  /** GetHandshakeHash(): a copy of the current h. */
  get handshakeHash(): Bytes {
    return this.#h.slice();
  }

  /** Returns how long a field of `length` bytes is on the wire at this point. */
  sealedLength(length: number): number {
    return this.#cipherState.sealedLength(length);
  }

  /** MixKey(input_key_material). */
  mixKey(inputKeyMaterial: Uint8Array): void {
    const [ck, tempK] = noiseHkdf2(this.#suite.hash.hmac, this.#ck, inputKeyMaterial);
    this.#replaceChainingKey(ck);
    this.#initializeKey(tempK);
  }

  /** MixHash(data). */
  mixHash(data: Uint8Array): void {
    this.#h = this.#suite.hash.hash(this.#h, data);
  }

  /** MixKeyAndHash(input_key_material), for pre-shared keys. */
  mixKeyAndHash(inputKeyMaterial: Uint8Array): void {
    const [ck, tempH, tempK] = noiseHkdf3(this.#suite.hash.hmac, this.#ck, inputKeyMaterial);
    this.#replaceChainingKey(ck);
    this.mixHash(tempH);
    this.#initializeKey(tempK);
  }

  /** EncryptAndHash(plaintext). Throws as {@link CipherState.encryptInto} does. */
  encryptAndHash(plaintext: Uint8Array): Bytes {
    const ciphertext = this.#cipherState.encryptWithAd(this.#h, plaintext);
    this.mixHash(ciphertext);
    return ciphertext;
  }

  /** DecryptAndHash(ciphertext). Throws as {@link CipherState.decryptWithAd} does. */
  decryptAndHash(ciphertext: Uint8Array): Bytes {
    const plaintext = this.#cipherState.decryptWithAd(this.#h, ciphertext);
    this.mixHash(ciphertext);
    return plaintext;
  }

  /**
   * Split(): the cipher states of the two directions, the initiator's first. Afterwards only
   * {@link handshakeHash} is left of this object.
   */
  split(): [CipherState, CipherState] {
    const [k1, k2] = noiseHkdf2(this.#suite.hash.hmac, this.#ck, EMPTY);
    const states: [CipherState, CipherState] = [this.#cipherOf(k1), this.#cipherOf(k2)];
    this.destroy();
    return states;
  }

  /** Overwrites the secrets with zeros. */
  destroy(): void {
    this.#ck.fill(0);
    this.#cipherState.destroy();
  }

  #replaceChainingKey(ck: Bytes): void {
    this.#ck.fill(0);
    this.#ck = ck;
  }

  #initializeKey(tempK: Bytes): void {
    this.#cipherState.destroy();
    this.#cipherState = this.#cipherOf(tempK);
  }

  /** A cipher key is the first 32 bytes of a digest; the digest is overwritten. */
  #cipherOf(digest: Bytes): CipherState {
    const state = new CipherState(this.#suite.cipher, digest.subarray(0, CIPHER_KEY_BYTES));
    digest.fill(0);
    return state;
  }
}
