/**
 * What the tests of the session layer have in common: two peers, connections between them without a
 * handshake, and a raw peer that sends whatever frames a test wants.
 */

import assert from "node:assert/strict";
import { type Bytes, concat, utf8 } from "../../lib/bytes.ts";
import type { Clock } from "../../lib/clock.ts";
import type { LocalIdentity } from "../../lib/identity/local_identity.ts";
import { CipherState } from "../../lib/noise/cipher_state.ts";
import { TALOS_SUITE } from "../../lib/noise/suite.ts";
import type { OpenBody, OpenedBody } from "../../lib/session/bodies.ts";
import type { Connection } from "../../lib/session/connection.ts";
import { SessionError, type SessionErrorCode } from "../../lib/session/errors.ts";
import type { InitiateOptions, RespondOptions } from "../../lib/session/handshake.ts";
import { RecordChannel } from "../../lib/session/record_channel.ts";
import type { ReplayBudget } from "../../lib/session/replay_budget.ts";
import { Session } from "../../lib/session/session.ts";
import { memoryPair } from "../../lib/transport/memory.ts";
import type { Transport } from "../../lib/transport/transport.ts";
import { decodeFrame, encodeDataHeader, encodePing, type Frame } from "../../lib/wire/frames.ts";
import { ConnectionKind, SUPPORTED_VERSIONS } from "../../lib/wire/preface.ts";
import { seededIdentity } from "../../scripts/seeded_identity.ts";
import { SeededRandom } from "../../scripts/seeded_random.ts";
import { FakeClock, turn } from "./fake_clock.ts";

/** Who calls. */
export const ALICE = seededIdentity("alice");
/** Who is called. */
export const HOST = seededIdentity("host");
/** Somebody else. */
export const MALLORY = seededIdentity("mallory");

/** The handshake of `from` to HOST, the same at every run for the same seed. */
export function initiating(
  options: Partial<InitiateOptions> = {},
  from: LocalIdentity = ALICE,
): InitiateOptions {
  return {
    identity: from,
    peer: HOST.peerId,
    random: new SeededRandom("initiator").bytes,
    clock: new FakeClock(),
    kind: ConnectionKind.peer,
    ...options,
  };
}

/** The handshake at HOST, the same at every run for the same seed. */
export function responding(options: Partial<RespondOptions> = {}): RespondOptions {
  return {
    identity: HOST,
    random: new SeededRandom("responder").bytes,
    clock: new FakeClock(),
    kind: ConnectionKind.peer,
    ...options,
  };
}

/** Waits for the failure of `work` and returns it. */
export async function failure(
  work: Promise<unknown>,
  code: SessionErrorCode,
): Promise<SessionError> {
  try {
    await work;
  } catch (error) {
    assert.ok(error instanceof SessionError, `not a SessionError: ${error}`);
    assert.equal(error.code, code, error.message);
    return error;
  }
  assert.fail(`did not fail with ${code}`);
}

/** How a channel of the tests differs from a real one. */
export interface ChannelVariant {
  /** Records under one key. */
  readonly recordsPerKey?: number;
}

/** Returns a channel to each end, as if a handshake had just finished. */
export function channelsOver(
  [near, far]: readonly [Transport, Transport],
  variants: readonly [ChannelVariant, ChannelVariant] = [{}, {}],
): readonly [RecordChannel, RecordChannel] {
  const state = (fill: number) =>
    new CipherState(TALOS_SUITE.cipher, new Uint8Array(32).fill(fill));
  return [
    new RecordChannel(near, { send: state(1), receive: state(2) }, variants[0]),
    new RecordChannel(far, { send: state(2), receive: state(1) }, variants[1]),
  ];
}

/** Returns a connection over `channel`. */
export function connectionOver(channel: RecordChannel, peer: LocalIdentity): Connection {
  return {
    peer: peer.peerId,
    channel,
    path: { kind: "memory", remote: "memory", source: "memory" },
    caps: [],
    versions: SUPPORTED_VERSIONS,
    skewMs: 0,
    handshakeHash: new Uint8Array(32),
  };
}

/** Returns what an initiator asks for. */
export function openBody(changes: Partial<OpenBody> = {}): OpenBody {
  return {
    id: new Uint8Array(16).fill(7),
    service: "mcp/default",
    maxMessage: 65_536,
    salt: new Uint8Array(16).fill(9),
    attempt: 0,
    ...changes,
  };
}

/** Returns what a host grants. */
export function openedBody(changes: Partial<OpenedBody> = {}): OpenedBody {
  return {
    instance: new Uint8Array(16).fill(1),
    service: "mcp/default",
    maxMessage: 65_536,
    detachTimeoutMs: 0,
    next: 1,
    ...changes,
  };
}

/** How a pair of sessions differs from the usual one. */
export interface PairVariant {
  /** Time; that of the pair by default does not move. */
  readonly clock?: Clock;
  /** The transports, from the initiator's end to the host's. */
  readonly transports?: readonly [Transport, Transport];
  /** The channels' variants, likewise. */
  readonly channels?: readonly [ChannelVariant, ChannelVariant];
  /** What the initiator takes. */
  readonly open?: Partial<OpenBody>;
  /** What the host takes. */
  readonly opened?: Partial<OpenedBody>;
  /** Bounds both sessions. */
  readonly budget?: ReplayBudget;
}

/** Returns an open session, the initiator's end and the host's. */
export async function sessionPair(
  variant: PairVariant = {},
): Promise<readonly [Session, Session]> {
  const { clock = new FakeClock(), transports = memoryPair(), budget } = variant;
  const [near, far] = channelsOver(transports, variant.channels);
  const open = openBody(variant.open);
  const session = Session.open(connectionOver(near, HOST), open, clock, budget);
  assert.equal((await nextFrame(far)).type, "open");
  const granted = openedBody(variant.opened);
  const hosted = Session.accept(connectionOver(far, ALICE), open, granted, clock, budget);
  await session.opened;
  return [session, hosted];
}

/** Returns the next frame of a channel. */
export async function nextFrame(channel: RecordChannel): Promise<Frame> {
  for (;;) {
    const frame = channel.nextFrame();
    if (frame !== null) return decodeFrame(frame);
    if (!await channel.fill()) assert.fail("the stream ended");
  }
}

/** Returns all frames that a session has sent so far: those before its answer to a PING. */
export async function framesSoFar(channel: RecordChannel): Promise<Frame[]> {
  channel.enqueue(encodePing("ping", PROBE));
  const frames: Frame[] = [];
  for (;;) {
    const frame = await nextFrame(channel);
    if (frame.type === "pong" && frame.token === PROBE) return frames;
    frames.push(frame);
  }
}
const PROBE = 0xabcdef01;

/** Returns all frames that come until the stream ends. */
export async function framesToEnd(channel: RecordChannel): Promise<Frame[]> {
  const frames: Frame[] = [];
  do {
    for (let frame = channel.nextFrame(); frame !== null; frame = channel.nextFrame()) {
      frames.push(decodeFrame(frame));
    }
  } while (await channel.fill());
  return frames;
}

/** Returns a DATA frame. */
export function dataFrame(
  seq: number,
  text: string | Bytes,
  { more = false, ack = 0, credit = 0 } = {},
): Bytes {
  const bytes = typeof text === "string" ? utf8(text) : text;
  return concat(encodeDataHeader(more, seq, ack, credit), bytes);
}

/** The other end of a session, under the test's control. */
export interface RawPeer {
  /** The channel to the session. */
  readonly channel: RecordChannel;
  /** The session. */
  readonly session: Session;
  /** The session's transport and the peer's. */
  readonly transports: readonly [Transport, Transport];
}

/** Returns a session as an initiator has it, and its raw host, which has read OPEN and granted nothing. */
export async function rawHost(
  { clock = new FakeClock(), transports = memoryPair(), open = {}, budget }: PairVariant = {},
): Promise<RawPeer> {
  const [near, channel] = channelsOver(transports);
  const session = Session.open(connectionOver(near, HOST), openBody(open), clock, budget);
  assert.equal((await nextFrame(channel)).type, "open");
  assert.equal((await nextFrame(channel)).type, "ack");
  return { channel, session, transports };
}

/** Returns a session as a host has it, and its raw initiator, which has read OPENED and granted nothing. */
export async function rawInitiator(
  { clock = new FakeClock(), transports = memoryPair(), open = {}, opened = {}, budget }:
    PairVariant = {},
): Promise<RawPeer> {
  const [near, channel] = channelsOver(transports);
  const [ask, grant] = [openBody(open), openedBody(opened)];
  const session = Session.accept(connectionOver(near, ALICE), ask, grant, clock, budget);
  assert.equal((await nextFrame(channel)).type, "opened");
  assert.equal((await nextFrame(channel)).type, "ack");
  return { channel, session, transports };
}

/** Returns the texts of the next `count` messages. */
export async function receiveTexts(session: Session, count: number): Promise<string[]> {
  const texts: string[] = [];
  for (let i = 0; i < count; i++) {
    const message = await session.receive();
    assert.ok(message !== null, "the session was closed");
    texts.push(new TextDecoder().decode(message));
  }
  return texts;
}

/** Tells whether `promise` is settled once everything that is ready has happened. */
export async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  let settled = false;
  const settle = () => {
    settled = true;
  };
  promise.then(settle, settle);
  await turn();
  return settled;
}
