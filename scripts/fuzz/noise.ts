/** Fuzzes both messages of the handshake: only the one that was sent is accepted, to the last bit. */

import { type Bytes, equalBytes, utf8 } from "../../lib/bytes.ts";
import { NoiseError } from "../../lib/noise/errors.ts";
import { HandshakeState } from "../../lib/noise/handshake_state.ts";
import { handshakePattern } from "../../lib/noise/patterns.ts";
import { TALOS_SUITE } from "../../lib/noise/suite.ts";
import { check, type FuzzTarget } from "../fuzzing.ts";
import { seededIdentity } from "../seeded_identity.ts";

const PATTERN = handshakePattern("IKhfs");
const PROLOGUE = utf8("fuzz");
const INITIATOR = seededIdentity("initiator").staticKey;
const RESPONDER = seededIdentity("responder").staticKey;
const INITIATOR_EPHEMERAL = seededIdentity("initiator's ephemeral").staticKey;
const RESPONDER_EPHEMERAL = seededIdentity("responder's ephemeral").staticKey;

const MESSAGE_1 = initiator().message;
const MESSAGE_2 = answerTo(MESSAGE_1);

/** The handshake core, given each input as message 1 and as message 2. */
export const noise: FuzzTarget = {
  name: "noise",
  errors: [NoiseError],
  corpus: () => [MESSAGE_1, MESSAGE_2],
  run(input) {
    if (isRead(responder(), input)) {
      check("message 1 was altered and is accepted", equalBytes(input, MESSAGE_1));
      return;
    }
    initiator().state.readMessage(input);
    check("message 2 was altered and is accepted", equalBytes(input, MESSAGE_2));
  },
};

function isRead(state: HandshakeState, message: Bytes): boolean {
  try {
    state.readMessage(message);
    return true;
  } catch (error) {
    if (error instanceof NoiseError) return false;
    throw error;
  }
}

function initiator(): { readonly state: HandshakeState; readonly message: Bytes } {
  const state = new HandshakeState({
    pattern: PATTERN,
    suite: TALOS_SUITE,
    role: "initiator",
    prologue: PROLOGUE,
    s: INITIATOR,
    e: INITIATOR_EPHEMERAL,
    rs: RESPONDER.publicKey,
    kemSeed: new Uint8Array(TALOS_SUITE.kem.seedBytes).fill(1),
  });
  return { state, message: state.writeMessage(utf8("payload 1")) };
}

function responder(): HandshakeState {
  return new HandshakeState({
    pattern: PATTERN,
    suite: TALOS_SUITE,
    role: "responder",
    prologue: PROLOGUE,
    s: RESPONDER,
    e: RESPONDER_EPHEMERAL,
    kemRandom: new Uint8Array(TALOS_SUITE.kem.randomBytes).fill(2),
  });
}

function answerTo(message: Bytes): Bytes {
  const state = responder();
  state.readMessage(message);
  return state.writeMessage(utf8("payload 2"));
}
