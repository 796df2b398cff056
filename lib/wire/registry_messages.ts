/**
 * What a peer and a registry say to each other on a control connection, message by message.
 *
 *     request   → response                                    what it does
 *     hello     {instance, token?} → {observed, time}          first; makes the connection (peer, instance)
 *     register  {name, unlisted} → {}                          stays until the peer is forgotten
 *     publish   {record, signature} → {seq}                    an endpoint record, which expires
 *     lookup    {peer, service?} → {found}                     addresses of a peer whose whole ID is known
 *     list      {after?, limit} → {peers, next?}               who is registered: no addresses
 *     circuit   {peer, service?} → {token, node}               one leg; the other is the peer's, which is invited
 *     decline   {token, reason} → {}                           the answer to an invitation that is not followed
 *
 * A request that fails is answered with `{id, error: {code, reason, seq?}}`. Requests may be answered in
 * any order; `talos-server` answers in turn. The peer is whom the handshake authenticated; nothing here
 * names the caller.
 */

import type { Bytes } from "../bytes.ts";
import type { PeerId } from "../identity/peer_id.ts";
import { MAX_JOIN_TOKEN_BYTES, MAX_NAME_BYTES, MAX_SERVICE_BYTES, MAX_TIME_MS } from "../limits.ts";
import { printable } from "../log.ts";
import { CIRCUIT_TOKEN_BYTES, DECLINE_REASONS, type DeclineReason } from "./circuit.ts";
import { type SignedEndpointRecord, signedRecordOf } from "./endpoint_record.ts";
import { WireError } from "./errors.ts";
import { Fields } from "./fields.ts";
import { INSTANCE_BYTES } from "./frames.ts";
import { decode, encode, type MsgPackInput } from "./msgpack.ts";
import { peerOf } from "./peer_field.ts";

/** The most peers on one page of a listing. */
export const MAX_LIST_PAGE = 100;

/** The most bytes that a page may take, so that it fits in one frame. */
export const MAX_PAGE_BYTES = 40 * 1024;

/** The most services of one peer that a registry hands out. */
export const MAX_SERVICES_PER_PEER = 16;

/** What a client asks. */
export type RegistryRequest =
  | { readonly op: "hello"; readonly instance: Bytes; readonly token?: string }
  | { readonly op: "register"; readonly name: string; readonly unlisted: boolean }
  | ({ readonly op: "publish" } & SignedEndpointRecord)
  | { readonly op: "lookup"; readonly peer: PeerId; readonly service?: string }
  | { readonly op: "list"; readonly after?: PeerId; readonly limit: number }
  | { readonly op: "circuit"; readonly peer: PeerId; readonly service?: string }
  | { readonly op: "decline"; readonly token: Bytes; readonly reason: DeclineReason };

/** The requests by name. */
export type RegistryOp = RegistryRequest["op"];

/** Why a registry refuses a request. */
export const REGISTRY_ERRORS = [
  /** HELLO comes first, and once. */
  "out_of_turn",
  /** The registry is private: a join token is needed. */
  "token_required",
  /** The join token is not the registry's. */
  "token_wrong",
  /** The record is of another peer than the caller. */
  "not_yours",
  /** The record does not verify, or says what no record may say. */
  "record_invalid",
  /** The record is not newer than the one that is there; `seq` says how new that is. */
  "stale",
  /** Publish and the like need a registration first. */
  "not_registered",
  /** No process of the peer that serves this is connected now. */
  "peer_away",
  /** Too many requests, records, connections or circuits. */
  "quota",
  /** The registry does not know this request. */
  "unknown_op",
  /** The request is malformed. */
  "request_invalid",
  /** The registry failed; its log says why. */
  "internal",
] as const;

/** One of {@link REGISTRY_ERRORS}. */
export type RegistryErrorCode = typeof REGISTRY_ERRORS[number];

/** A refused request. */
export interface RegistryRefusal {
  /** Why, for programs. */
  readonly code: RegistryErrorCode;
  /** Why, for people. */
  readonly reason: string;
  /** With `stale`: the sequence number that the registry says it has. Nothing proves it. */
  readonly seq?: number;
}

/** What HELLO is answered with. */
export interface HelloResponse {
  /** The caller's address as the registry sees it: `192.0.2.7` or an IPv6 literal. Unchecked, but printable. */
  readonly observed: string;
  /** The registry's Unix time in milliseconds: advice, it decides nothing. */
  readonly time: number;
}

/** What a registry knows of a peer. */
export interface FoundPeer {
  /** What it calls itself. */
  readonly name: string;
  /** Whether a process of it that serves something is connected to the registry now. */
  readonly online: boolean;
  /** When any process of it last was connected, Unix time in milliseconds. */
  readonly lastSeen: number;
  /** Its records, as it signed them; those asked for, expired ones included. */
  readonly records: readonly SignedEndpointRecord[];
}

/** A peer in a listing. */
export interface ListedPeer {
  /** Who. */
  readonly peer: PeerId;
  /** What it calls itself. */
  readonly name: string;
  /** Whether a process of it that serves something is connected to the registry now. */
  readonly online: boolean;
  /** When any process of it last was connected, Unix time in milliseconds. */
  readonly lastSeen: number;
  /** Its services whose records have not expired. */
  readonly services: readonly string[];
}

/** A page of a listing, in the order of Peer IDs. */
export interface PeerPage {
  /** The peers on it. */
  readonly peers: readonly ListedPeer[];
  /** What to ask for next, unless this is the last page. */
  readonly next?: PeerId;
}

const MAX_ADDRESS_BYTES = 64;
const MAX_REASON_BYTES = 1024;
const MAX_CODE_BYTES = 64;

/** Returns the body of a request. */
export function encodeRequest(id: number, request: RegistryRequest): Bytes {
  const { op, ...fields } = request;
  return encode({ id, op, ...fields });
}

/** Reads the body of a request. Throws WireError; `requestIdOf` may still tell whom to answer. */
export function decodeRequest(
  body: Bytes,
): { readonly id: number; readonly request: RegistryRequest } {
  const fields = new Fields(decode(body), "REQUEST");
  return { id: fields.uint("id"), request: requestOf(fields) };
}

/** Returns the id of a request that may be malformed otherwise, or null. */
export function requestIdOf(body: Bytes): number | null {
  try {
    return new Fields(decode(body), "REQUEST").uint("id");
  } catch (error) {
    if (error instanceof WireError) return null;
    throw error;
  }
}

function requestOf(fields: Fields): RegistryRequest {
  const op = fields.str("op", { max: 32 });
  switch (op) {
    case "hello": {
      const token = fields.optional(
        "token",
        (name) => fields.str(name, { max: MAX_JOIN_TOKEN_BYTES }),
      );
      const instance = fields.bin("instance", INSTANCE_BYTES);
      return { op, instance, ...(token === undefined ? {} : { token }) };
    }
    case "register":
      return {
        op,
        name: fields.str("name", { min: 1, max: MAX_NAME_BYTES }),
        unlisted: fields.bool("unlisted"),
      };
    case "publish":
      return { op, ...signedRecordOf(fields) };
    case "lookup":
      return { op, peer: peerOf(fields, "peer"), ...optionalService(fields) };
    case "list": {
      const after = fields.optional("after", (name) => peerOf(fields, name));
      const limit = fields.uint("limit", { min: 1, max: MAX_LIST_PAGE });
      return { op, limit, ...(after === undefined ? {} : { after }) };
    }
    case "circuit":
      return { op, peer: peerOf(fields, "peer"), ...optionalService(fields) };
    case "decline":
      return {
        op,
        token: fields.bin("token", CIRCUIT_TOKEN_BYTES),
        reason: fields.oneOf("reason", DECLINE_REASONS),
      };
    default:
      throw new WireError(
        "field_invalid",
        `Cannot read REQUEST.op: "${printable(op)}" is unknown`,
        {
          path: "REQUEST.op",
        },
      );
  }
}

function optionalService(fields: Fields): { readonly service?: string } {
  const service = fields.optional(
    "service",
    (name) => fields.str(name, { max: MAX_SERVICE_BYTES }),
  );
  return service === undefined ? {} : { service };
}

/** Returns the body of the response to request `id`. */
export function encodeResponse(id: number, result: Readonly<Record<string, MsgPackInput>>): Bytes {
  return encode({ id, ...result });
}

/** Returns the body of a refusal of request `id`. */
export function encodeRefusal(id: number, { code, reason, seq }: RegistryRefusal): Bytes {
  const error = { code, reason: printable(reason, MAX_REASON_BYTES / 4) };
  return encode({ id, error: seq === undefined ? error : { ...error, seq } });
}

/** A response, not yet read further than whom it answers. */
export interface RawResponse {
  /** The id of the request. */
  readonly id: number;
  /** The refusal, if it is one. */
  readonly refused?: RegistryRefusal;
  /** The fields of the result otherwise. */
  readonly fields: Fields;
}

/** Reads the body of a response. Throws WireError. */
export function decodeResponse(body: Bytes): RawResponse {
  const fields = new Fields(decode(body), "RESPONSE");
  const id = fields.uint("id");
  const error = fields.optional("error", (name) => fields.map(name));
  if (error === undefined) return { id, fields };
  const seq = error.optional("seq", (name) => error.uint(name));
  const refused = {
    code: errorCodeOf(error.str("code", { max: MAX_CODE_BYTES })),
    reason: printable(error.str("reason", { max: MAX_REASON_BYTES })),
    ...(seq === undefined ? {} : { seq }),
  };
  return { id, fields, refused };
}

/** A newer registry may know more errors; its reason says what it means, for people. */
function errorCodeOf(text: string): RegistryErrorCode {
  return REGISTRY_ERRORS.find((known) => known === text) ?? "internal";
}

/** Reads the response to HELLO. */
export function helloResponseOf(fields: Fields): HelloResponse {
  return {
    observed: printable(fields.str("observed", { max: MAX_ADDRESS_BYTES })),
    time: fields.uint("time", { max: MAX_TIME_MS }),
  };
}

/** Returns the fields of the response to LOOKUP; null where the peer is not registered. */
export function foundPeerFields(found: FoundPeer | null): Readonly<Record<string, MsgPackInput>> {
  if (found === null) return { found: null };
  const { name, online, lastSeen, records } = found;
  return {
    found: {
      name,
      online,
      last_seen: lastSeen,
      records: records.map(({ record, signature }) => ({ record, signature })),
    },
  };
}

/** Reads the response to LOOKUP; null where the peer is not registered. */
export function foundPeerOf(fields: Fields): FoundPeer | null {
  if (fields.value("found") === null) return null;
  const found = fields.map("found");
  return {
    name: nameOf(found),
    online: found.bool("online"),
    lastSeen: found.uint("last_seen", { max: MAX_TIME_MS }),
    records: found.maps("records", { maxItems: MAX_SERVICES_PER_PEER }).map(signedRecordOf),
  };
}

/** Returns the fields of the response to LIST. */
export function peerPageFields({ peers, next }: PeerPage): Readonly<Record<string, MsgPackInput>> {
  const listed = peers.map(({ peer, name, online, lastSeen, services }) => ({
    peer,
    name,
    online,
    last_seen: lastSeen,
    services,
  }));
  return next === undefined ? { peers: listed } : { peers: listed, next };
}

/** Reads the response to LIST. Throws WireError, also where `next` is not the last peer of the page. */
export function peerPageOf(fields: Fields): PeerPage {
  const peers = fields.maps("peers", { maxItems: MAX_LIST_PAGE }).map((listed) => ({
    peer: peerOf(listed, "peer"),
    name: nameOf(listed),
    online: listed.bool("online"),
    lastSeen: listed.uint("last_seen", { max: MAX_TIME_MS }),
    services: listed.strings("services", {
      maxItems: MAX_SERVICES_PER_PEER,
      maxLength: MAX_SERVICE_BYTES,
    }).map((service) => printable(service)),
  }));
  const next = fields.optional("next", (name) => peerOf(fields, name));
  if (next !== undefined && next !== peers.at(-1)?.peer) {
    const path = `${fields.path}.next`;
    throw new WireError("field_invalid", `Cannot read ${path}: it is not the last of the page`, {
      path,
    });
  }
  return next === undefined ? { peers } : { peers, next };
}

/** Reads what a peer calls itself: text of a stranger, so it loses its control characters. */
function nameOf(fields: Fields): string {
  return printable(fields.str("name", { max: MAX_NAME_BYTES }));
}
