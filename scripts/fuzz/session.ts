/** Fuzzes a session: an authenticated peer that sends any frames, in any order. */

import { type Bytes, concat, EMPTY, equalBytes, utf8 } from "../../lib/bytes.ts";
import type { Clock } from "../../lib/clock.ts";
import { CipherState } from "../../lib/noise/cipher_state.ts";
import { CIPHER_KEY_BYTES, TALOS_SUITE } from "../../lib/noise/suite.ts";
import { encodeReason } from "../../lib/session/bodies.ts";
import { SessionError } from "../../lib/session/errors.ts";
import { RecordChannel } from "../../lib/session/record_channel.ts";
import { Session } from "../../lib/session/session.ts";
import { memoryPair } from "../../lib/transport/memory.ts";
import type { Transport } from "../../lib/transport/transport.ts";
import {
  decodeFrame,
  encodeAck,
  encodeDataHeader,
  encodePing,
  type Frame,
  MAX_FRAME_BYTES,
} from "../../lib/wire/frames.ts";
import { WireError } from "../../lib/wire/errors.ts";
import { SUPPORTED_VERSIONS } from "../../lib/wire/preface.ts";
import { check, type FuzzTarget } from "../fuzzing.ts";
import { seededIdentity } from "../seeded_identity.ts";

const OPEN = {
  id: new Uint8Array(16),
  service: "mcp/default",
  maxMessage: 10_000,
  salt: new Uint8Array(16),
  attempt: 0,
};
const OPENED = {
  instance: new Uint8Array(16),
  service: "mcp/default",
  maxMessage: 10_000,
  detachTimeoutMs: 0,
};
const PEER = seededIdentity("peer").peerId;

/** Time stands still: nothing is ever late. */
const clock: Clock = {
  now: () => 0,
  monotonic: () => 0,
  after: () => ({ [Symbol.dispose]() {} }),
};

const CLOSE = encodeReason("close", { code: "done", reason: "" });

/** A session: it hands out the messages that were sent, up to the first frame that may not be there. */
export const session: FuzzTarget = {
  name: "session",
  errors: [SessionError],
  corpus: () => [
    stream([encodeAck(0, 100_000), data(1, utf8("one")), data(2, EMPTY), CLOSE]),
    stream([
      data(1, new Uint8Array(1024), true),
      data(2, new Uint8Array(2000), true),
      data(3, EMPTY),
    ]),
    stream([
      encodePing("ping", 1),
      encodeAck(1, 0),
      data(1, utf8("x"), false, 2),
      encodePing("pong", 1),
    ]),
    stream([...Array(8).keys()].map((i) => data(i + 1, new Uint8Array(100)))),
  ],
  async run(input) {
    const frames = framesIn(input);
    const expected = messagesOf(frames);
    const [a, b] = memoryPair();
    const [near, far] = [channel(a, 1, 2), channel(b, 2, 1)];
    const connection = {
      peer: PEER,
      channel: near,
      path: a.path,
      caps: [],
      versions: SUPPORTED_VERSIONS,
      skewMs: 0,
      handshakeHash: EMPTY,
    };
    const hosted = Session.accept(connection, OPEN, OPENED, clock);
    void hosted.send(utf8("first")).catch(() => {});
    void hosted.send(utf8("second")).catch(() => {});
    for (const frame of frames) far.enqueue(frame);
    const drained = far.drain(1_000_000);
    try {
      for (
        let message = await hosted.receive();
        message !== null;
        message = await hosted.receive()
      ) {
        const sent = expected.shift();
        check("a message that was not sent", sent !== undefined && equalBytes(message, sent));
      }
    } catch (error) {
      if (!(error instanceof SessionError) || error.code !== "connection_lost") throw error;
      // The stream ended without CLOSE, as most inputs do.
    } finally {
      hosted.abort(new SessionError("closed", "The input is over"));
      far.close();
      await drained;
    }
    check("a message that was sent is missing", expected.length === 0);
  },
};

function channel(transport: Transport, send: number, receive: number): RecordChannel {
  const state = (fill: number) =>
    new CipherState(TALOS_SUITE.cipher, new Uint8Array(CIPHER_KEY_BYTES).fill(fill));
  return new RecordChannel(transport, { send: state(send), receive: state(receive) });
}

function data(seq: number, bytes: Bytes, more = false, ack = 0): Bytes {
  return concat(encodeDataHeader(more, seq, ack, 100_000), bytes);
}

/** Returns frames as an input: each behind its length in two bytes. */
function stream(frames: readonly Bytes[]): Bytes {
  return concat(
    ...frames.flatMap((frame) => [Uint8Array.of(frame.length >>> 8, frame.length), frame]),
  );
}

/** Returns the frames of an input; a last one may be short, none is empty or too long for a record. */
function framesIn(input: Bytes): Bytes[] {
  const frames: Bytes[] = [];
  for (let at = 0; at + 2 < input.length;) {
    const length = Math.min((input[at]! << 8) | input[at + 1]!, MAX_FRAME_BYTES);
    at += 2;
    if (length > 0) frames.push(input.slice(at, at + length));
    at += length;
  }
  return frames.filter((frame) => frame.length > 0);
}

/** Returns the messages that the fragments make up, without any of the rules that a session has. */
function messagesOf(frames: readonly Bytes[]): Bytes[] {
  const messages: Bytes[] = [];
  let partial: Bytes = EMPTY;
  for (const bytes of frames) {
    const frame = frameOf(bytes);
    if (frame === null || frame.type === "close") break;
    if (frame.type !== "data") continue;
    partial = concat(partial, frame.bytes);
    if (frame.more) continue;
    messages.push(partial);
    partial = EMPTY;
  }
  return messages;
}

function frameOf(bytes: Bytes): Frame | null {
  try {
    return decodeFrame(bytes);
  } catch (error) {
    if (error instanceof WireError) return null;
    throw error;
  }
}
