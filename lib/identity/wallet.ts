/**
 * A wallet: the secret key of an identity, with its name and date.
 *
 * An open {@link Wallet} holds the key, a {@link LockedWallet} holds it sealed under a passphrase. The
 * key lies in a private field: printing, inspecting, serialising as JSON or cloning a wallet shows the
 * Peer ID and no secret. Only `wallet_format.ts` writes it out. JavaScript cannot erase memory for
 * certain, so nothing here claims that the key is gone from memory once a wallet is dropped.
 *
 * Sealing: key = scrypt (RFC 7914) of the passphrase in Unicode normal form C as UTF-8; ChaCha20-Poly1305
 * under a random 96-bit nonce, used once since the salt makes every key new. The associated data is a
 * label and everything else that the file says: version, name, Peer ID, date, scrypt parameters, salt,
 * nonce. So no byte of a sealed wallet can change unnoticed.
 */

import { scrypt } from "node:crypto";
import { type Bytes, utf8 } from "../bytes.ts";
import { CryptoError } from "../crypto/errors.ts";
import {
  CHACHA20POLY1305_KEY_BYTES,
  CHACHA20POLY1305_NONCE_BYTES,
  CHACHA20POLY1305_TAG_BYTES,
  open,
  seal,
} from "../crypto/chacha20poly1305.ts";
import {
  ED25519_SECRET_KEY_BYTES,
  type Ed25519PublicKey,
  ed25519PublicKey,
  type Ed25519SecretKey,
  generateEd25519SecretKey,
  parseEd25519SecretKey,
} from "../crypto/ed25519.ts";
import type { RandomBytes } from "../crypto/random.ts";
import { MAX_SCRYPT_N, SCRYPT_N } from "../limits.ts";
import { IdentityError } from "./errors.ts";
import { parseWalletName, type WalletName } from "./names.ts";
import { checkPassphrase } from "./passphrase.ts";
import { type PeerId, peerIdOf } from "./peer_id.ts";

/** The length of the salt of a sealed wallet. */
export const WALLET_SALT_BYTES = 16;

/** The length of a sealed secret key: the seed and the tag. */
export const SEALED_KEY_BYTES = ED25519_SECRET_KEY_BYTES + CHACHA20POLY1305_TAG_BYTES;

/** scrypt's block size; with it, N bytes cost 1,024 bytes of memory each. */
export const SCRYPT_R = 8;

/** scrypt's parallelism. */
export const SCRYPT_P = 1;

/** What everybody may know of a wallet. */
export interface WalletFacts {
  /** What its owner is called. */
  readonly name: WalletName;
  /** Whose it is. */
  readonly peerId: PeerId;
  /** When it was made, Unix time in milliseconds. */
  readonly createdAt: number;
}

/** A secret key under a passphrase. */
export interface SealedKey {
  /** scrypt's cost: a power of two, 2 to 2^20. Memory is 1,024 bytes times this. */
  readonly n: number;
  /** {@link WALLET_SALT_BYTES} bytes. */
  readonly salt: Bytes;
  /** 12 bytes. */
  readonly nonce: Bytes;
  /** {@link SEALED_KEY_BYTES} bytes. */
  readonly ciphertext: Bytes;
}

/** What a new wallet is made of. */
export interface NewWallet {
  /** What its owner is called, as typed. */
  readonly name: string;
  /** The current Unix time in milliseconds. */
  readonly now: number;
  /** Makes the key. */
  readonly random: RandomBytes;
}

const inspect = Symbol.for("Deno.customInspect");
const nodeInspect = Symbol.for("nodejs.util.inspect.custom");

/** A wallet whose key is at hand. */
export class Wallet implements WalletFacts {
  readonly name: WalletName;
  readonly peerId: PeerId;
  readonly createdAt: number;
  /** The 32-byte public key. */
  readonly publicKey: Ed25519PublicKey;
  readonly #secretKey: Ed25519SecretKey;

  /** Takes a name, a date and the key; the Peer ID follows from the key. */
  constructor(name: WalletName, createdAt: number, secretKey: Ed25519SecretKey) {
    this.name = name;
    this.createdAt = createdAt;
    this.#secretKey = secretKey;
    this.publicKey = ed25519PublicKey(secretKey);
    this.peerId = peerIdOf(this.publicKey);
  }

  /** The secret key: a 32-byte seed. Never printed, logged or sent. */
  get secretKey(): Ed25519SecretKey {
    return this.#secretKey;
  }

  /** The public facts alone. */
  toJSON(): WalletFacts {
    return factsOf(this);
  }

  /** What `console.log` shows. */
  [inspect](): string {
    return `Wallet(${this.peerId})`;
  }

  /** What Node's `util.inspect` shows. */
  [nodeInspect](): string {
    return this[inspect]();
  }
}

/** A wallet whose key is sealed. */
export class LockedWallet implements WalletFacts {
  readonly name: WalletName;
  readonly peerId: PeerId;
  readonly createdAt: number;
  /** The sealed key. */
  readonly sealed: SealedKey;

  /** Takes what a file says. That the key belongs to the Peer ID shows when it is unlocked. */
  constructor(facts: WalletFacts, sealed: SealedKey) {
    this.name = facts.name;
    this.peerId = facts.peerId;
    this.createdAt = facts.createdAt;
    this.sealed = sealed;
  }

  /**
   * Returns the wallet that `passphrase` opens, after some 0.5 s of work at the usual cost.
   *
   * Throws IdentityError "wrong_passphrase" (also when anything in the file was altered),
   * "wallet_mismatch" when a key of another identity was sealed in, "passphrase_invalid".
   */
  async unlock(passphrase: string): Promise<Wallet> {
    const { n, salt, nonce, ciphertext } = this.sealed;
    const key = await passphraseKey(passphrase, salt, n);
    let seed: Bytes;
    try {
      seed = open(key, nonce, sealedFacts(this, this.sealed), ciphertext);
    } catch (error) {
      if (!(error instanceof CryptoError)) throw error;
      throw new IdentityError(
        "wrong_passphrase",
        `Cannot open the wallet of ${this.peerId}: the passphrase is wrong, or the file was altered`,
        {
          hints: [
            "see what TALOS_PASSPHRASE_FILE holds, or type the passphrase again",
            "if the passphrase is right, restore wallet.json from your backup",
          ],
        },
      );
    } finally {
      key.fill(0);
    }
    const wallet = new Wallet(this.name, this.createdAt, parseEd25519SecretKey(seed));
    seed.fill(0);
    requireMatch(wallet, this.peerId);
    return wallet;
  }

  /** The public facts alone. */
  toJSON(): WalletFacts {
    return factsOf(this);
  }

  /** What `console.log` shows. */
  [inspect](): string {
    return `LockedWallet(${this.peerId})`;
  }

  /** What Node's `util.inspect` shows. */
  [nodeInspect](): string {
    return this[inspect]();
  }
}

/** Returns a new wallet with a new key. Throws IdentityError "name_invalid". */
export function createWallet({ name, now, random }: NewWallet): Wallet {
  return new Wallet(parseWalletName(name), now, generateEd25519SecretKey(random));
}

/**
 * Returns `wallet` sealed under `passphrase`. Throws IdentityError "passphrase_invalid".
 *
 * @param n scrypt's cost; tests pass a small one.
 */
export async function lockWallet(
  wallet: Wallet,
  passphrase: string,
  random: RandomBytes,
  n = SCRYPT_N,
): Promise<LockedWallet> {
  const salt = random(WALLET_SALT_BYTES);
  const nonce = random(CHACHA20POLY1305_NONCE_BYTES);
  const key = await passphraseKey(passphrase, salt, n);
  const associatedData = sealedFacts(wallet, { n, salt, nonce });
  const ciphertext = seal(key, nonce, associatedData, wallet.secretKey);
  key.fill(0);
  return new LockedWallet(wallet, { n, salt, nonce, ciphertext });
}

/** Throws IdentityError "wallet_mismatch" unless the key of `wallet` is the key of `peerId`. */
export function requireMatch(wallet: Wallet, peerId: PeerId): void {
  if (wallet.peerId === peerId) return;
  throw new IdentityError(
    "wallet_mismatch",
    `Cannot use the wallet: it says ${peerId}, its key is the key of ${wallet.peerId}`,
    { hints: ["restore wallet.json from your backup"] },
  );
}

/** Tells whether `n` is a scrypt cost that is worked with: a power of two from 2 to 2^20. */
export function isScryptCost(n: number): boolean {
  return Number.isInteger(n) && n >= 2 && n <= MAX_SCRYPT_N && (n & (n - 1)) === 0;
}

const LABEL = "talos wallet 1";

/** Returns what sealing authenticates besides the key: label ‖ 0x00 ‖ JSON of all other facts. */
function sealedFacts(facts: WalletFacts, sealed: Omit<SealedKey, "ciphertext">): Bytes {
  return utf8(
    `${LABEL}\0` + JSON.stringify([
      facts.name,
      facts.peerId,
      facts.createdAt,
      sealed.n,
      SCRYPT_R,
      SCRYPT_P,
      sealed.salt.toHex(),
      sealed.nonce.toHex(),
    ]),
  );
}

function passphraseKey(passphrase: string, salt: Bytes, n: number): Promise<Bytes> {
  const secret = checkPassphrase(passphrase);
  if (!isScryptCost(n)) throw new RangeError(`Cannot run scrypt: its cost is ${n}`);
  // What RFC 7914 §2 says is needed, and as much again for slack in how OpenSSL counts.
  const maxmem = 2 * 128 * n * SCRYPT_R + 2 ** 20;
  return new Promise((resolve, reject) => {
    scrypt(
      utf8(secret),
      salt,
      CHACHA20POLY1305_KEY_BYTES,
      { N: n, r: SCRYPT_R, p: SCRYPT_P, maxmem },
      (error, key) => {
        if (error === null) resolve(new Uint8Array(key));
        else reject(scryptFailed(n, error));
      },
    );
  });
}

function scryptFailed(n: number, cause: Error): IdentityError {
  const mebibytes = Math.ceil(128 * n * SCRYPT_R / 2 ** 20);
  return new IdentityError(
    "wallet_locked",
    `Cannot derive the key of the wallet: scrypt needs ${mebibytes} MiB of memory and failed`,
    { cause, hints: ["free some memory and try again"] },
  );
}

function factsOf({ name, peerId, createdAt }: WalletFacts): WalletFacts {
  return { name, peerId, createdAt };
}
