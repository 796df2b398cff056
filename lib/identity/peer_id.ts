/**
 * Peer IDs: an Ed25519 public key as text.
 *
 * A Peer ID is multibase base58btc (`z`) of the multicodec `0xed01` and the 32-byte key: 48 characters
 * that begin with `z6Mk`, the key part of the peer's `did:key` (W3C "The did:key Method" §3.1). A
 * {@link PeerId} is made here only, so whoever holds one holds a checked key: canonical, on the curve,
 * in the prime-order group. The mapping is one to one; Peer IDs are compared as strings. The check
 * costs a scalar multiplication (0.3 ms), so the last few thousand that passed are remembered.
 */

import { concat, equalBytes } from "../bytes.ts";
import { printable } from "../log.ts";
import { type Brand, branded } from "../crypto/brand.ts";
import { type Ed25519PublicKey, isSafeEd25519PublicKey } from "../crypto/ed25519.ts";
import { decodeBase58, encodeBase58, foreignCharacter } from "./base58.ts";
import { IdentityError } from "./errors.ts";

/** A checked Peer ID: 48 characters, without `did:key:`. */
export type PeerId = Brand<string, "PeerId">;

/** The length of a Peer ID. */
export const PEER_ID_CHARACTERS = 48;

/** How every Peer ID begins: multibase `z`, and what base58 makes of the multicodec. */
export const PEER_ID_START = "z6Mk";

/** What may stand before a Peer ID wherever one is read. */
export const DID_KEY_PREFIX = "did:key:";

/** The multibase code of base58btc. */
const MULTIBASE_BASE58BTC = "z";

/** The multicodec `ed25519-pub`, as an unsigned varint. */
const MULTICODEC_ED25519 = Uint8Array.of(0xed, 0x01);

/** What else people paste: multicodecs of other key types, as the two bytes of their varint. */
const OTHER_KEYS: Readonly<Record<string, string>> = {
  ec01: "an X25519 key",
  e701: "a secp256k1 key",
  "8024": "a P-256 key",
};

const SHORT_CHARACTERS = 12;

/** How many checked Peer IDs are remembered: some 500 KiB. */
const MAX_REMEMBERED = 4096;

const remembered = new Set<PeerId>();

/** Returns the Peer ID of a public key. */
export function peerIdOf(publicKey: Ed25519PublicKey): PeerId {
  const text = MULTIBASE_BASE58BTC + encodeBase58(concat(MULTICODEC_ED25519, publicKey));
  if (!hasShape(text)) throw new TypeError("unreachable");
  return text;
}

/**
 * Returns the Peer ID that `text` is, `did:key:` removed.
 *
 * Throws IdentityError "peer_id_invalid" that says what is wrong: the length, the character and its
 * position (counted from 1), the type of key, or that the key is not safe to use.
 */
export function parsePeerId(text: string): PeerId {
  const id = text.startsWith(DID_KEY_PREFIX) ? text.slice(DID_KEY_PREFIX.length) : text;
  if (hasShape(id) && remembered.has(id)) return id;
  if (id.length !== PEER_ID_CHARACTERS) {
    throw invalid(`it has ${id.length} characters, a Peer ID has ${PEER_ID_CHARACTERS}`);
  }
  if (!id.startsWith(MULTIBASE_BASE58BTC)) {
    throw invalid(`it begins with "${printable(id.slice(0, 4))}", a Peer ID begins with z6Mk`);
  }
  // 47 digits behind `z` and the first byte 0xed make exactly 34 bytes: no further length check.
  const foreign = foreignCharacter(id);
  if (foreign >= 0) throw invalid(foreignText(id, foreign));
  const bytes = decodeBase58(id.slice(1));
  const codec = bytes.subarray(0, MULTICODEC_ED25519.length);
  if (!equalBytes(codec, MULTICODEC_ED25519)) {
    const other = OTHER_KEYS[codec.toHex()] ?? "not an Ed25519 key";
    throw invalid(`it is ${other} (multicodec 0x${codec.toHex()}), a Peer ID has 0xed01`);
  }
  if (!isSafeEd25519PublicKey(bytes.slice(MULTICODEC_ED25519.length))) {
    throw invalid("at least one character is wrong: what it says is no key that may be used");
  }
  if (!hasShape(id)) throw new TypeError("unreachable");
  if (remembered.size >= MAX_REMEMBERED) remembered.clear();
  remembered.add(id);
  return id;
}

/** Returns the 32-byte public key of a Peer ID. */
export function publicKeyOf(id: PeerId): Ed25519PublicKey {
  return branded(decodeBase58(id.slice(1)).slice(MULTICODEC_ED25519.length));
}

/** Returns `z6Mk`, 8 characters and `…`, for logs: enough to tell peers apart, never to identify one. */
export function shortPeerId(id: PeerId): string {
  return id.slice(0, SHORT_CHARACTERS) + "…";
}

function hasShape(text: string): text is PeerId {
  return text.length === PEER_ID_CHARACTERS && text.startsWith(PEER_ID_START);
}

function foreignText(id: string, at: number): string {
  // A surrogate pair is one character to the reader.
  const character = String.fromCodePoint(id.codePointAt(at) ?? 0);
  const confusable = "0OIl".includes(character)
    ? " (Peer IDs have no 0, O, I and l, which look alike)"
    : "";
  return `character ${at + 1} is "${printable(character)}"${confusable}`;
}

function invalid(reason: string): IdentityError {
  return new IdentityError("peer_id_invalid", `Cannot read the Peer ID: ${reason}`, {
    hints: [
      "copy the whole Peer ID, z6Mk and 44 characters, as the other side's `talos status` shows it",
    ],
  });
}
