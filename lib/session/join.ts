/**
 * `talos/join`: how whoever holds a ticket proves that to its host.
 *
 *     JOIN   {invite, proof, name}                           guest → host, at once behind OPEN
 *     JOINED {name, service, called, record?, signature?}    host → guest
 *        or  {error: {code, reason}}
 *
 * `proof` = HMAC-SHA256(key, label ‖ 0x00 ‖ handshake hash ‖ guest's Peer ID), where key = SHA-256(label ‖ 0x00 ‖
 * the ticket's secret). It is of use on this very connection and for this very peer alone, so one that was
 * overheard, recorded or passed on is worth nothing. Only who proves the secret learns what became of an
 * invite; to all others every ticket is unknown.
 */

import { timingSafeEqual } from "node:crypto";

import { type Bytes, utf8 } from "../bytes.ts";
import { type Clock, within } from "../clock.ts";
import { hmacSha256, sha256, SHA256_BYTES } from "../crypto/sha256.ts";
import { INVITE_ID_BYTES, INVITE_NAME } from "../identity/invites.ts";
import { parseServiceName, type ServiceName } from "../identity/names.ts";
import type { PeerId } from "../identity/peer_id.ts";
import { MAX_NAME_BYTES, MAX_SERVICE_BYTES, STRANGER_TIMEOUT_MS } from "../limits.ts";
import { printable } from "../log.ts";
import { type SignedEndpointRecord, signedRecordOf } from "../wire/endpoint_record.ts";
import { WireError } from "../wire/errors.ts";
import { Fields } from "../wire/fields.ts";
import { Label } from "../wire/labels.ts";
import { decode, encode } from "../wire/msgpack.ts";
import { SessionError } from "./errors.ts";
import type { Session } from "./session.ts";

/** Why a host lets the holder of a ticket not in. */
export const JOIN_REFUSALS = [
  /** No invite is proved by that: guessed, made up, or of another host. */
  "invite_unknown",
  /** As many as may have used it. */
  "invite_used",
  /** Its time is over. */
  "invite_expired",
  /** It was withdrawn. */
  "invite_revoked",
  /** Too many wrong ones came lately. */
  "invite_limited",
  /** This peer was revoked here: no ticket changes that. */
  "unauthorized",
] as const;

/** One of {@link JOIN_REFUSALS}. */
export type JoinRefusal = typeof JOIN_REFUSALS[number];

/** What a guest says. */
export interface JoinRequest {
  /** The invite's id, which follows from the secret. */
  readonly invite: string;
  /** {@link joinProof}. */
  readonly proof: Bytes;
  /** What the guest calls itself. */
  readonly name: string;
}

/** What a host answers to whom it let in. */
export interface Joined {
  /** What the host calls itself. */
  readonly name: string;
  /** What the guest may use from now on. */
  readonly service: ServiceName;
  /** What the host calls the guest. */
  readonly called: string;
  /** Where the service is, signed by the host; absent where another process has it. */
  readonly endpoint?: SignedEndpointRecord;
}

/** What a host answers. */
export type JoinAnswer =
  | { readonly joined: Joined }
  | { readonly refused: JoinRefusal; readonly reason: string };

const MAX_CODE_BYTES = 64;
const MAX_REASON_BYTES = 1024;
const NUL = Uint8Array.of(0);

/** Returns the id of the invite that a ticket's secret belongs to. */
export function inviteIdOf(secret: Bytes): string {
  const id = sha256(utf8(Label.inviteId), NUL, secret).subarray(0, INVITE_ID_BYTES);
  return `invite-${id.toHex()}`;
}

/** Returns what a host keeps of a ticket's secret, to check proofs with: 32 bytes. */
export function inviteKeyOf(secret: Bytes): Bytes {
  return sha256(utf8(Label.inviteKey), NUL, secret);
}

/** Returns the 32-byte proof that `guest` has the secret behind `key`, on the connection of a handshake. */
export function joinProof(key: Bytes, handshakeHash: Uint8Array, guest: PeerId): Bytes {
  return hmacSha256(key, utf8(Label.inviteProof), NUL, handshakeHash, utf8(guest));
}

/** Tells in constant time whether `proof` is the one of `guest`. */
export function isJoinProof(
  proof: Bytes,
  key: Bytes,
  handshakeHash: Uint8Array,
  guest: PeerId,
): boolean {
  return timingSafeEqual(proof, joinProof(key, handshakeHash, guest));
}

/** Answers one guest. Throws SessionError and WireError for one that says nothing, or nonsense. */
export async function serveJoin(
  session: Session,
  clock: Clock,
  redeem: (session: Session, request: JoinRequest) => Promise<JoinAnswer>,
): Promise<void> {
  const message = await within(clock, STRANGER_TIMEOUT_MS, session.receive(), null);
  if (message === null) throw new SessionError("protocol", "The guest showed no ticket in time");
  await session.send(encodeAnswer(await redeem(session, decodeJoin(message))));
}

/** Shows a ticket's secret to its host. Throws SessionError, of a code of {@link JOIN_REFUSALS} where it says no. */
export async function askToJoin(session: Session, secret: Bytes, guest: {
  readonly peer: PeerId;
  readonly name: string;
}): Promise<Joined> {
  const { handshakeHash } = session.connection;
  await session.send(encodeJoin({
    invite: inviteIdOf(secret),
    proof: joinProof(inviteKeyOf(secret), handshakeHash, guest.peer),
    name: guest.name,
  }));
  const message = await session.receive();
  if (message === null) {
    const why = session.closeReason?.reason ?? "";
    throw new SessionError(
      why === "" ? "connection_lost" : "service_failed",
      `The host did not answer${why === "" ? "" : `: ${why}`}`,
    );
  }
  const answer = decodeAnswer(message);
  if ("joined" in answer) return answer.joined;
  throw new SessionError(answer.refused, `Cannot join: ${answer.reason}`);
}

/** Returns the bytes of JOIN. */
export function encodeJoin({ invite, proof, name }: JoinRequest): Bytes {
  return encode({ invite, proof, name });
}

/** Reads JOIN. Throws WireError. */
export function decodeJoin(message: Bytes): JoinRequest {
  const fields = new Fields(decode(message), "JOIN");
  const invite = fields.str("invite", { max: MAX_NAME_BYTES });
  if (!INVITE_NAME.test(invite)) {
    throw new WireError("field_invalid", "Cannot read JOIN.invite: it names no invite", {
      path: "JOIN.invite",
    });
  }
  return {
    invite,
    proof: fields.bin("proof", SHA256_BYTES),
    name: printable(fields.str("name", { max: MAX_NAME_BYTES })),
  };
}

/** Returns the bytes of an answer to JOIN. */
export function encodeAnswer(answer: JoinAnswer): Bytes {
  if (!("joined" in answer)) {
    return encode({ error: { code: answer.refused, reason: answer.reason } });
  }
  const { name, service, called, endpoint } = answer.joined;
  return encode({
    name,
    service,
    called,
    ...(endpoint === undefined ? {} : { record: endpoint.record, signature: endpoint.signature }),
  });
}

/** Reads an answer to JOIN. A refusal of a newer host is `unauthorized` to us. Throws SessionError "protocol". */
export function decodeAnswer(message: Bytes): JoinAnswer {
  try {
    const fields = new Fields(decode(message), "JOINED");
    const error = fields.optional("error", (name) => fields.map(name));
    if (error !== undefined) {
      const code = error.str("code", { max: MAX_CODE_BYTES });
      const refused = JOIN_REFUSALS.find((known) => known === code) ?? "unauthorized";
      return { refused, reason: printable(error.str("reason", { max: MAX_REASON_BYTES })) };
    }
    return {
      joined: {
        name: printable(fields.str("name", { max: MAX_NAME_BYTES })),
        service: parseServiceName(fields.str("service", { max: MAX_SERVICE_BYTES })),
        called: printable(fields.str("called", { max: MAX_NAME_BYTES })),
        ...(fields.has("record") ? { endpoint: signedRecordOf(fields) } : {}),
      },
    };
  } catch (error) {
    throw new SessionError("protocol", "The host's answer to the ticket is none", { cause: error });
  }
}
