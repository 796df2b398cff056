/**
 * The handshake over a transport: `Noise_IKhfs_25519+MLKEM768_ChaChaPoly_SHA256`, prologue
 * preface ‖ "talos/1", each message as `u16 length ‖ bytes`.
 *
 * It authenticates; it authorises nothing. To whoever cannot produce a valid message 1 the responder
 * says nothing at all. Message 2 refuses only for version, clock, busy and blocked. A finished handshake
 * does not yet prove to the responder that message 1 was not a replay: the initiator's first record does,
 * so until that one decrypts the responder must spawn, store and report nothing.
 */

import { type Bytes, concat, hex, utf8 } from "../bytes.ts";
import type { Clock } from "../clock.ts";
import { CryptoError } from "../crypto/errors.ts";
import type { RandomBytes } from "../crypto/random.ts";
import { generateX25519KeyPair, x25519FromEd25519Public } from "../crypto/x25519.ts";
import type { LocalIdentity } from "../identity/local_identity.ts";
import { type PeerId, publicKeyOf } from "../identity/peer_id.ts";
import {
  FIRST_MESSAGE_TIMEOUT_MS,
  HANDSHAKE_TIMEOUT_MS,
  MAX_CLOCK_SKEW_MS,
  MAX_HANDSHAKE_MESSAGE_BYTES,
} from "../limits.ts";
import { NoiseError } from "../noise/errors.ts";
import { HandshakeState } from "../noise/handshake_state.ts";
import { handshakePattern } from "../noise/patterns.ts";
import { TALOS_SUITE } from "../noise/suite.ts";
import { TransportError } from "../transport/errors.ts";
import type { PathLabel, Transport } from "../transport/transport.ts";
import { WireError } from "../wire/errors.ts";
import { Label } from "../wire/labels.ts";
import {
  type ConnectionKind,
  decodePreface,
  encodePreface,
  encodeVersionAnswer,
  PREFACE_BYTES,
  PROTOCOL_VERSION,
  SUPPORTED_VERSIONS,
  type VersionRange,
} from "../wire/preface.ts";
import type { Connection } from "./connection.ts";
import { SessionError } from "./errors.ts";
import {
  decodePayload,
  encodePayload,
  type HandshakePayload,
  type HandshakeRefusal,
  type Role,
} from "./handshake_payload.ts";
import { goneDuringHandshake, HandshakeStream } from "./handshake_stream.ts";
import { RecordChannel } from "./record_channel.ts";

const PATTERN = handshakePattern("IKhfs");

/** What both ends need. */
export interface HandshakeOptions {
  /** Who we are. */
  readonly identity: LocalIdentity;
  /** Randomness for ephemeral keys. */
  readonly random: RandomBytes;
  /** Time, for the payload and for the limits. */
  readonly clock: Clock;
  /** What our program can do beyond the version, by name. */
  readonly caps?: readonly string[];
  /** Accept no clock difference beyond the limit, not even by a retry with the other end's time. */
  readonly strictClock?: boolean;
  /** The protocol versions our program speaks: those of this code, except in tests. */
  readonly versions?: VersionRange;
}

/** What an initiator needs. */
export interface InitiateOptions extends HandshakeOptions {
  /** Whom we want to talk to. */
  readonly peer: PeerId;
  /** What the connection is for. */
  readonly kind: ConnectionKind;
  /** Added to our time, for the retry after a `clock` refusal, in milliseconds. */
  readonly timeOffsetMs?: number;
}

/** What a responder decides once it knows who calls. */
export interface RespondOptions extends HandshakeOptions {
  /** What connections of this kind are accepted for. */
  readonly kind: ConnectionKind;
  /** Names this process to the caller: `INSTANCE_BYTES` random bytes. */
  readonly instance?: Bytes;
  /** Returns why this peer is refused here and now, or null. Asked after the clock was checked. */
  readonly refuse?: (peer: PeerId) => "busy" | "blocked" | null;
  /** Remembers message 1's ephemeral key; returns false when it was seen before. */
  readonly firstSeen?: (ephemeral: string) => boolean;
}

/**
 * Runs the initiator's side and takes over `transport`, which it closes on failure.
 *
 * Throws SessionError: `not_talos`, `version`, `handshake_failed`, `clock` (with `skewMs` and
 * `strict`), `busy`, `blocked`, `handshake_timeout`.
 */
export async function initiate(
  transport: Transport,
  options: InitiateOptions,
): Promise<Connection> {
  const stream = new HandshakeStream(transport);
  return await guarded(
    transport,
    options.clock,
    HANDSHAKE_TIMEOUT_MS,
    () => runInitiator(stream, options),
  );
}

async function runInitiator(stream: HandshakeStream, options: InitiateOptions) {
  const { identity, clock, peer, caps = [], versions = SUPPORTED_VERSIONS } = options;
  const preface = encodePreface(options.kind);
  const noise = new HandshakeState({
    pattern: PATTERN,
    suite: TALOS_SUITE,
    role: "initiator",
    prologue: prologue(preface),
    s: identity.staticKey,
    e: generateX25519KeyPair(options.random),
    rs: x25519FromEd25519Public(publicKeyOf(peer)),
    kemSeed: options.random(TALOS_SUITE.kem.seedBytes),
  });
  const sentAt = clock.now() + (options.timeOffsetMs ?? 0);
  // -> e, es, e1, s, ss
  const message1 = noise.writeMessage((hash) =>
    encodePayload("initiator", identity, hash, { versions, caps, time: sentAt })
  );
  await stream.write(concat(preface, framed(message1)));

  // <- e, ee, ekem1, se
  const remote = readPayload("responder", noise, await stream.readAnswer());
  if (remote.peer !== peer) {
    throw new SessionError("handshake_failed", `The host is ${remote.peer}, expected was ${peer}`);
  }
  if (wasDowngraded(versions, remote.versions)) {
    throw new SessionError("version", "Both ends speak a newer protocol version than was offered");
  }
  const skewMs = remote.time - sentAt;
  checkRefusal(remote, skewMs);
  if (options.strictClock === true && Math.abs(skewMs) > MAX_CLOCK_SKEW_MS) {
    throw clockError(skewMs, true);
  }
  return connected(stream, noise, remote, remote.time - clock.now());
}

/**
 * Runs the responder's side and takes over `transport`, which it closes on failure. What an initiator
 * was refused for is also what this throws, for the local log. Who keeps message 1 back is gone sooner than
 * the handshake's limit: until then a caller has spent nothing.
 */
export async function respond(transport: Transport, options: RespondOptions): Promise<Connection> {
  const { clock } = options;
  const stream = new HandshakeStream(transport);
  return await guarded(transport, clock, HANDSHAKE_TIMEOUT_MS, async () => {
    const first = await guarded(
      transport,
      clock,
      FIRST_MESSAGE_TIMEOUT_MS,
      () => readFirst(stream, options),
    );
    return await runResponder(stream, first, options);
  });
}

/** What an initiator sends before it hears anything. */
interface First {
  readonly preface: Bytes;
  readonly message1: Bytes;
}

async function readFirst(stream: HandshakeStream, options: RespondOptions): Promise<First> {
  const preface = await stream.readExactly(PREFACE_BYTES);
  const decoded = decodePreface(preface);
  if (decoded.version === "unsupported") {
    await stream.writeLast(encodeVersionAnswer());
    throw new SessionError("version", `The caller speaks version ${decoded.announced}, we speak 1`);
  }
  if (decoded.kind !== options.kind) {
    throw new SessionError("protocol", `The caller wants a connection of kind ${decoded.kind}`);
  }
  return { preface, message1: await stream.readMessage() };
}

async function runResponder(
  stream: HandshakeStream,
  { preface, message1 }: First,
  options: RespondOptions,
) {
  const { identity, clock } = options;
  const ephemeral = hex(message1.subarray(0, TALOS_SUITE.dh.publicKeyBytes));
  const noise = new HandshakeState({
    pattern: PATTERN,
    suite: TALOS_SUITE,
    role: "responder",
    prologue: prologue(preface),
    s: identity.staticKey,
    e: generateX25519KeyPair(options.random),
    kemRandom: options.random(TALOS_SUITE.kem.randomBytes),
  });
  // -> e, es, e1, s, ss
  const remote = readPayload("initiator", noise, message1);
  if (options.firstSeen?.(ephemeral) === false) {
    throw new SessionError("protocol", "The caller repeated a handshake message");
  }
  const refused = refusalOf(remote, clock.now(), options);
  // <- e, ee, ekem1, se
  const message2 = noise.writeMessage((hash) =>
    encodePayload("responder", identity, hash, {
      versions: options.versions ?? SUPPORTED_VERSIONS,
      caps: options.caps ?? [],
      time: clock.now(),
      ...(options.instance === undefined ? {} : { instance: options.instance }),
      ...(refused === null ? {} : { refused }),
      ...(refused === "clock" && options.strictClock === true ? { strict: true } : {}),
    })
  );
  await stream.write(framed(message2));
  const skewMs = remote.time - clock.now();
  if (refused !== null) throw refusedHere(refused, remote.peer, skewMs);
  return connected(stream, noise, remote, skewMs);
}

/** Turns a finished handshake into a connection. */
function connected(
  { transport, readAhead }: HandshakeStream,
  noise: HandshakeState,
  { peer, caps, versions, instance }: HandshakePayload,
  skewMs: number,
): Connection {
  const { send, receive, handshakeHash } = noise.split();
  const channel = new RecordChannel(transport, { send, receive }, { readAhead });
  const named = instance === undefined ? {} : { instance };
  return { peer, channel, path: transport.path, caps, versions, skewMs, handshakeHash, ...named };
}

function readPayload(from: Role, noise: HandshakeState, message: Bytes): HandshakePayload {
  const payload = noise.readMessage(message);
  const { hashBeforePayload, remoteStatic } = noise;
  if (hashBeforePayload === undefined || remoteStatic === undefined) {
    throw new TypeError("Cannot read payload: the pattern authenticates nobody");
  }
  return decodePayload(from, payload, hashBeforePayload, remoteStatic);
}

function refusalOf(
  remote: HandshakePayload,
  now: number,
  options: RespondOptions,
): HandshakeRefusal | null {
  if (wasDowngraded(options.versions ?? SUPPORTED_VERSIONS, remote.versions)) return "version";
  if (Math.abs(remote.time - now) > MAX_CLOCK_SKEW_MS) return "clock";
  return options.refuse?.(remote.peer) ?? null;
}

/** Whether both ends speak a higher version than this one: then somebody made us speak this one. */
function wasDowngraded(ours: VersionRange, theirs: VersionRange): boolean {
  return Math.min(ours.max, theirs.max) > PROTOCOL_VERSION;
}

function checkRefusal(remote: HandshakePayload, skewMs: number): void {
  switch (remote.refused) {
    case undefined:
      return;
    case "clock":
      throw clockError(skewMs, remote.strict === true);
    case "busy":
      throw new SessionError("busy", `The host ${remote.peer} takes no more connections now`);
    case "blocked":
      throw new SessionError(
        "blocked",
        `The host ${remote.peer} refuses connections from this peer`,
      );
    case "version":
      throw new SessionError("version", "The host refuses this protocol version");
    default:
      remote.refused satisfies never;
  }
}

function clockError(skewMs: number, strict: boolean): SessionError {
  return new SessionError(
    "clock",
    `The clocks differ by ${seconds(skewMs)} s, the limit is ${seconds(MAX_CLOCK_SKEW_MS)} s`,
    {
      skewMs,
      strict,
      hints: [
        skewMs > 0
          ? "this machine's clock is behind the host's, or the host's is ahead"
          : "this machine's clock is ahead of the host's, or the host's is behind",
        "set both clocks by the network, on Linux: timedatectl set-ntp true",
      ],
    },
  );
}

function refusedHere(code: HandshakeRefusal, peer: PeerId, skewMs: number): SessionError {
  const facts = code === "clock" ? `: the clocks differ by ${seconds(skewMs)} s` : "";
  return new SessionError(code, `Refused ${peer} in the handshake (${code})${facts}`, { skewMs });
}

/** Returns the seconds of a difference, one decimal where there is one, without its sign. */
function seconds(ms: number): string {
  return String(Math.round(Math.abs(ms) / 100) / 10);
}

function prologue(preface: Bytes): Bytes {
  return concat(preface, utf8(Label.prologue));
}

function framed(message: Bytes): Bytes {
  if (message.length > MAX_HANDSHAKE_MESSAGE_BYTES) {
    throw new RangeError(`Cannot send handshake message: it has ${message.length} bytes`);
  }
  return concat(Uint8Array.of(message.length >>> 8, message.length & 0xff), message);
}

/** Runs `side` against a time limit; closes the transport and translates errors when it fails. */
async function guarded<T>(
  transport: Transport,
  clock: Clock,
  limitMs: number,
  side: () => Promise<T>,
): Promise<T> {
  let late = false;
  using _limit = clock.after(limitMs, () => {
    late = true;
    transport.close();
  });
  try {
    return await side();
  } catch (error) {
    transport.close();
    if (late) {
      throw new SessionError(
        "handshake_timeout",
        `No answer to the handshake from ${transport.path.remote} within ` +
          `${limitMs / 1000} s`,
        { cause: error },
      );
    }
    throw translated(error, transport.path);
  }
}

function translated(error: unknown, { remote }: PathLabel): unknown {
  if (error instanceof NoiseError || error instanceof WireError || error instanceof CryptoError) {
    return new SessionError(
      "handshake_failed",
      `The handshake with ${remote} was altered or is for another key`,
      { cause: error },
    );
  }
  if (error instanceof TransportError) return goneDuringHandshake(remote, error);
  return error;
}
