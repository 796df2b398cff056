/**
 * Frames: what a record carries, one frame each, or several in a BUNDLE. This file owns every frame number and its layout.
 *
 *     OPEN    01 ‖ MsgPack {id, service, max_message, salt, attempt?}     initiator, first record
 *     OPENED  02 ‖ MsgPack {instance, service, max_message, detach_timeout, next}
 *     REFUSED 03 ‖ MsgPack {code, reason}
 *     RESUME  04 ‖ MsgPack {id, instance, attempt, next}                  initiator, first record
 *     RESUMED 05 ‖ MsgPack {next}
 *     CLOSE   08 ‖ MsgPack {code, reason}
 *     DATA    10 ‖ u8 flags ‖ u64 seq ‖ u64 ack ‖ u32 credit ‖ bytes
 *     ACK     11 ‖ u64 ack ‖ u32 credit
 *     PING    12 ‖ u32 token
 *     PONG    13 ‖ u32 token
 *     BUNDLE  1e ‖ (u16 length ‖ frame)…                        several short frames in one record
 *     REKEY   1f
 *
 * 0x20–0x2f belong to the registry. No number is retired so far; a retired one stays listed.
 * Integers are big-endian; a u64 beyond 2^53 − 1 is refused, so that all are exact JavaScript numbers.
 */

import { type Bytes, EMPTY } from "../bytes.ts";
import { MAX_CONTROL_BODY_BYTES, MAX_RECORD_BYTES } from "../limits.ts";
import { WireError } from "./errors.ts";

/** The first byte of a frame. */
export const FrameType = {
  open: 0x01,
  opened: 0x02,
  refused: 0x03,
  resume: 0x04,
  resumed: 0x05,
  close: 0x08,
  data: 0x10,
  ack: 0x11,
  ping: 0x12,
  pong: 0x13,
  bundle: 0x1e,
  rekey: 0x1f,
} as const;

/** The frames whose body is MsgPack. */
export type ControlFrameName = "open" | "opened" | "refused" | "resume" | "resumed" | "close";

/** DATA flag: more fragments of this message follow. */
export const DATA_FLAG_MORE = 0x01;

/** The size of what stands in front of each frame in a BUNDLE: its length. */
export const BUNDLE_HEADER_BYTES = 2;

/** The length in front of a record: u16, big-endian. */
export const RECORD_LENGTH_BYTES = 2;

/** What a record adds to its frame: the authentication tag. */
export const RECORD_TAG_BYTES = 16;

/** The size of what names one run of a process, wherever that goes over the wire: random bytes. */
export const INSTANCE_BYTES = 16;

/** The longest frame: what fits in a record. */
export const MAX_FRAME_BYTES = MAX_RECORD_BYTES - RECORD_TAG_BYTES;

/** The size of a DATA frame in front of its bytes. */
export const DATA_HEADER_BYTES = 22;

/** The most message bytes in one DATA frame. */
export const MAX_FRAGMENT_BYTES = MAX_FRAME_BYTES - DATA_HEADER_BYTES;

/** A decoded frame. `bytes` and `body` are views into the frame that was decoded. */
export type Frame =
  | {
    readonly type: "data";
    readonly more: boolean;
    readonly seq: number;
    readonly ack: number;
    readonly credit: number;
    readonly bytes: Bytes;
  }
  | { readonly type: "ack"; readonly ack: number; readonly credit: number }
  | { readonly type: "ping" | "pong"; readonly token: number }
  | { readonly type: "rekey" }
  | { readonly type: ControlFrameName; readonly body: Bytes };

const CONTROL_TYPES: ReadonlyMap<number, ControlFrameName> = new Map(
  (["open", "opened", "refused", "resume", "resumed", "close"] as const)
    .map((name) => [FrameType[name], name]),
);
const ACK_FRAME_BYTES = 13;
const PING_FRAME_BYTES = 5;
const TWO_32 = 2 ** 32;

/**
 * Returns the header of a DATA frame; the message bytes follow it in the same record. It is written into
 * `header`, of {@link DATA_HEADER_BYTES} bytes, a new one by default.
 */
export function encodeDataHeader(
  more: boolean,
  seq: number,
  ack: number,
  credit: number,
  header: Bytes = new Uint8Array(DATA_HEADER_BYTES),
): Bytes {
  header[0] = FrameType.data;
  header[1] = more ? DATA_FLAG_MORE : 0;
  writeU64(header, 2, seq);
  writeU64(header, 10, ack);
  writeU32(header, 18, credit);
  return header;
}

/** Returns an ACK frame. */
export function encodeAck(ack: number, credit: number): Bytes {
  const frame = new Uint8Array(ACK_FRAME_BYTES);
  frame[0] = FrameType.ack;
  writeU64(frame, 1, ack);
  writeU32(frame, 9, credit);
  return frame;
}

/** Returns a PING or PONG frame with a 32-bit token. */
export function encodePing(type: "ping" | "pong", token: number): Bytes {
  const frame = new Uint8Array(PING_FRAME_BYTES);
  frame[0] = FrameType[type];
  writeU32(frame, 1, token);
  return frame;
}

/** Returns the one-byte REKEY frame. */
export function encodeRekey(): Bytes {
  return new Uint8Array([FrameType.rekey]);
}

/** Returns a control frame with a MsgPack body of at most {@link MAX_CONTROL_BODY_BYTES}. */
export function encodeControl(name: ControlFrameName, body: Bytes): Bytes {
  if (body.length > MAX_CONTROL_BODY_BYTES) {
    throw new WireError(
      "frame_too_long",
      `Cannot encode ${name} frame: body is ${body.length} bytes, limit is ${MAX_CONTROL_BODY_BYTES}`,
    );
  }
  const frame = new Uint8Array(1 + body.length);
  frame[0] = FrameType[name];
  frame.set(body, 1);
  return frame;
}

/**
 * Reads the frames of BUNDLEs, one after the other: no list is made of them. A frame is a copy, so that
 * one that is kept does not keep all the others.
 */
export class BundleReader {
  #bundle: Bytes = EMPTY;
  #at = 0;

  /** Whether bytes are left to read. */
  get hasMore(): boolean {
    return this.#at < this.#bundle.length;
  }

  /**
   * Begins to read `bundle`, a BUNDLE frame, and returns its first frame. Throws as {@link next} does, and
   * WireError for a BUNDLE without frames: nothing may come that says nothing.
   */
  open(bundle: Bytes): Bytes {
    this.#bundle = bundle;
    this.#at = 1;
    const first = this.next();
    if (first === null) throw new WireError("frame_invalid", "Cannot decode BUNDLE frame: empty");
    return first;
  }

  /**
   * Returns the next frame, or null when there is none. Throws WireError where a length does not fit, for
   * an empty frame, and for a BUNDLE or REKEY in a BUNDLE.
   */
  next(): Bytes | null {
    if (!this.hasMore) return null;
    const start = this.#at + BUNDLE_HEADER_BYTES;
    const length = (this.#bundle[this.#at]! << 8) | this.#bundle[this.#at + 1]!;
    const type = this.#bundle[start];
    this.#at = start + length;
    const inside = length > 0 && this.#at <= this.#bundle.length;
    if (!inside || type === FrameType.bundle || type === FrameType.rekey) {
      this.#bundle = EMPTY;
      throw new WireError("frame_invalid", "Cannot decode BUNDLE frame: a frame in it is none");
    }
    const frame = this.#bundle.slice(start, this.#at);
    if (!this.hasMore) this.#bundle = EMPTY;
    return frame;
  }
}

/** Reads one frame. Throws WireError for an unknown type, a wrong length or an inexact integer. */
export function decodeFrame(frame: Bytes): Frame {
  const type = frame[0];
  switch (type) {
    case FrameType.data:
      return decodeData(frame);
    case FrameType.ack:
      expectLength(frame, "ACK", ACK_FRAME_BYTES);
      return { type: "ack", ack: readU64(frame, 1), credit: readU32(frame, 9) };
    case FrameType.ping:
    case FrameType.pong:
      expectLength(frame, "PING", PING_FRAME_BYTES);
      return { type: type === FrameType.ping ? "ping" : "pong", token: readU32(frame, 1) };
    case FrameType.rekey:
      expectLength(frame, "REKEY", 1);
      return { type: "rekey" };
    case undefined:
      throw new WireError("frame_invalid", "Cannot decode frame: it is empty");
    default:
      return decodeControl(frame, type);
  }
}

function decodeData(frame: Bytes): Frame {
  if (frame.length < DATA_HEADER_BYTES) {
    throw new WireError(
      "frame_invalid",
      `Cannot decode DATA frame: length is ${frame.length}, at least ${DATA_HEADER_BYTES} expected`,
    );
  }
  const flags = frame[1]!;
  if ((flags & ~DATA_FLAG_MORE) !== 0) {
    throw new WireError("frame_invalid", `Cannot decode DATA frame: flags are ${flags}`);
  }
  return {
    type: "data",
    more: flags === DATA_FLAG_MORE,
    seq: readU64(frame, 2),
    ack: readU64(frame, 10),
    credit: readU32(frame, 18),
    bytes: frame.subarray(DATA_HEADER_BYTES),
  };
}

function decodeControl(frame: Bytes, type: number): Frame {
  const name = CONTROL_TYPES.get(type);
  if (name === undefined) {
    throw new WireError("frame_invalid", `Cannot decode frame: type ${type} is unknown`);
  }
  const body = frame.subarray(1);
  if (body.length > MAX_CONTROL_BODY_BYTES) {
    throw new WireError(
      "frame_too_long",
      `Cannot decode ${name} frame: body is ${body.length} bytes, limit is ${MAX_CONTROL_BODY_BYTES}`,
    );
  }
  return { type: name, body };
}

function expectLength(frame: Bytes, name: string, length: number): void {
  if (frame.length !== length) {
    throw new WireError(
      "frame_invalid",
      `Cannot decode ${name} frame: length is ${frame.length}, expected ${length}`,
    );
  }
}

function writeU32(into: Bytes, at: number, value: number): void {
  into[at] = value >>> 24;
  into[at + 1] = value >>> 16;
  into[at + 2] = value >>> 8;
  into[at + 3] = value;
}

function writeU64(into: Bytes, at: number, value: number): void {
  writeU32(into, at, Math.floor(value / TWO_32));
  writeU32(into, at + 4, value % TWO_32);
}

function readU32(from: Bytes, at: number): number {
  return ((from[at]! << 24) | (from[at + 1]! << 16) | (from[at + 2]! << 8) | from[at + 3]!) >>> 0;
}

function readU64(from: Bytes, at: number): number {
  const value = readU32(from, at) * TWO_32 + readU32(from, at + 4);
  if (!Number.isSafeInteger(value)) {
    throw new WireError("frame_invalid", "Cannot decode frame: a number is beyond 2^53 - 1");
  }
  return value;
}
