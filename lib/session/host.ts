/**
 * The host's side of every connection: handshake, the OPEN or RESUME behind it, and the decision who may use
 * what.
 *
 * The handshake authenticates, this authorises: at OPEN, service by service, so that a stranger could
 * be let in for one purpose only. Nothing is spawned, stored or reported for a caller before its first
 * record decrypts. A peer that is authorised for nothing holds one connection at a time, may send 4 KiB
 * and stay 5 s; it is told that it is refused. Who cannot shake hands is told nothing.
 *
 * A session belongs to the peer that opened it and outlives its connections for as long as its grant says.
 * It goes on where that peer asks for it in a later attempt than any before, and may still use the service;
 * the older connection is closed then. Whatever else is asked about it changes nothing.
 */

import { type Bytes, equalBytes } from "../bytes.ts";
import { type Clock, within } from "../clock.ts";
import type { RandomBytes } from "../crypto/random.ts";
import { messageOf, TalosError } from "../errors.ts";
import type { LocalIdentity } from "../identity/local_identity.ts";
import { type PeerId, shortPeerId } from "../identity/peer_id.ts";
import {
  CHILD_GRACE_MS,
  HANDSHAKES_PER_SOURCE,
  STRANGER_BYTES,
  STRANGER_TIMEOUT_MS,
} from "../limits.ts";
import type { Log } from "../log.ts";
import { describePath, type Transport } from "../transport/transport.ts";
import { ConnectionKind } from "../wire/preface.ts";
import { HalfOpenLimiter, RecentEphemerals } from "./admission.ts";
import { encodeReason, type OpenBody, type ReasonBody, type ResumeBody } from "./bodies.ts";
import type { Connection } from "./connection.ts";
import { SessionError } from "./errors.ts";
import { type FirstRequest, readFirstRequest } from "./first_request.ts";
import { respond } from "./handshake.ts";
import { ReplayBudget } from "./replay_budget.ts";
import { type PathEvent, Session } from "./session.ts";
import { type HostedSession, SessionTable } from "./session_table.ts";
import { TokenBuckets } from "./token_buckets.ts";

export type { HostedSession } from "./session_table.ts";

/** What a host answers to an OPEN. */
export type OpenDecision =
  | {
    readonly granted: true;
    /** The service that is opened, by its full name. */
    readonly service: string;
    /** The longest message accepted, in bytes. */
    readonly maxMessage: number;
    /** What is buffered of the caller's messages at most, in bytes; by default one and some room. */
    readonly window?: number;
    /** How long the session may be without a connection, in milliseconds; it ends with it by default. */
    readonly detachTimeoutMs?: number;
    /** Runs the session; the host closes it when this returns, and aborts it when this throws. */
    readonly run: (session: Session) => Promise<void>;
  }
  | ({
    readonly granted: false;
    /** What the host's owner can run if the caller is to be let in; the caller is not told. */
    readonly cure?: string;
  } & ReasonBody);

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
  /** Whether the peer may go on using a service that it was granted; whom `knows` knows may by default. */
  readonly permits?: (peer: PeerId, service: string) => boolean;
  /** Bounds what all sessions of the process hold; the host makes its own by default. */
  readonly budget?: ReplayBudget;
}

/** Accepts connections and runs the sessions that are granted. */
export class Host implements AsyncDisposable {
  readonly #options: HostOptions;
  readonly #budget: ReplayBudget;
  readonly #halfOpen = new HalfOpenLimiter();
  readonly #handshakes = new TokenBuckets(HANDSHAKES_PER_SOURCE);
  readonly #ephemerals = new RecentEphemerals();
  readonly #strangers = new Set<PeerId>();
  readonly #sessions = new SessionTable();
  readonly #pending = new Set<Transport>();
  readonly #running = new Set<Promise<void>>();
  #closing = false;

  /** Makes a host that accepts nothing until {@link accept} is called. */
  constructor(options: HostOptions) {
    this.#options = options;
    this.#budget = options.budget ?? new ReplayBudget();
  }

  /** The sessions that run now, live or detached, in the order in which they were opened. */
  get sessions(): Iterable<HostedSession> {
    return this.#sessions.all;
  }

  /** Accepts every transport of `incoming` until it ends. */
  async serve(incoming: AsyncIterable<Transport>): Promise<void> {
    for await (const transport of incoming) this.accept(transport);
  }

  /** Runs the whole life of one transport in the background. Never throws. */
  accept(transport: Transport): void {
    const place = this.#closing ? null : this.#placeFor(transport.path.source);
    if (place === null) {
      transport.close();
      return;
    }
    this.#pending.add(transport);
    this.#inBackground(
      this.#live(transport).finally(() => {
        place[Symbol.dispose]();
        this.#pending.delete(transport);
      }),
      () => describePath(transport.path),
    );
  }

  /** Runs the whole life of a connection that somebody else has authenticated. Never throws. */
  acceptConnection(connection: Connection): void {
    this.#inBackground(this.#admit(connection), () => describePath(connection.path));
  }

  /** Lets `life` take its course; what ends it is logged, with where it came from. Returns its end. */
  #inBackground(life: Promise<void>, from: () => string): Promise<void> {
    const end = life
      .catch((error: unknown) => this.#report(from(), error))
      .finally(() => this.#running.delete(end));
    this.#running.add(end);
    return end;
  }

  /** Returns the place of a connection whose handshake begins; null when its source has had enough. */
  #placeFor(source: string): Disposable | null {
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
    const cut = [...this.#sessions.all].filter(matches);
    await Promise.all(cut.map(({ session }) => session.close(reason, CHILD_GRACE_MS / 4)));
  }

  /** Ends everything: half-open connections at once, sessions in order. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing = true;
    for (const transport of this.#pending) transport.close();
    await this.cut(() => true, { code: "host_stopped", reason: "the host was stopped" });
    await Promise.all(this.#running);
  }

  async #live(transport: Transport): Promise<void> {
    const connection = await respond(transport, {
      ...this.#options,
      kind: ConnectionKind.peer,
      refuse: (peer) => this.#strangers.has(peer) ? "busy" : null,
      firstSeen: (key) => this.#ephemerals.firstSeen(key),
    });
    await this.#admit(connection);
  }

  /** Lets a caller have what it asks for, if it may, and hangs up unless a session has the connection now. */
  async #admit(connection: Connection): Promise<void> {
    let isTaken = false;
    try {
      isTaken = await this.#answer(connection);
    } finally {
      if (!isTaken) connection.channel.close();
    }
  }

  /** Answers what a caller asks for. Returns whether a session took over its connection. */
  async #answer(connection: Connection): Promise<boolean> {
    const { clock } = this.#options;
    const leaveBy = clock.monotonic() + STRANGER_TIMEOUT_MS;
    const request = await within(
      clock,
      STRANGER_TIMEOUT_MS,
      readFirstRequest(connection.channel),
      null,
    );
    if (request === null) throw new SessionError("protocol", "The peer asked for nothing in time");
    if (this.#closing) return false;
    using occupied = new DisposableStack();
    const seat = occupied.use(this.#seat(connection.peer));
    const refusal = seat === null ? ONE_AT_A_TIME : this.#grant(connection, request);
    if (refusal === null) {
      const hosted = this.#sessions.get(connection.peer, request.id);
      const held = occupied.move();
      void (hosted?.over ?? Promise.resolve()).then(() => held.dispose());
      return true;
    }
    this.#reportRefusal(connection, request, refusal);
    await this.#refuse(connection, refusal, leaveBy - clock.monotonic());
    return false;
  }

  /** Begins a session or goes on with one. Returns why not, or null. */
  #grant(connection: Connection, request: FirstRequest): Refusal | null {
    const { peer } = connection;
    const hosted = this.#sessions.get(peer, request.id);
    if (hosted !== undefined) {
      if (!this.#permits(peer, hosted.service)) return NO_LONGER_PERMITTED;
      if (request.asks === "open") return hosted.session.reopen(connection, request, hosted.grant);
      return this.#isOurs(request) ? hosted.session.resume(connection, request) : ANOTHER_PROCESS;
    }
    if (!this.#options.knows(peer) && request.asks === "resume") return UNKNOWN_PEER;
    if (request.asks === "resume") return this.#isOurs(request) ? NO_SUCH_SESSION : ANOTHER_PROCESS;
    if (this.#sessions.hasEnded(peer, request.id)) return NO_SUCH_SESSION;
    const decision = this.#options.decide(peer, request);
    if (!decision.granted) return decision;
    this.#begin(connection, request, decision);
    return null;
  }

  #isOurs({ instance }: ResumeBody): boolean {
    return equalBytes(instance, this.#options.instance);
  }

  #permits(peer: PeerId, service: string): boolean {
    return this.#options.permits?.(peer, service) ?? this.#options.knows(peer);
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

  #begin(
    connection: Connection,
    open: OpenBody,
    { service, maxMessage, window, run, detachTimeoutMs = 0 }: OpenDecision & { granted: true },
  ): void {
    const { clock, instance } = this.#options;
    const { peer } = connection;
    const grant = {
      instance,
      service,
      maxMessage,
      detachTimeoutMs,
      ...(window === undefined ? {} : { window }),
    };
    const onPath = (event: PathEvent) => this.#reportPath(peer, service, event);
    const session = Session.accept(connection, open, grant, clock, this.#budget, onPath);
    const { promise: over, resolve } = Promise.withResolvers<void>();
    const hosted: HostedSession = { session, peer, service, since: clock.now(), grant, over };
    this.#sessions.add(hosted);
    void this.#inBackground(
      this.#run(hosted, run).finally(() => this.#sessions.remove(hosted)),
      () => describePath(session.path),
    ).then(resolve);
  }

  async #run({ session }: HostedSession, run: (session: Session) => Promise<void>): Promise<void> {
    try {
      await run(session);
      await session.conclude();
    } catch (error) {
      const reason = error instanceof TalosError
        ? { code: error.code, reason: error.message }
        : { code: "internal", reason: "the host failed; its log says why" };
      await session.conclude(reason);
      throw error;
    }
  }

  /** Says no, and reads on until the peer has heard it: closing at once could destroy the answer. */
  async #refuse({ channel }: Connection, reason: ReasonBody, patienceMs: number): Promise<void> {
    channel.enqueue(encodeReason("refused", reason));
    const { clock } = this.#options;
    await within(clock, Math.max(0, patienceMs), channel.drain(STRANGER_BYTES), undefined);
  }

  #reportRefusal({ peer, path }: Connection, request: FirstRequest, { code, cure }: Refusal): void {
    const { log } = this.#options;
    const from = describePath(path);
    const cured = cure === undefined ? {} : { cure };
    if (request.asks === "open") {
      log.warn("refused", { peer, service: request.service, code, path: from, ...cured });
    } else log.warn("refused to resume a session", { peer, code, path: from });
  }

  #reportPath(peer: PeerId, service: string, event: PathEvent): void {
    const { log } = this.#options;
    const facts = { peer: shortPeerId(peer), service };
    switch (event.kind) {
      case "lost":
        return log.info("session detached", { ...facts, why: event.why });
      case "resumed": {
        const { afterMs, replayed, path } = event;
        const seconds = (afterMs / 1000).toFixed(1);
        return log.info("session resumed", {
          ...facts,
          after_s: seconds,
          replayed,
          path: describePath(path),
        });
      }
      case "retrying":
        return; // a host waits to be called
      default:
        event satisfies never;
    }
  }

  #report(from: string, error: unknown): void {
    const { log } = this.#options;
    if (error instanceof TalosError) {
      const cause = error.cause === undefined ? undefined : messageOf(error.cause);
      log.debug("connection ended", { from, code: error.code, why: error.message, cause });
    } else {
      log.error("connection failed", { from, why: messageOf(error) });
    }
  }
}

/** Why a caller is refused, and what the host's owner can do about it. */
type Refusal = ReasonBody & { readonly cure?: string };

/** What a stranger hears whose first connection is still here. */
const ONE_AT_A_TIME: ReasonBody = {
  code: "busy",
  reason: "this peer is not authorised for anything here and is connected already",
};

/** What a peer hears that was a known one once. */
const UNKNOWN_PEER: ReasonBody = {
  code: "unauthorized",
  reason: "this peer is not authorised for anything here",
};

/** What a peer hears whose permission was withdrawn while it was away. */
const NO_LONGER_PERMITTED: ReasonBody = {
  code: "unauthorized",
  reason: "the permission was withdrawn or has expired",
};

/** What a peer hears that asks for a session which has ended, or never was its own. */
const NO_SUCH_SESSION: ReasonBody = {
  code: "session_lost",
  reason: "there is no such session, or no more",
};

/** What a peer hears that asks for a session of another process. */
const ANOTHER_PROCESS: ReasonBody = { code: "session_lost", reason: "the host was restarted" };
