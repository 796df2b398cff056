/**
 * Endpoint records: where a peer's service can be reached, signed by the peer.
 *
 * A record travels as its exact bytes and their signature; it is verified before it is decoded, and
 * never encoded again. A registry keeps and hands out records, and can neither make nor change one. Of
 * two records of a peer's service the one with the greater `seq` counts; what time it is never causes a
 * refusal, it only says when a record is no longer worth trying. A `seq` more than a year ahead of the
 * record's own time is refused by whoever reads it: nobody could publish a newer one.
 */

import type { Bytes } from "../bytes.ts";
import { ED25519_SIGNATURE_BYTES, verify } from "../crypto/ed25519.ts";
import { TalosError } from "../errors.ts";
import { formatHostPort, type HostPort, parseHostPort } from "../identity/host_port.ts";
import { isIpLiteral, scopeOf } from "../identity/ip_address.ts";
import type { LocalIdentity } from "../identity/local_identity.ts";
import { parseServiceName, type ServiceName } from "../identity/names.ts";
import { parsePeerId, type PeerId, publicKeyOf } from "../identity/peer_id.ts";
import {
  MAX_ENDPOINT_ADDRESSES,
  MAX_ENDPOINT_RECORD_BYTES,
  MAX_ENDPOINT_TTL_S,
  MAX_NAME_BYTES,
  MAX_PEER_ID_BYTES,
  MAX_SEQ_AHEAD_MS,
  MAX_SERVICE_BYTES,
  MAX_TIME_MS,
} from "../limits.ts";
import { printable } from "../log.ts";
import { WireError } from "./errors.ts";
import { Fields } from "./fields.ts";
import { INSTANCE_BYTES } from "./frames.ts";
import { Label } from "./labels.ts";
import { decode, encode } from "./msgpack.ts";

/** What a record says. */
export interface EndpointRecord {
  /** Whose service it is; also who signed. */
  readonly peer: PeerId;
  /** The service. */
  readonly service: ServiceName;
  /** What the peer calls itself. Others may call themselves the same. */
  readonly name: string;
  /** The process that serves: {@link INSTANCE_BYTES} random bytes. */
  readonly instance: Bytes;
  /** Where it listens, as IP literals, best first. Empty when it can only be reached by relay. */
  readonly addresses: readonly HostPort[];
  /** The registries that relay to it, `HOST:PORT`. */
  readonly relays: readonly string[];
  /** The protocol versions it speaks. */
  readonly min: number;
  /** The protocol versions it speaks. */
  readonly max: number;
  /**
   * Greater than that of every earlier record of this service: milliseconds, or one more than the last.
   * At most a year ahead of {@link issuedAt}.
   */
  readonly seq: number;
  /** When it was made, Unix time in milliseconds. */
  readonly issuedAt: number;
  /** For how many seconds it is worth trying; 0 withdraws the service. */
  readonly ttlSeconds: number;
}

/** A record as it travels. */
export interface SignedEndpointRecord {
  /** The record's exact bytes. */
  readonly record: Bytes;
  /** The 64-byte signature of its peer over them. */
  readonly signature: Bytes;
}

const MAX_RELAYS = 4;
const MAX_RELAY_BYTES = 256;
const MAX_ADDRESS_BYTES = 64;

/** Returns `record` signed by its peer. Throws TypeError when `identity` is another's. */
export function signEndpointRecord(
  identity: LocalIdentity,
  record: EndpointRecord,
): SignedEndpointRecord {
  if (record.peer !== identity.peerId) throw new TypeError("Cannot sign for another peer");
  const bytes = encode({
    peer: record.peer,
    service: record.service,
    name: record.name,
    instance: record.instance,
    addresses: record.addresses.map(formatHostPort),
    relays: [...record.relays],
    min: record.min,
    max: record.max,
    seq: record.seq,
    issued_at: record.issuedAt,
    ttl: record.ttlSeconds,
  });
  return { record: bytes, signature: identity.sign(Label.endpointRecord, bytes) };
}

/**
 * Verifies and reads a record that is said to be of `peer`. Throws WireError `record_invalid` when the
 * signature does not verify, the record is of somebody else or contradicts itself, and others for what
 * does not decode.
 */
export function openEndpointRecord(
  peer: PeerId,
  { record, signature }: SignedEndpointRecord,
): EndpointRecord {
  if (record.length > MAX_ENDPOINT_RECORD_BYTES) {
    throw invalid(`it has ${record.length} bytes, the limit is ${MAX_ENDPOINT_RECORD_BYTES}`);
  }
  if (!verify(Label.endpointRecord, publicKeyOf(peer), record, signature)) {
    throw invalid("its signature does not verify");
  }
  const fields = new Fields(decode(record), "ENDPOINT");
  const decoded: EndpointRecord = {
    peer: parsed("peer", () => parsePeerId(fields.str("peer", { max: MAX_PEER_ID_BYTES }))),
    service: parsed(
      "service",
      () => parseServiceName(fields.str("service", { max: MAX_SERVICE_BYTES })),
    ),
    name: printable(fields.str("name", { max: MAX_NAME_BYTES })),
    instance: fields.bin("instance", INSTANCE_BYTES),
    addresses: fields.strings("addresses", {
      maxItems: MAX_ENDPOINT_ADDRESSES,
      maxLength: MAX_ADDRESS_BYTES,
    }).map(parseAddress),
    relays: fields.strings("relays", { maxItems: MAX_RELAYS, maxLength: MAX_RELAY_BYTES }),
    min: fields.uint("min", { min: 1, max: 255 }),
    max: fields.uint("max", { min: 1, max: 255 }),
    seq: fields.uint("seq", { min: 1 }),
    issuedAt: fields.uint("issued_at", { max: MAX_TIME_MS }),
    ttlSeconds: fields.uint("ttl", { max: MAX_ENDPOINT_TTL_S }),
  };
  if (decoded.peer !== peer) throw invalid(`it is of ${decoded.peer}, not of ${peer}`);
  const { min, max, seq, issuedAt } = decoded;
  if (min > max) throw invalid(`its versions are ${min} to ${max}`);
  if (seq - issuedAt > MAX_SEQ_AHEAD_MS) {
    throw invalid(`its seq ${seq} is more than a year ahead of its time ${issuedAt}`);
  }
  return decoded;
}

/**
 * Returns whose record it says it is, or null where that cannot be read. Nothing is verified: it tells
 * what is wrong with a record that was refused, and serves nothing else.
 */
export function claimedPeerOf(record: Bytes): PeerId | null {
  if (record.length > MAX_ENDPOINT_RECORD_BYTES) return null;
  try {
    return parsePeerId(
      new Fields(decode(record), "ENDPOINT").str("peer", { max: MAX_PEER_ID_BYTES }),
    );
  } catch (error) {
    if (error instanceof TalosError) return null;
    throw error;
  }
}

/** Reads a signed record out of a message's fields. Throws WireError. */
export function signedRecordOf(fields: Fields): SignedEndpointRecord {
  return {
    record: fields.bin("record", { max: MAX_ENDPOINT_RECORD_BYTES }),
    signature: fields.bin("signature", ED25519_SIGNATURE_BYTES),
  };
}

function parseAddress(text: string): HostPort {
  const address = parsed("addresses", () => parseHostPort(text));
  if (!isIpLiteral(address.host)) throw invalid("an address is no IP literal");
  if (scopeOf(address.host) === "unusable") {
    throw invalid("an address is unspecified, multicast or reserved");
  }
  return address;
}

function parsed<T>(field: string, parse: () => T): T {
  try {
    return parse();
  } catch (cause) {
    if (cause instanceof WireError) throw cause;
    throw new WireError(
      "record_invalid",
      `Cannot read the endpoint record: its ${field} is invalid`,
      {
        cause,
      },
    );
  }
}

function invalid(state: string): WireError {
  return new WireError("record_invalid", `Cannot accept the endpoint record: ${state}`);
}
