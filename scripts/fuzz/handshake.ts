/** Fuzzes both ends of the handshake: what comes before a peer is known, from the first byte on. */

import { type Bytes, concat, equalBytes } from "../../lib/bytes.ts";
import type { Clock } from "../../lib/clock.ts";
import { SessionError } from "../../lib/session/errors.ts";
import { initiate, respond } from "../../lib/session/handshake.ts";
import { memoryPair } from "../../lib/transport/memory.ts";
import {
  ConnectionKind,
  decodeVersionAnswer,
  encodeVersionAnswer,
} from "../../lib/wire/preface.ts";
import { FaultyTransport, ScriptedTransport } from "../../tests/transport/faulty.ts";
import { check, type FuzzTarget } from "../fuzzing.ts";
import { seededIdentity } from "../seeded_identity.ts";
import { SeededRandom } from "../seeded_random.ts";

const INITIATOR = seededIdentity("initiator");
const RESPONDER = seededIdentity("responder");

/** Time stands still: no handshake takes too long. */
const clock: Clock = {
  now: () => 1_750_000_000_000,
  monotonic: () => 0,
  after: () => ({ [Symbol.dispose]() {} }),
};

/** Both ends always draw the same randomness, so both messages are always the same. */
const asInitiator = () => ({
  identity: INITIATOR,
  peer: RESPONDER.peerId,
  random: new SeededRandom("initiator").bytes,
  kind: ConnectionKind.peer,
  clock,
});
const asResponder = () => ({
  identity: RESPONDER,
  random: new SeededRandom("responder").bytes,
  kind: ConnectionKind.peer,
  clock,
});

const [MESSAGE_1, MESSAGE_2] = await recorded();

/** The handshake: either end accepts the one message that was sent, and a stranger is told nothing. */
export const handshake: FuzzTarget = {
  name: "handshake",
  errors: [SessionError],
  corpus: () => [
    MESSAGE_1,
    MESSAGE_2,
    concat(MESSAGE_1, new Uint8Array(100)),
    concat(MESSAGE_2, new Uint8Array(100)),
  ],
  async run(input) {
    if (await isAnswered(input)) {
      check("message 1 was altered and is accepted", beginsWith(input, MESSAGE_1));
      return;
    }
    const connection = await initiate(new ScriptedTransport(input), asInitiator());
    connection.channel.close();
    check("message 2 was altered and is accepted", beginsWith(input, MESSAGE_2));
  },
};

/** Gives `input` to a responder and returns whether it accepts. */
async function isAnswered(input: Bytes): Promise<boolean> {
  const transport = new ScriptedTransport(input);
  try {
    const connection = await respond(transport, asResponder());
    connection.channel.close();
    return true;
  } catch (error) {
    if (!(error instanceof SessionError)) throw error;
    const silent = transport.written.length === 0;
    const answer = equalBytes(transport.written, encodeVersionAnswer());
    const talos =
      decodeVersionAnswer(concat(input.subarray(0, 5), Uint8Array.of(1, 1, 0))) !== null;
    check("a stranger is told something", silent || (answer && talos && input[5] !== 1));
    check("a refused connection is left open", transport.closed);
    return false;
  }
}

function beginsWith(bytes: Bytes, start: Bytes): boolean {
  return equalBytes(bytes.subarray(0, start.length), start);
}

async function recorded(): Promise<readonly [Bytes, Bytes]> {
  const [a, b] = memoryPair();
  const [near, far] = [new FaultyTransport(a), new FaultyTransport(b)];
  await Promise.all([initiate(near, asInitiator()), respond(far, asResponder())]);
  return [near.written, far.written];
}
