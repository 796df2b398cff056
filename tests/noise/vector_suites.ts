/**
 * Suites by name, for vectors: what Talos ships wherever it ships it, and beside it what only vectors
 * need (X448, AES-GCM, SHA-512, BLAKE2).
 */

import { createCipheriv, createDecipheriv } from "node:crypto";
import { x448 } from "@noble/curves/ed448.js";
import { blake2b, blake2s } from "@noble/hashes/blake2.js";
import { hmac } from "@noble/hashes/hmac.js";
import { sha512 } from "@noble/hashes/sha2.js";
import { type Bytes, concat } from "../../lib/bytes.ts";
import { parseX25519SecretKey, X25519KeyPair } from "../../lib/crypto/x25519.ts";
import {
  type CipherFunctions,
  type DhFunctions,
  type DhKeyPair,
  type HashFunctions,
  type NoiseSuite,
  TAG_BYTES,
  TALOS_SUITE,
} from "../../lib/noise/suite.ts";

/** A suite that can also make key pairs of the secret keys in a vector. */
export interface VectorSuite extends NoiseSuite {
  readonly keyPair: (secretKey: Bytes) => DhKeyPair;
}

interface VectorDh extends DhFunctions {
  readonly keyPair: (secretKey: Bytes) => DhKeyPair;
}

const X448: VectorDh = {
  name: "448",
  publicKeyBytes: 56,
  keyPair: (secretKey) => ({
    publicKey: new Uint8Array(x448.getPublicKey(secretKey)),
    diffieHellman: (remote) => new Uint8Array(x448.getSharedSecret(secretKey, remote)),
  }),
};

const X25519: VectorDh = {
  ...TALOS_SUITE.dh,
  keyPair: (secretKey) => new X25519KeyPair(parseX25519SecretKey(secretKey)),
};

const AESGCM: CipherFunctions = {
  name: "AESGCM",
  nonceByteOrder: "big",
  sealInto(key, nonce, associatedData, parts, out, offset) {
    const cipher = createCipheriv("aes-256-gcm", key, nonce, { authTagLength: TAG_BYTES });
    cipher.setAAD(associatedData);
    const text = cipher.update(concat(...parts));
    cipher.final();
    out.set(text, offset);
    out.set(cipher.getAuthTag(), offset + text.length);
    return text.length + TAG_BYTES;
  },
  open(key, nonce, associatedData, sealed) {
    const decipher = createDecipheriv("aes-256-gcm", key, nonce, { authTagLength: TAG_BYTES });
    decipher.setAAD(associatedData);
    decipher.setAuthTag(sealed.subarray(sealed.length - TAG_BYTES));
    const text = decipher.update(sealed.subarray(0, sealed.length - TAG_BYTES));
    decipher.final();
    return new Uint8Array(text);
  },
};

type NobleHash = Parameters<typeof hmac>[0];

const hashOf = (name: string, digestBytes: number, noble: NobleHash): HashFunctions => ({
  name,
  digestBytes,
  hash: (...parts) => new Uint8Array(noble(concat(...parts))),
  hmac: (key, ...parts) => new Uint8Array(hmac(noble, key, concat(...parts))),
});

const DHS = [X25519, X448];
const KEMS = [TALOS_SUITE.kem];
const CIPHERS = [TALOS_SUITE.cipher, AESGCM];
const HASHES = [
  TALOS_SUITE.hash,
  hashOf("SHA512", 64, sha512),
  hashOf("BLAKE2s", 32, blake2s),
  hashOf("BLAKE2b", 64, blake2b),
];

/** Returns the suite of a name such as `25519+MLKEM768_AESGCM_BLAKE2s`; null when a part is unknown. */
export function vectorSuite(name: string): VectorSuite | null {
  const [agreement = "", cipherName, hashName, ...more] = name.split("_");
  const [dhName, kemName, ...moreKeys] = agreement.split("+");
  const dh = DHS.find((one) => one.name === dhName);
  const kem = KEMS.find((one) => one.name === kemName);
  const cipher = CIPHERS.find((one) => one.name === cipherName);
  const hash = HASHES.find((one) => one.name === hashName);
  if (dh === undefined || cipher === undefined || hash === undefined) return null;
  if (more.length > 0 || moreKeys.length > 0) return null;
  if (kemName === undefined) return { dh, cipher, hash, keyPair: dh.keyPair };
  return kem === undefined ? null : { dh, kem, cipher, hash, keyPair: dh.keyPair };
}
