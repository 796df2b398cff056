/**
 * What Noise asks of its primitives, and the one suite that Talos ships.
 *
 * The interfaces are those of the Noise specification (revision 34, §4) with two turns: agreement and
 * decapsulation are methods of the key pair, which can so cache what it likes, and everything random
 * is handed in. The KEM functions are those of the hybrid forward secrecy extension (hfs).
 */

import type { Bytes } from "../bytes.ts";
import * as chacha from "../crypto/chacha20poly1305.ts";
import type { Hmac } from "../crypto/hkdf.ts";
import * as mlkem from "../crypto/mlkem768.ts";
import { hmacSha256, sha256, SHA256_BYTES } from "../crypto/sha256.ts";
import { X25519_PUBLIC_KEY_BYTES } from "../crypto/x25519.ts";

/** A Diffie-Hellman key pair (§4.1). `X25519KeyPair` is one. */
export interface DhKeyPair {
  /** The public key, as long as the suite's {@link DhFunctions.publicKeyBytes}. */
  readonly publicKey: Bytes;
  /** DH(key pair, public key): returns the shared secret, throws when the public key is unusable. */
  diffieHellman(remotePublicKey: Bytes): Bytes;
}

/** The Diffie-Hellman functions of a suite (§4.1). */
export interface DhFunctions {
  /** The name in a protocol name, such as `25519`. */
  readonly name: string;
  /** DHLEN, the length of a public key and of a shared secret. */
  readonly publicKeyBytes: number;
}

/** A KEM key pair, used for one decapsulation. */
export interface KemKeyPair {
  /** The encapsulation key. */
  readonly publicKey: Bytes;
  /** Returns the shared secret of a ciphertext of the right length. */
  decapsulate(ciphertext: Bytes): Bytes;
}

/** The key encapsulation functions of a suite with hybrid forward secrecy. */
export interface KemFunctions {
  /** The name in a protocol name, such as `MLKEM768`. */
  readonly name: string;
  /** The length of an encapsulation key. */
  readonly publicKeyBytes: number;
  /** The length of a ciphertext. */
  readonly ciphertextBytes: number;
  /** The length of the seed of a key pair. */
  readonly seedBytes: number;
  /** The length of the randomness of one encapsulation. */
  readonly randomBytes: number;
  /** Returns the key pair of `seed`. */
  keyPair(seed: Bytes): KemKeyPair;
  /** Encapsulates to `publicKey`; throws when the key is not a valid one. */
  encapsulate(publicKey: Bytes, random: Bytes): { ciphertext: Bytes; sharedSecret: Bytes };
}

/** The cipher functions of a suite (§4.2): 32-byte keys, 12-byte nonces, 16-byte tags. */
export interface CipherFunctions {
  /** The name in a protocol name, such as `ChaChaPoly`. */
  readonly name: string;
  /** How the 64-bit counter stands behind the nonce's four zero bytes. */
  readonly nonceByteOrder: "little" | "big";
  /** ENCRYPT of the concatenation of `parts` into `out` at `offset`; returns the bytes written. */
  sealInto(
    key: Uint8Array,
    nonce: Uint8Array,
    associatedData: Uint8Array,
    parts: readonly Uint8Array[],
    out: Uint8Array,
    offset: number,
  ): number;
  /** DECRYPT: returns the plaintext, throws when `sealed` is not authentic. */
  open(
    key: Uint8Array,
    nonce: Uint8Array,
    associatedData: Uint8Array,
    sealed: Uint8Array,
  ): Bytes;
}

/** The hash functions of a suite (§4.3). */
export interface HashFunctions {
  /** The name in a protocol name, such as `SHA256`. */
  readonly name: string;
  /** HASHLEN: 32 or 64. */
  readonly digestBytes: number;
  /** HASH of `parts`, one after the other. */
  hash(...parts: readonly Uint8Array[]): Bytes;
  /** HMAC-HASH. */
  readonly hmac: Hmac;
}

/** A choice of primitives. */
export interface NoiseSuite {
  /** Diffie-Hellman. */
  readonly dh: DhFunctions;
  /** Key encapsulation; only patterns with the `hfs` modifier need it. */
  readonly kem?: KemFunctions;
  /** Authenticated encryption. */
  readonly cipher: CipherFunctions;
  /** Hashing. */
  readonly hash: HashFunctions;
}

/** The length of a cipher key (§4.2). */
export const CIPHER_KEY_BYTES = 32;

/** The length of a nonce (§4.2): four zero bytes and the counter, for both ciphers of §12. */
export const NONCE_BYTES = 12;

/** How much longer a ciphertext is than its plaintext (§4.2). */
export const TAG_BYTES = 16;

/** The length of a pre-shared key (§9). */
export const PSK_BYTES = 32;

/** The longest Noise message (§3). */
export const MAX_MESSAGE_BYTES = 65_535;

/** `25519+MLKEM768_ChaChaPoly_SHA256`, the suite of every Talos handshake. */
export const TALOS_SUITE = {
  dh: { name: "25519", publicKeyBytes: X25519_PUBLIC_KEY_BYTES },
  kem: {
    name: "MLKEM768",
    publicKeyBytes: mlkem.MLKEM768_PUBLIC_KEY_BYTES,
    ciphertextBytes: mlkem.MLKEM768_CIPHERTEXT_BYTES,
    seedBytes: mlkem.MLKEM768_SEED_BYTES,
    randomBytes: mlkem.MLKEM768_ENCAPSULATION_RANDOM_BYTES,
    keyPair(seed: Bytes): KemKeyPair {
      const { publicKey, secretKey } = mlkem.mlkem768KeyPair(seed);
      return {
        publicKey,
        decapsulate: (ciphertext) => mlkem.mlkem768Decapsulate(ciphertext, secretKey),
      };
    },
    encapsulate: mlkem.mlkem768Encapsulate,
  },
  cipher: {
    name: "ChaChaPoly",
    nonceByteOrder: "little",
    sealInto: chacha.sealInto,
    open: chacha.open,
  },
  hash: { name: "SHA256", digestBytes: SHA256_BYTES, hash: sha256, hmac: hmacSha256 },
} as const satisfies NoiseSuite;
