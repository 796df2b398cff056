/**
 * What a registry does about the first eight bytes of a connection, before anything is authenticated.
 * Pure.
 *
 * Only a registry answers *who-are-you*: the same eight bytes and its public key, in the clear, for a
 * first contact by address. Nobody may trust that key before a handshake with it succeeded. An unknown
 * protocol version is answered with the versions spoken here; everything else but a handshake with a
 * registry and a leg of a relay circuit is closed without a word.
 */

import { type Bytes, concat } from "../lib/bytes.ts";
import type { Ed25519PublicKey } from "../lib/crypto/ed25519.ts";
import { WireError } from "../lib/wire/errors.ts";
import {
  ConnectionKind,
  decodePreface,
  encodePreface,
  encodeVersionAnswer,
  type Preface,
} from "../lib/wire/preface.ts";

/** What to do about a connection. */
export type FirstContact =
  /** Shake hands. */
  | { readonly action: "handshake" }
  /** Take it as a leg of a circuit. */
  | { readonly action: "circuit" }
  /** Send these bytes and end. */
  | { readonly action: "answer"; readonly bytes: Bytes }
  /** End. */
  | { readonly action: "close"; readonly why: string };

/**
 * Returns what to do about a connection that opens with `preface`.
 *
 * @param preface The first 8 bytes.
 * @param publicKey The registry's own key, 32 bytes.
 */
export function firstContact(preface: Bytes, publicKey: Ed25519PublicKey): FirstContact {
  let decoded: Preface;
  try {
    decoded = decodePreface(preface);
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
    return { action: "close", why: error.message };
  }
  if (decoded.version === "unsupported") {
    return { action: "answer", bytes: encodeVersionAnswer() };
  }
  switch (decoded.kind) {
    case ConnectionKind.registry:
      return { action: "handshake" };
    case ConnectionKind.whoAreYou:
      return { action: "answer", bytes: whoAreYouAnswer(publicKey) };
    case ConnectionKind.peer:
      return { action: "close", why: "the caller wants a peer, this is a registry" };
    case ConnectionKind.circuit:
      return { action: "circuit" };
    default:
      throw decoded.kind satisfies never;
  }
}

/** Returns the answer to *who-are-you*: the preface as it came, and the 32-byte public key. */
export function whoAreYouAnswer(publicKey: Ed25519PublicKey): Bytes {
  return concat(encodePreface(ConnectionKind.whoAreYou), publicKey);
}
