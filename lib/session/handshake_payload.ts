/**
 * The payload that each side seals into its handshake message: MsgPack
 * `{min, max, caps, t, ed, sig}`, and in the responder's also `instance`, `refused` and `strict`.
 *
 * `sig` is over the role's label and the handshake hash as it stood before the payload: it ties the
 * Ed25519 key to this one handshake. `ed` must be the very key whose X25519 form Noise authenticated;
 * since A and −A share that form, the signature tells them apart.
 */

import { type Bytes, equalBytes } from "../bytes.ts";
import { isSafeEd25519PublicKey, verify } from "../crypto/ed25519.ts";
import { x25519FromEd25519Public } from "../crypto/x25519.ts";
import type { LocalIdentity } from "../identity/local_identity.ts";
import { type PeerId, peerIdOf } from "../identity/peer_id.ts";
import { MAX_TIME_MS } from "../limits.ts";
import { Fields } from "../wire/fields.ts";
import { INSTANCE_BYTES } from "../wire/frames.ts";
import { Label } from "../wire/labels.ts";
import { decode, encode, type MsgPackValue } from "../wire/msgpack.ts";
import { PROTOCOL_VERSION, SUPPORTED_VERSIONS, type VersionRange } from "../wire/preface.ts";
import { SessionError } from "./errors.ts";

/** Why a responder ends a handshake that was authentic. */
export const HANDSHAKE_REFUSALS = ["version", "clock", "busy", "blocked"] as const;

/** One of {@link HANDSHAKE_REFUSALS}. */
export type HandshakeRefusal = typeof HANDSHAKE_REFUSALS[number];

/** Which end of the handshake. */
export type Role = "initiator" | "responder";

/** What a payload says, once it is verified. */
export interface HandshakePayload {
  /** Who sent it. */
  readonly peer: PeerId;
  /** The protocol versions its program speaks. */
  readonly versions: VersionRange;
  /** What its program can do beyond the version, by name. */
  readonly caps: readonly string[];
  /** Its Unix time in milliseconds. */
  readonly time: number;
  /** Names the responder's process, if it said so: {@link INSTANCE_BYTES} bytes. */
  readonly instance?: Bytes;
  /** The responder's refusal. */
  readonly refused?: HandshakeRefusal;
  /** With a `clock` refusal: the responder accepts no retry with its own time. */
  readonly strict?: boolean;
}

/** What we say in a payload. */
export interface PayloadContent {
  /** The protocol versions our program speaks; those of this code by default. */
  readonly versions?: VersionRange;
  /** What our program can do beyond the version, by name. */
  readonly caps: readonly string[];
  /** Unix time in milliseconds. */
  readonly time: number;
  /** Names our process, {@link INSTANCE_BYTES} bytes; the responder says so. */
  readonly instance?: Bytes;
  /** The responder's refusal. */
  readonly refused?: HandshakeRefusal;
  /** With a `clock` refusal: no retry with our time is accepted. */
  readonly strict?: boolean;
}

const MAX_CAPS = 16;
const MAX_CAP_BYTES = 32;
const LABELS = { initiator: Label.handshakeInitiator, responder: Label.handshakeResponder };

/** Returns our payload for the handshake whose hash is `hash`. */
export function encodePayload(
  role: Role,
  identity: LocalIdentity,
  hash: Bytes,
  { versions = SUPPORTED_VERSIONS, caps, time, instance, refused, strict }: PayloadContent,
): Bytes {
  const { min, max } = versions;
  const fields: Record<string, MsgPackValue> = {
    min,
    max,
    caps: [...caps],
    t: time,
    ed: identity.publicKey,
    sig: identity.sign(LABELS[role], hash),
  };
  if (instance !== undefined) fields.instance = instance;
  if (refused !== undefined) fields.refused = refused;
  if (strict === true) fields.strict = true;
  return encode(fields);
}

/**
 * Reads and verifies the payload that `role` sent, given the hash before it and the static key that
 * Noise authenticated. Throws WireError, or SessionError `handshake_failed`.
 */
export function decodePayload(
  role: Role,
  payload: Bytes,
  hash: Bytes,
  staticKey: Uint8Array,
): HandshakePayload {
  const fields = new Fields(decode(payload), `HANDSHAKE ${role}`);
  const publicKey = fields.bin("ed", 32);
  if (!isSafeEd25519PublicKey(publicKey)) throw unproven("its Ed25519 key is not a safe one");
  if (!equalBytes(x25519FromEd25519Public(publicKey), staticKey)) {
    throw unproven("its Ed25519 key is not the one that the handshake used");
  }
  if (!verify(LABELS[role], publicKey, hash, fields.bin("sig", 64))) {
    throw unproven("its signature does not verify");
  }
  const instance = fields.optional("instance", (name) => fields.bin(name, INSTANCE_BYTES));
  const refused = fields.optional("refused", (name) => fields.oneOf(name, HANDSHAKE_REFUSALS));
  const strict = fields.optional("strict", (name) => fields.bool(name));
  return {
    peer: peerIdOf(publicKey),
    versions: {
      // Who speaks this version supports it.
      min: fields.uint("min", { min: 1, max: PROTOCOL_VERSION }),
      max: fields.uint("max", { min: PROTOCOL_VERSION, max: 255 }),
    },
    caps: fields.strings("caps", { maxItems: MAX_CAPS, maxLength: MAX_CAP_BYTES }),
    time: fields.uint("t", { max: MAX_TIME_MS }),
    ...(instance === undefined ? {} : { instance }),
    ...(refused === undefined ? {} : { refused }),
    ...(strict === undefined ? {} : { strict }),
  };
}

function unproven(state: string): SessionError {
  return new SessionError("handshake_failed", `Cannot accept the peer's identity: ${state}`);
}
