/** Fuzzes the record channel: a stream of sealed frames, altered on its way. */

import { type Bytes, concat, EMPTY, equalBytes, utf8 } from "../../lib/bytes.ts";
import { CipherState } from "../../lib/noise/cipher_state.ts";
import { CIPHER_KEY_BYTES, TALOS_SUITE } from "../../lib/noise/suite.ts";
import { SessionError } from "../../lib/session/errors.ts";
import { type ChannelKeys, RecordChannel } from "../../lib/session/record_channel.ts";
import { encodeAck, encodeDataHeader, encodePing } from "../../lib/wire/frames.ts";
import { ScriptedTransport } from "../../tests/transport/faulty.ts";
import { check, type FuzzTarget } from "../fuzzing.ts";

/** Few, so that the stream has REKEY in it. */
const RECORDS_PER_KEY = 3;

const FRAMES: readonly Bytes[] = [
  encodePing("ping", 1),
  concat(encodeDataHeader(false, 0, 0, 65_536), utf8('{"jsonrpc":"2.0"}')),
  encodeAck(1, 65_536),
  concat(encodeDataHeader(true, 1, 0, 65_536), new Uint8Array(300)),
  encodePing("pong", 1),
  encodeAck(2, 65_536),
  encodeAck(3, 65_536),
];

/** The record channel: what it hands out is a beginning of what was sent, in order and unaltered. */
export const records: FuzzTarget = {
  name: "records",
  errors: [SessionError],
  async corpus() {
    return [
      await stream(FRAMES, "one by one"),
      await stream(FRAMES, "together"),
      await stream(FRAMES.slice(0, 1), "together"),
      await stream([], "together"),
    ];
  },
  async run(input) {
    const transport = new ScriptedTransport(input);
    using channel = new RecordChannel(transport, keys(), { recordsPerKey: RECORDS_PER_KEY });
    let received = 0;
    do {
      for (let frame = channel.nextFrame(); frame !== null; frame = channel.nextFrame()) {
        const sent = FRAMES[received++];
        check("a frame that was not sent", sent !== undefined && equalBytes(frame, sent));
      }
    } while (await channel.fill());
  },
};

/** Returns what a channel writes for `frames`, a record for each or as few as it can. */
async function stream(
  frames: readonly Bytes[],
  how: "one by one" | "together",
): Promise<Bytes> {
  const transport = new ScriptedTransport(EMPTY);
  using channel = new RecordChannel(transport, keys(), { recordsPerKey: RECORDS_PER_KEY });
  for (const frame of frames) {
    channel.enqueue(frame);
    if (how === "one by one") await channel.flush();
  }
  await channel.flush();
  return transport.written;
}

/** Both directions have one key here: what was sent comes back. */
function keys(): ChannelKeys {
  const key = new Uint8Array(CIPHER_KEY_BYTES).fill(3);
  const state = () => new CipherState(TALOS_SUITE.cipher, key);
  return { send: state(), receive: state() };
}
