/** Fuzzes the frames, without the bodies of control frames. */

import { type Bytes, concat, utf8 } from "../../lib/bytes.ts";
import { WireError } from "../../lib/wire/errors.ts";
import {
  decodeFrame,
  encodeAck,
  encodeControl,
  encodeDataHeader,
  encodePing,
  encodeRekey,
  type Frame,
} from "../../lib/wire/frames.ts";
import { accepted, checkSameBytes, type FuzzTarget } from "../fuzzing.ts";

/** The frames: an accepted one is the encoding of what it says. */
export const frames: FuzzTarget = {
  name: "frames",
  errors: [WireError],
  corpus: () => [
    concat(encodeDataHeader(true, 0, 0, 0), utf8("first")),
    concat(encodeDataHeader(false, 2 ** 53 - 1, 2 ** 32, 2 ** 32 - 1), utf8('{"jsonrpc":"2.0"}')),
    encodeDataHeader(false, 1, 1, 1),
    encodeAck(2 ** 40, 65_536),
    encodePing("ping", 1),
    encodePing("pong", 2 ** 32 - 1),
    encodeRekey(),
    ...(["open", "opened", "refused", "resume", "resumed", "close"] as const)
      .map((name) => encodeControl(name, Uint8Array.of(0x80))),
  ],
  run(input) {
    const frame = decodeFrame(input);
    checkSameBytes("decode, encode", accepted("encode", () => encoded(frame)), input);
  },
};

function encoded(frame: Frame): Bytes {
  switch (frame.type) {
    case "data":
      return concat(encodeDataHeader(frame.more, frame.seq, frame.ack, frame.credit), frame.bytes);
    case "ack":
      return encodeAck(frame.ack, frame.credit);
    case "ping":
    case "pong":
      return encodePing(frame.type, frame.token);
    case "rekey":
      return encodeRekey();
    default:
      return encodeControl(frame.type, frame.body);
  }
}
