/**
 * The host's side of every connection: handshake, the OPEN behind it, and the decision who may use what.
 *
 * The handshake authenticates, this authorises: at OPEN, service by service, so that a stranger could
 * be let in for one purpose only. Nothing is spawned, stored or reported for a caller before its first
 * record decrypts. A peer that is authorised for nothing holds one connection at a time, may send 4 KiB
 * and stay 5 s; it is told that it is refused. Who cannot shake hands is told nothing.
 */

import type { Bytes } from "../bytes.ts";
import { type Clock, within } from "../clock.ts";
import type { RandomBytes } from "../crypto/random.ts";
import { messageOf, TalosError } from "../errors.ts";
import type { LocalIdentity } from "../identity/local_identity.ts";
import type { PeerId } from "../identity/peer_id.ts";
import {
  CHILD_GRACE_MS,
  HANDSHAKES_PER_SOURCE,
  STRANGER_BYTES,
  STRANGER_TIMEOUT_MS,
} from "../limits.ts";
import type { Log } from "../log.ts";
import { describePath, type Transport } from "../transport/transport.ts";
import { decodeFrame } from "../wire/frames.ts";
import { ConnectionKind } from "../wire/preface.ts";
import { HalfOpenLimiter, RecentEphemerals } from "./admission.ts";
import { decodeOpen, encodeReason, type OpenBody, type ReasonBody } from "./bodies.ts";
import type { Connection } from "./connection.ts";
import { SessionError } from "./errors.ts";
import { respond } from "./handshake.ts";
import type { RecordChannel } from "./record_channel.ts";
import { ReplayBudget } from "./replay_budget.ts";
import { Session } from "./session.ts";
import { TokenBuckets } from "./token_buckets.ts";

/** The longest record in which a peer may ask for something: an OPEN has about 200 bytes. */
const MAX_FIRST_RECORD_BYTES = STRANGER_BYTES / 4;

/** What a host answers to an OPEN. */
export type OpenDecision =
  | {
    readonly granted: true;
    /** The service that is opened, by its full name. */
    readonly service: string;
    /** The longest message accepted, in bytes. */
    readonly maxMessage: number;
    /** Runs the session; the host closes it when this returns, and aborts it when this throws. */
    readonly run: (session: Session) => Promise<void>;
  }
  | ({ readonly granted: false } & ReasonBody);

/** What a host needs. */
export interface HostOptions {
  /** Who we are. */
  readonly identity: LocalIdentity;
  /** Names this process: 16 random bytes. */
  readonly instance: Bytes;
  /** Randomness for handshakes. */
  readonly random: RandomBytes;
  /** Time. */
  readonly clock: Clock;
  /** Where refusals and failures are reported. */
  readonly log: Log;
  /** Accept no clock difference beyond the limit, not even by a retry with our time. */
  readonly strictClock?: boolean;
  /** Whether the peer may use anything here. */
  readonly knows: (peer: PeerId) => boolean;
  /** Decides about one session. */
  readonly decide: (peer: PeerId, open: OpenBody) => OpenDecision;
  /** Bounds what all sessions of the process hold; the host makes its own by default. */
  readonly budget?: ReplayBudget;
}

/** A session that a host runs. */
export interface HostedSession {
  /** The session itself. */
  readonly session: Session;
  /** Who opened it. */
  readonly peer: PeerId;
  /** For which service. */
  readonly service: string;
  /** When, in Unix milliseconds. */
  readonly since: number;
}

/** Accepts connections and runs the sessions that are granted. */
export class Host implements AsyncDisposable {
  readonly #options: HostOptions;
  readonly #budget: ReplayBudget;
  readonly #halfOpen = new HalfOpenLimiter();
  readonly #handshakes = new TokenBuckets(HANDSHAKES_PER_SOURCE);
  readonly #ephemerals = new RecentEphemerals();
  readonly #strangers = new Set<PeerId>();
  readonly #sessions = new Set<HostedSession>();
  readonly #pending = new Set<Transport>();
  readonly #running = new Set<Promise<void>>();
  #closing = false;

  /** Makes a host that accepts nothing until {@link accept} is called. */
  constructor(options: HostOptions) {
    this.#options = options;
    this.#budget = options.budget ?? new ReplayBudget();
  }

  /** The sessions that run now. */
  get sessions(): Iterable<HostedSession> {
    return this.#sessions;
  }

  /** Accepts every transport of `incoming` until it ends. */
  async serve(incoming: AsyncIterable<Transport>): Promise<void> {
    for await (const transport of incoming) this.accept(transport);
  }

  /** Runs the whole life of one transport in the background. Never throws. */
  accept(transport: Transport): void {
    const place = this.#closing ? null : this.#admit(transport.path.source);
    if (place === null) {
      transport.close();
      return;
    }
    this.#pending.add(transport);
    const life = this.#live(transport, place)
      .catch((error: unknown) => this.#report(transport, error))
      .finally(() => {
        place[Symbol.dispose]();
        this.#pending.delete(transport);
        this.#running.delete(life);
      });
    this.#running.add(life);
  }

  /** Returns the place of a connection whose handshake begins; null when its source has had enough. */
  #admit(source: string): Disposable | null {
    const { clock, log } = this.#options;
    const place = this.#halfOpen.enter(source);
    if (place === null) {
      log.debug("connection dropped: too many are half-open", { from: source });
      return null;
    }
    const waitMs = this.#handshakes.take(source, clock.monotonic());
    if (waitMs === 0) return place;
    place[Symbol.dispose]();
    log.debug("connection dropped: too many from there", { from: source, wait_ms: waitMs });
    return null;
  }

  /** Ends every session for which `matches`, with a reason. Resolves when they have ended. */
  async cut(matches: (hosted: HostedSession) => boolean, reason: ReasonBody): Promise<void> {
    const cut = [...this.#sessions].filter(matches);
    await Promise.all(cut.map(({ session }) => session.close(reason, CHILD_GRACE_MS / 4)));
  }

  /** Ends everything: half-open connections at once, sessions in order. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing = true;
    for (const transport of this.#pending) transport.close();
    await this.cut(() => true, { code: "host_stopped", reason: "the host was stopped" });
    await Promise.all(this.#running);
  }

  async #live(transport: Transport, place: Disposable): Promise<void> {
    const connection = await respond(transport, {
      ...this.#options,
      kind: ConnectionKind.peer,
      refuse: (peer) => this.#strangers.has(peer) ? "busy" : null,
      firstSeen: (key) => this.#ephemerals.firstSeen(key),
    });
    const { clock } = this.#options;
    const leaveBy = clock.monotonic() + STRANGER_TIMEOUT_MS;
    try {
      const open = await within(clock, STRANGER_TIMEOUT_MS, readOpen(connection), null);
      if (open === null) throw new SessionError("protocol", "The peer asked for nothing in time");
      if (this.#closing) return;
      using seat = this.#seat(connection.peer);
      const decision = seat === null ? ONE_AT_A_TIME : this.#options.decide(connection.peer, open);
      if (decision.granted) {
        place[Symbol.dispose]();
        this.#pending.delete(transport);
        await this.#run(connection, open, decision);
      } else {
        this.#reportRefusal(connection, open, decision);
        await this.#refuse(connection, decision, leaveBy - clock.monotonic());
      }
    } finally {
      connection.channel.close();
    }
  }

  /**
   * Returns what a peer occupies while it is here; null when it is a stranger and here already. Asked once
   * the first record has decrypted: a replayed handshake occupies nothing.
   */
  #seat(peer: PeerId): Disposable | null {
    if (this.#options.knows(peer)) return { [Symbol.dispose]() {} };
    if (this.#strangers.has(peer)) return null;
    this.#strangers.add(peer);
    return { [Symbol.dispose]: () => void this.#strangers.delete(peer) };
  }

  async #run(
    connection: Connection,
    open: OpenBody,
    { service, maxMessage, run }: OpenDecision & { granted: true },
  ): Promise<void> {
    const { clock, instance } = this.#options;
    const session = Session.accept(
      connection,
      open,
      { instance, service, maxMessage },
      clock,
      this.#budget,
    );
    const hosted = { session, peer: connection.peer, service, since: clock.now() };
    this.#sessions.add(hosted);
    try {
      await run(session);
      await session.close();
    } catch (error) {
      const reason = error instanceof TalosError
        ? { code: error.code, reason: error.message }
        : { code: "internal", reason: "the host failed; its log says why" };
      await session.close(reason);
      throw error;
    } finally {
      this.#sessions.delete(hosted);
    }
  }

  /** Says no, and reads on until the peer has heard it: closing at once could destroy the answer. */
  async #refuse({ channel }: Connection, reason: ReasonBody, patienceMs: number): Promise<void> {
    channel.enqueue(encodeReason("refused", reason));
    const { clock } = this.#options;
    await within(clock, Math.max(0, patienceMs), channel.drain(STRANGER_BYTES), undefined);
  }

  #reportRefusal({ peer, path }: Connection, { service }: OpenBody, { code }: ReasonBody): void {
    this.#options.log.warn("refused", { peer, service, code, path: describePath(path) });
  }

  #report(transport: Transport, error: unknown): void {
    const { log } = this.#options;
    const from = describePath(transport.path);
    if (error instanceof TalosError) {
      const cause = error.cause === undefined ? undefined : messageOf(error.cause);
      log.debug("connection ended", { from, code: error.code, why: error.message, cause });
    } else {
      log.error("connection failed", { from, why: messageOf(error) });
    }
  }
}

/** What a stranger hears whose first connection is still here. */
const ONE_AT_A_TIME = {
  granted: false,
  code: "busy",
  reason: "this peer is not authorised for anything here and is connected already",
} as const;

/** Reads the first record, which must be a short one: nothing is known of the peer yet but who it is. */
async function readOpen({ channel }: Connection): Promise<OpenBody> {
  const decoded = decodeFrame(await firstFrame(channel));
  if (decoded.type !== "open") {
    throw new SessionError("protocol", `Cannot take ${decoded.type} frame: OPEN comes first`);
  }
  return decodeOpen(decoded.body);
}

async function firstFrame(channel: RecordChannel): Promise<Bytes> {
  for (;;) {
    const frame = channel.nextFrame(MAX_FIRST_RECORD_BYTES);
    if (frame !== null) return frame;
    if (!await channel.fill()) {
      throw new SessionError("connection_lost", "The peer left before it asked for anything");
    }
  }
}
