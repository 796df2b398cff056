/**
 * Handshake messages as an attacker makes them: with any keys and any payload, but otherwise by the book.
 */

import { type Bytes, concat, utf8 } from "../../lib/bytes.ts";
import { generateX25519KeyPair } from "../../lib/crypto/x25519.ts";
import { HandshakeState } from "../../lib/noise/handshake_state.ts";
import { handshakePattern } from "../../lib/noise/patterns.ts";
import { type DhKeyPair, TALOS_SUITE } from "../../lib/noise/suite.ts";
import type { Transport } from "../../lib/transport/transport.ts";
import { ConnectionKind, encodePreface } from "../../lib/wire/preface.ts";
import { SeededRandom } from "../../scripts/seeded_random.ts";
import { ALICE, HOST } from "./peers.ts";

/** What an attacker chooses; the rest is honest. */
export interface Forgery {
  /** The static key pair. */
  readonly s?: DhKeyPair;
  /** The ephemeral key pair. */
  readonly e?: DhKeyPair;
  /** The payload, given the hash that it signs. */
  readonly payload: (hash: Bytes) => Bytes;
}

const PATTERN = handshakePattern("IKhfs");
const PREFACE = encodePreface(ConnectionKind.peer);
const PROLOGUE = concat(PREFACE, utf8("talos/1"));

function framed(message: Bytes): Bytes {
  return concat(Uint8Array.of(message.length >>> 8, message.length), message);
}

/** Returns preface and message 1 to HOST. */
export function forgedMessage1({ s, e, payload }: Forgery): Bytes {
  const { bytes } = new SeededRandom("forged 1");
  const noise = new HandshakeState({
    pattern: PATTERN,
    suite: TALOS_SUITE,
    role: "initiator",
    prologue: PROLOGUE,
    s: s ?? ALICE.staticKey,
    e: e ?? generateX25519KeyPair(bytes),
    rs: HOST.staticKey.publicKey,
    kemSeed: bytes(TALOS_SUITE.kem.seedBytes),
  });
  return concat(PREFACE, framed(noise.writeMessage(payload)));
}

/** Reads message 1 from `transport` as HOST would and answers with a forged message 2. */
export async function answerForged(
  transport: Transport,
  { e, payload }: Omit<Forgery, "s">,
): Promise<void> {
  const { bytes } = new SeededRandom("forged 2");
  const noise = new HandshakeState({
    pattern: PATTERN,
    suite: TALOS_SUITE,
    role: "responder",
    prologue: PROLOGUE,
    s: HOST.staticKey,
    e: e ?? generateX25519KeyPair(bytes),
    kemRandom: bytes(TALOS_SUITE.kem.randomBytes),
  });
  const head = await readExactly(transport, PREFACE.length + 2);
  const length = (head[PREFACE.length]! << 8) | head[PREFACE.length + 1]!;
  noise.readMessage(await readExactly(transport, length));
  await transport.write(framed(noise.writeMessage(payload)));
}

/** Returns the next `length` bytes of `transport`. */
export async function readExactly(transport: Transport, length: number): Promise<Bytes> {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length;) {
    const count = await transport.read(bytes.subarray(at));
    if (count === null) throw new Error(`the stream ended after ${at} of ${length} bytes`);
    at += count;
  }
  return bytes;
}
