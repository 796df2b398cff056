/**
 * One leg of a relay circuit, before its bytes are the peers' own:
 *
 *     leg   → node   preface of kind 3 (8 bytes) ‖ token (32 bytes)
 *     node  → leg    status (1 byte); 0: what follows comes from the other leg, unchanged
 *
 * and the event by which a registry invites the callee. A token is a secret of one leg: it joins once,
 * within 30 s, and says nothing about who comes. Who that is the two peers find out by themselves, in the
 * handshake that they do inside. A node is named as it stands in the registry's list of nodes, which only
 * an authenticated registry gives; never by an address of its own.
 */

import { type Bytes, concat } from "../bytes.ts";
import type { PeerId } from "../identity/peer_id.ts";
import { WireError } from "./errors.ts";
import { Fields } from "./fields.ts";
import { decode, encode } from "./msgpack.ts";
import { peerOf } from "./peer_field.ts";
import { ConnectionKind, encodePreface } from "./preface.ts";

/** The size of a leg's token. */
export const CIRCUIT_TOKEN_BYTES = 32;

/** The longest name of a node, in bytes. */
export const MAX_NODE_BYTES = 64;

/** The node that every registry has: itself, at the address where it was reached. */
export const REGISTRY_NODE = "registry";

/** What a node answers to a leg. The numbers are on the wire and never reused. */
export const CircuitStatus = {
  /** Both legs are here: what follows comes from the other one. */
  joined: 0,
  /** The token is none, was used before or has expired. */
  unknown: 1,
  /** The other leg did not come in time, or left. */
  away: 2,
  /** The callee does not take calls of this caller. */
  declined: 3,
  /** The callee takes no further calls now. */
  busy: 4,
  /** The node is being stopped. */
  draining: 5,
} as const;

/** The name of a {@link CircuitStatus}. */
export type CircuitStatusName = keyof typeof CircuitStatus;

const STATUS_NAMES: ReadonlyMap<number, CircuitStatusName> = new Map(
  (Object.keys(CircuitStatus) as CircuitStatusName[]).map((name) => [CircuitStatus[name], name]),
);

/** Returns the 40 bytes that open a leg. */
export function encodeLegOpening(token: Bytes): Bytes {
  if (token.length !== CIRCUIT_TOKEN_BYTES) {
    throw new RangeError(`Cannot open a leg: the token has ${token.length} bytes`);
  }
  return concat(encodePreface(ConnectionKind.circuit), token);
}

/** Returns the status that `byte` stands for, or null: a newer node may know more. */
export function circuitStatusOf(byte: number): CircuitStatusName | null {
  return STATUS_NAMES.get(byte) ?? null;
}

/** A leg of a circuit that may be joined. */
export interface CircuitLeg {
  /** What joins it: {@link CIRCUIT_TOKEN_BYTES}, once. */
  readonly token: Bytes;
  /** Where, by its name in the registry's list. */
  readonly node: string;
}

/** What a callee hears: somebody wants to talk to it. */
export interface Invitation extends CircuitLeg {
  /** Who, as the registry has authenticated it; the handshake inside proves it. */
  readonly caller: PeerId;
}

/** Returns the body of an `invite` event. */
export function encodeInvitation({ caller, token, node }: Invitation): Bytes {
  return encode({ event: "invite", caller, token, node });
}

/** Reads the body of an event; null for one that is no invitation: it is of a newer registry, or nonsense. */
export function decodeInvitation(body: Bytes): Invitation | null {
  try {
    const fields = new Fields(decode(body), "EVENT");
    if (fields.str("event", { max: 32 }) !== "invite") return null;
    return { caller: peerOf(fields, "caller"), ...circuitLegOf(fields) };
  } catch (error) {
    if (error instanceof WireError) return null;
    throw error;
  }
}

/** Reads the leg in the answer to `circuit`, or in an invitation. Throws WireError. */
export function circuitLegOf(fields: Fields): CircuitLeg {
  const node = fields.str("node", { min: 1, max: MAX_NODE_BYTES });
  return { token: fields.bin("token", CIRCUIT_TOKEN_BYTES), node };
}

/** Why a callee declines an invitation, as it says in `decline`. */
export const DECLINE_REASONS = ["declined", "busy"] as const;

/** One of {@link DECLINE_REASONS}. */
export type DeclineReason = typeof DECLINE_REASONS[number];
