/**
 * The text of `wallet.json`: one line of JSON and a line feed.
 *
 *     {"version":1,"name":…,"peer_id":…,"created_at":…,"secret_key":…}
 *
 * `secret_key` is the base64url form of the 32-byte seed, or, sealed,
 * `{"kdf":"scrypt","n":131072,"r":8,"p":1,"salt":…,"nonce":…,"ciphertext":…}` (see `wallet.ts`);
 * `created_at` is RFC 3339. Pure: text in, wallet out, and back. Reading is strict: every field exactly
 * once, no other, each with its exact type and length, the key the one of the Peer ID; and what scrypt
 * would cost is checked before any of it is spent. Only the order of fields, white space between
 * them and escapes in strings are free. No error quotes a value.
 */

import { base64url, type Bytes, fromBase64url } from "../bytes.ts";
import { CHACHA20POLY1305_NONCE_BYTES } from "../crypto/chacha20poly1305.ts";
import { ED25519_SECRET_KEY_BYTES, parseEd25519SecretKey } from "../crypto/ed25519.ts";
import { MAX_SCRYPT_N } from "../limits.ts";
import { IdentityError } from "./errors.ts";
import {
  fieldsOf,
  integerField,
  type JsonFields,
  parsedField,
  textField,
  timeField,
  timeText,
} from "./json_fields.ts";
import { parseWalletName } from "./names.ts";
import { parsePeerId } from "./peer_id.ts";
import { isJsonObject, type Json, JsonError, parseJson } from "./strict_json.ts";
import {
  isScryptCost,
  LockedWallet,
  requireMatch,
  SCRYPT_P,
  SCRYPT_R,
  SEALED_KEY_BYTES,
  type SealedKey,
  Wallet,
  WALLET_SALT_BYTES,
} from "./wallet.ts";

/** The version of the format. */
const VERSION = 1;

const KDF = "scrypt";

const WALLET_FIELDS = ["version", "name", "peer_id", "created_at", "secret_key"];
const SEALED_FIELDS = ["kdf", "n", "r", "p", "salt", "nonce", "ciphertext"];

/** Returns the text of a wallet file. */
export function serialiseWallet(wallet: Wallet | LockedWallet): string {
  return JSON.stringify({
    version: VERSION,
    name: wallet.name,
    peer_id: wallet.peerId,
    created_at: timeText(wallet.createdAt),
    secret_key: wallet instanceof Wallet
      ? base64url(wallet.secretKey)
      : sealedKeyFields(wallet.sealed),
  }) + "\n";
}

/**
 * Returns the wallet that `text` holds: open, or locked where the key is sealed.
 *
 * Throws IdentityError "wallet_corrupted", "wallet_version" or "wallet_mismatch".
 *
 * @param path Where the text was read, for errors.
 */
export function parseWallet(text: string, path?: string): Wallet | LockedWallet {
  try {
    return walletOf(parseJson(text), path);
  } catch (error) {
    if (!(error instanceof JsonError)) throw error;
    throw corruptedWallet(error.message, path);
  }
}

/** Returns the error for a wallet file in a certain state. */
export function corruptedWallet(state: string, path?: string): IdentityError {
  return new IdentityError("wallet_corrupted", `Cannot read ${called(path)}: ${state}`, {
    hints: [
      "restore it from your backup",
      "or make a new identity, keeping this file as a .bak: talos init --force --name NAME",
    ],
  });
}

function called(path: string | undefined): string {
  return path === undefined ? "the wallet" : `the wallet ${path}`;
}

function walletOf(json: Json, path: string | undefined): Wallet | LockedWallet {
  requireVersion(json, path);
  const fields = fieldsOf(json, "", WALLET_FIELDS);
  integerField(fields, "version", VERSION, VERSION);
  const facts = {
    name: parsedField(fields, "name", exactName),
    peerId: parsedField(fields, "peer_id", exactPeerId),
    createdAt: timeField(fields, "created_at"),
  };
  if (timeText(facts.createdAt) !== textField(fields, "created_at")) {
    throw new JsonError("the field created_at is not in UTC with milliseconds");
  }
  const secret = fields.object["secret_key"];
  if (isJsonObject(secret)) return new LockedWallet(facts, sealedKeyOf(secret));
  const seed = bytesField(fields, "secret_key", ED25519_SECRET_KEY_BYTES);
  const wallet = new Wallet(facts.name, facts.createdAt, parseEd25519SecretKey(seed));
  seed.fill(0);
  requireMatch(wallet, facts.peerId);
  return wallet;
}

/** Says of a wallet from the future that it is one, whatever its other fields are. */
function requireVersion(json: Json, path: string | undefined): void {
  const version = isJsonObject(json) ? json["version"] : undefined;
  if (typeof version !== "number" || version === VERSION) return;
  throw new IdentityError(
    "wallet_version",
    `Cannot read ${called(path)}: its version is ${version}, this program knows ${VERSION}`,
    { hints: ["update Talos; see which this is: talos version", "or restore an older backup"] },
  );
}

function sealedKeyOf(json: Json): SealedKey {
  const fields = fieldsOf(json, "secret_key", SEALED_FIELDS);
  if (textField(fields, "kdf") !== KDF) {
    throw new JsonError(`the field secret_key.kdf is not ${KDF}`);
  }
  const n = integerField(fields, "n", 2, MAX_SCRYPT_N);
  if (!isScryptCost(n)) throw new JsonError("the field secret_key.n is not a power of two");
  integerField(fields, "r", SCRYPT_R, SCRYPT_R);
  integerField(fields, "p", SCRYPT_P, SCRYPT_P);
  return {
    n,
    salt: bytesField(fields, "salt", WALLET_SALT_BYTES),
    nonce: bytesField(fields, "nonce", CHACHA20POLY1305_NONCE_BYTES),
    ciphertext: bytesField(fields, "ciphertext", SEALED_KEY_BYTES),
  };
}

function sealedKeyFields({ n, salt, nonce, ciphertext }: SealedKey): Record<string, Json> {
  return {
    kdf: KDF,
    n,
    r: SCRYPT_R,
    p: SCRYPT_P,
    salt: base64url(salt),
    nonce: base64url(nonce),
    ciphertext: base64url(ciphertext),
  };
}

/** Returns `length` bytes in base64url. The text, which may be a secret, is in no error. */
function bytesField(fields: JsonFields, name: string, length: number): Bytes {
  const text = textField(fields, name);
  const fault = new JsonError(
    `the field ${fields.path}${name} is not ${length} bytes of base64url`,
  );
  // Four characters hold three bytes; nothing is decoded that is too long.
  if (text.length !== Math.ceil(length * 4 / 3)) throw fault;
  try {
    return fromBase64url(text);
  } catch {
    throw fault;
  }
}

/** A wallet name as written: in the form that {@link parseWalletName} would give it. */
function exactName(text: string) {
  const name = parseWalletName(text);
  if (name !== text) throw new JsonError("it is not in Unicode normal form C");
  return name;
}

/** A Peer ID as written: without `did:key:`. */
function exactPeerId(text: string) {
  const id = parsePeerId(text);
  if (id !== text) throw new JsonError("it begins with did:key:");
  return id;
}
