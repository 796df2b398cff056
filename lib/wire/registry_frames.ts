/**
 * The frames of a control connection to a registry, numbers 0x20 to 0x2f:
 *
 *     REQUEST  20 ‖ MsgPack {id, op, …}      client; answered by a RESPONSE with the same id
 *     RESPONSE 21 ‖ MsgPack {id, …} or {id, error: {code, reason, …}}
 *     EVENT    22 ‖ MsgPack {event, …}       registry, unasked
 *
 * PING, PONG and CLOSE are those of frames.ts. No other frame may appear on a control connection.
 */

import type { Bytes } from "../bytes.ts";
import { MAX_REGISTRY_BODY_BYTES } from "../limits.ts";
import { WireError } from "./errors.ts";
import { decodeFrame, type Frame } from "./frames.ts";

/** The first byte of a frame on a control connection. */
export const RegistryFrameType = { request: 0x20, response: 0x21, event: 0x22 } as const;

/** The frames whose body is a registry message. */
export type RegistryFrameName = keyof typeof RegistryFrameType;

/** A decoded frame. `body` is a view into the frame that was decoded. */
export type RegistryFrame =
  | { readonly type: RegistryFrameName; readonly body: Bytes }
  | Extract<Frame, { readonly type: "ping" | "pong" }>
  | (Frame & { readonly type: "close" });

const NAMES: ReadonlyMap<number, RegistryFrameName> = new Map(
  (["request", "response", "event"] as const).map((name) => [RegistryFrameType[name], name]),
);

/** Returns a frame with a MsgPack body of at most {@link MAX_REGISTRY_BODY_BYTES}. Throws WireError. */
export function encodeRegistryFrame(name: RegistryFrameName, body: Bytes): Bytes {
  requireFits(name, body);
  const frame = new Uint8Array(1 + body.length);
  frame[0] = RegistryFrameType[name];
  frame.set(body, 1);
  return frame;
}

/** Reads one frame of a control connection. Throws WireError. */
export function decodeRegistryFrame(frame: Bytes): RegistryFrame {
  const name = NAMES.get(frame[0] ?? -1);
  if (name !== undefined) {
    const body = frame.subarray(1);
    requireFits(name, body);
    return { type: name, body };
  }
  const other = decodeFrame(frame);
  switch (other.type) {
    case "ping":
    case "pong":
    case "close":
      return other as RegistryFrame;
    default:
      throw new WireError(
        "frame_invalid",
        `Cannot take ${other.type} frame: it has no place on a control connection`,
      );
  }
}

function requireFits(name: RegistryFrameName, body: Bytes): void {
  if (body.length <= MAX_REGISTRY_BODY_BYTES) return;
  throw new WireError(
    "frame_too_long",
    `Cannot use ${name} frame: body is ${body.length} bytes, limit is ${MAX_REGISTRY_BODY_BYTES}`,
  );
}
