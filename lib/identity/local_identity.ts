/**
 * A key pair in use: what the holder of a wallet can do with it. Printing it shows the Peer ID alone.
 */

import type { Bytes } from "../bytes.ts";
import {
  type Ed25519PublicKey,
  ed25519PublicKey,
  type Ed25519SecretKey,
  sign,
} from "../crypto/ed25519.ts";
import { x25519FromEd25519Secret, X25519KeyPair } from "../crypto/x25519.ts";
import { type PeerId, peerIdOf } from "./peer_id.ts";

/** One's own identity: signs, and agrees on secrets. */
export class LocalIdentity {
  /** Who this is. */
  readonly peerId: PeerId;
  /** The 32-byte Ed25519 public key. */
  readonly publicKey: Ed25519PublicKey;
  /** The X25519 form of the same key pair: the Noise static key. */
  readonly staticKey: X25519KeyPair;
  readonly #secretKey: Ed25519SecretKey;

  /** Takes the secret key of a wallet. */
  constructor(secretKey: Ed25519SecretKey) {
    this.#secretKey = secretKey;
    this.publicKey = ed25519PublicKey(secretKey);
    this.peerId = peerIdOf(this.publicKey);
    this.staticKey = new X25519KeyPair(x25519FromEd25519Secret(secretKey));
  }

  /** Returns the 64-byte signature over `label` ‖ 0x00 ‖ `message`. */
  sign(label: string, message: Uint8Array): Bytes {
    return sign(label, this.#secretKey, message);
  }
}
