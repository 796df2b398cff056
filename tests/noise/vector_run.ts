/**
 * Runs one Noise vector on both sides at once.
 *
 * The writer must produce exactly the vector's ciphertext, the reader must recover exactly its payload
 * from it, and both must end with the vector's handshake hash and keys where it has them.
 *
 * Files do not say who sends the messages behind the handshake, and there are two customs. cacophony
 * and snow go on by the parity of the message's index; flynn begins anew with the initiator's cipher
 * state and alternates, whoever sent last. They differ where the handshake has an odd number of
 * messages. So both are tried, from fresh states each: a ciphertext made with one cipher state never
 * comes out of another by accident. In a one-way pattern the initiator sends all.
 */

import { type Bytes, EMPTY, equalBytes, hex, utf8 } from "../../lib/bytes.ts";
import { messageOf } from "../../lib/errors.ts";
import { CipherState } from "../../lib/noise/cipher_state.ts";
import { NoiseError, type NoiseErrorCode } from "../../lib/noise/errors.ts";
import { HandshakeState, type Transport } from "../../lib/noise/handshake_state.ts";
import {
  type HandshakePattern,
  handshakePattern,
  keyNeeds,
  type Role,
} from "../../lib/noise/patterns.ts";
import type { Vector } from "./vector_file.ts";
import { VECTOR_PATTERNS } from "./vector_patterns.ts";
import { type VectorSuite, vectorSuite } from "./vector_suites.ts";

/** What became of a vector. */
export type VectorResult =
  | { readonly outcome: "passed" }
  | { readonly outcome: "failed" | "unsupported"; readonly reason: string };

/** Who sends message `index` behind a handshake of `handshakeLength` messages. */
type TransportOrder = (index: number, handshakeLength: number) => Role;

const byParity: TransportOrder = (index) => index % 2 === 0 ? "initiator" : "responder";
const anew: TransportOrder = (index, handshakeLength) => byParity(index - handshakeLength, 0);
const oneWay: TransportOrder = () => "initiator";

/** A message was accepted that the vector says must fail: no other order can excuse that. */
class WronglyAccepted extends Error {}

/** How a reader refuses what a remote sent, as opposed to how it refuses its caller. */
const REFUSALS: readonly NoiseErrorCode[] = [
  "bad_remote_key",
  "decrypt_failed",
  "message_too_long",
  "message_too_short",
];

/** Runs `vector` in every way in which it can be meant, until one passes. */
export function runVector(vector: Vector): VectorResult {
  const [, patternName = "", suiteName = ""] = /^Noise_([^_]+)_(.+)$/.exec(vector.protocolName) ??
    [];
  const suite = vectorSuite(suiteName);
  if (suite === null) return { outcome: "unsupported", reason: `no suite ${suiteName}` };
  let pattern: HandshakePattern;
  try {
    pattern = handshakePattern(patternName, VECTOR_PATTERNS);
  } catch (error) {
    return { outcome: "unsupported", reason: messageOf(error) };
  }
  const isOneWay = pattern.messages.every((line) => line.from === "initiator");
  const errors = [isOneWay ? oneWay : byParity, anew].map((order) => {
    try {
      runInOrder(vector, pattern, suite, order);
      return null;
    } catch (error) {
      return error;
    }
  });
  const passed = errors.includes(null) && !errors.some((error) => error instanceof WronglyAccepted);
  if (passed) return { outcome: "passed" };
  const reasons = new Set(errors.filter((error) => error !== null).map(messageOf));
  return { outcome: "failed", reason: [...reasons].join("; or: ") };
}

function runInOrder(
  vector: Vector,
  pattern: HandshakePattern,
  suite: VectorSuite,
  order: TransportOrder,
): void {
  const sides = {
    initiator: begin(vector, pattern, suite, "initiator"),
    responder: begin(vector, pattern, suite, "responder"),
  };
  const transports: { initiator?: Transport; responder?: Transport } = {};
  const lastIndex = vector.messages.length - 1;
  vector.messages.forEach(({ payload, ciphertext }, index) => {
    const sender = pattern.messages[index]?.from ?? order(index, pattern.messages.length);
    const receiver = sender === "initiator" ? "responder" : "initiator";
    const writer = transports[sender];
    const reader = transports[receiver];
    const read = () =>
      reader === undefined
        ? sides[receiver].readMessage(ciphertext)
        : reader.receive.decryptWithAd(EMPTY, ciphertext);
    if (vector.fail && index === lastIndex) return mustRefuse(index, read);
    const written = writer === undefined
      ? sides[sender].writeMessage(payload)
      : writer.send.encryptWithAd(EMPTY, payload);
    mustEqual(`message ${index} as written`, written, ciphertext);
    mustEqual(`payload ${index} as read`, read(), payload);
    if (index === pattern.messages.length - 1) {
      for (const role of ["initiator", "responder"] as const) {
        const transport = sides[role].split();
        transports[role] = transport;
        if (vector.handshakeHash !== undefined) {
          mustEqual(`the ${role}'s hash`, transport.handshakeHash, vector.handshakeHash);
        }
      }
    }
  });
  const { initiator, responder } = transports;
  if (initiator !== undefined && responder !== undefined) {
    mustHaveKeys(suite, vector.keys, [initiator.send, responder.send]);
    mustHaveKeys(suite, vector.keys, [responder.receive, initiator.receive]);
  }
}

function begin(
  vector: Vector,
  pattern: HandshakePattern,
  suite: VectorSuite,
  role: Role,
): HandshakeState {
  const given = vector[role];
  const remote = vector[role === "initiator" ? "responder" : "initiator"];
  const needs = keyNeeds(pattern, role);
  // Files hand out keys that a pattern does not use, leave out a public key whose secret key they
  // give, and may give one pre-shared key for all slots.
  const rs = given.rs ?? (remote.s === undefined ? undefined : suite.keyPair(remote.s).publicKey);
  const [onlyPsk, ...morePsks] = given.psks;
  const psks = onlyPsk !== undefined && morePsks.length === 0
    ? Array.from({ length: needs.psks }, () => onlyPsk)
    : given.psks;
  return new HandshakeState({
    pattern,
    suite,
    role,
    prologue: given.prologue,
    s: needs.s && given.s !== undefined ? suite.keyPair(given.s) : undefined,
    e: needs.e && given.e !== undefined ? suite.keyPair(given.e) : undefined,
    rs: needs.rs ? rs : undefined,
    psks: needs.psks === 0 ? [] : psks,
    kemSeed: needs.kemSeed ? vector.kemSeed : undefined,
    kemRandom: needs.kemRandom ? vector.kemRandom : undefined,
  });
}

function mustEqual(what: string, actual: Bytes, expected: Bytes): void {
  if (!equalBytes(actual, expected)) {
    throw new Error(`${what} is ${brief(actual)}, the vector has ${brief(expected)}`);
  }
}

function mustRefuse(index: number, read: () => Bytes): void {
  try {
    read();
  } catch (error) {
    if (error instanceof NoiseError && REFUSALS.includes(error.code)) return;
    throw error;
  }
  throw new WronglyAccepted(`message ${index} was accepted, the vector says that it must fail`);
}

/** Compares keys, which no cipher state gives away, by what they encrypt at the same nonce. */
function mustHaveKeys(
  suite: VectorSuite,
  keys: readonly (Bytes | undefined)[],
  states: readonly CipherState[],
): void {
  const probe = utf8("probe");
  keys.forEach((key, index) => {
    const state = states[index];
    if (key === undefined || state === undefined) return;
    const expected = new CipherState(suite.cipher, key, state.nonce).encryptWithAd(EMPTY, probe);
    mustEqual(`what key ${index + 1} encrypts`, state.encryptWithAd(EMPTY, probe), expected);
  });
}

function brief(bytes: Bytes): string {
  return bytes.length > 24 ? `${hex(bytes.subarray(0, 24))}… (${bytes.length} bytes)` : hex(bytes);
}
