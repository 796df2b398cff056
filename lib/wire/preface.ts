/**
 * The preface: the first eight bytes of every TCP connection, in the clear.
 *
 *     0        5         6      7      8
 *     "TALOS"  version   kind   0
 *
 * It tells Talos from anything else that may reach the port and names the protocol version, so that
 * the bytes behind it can change. It is part of the handshake's prologue: whoever alters it breaks
 * the handshake. An unknown version is answered with "TALOS", lowest and highest version, 0.
 */

import { type Bytes, utf8 } from "../bytes.ts";
import { WireError } from "./errors.ts";

/** The size of a preface and of the answer to an unknown version. */
export const PREFACE_BYTES = 8;

/** The protocol version that this code speaks. */
export const PROTOCOL_VERSION = 1;

/** A range of protocol versions, both ends included. */
export interface VersionRange {
  /** The lowest. */
  readonly min: number;
  /** The highest. */
  readonly max: number;
}

/** The versions that this code speaks. */
export const SUPPORTED_VERSIONS: VersionRange = { min: 1, max: 1 };

/** What a connection is for. The numbers are on the wire and never reused. */
export const ConnectionKind = {
  /** A handshake between two peers. */
  peer: 0,
  /** A handshake with a registry. */
  registry: 1,
  /** A question for a registry's public key, answered in the clear. */
  whoAreYou: 2,
  /** One leg of a relay circuit. */
  circuit: 3,
} as const;

/** One of the {@link ConnectionKind} numbers. */
export type ConnectionKind = typeof ConnectionKind[keyof typeof ConnectionKind];

/** What a decoded preface says. */
export type Preface =
  | { readonly version: typeof PROTOCOL_VERSION; readonly kind: ConnectionKind }
  | { readonly version: "unsupported"; readonly announced: number };

const MAGIC = utf8("TALOS");
const KINDS: ReadonlySet<number> = new Set(Object.values(ConnectionKind));

/** Returns the eight bytes that open a connection of `kind`. */
export function encodePreface(kind: ConnectionKind): Bytes {
  const bytes = new Uint8Array(PREFACE_BYTES);
  bytes.set(MAGIC);
  bytes[5] = PROTOCOL_VERSION;
  bytes[6] = kind;
  return bytes;
}

/**
 * Reads a preface of exactly {@link PREFACE_BYTES}. An unknown version is a result, because it is
 * answered; everything else that is wrong throws WireError, because it is not.
 */
export function decodePreface(bytes: Uint8Array): Preface {
  checkMagic(bytes);
  const version = bytes[5]!;
  if (version !== PROTOCOL_VERSION) return { version: "unsupported", announced: version };
  const kind = bytes[6]!;
  if (!KINDS.has(kind)) {
    throw new WireError("preface_invalid", `Cannot read preface: kind ${kind} is unknown`);
  }
  if (bytes[7] !== 0) {
    throw new WireError("preface_invalid", `Cannot read preface: last byte is ${bytes[7]}, not 0`);
  }
  return { version, kind: kind as ConnectionKind };
}

/** Returns the answer to a preface of an unknown version. */
export function encodeVersionAnswer(): Bytes {
  const bytes = new Uint8Array(PREFACE_BYTES);
  bytes.set(MAGIC);
  bytes[5] = SUPPORTED_VERSIONS.min;
  bytes[6] = SUPPORTED_VERSIONS.max;
  return bytes;
}

/**
 * Tells whether what a responder sent first is the answer to an unknown version rather than a
 * handshake message, and returns the versions it speaks. Null otherwise: no handshake message begins
 * with "TA", which as a length (21,569) is beyond the limit.
 */
export function decodeVersionAnswer(bytes: Uint8Array): VersionRange | null {
  if (bytes.length !== PREFACE_BYTES || !beginsWithMagic(bytes)) return null;
  const [min, max, zero] = bytes.subarray(MAGIC.length);
  return min! >= 1 && min! <= max! && zero === 0 ? { min: min!, max: max! } : null;
}

function beginsWithMagic(bytes: Uint8Array): boolean {
  return MAGIC.every((byte, at) => bytes[at] === byte);
}

function checkMagic(bytes: Uint8Array): void {
  if (bytes.length !== PREFACE_BYTES) {
    throw new WireError(
      "preface_invalid",
      `Cannot read preface: length is ${bytes.length}, expected ${PREFACE_BYTES}`,
    );
  }
  if (!beginsWithMagic(bytes)) {
    throw new WireError("preface_invalid", 'Cannot read preface: it does not begin with "TALOS"');
  }
}
