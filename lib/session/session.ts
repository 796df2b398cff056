/**
 * A session: two ordered, reliable streams of messages between two peers, for one service, which outlive
 * the connection that carries them.
 *
 *     opening ── OPENED ──▶ live ◀── RESUME, RESUMED ── detached
 *        │                   │ └────── connection lost ────▲ │
 *        │                   ▼                               │
 *        │                closing ── CLOSE both ways ──▶ ended ◀── not resumed in time, or not any more
 *        └─ REFUSED ─────────┴── protocol error ────────────▲
 *
 * This is what its users see of it; {@link SessionCore} is what runs it, {@link InitiatorRole} and
 * {@link HostRole} are what its two ends do differently, {@link nextStanding} is the table of its states.
 * Without a way to dial, or where the host keeps nothing, a session ends with its connection. The socket is
 * always read, whatever the consumer does; what bounds memory is credit. CLOSE means "I send nothing more":
 * messages that arrived before it are still delivered, and the other direction goes on until it closes too.
 */

import type { Bytes } from "../bytes.ts";
import { type Clock, within } from "../clock.ts";
import type { PathLabel } from "../transport/transport.ts";
import type { OpenBody, OpenedBody, ReasonBody, ResumeBody, SessionRequest } from "./bodies.ts";
import { CLOSE_PATIENCE_MS, Closing } from "./closing.ts";
import type { Connection } from "./connection.ts";
import { HostRole, type SessionGrant } from "./host_role.ts";
import { InitiatorRole, type Resumption } from "./initiator_role.ts";
import type { PathObserver } from "./outage.ts";
import type { Receiver } from "./receiver.ts";
import { ReplayBudget } from "./replay_budget.ts";
import type { Sender } from "./sender.ts";
import type { SessionCore } from "./session_core.ts";
import type { SessionState } from "./session_state.ts";

export type { SessionGrant } from "./host_role.ts";
export type { Resumption } from "./initiator_role.ts";
export type { PathEvent, PathObserver } from "./outage.ts";
export type { SessionState } from "./session_state.ts";

/** An orderly end. */
export const NORMAL_CLOSE: ReasonBody = { code: "done", reason: "" };

/** What a session counted so far. */
export interface SessionCounts {
  /** Messages that {@link Session.send} accepted. */
  readonly messagesSent: number;
  /** Messages handed out by {@link Session.receive}. */
  readonly messagesReceived: number;
  /** Their bytes. */
  readonly bytesSent: number;
  /** Their bytes. */
  readonly bytesReceived: number;
  /** How often it went on over a new connection. */
  readonly resumptions: number;
}

/** One session over one connection after another. */
export class Session implements AsyncDisposable {
  readonly #role: InitiatorRole | HostRole;
  readonly #core: SessionCore;
  readonly #sender: Sender;
  readonly #receiver: Receiver;
  readonly #closing: Closing;

  private constructor(role: InitiatorRole | HostRole) {
    this.#role = role;
    this.#core = role.core;
    this.#sender = role.core.sender;
    this.#receiver = role.core.receiver;
    this.#closing = new Closing(role.core);
  }

  /**
   * Asks for a session. Messages may be sent at once; {@link opened} tells whether it was granted.
   * The session owns the connection from here on. `budget` bounds what all sessions of the process hold.
   * With `resumption` it outlives its connection; without, it ends with it. Throws RangeError when the
   * request's `maxMessage` is no limit that a peer would accept.
   */
  static open(
    connection: Connection,
    request: SessionRequest,
    clock: Clock,
    budget = new ReplayBudget(),
    resumption?: Resumption,
  ): Session {
    return new Session(new InitiatorRole({ connection, request, clock, budget }, resumption));
  }

  /**
   * Grants the session that `open` asked for. The session owns the connection from here on. `budget`
   * bounds what all sessions of the process hold. It outlives its connection by as long as `grant` says.
   */
  static accept(
    connection: Connection,
    open: OpenBody,
    grant: SessionGrant,
    clock: Clock,
    budget = new ReplayBudget(),
    onPath?: PathObserver,
  ): Session {
    return new Session(new HostRole({ connection, request: open, clock, budget, onPath }, grant));
  }

  /**
   * Host: goes on over `connection`, where the initiator, which never heard OPENED, asks for the session
   * again. Returns why not, or null; where not, nothing has changed.
   */
  reopen(connection: Connection, open: OpenBody, grant: SessionGrant): ReasonBody | null {
    return roleAs(HostRole, this.#role).reopen(connection, open, grant);
  }

  /**
   * Host: goes on over `connection`, where the initiator resumes the session. Returns why not, or null; where
   * not, nothing has changed.
   */
  resume(connection: Connection, resume: ResumeBody): ReasonBody | null {
    return roleAs(HostRole, this.#role).resume(connection, resume);
  }

  /**
   * Initiator: goes on over `connection`, which is a better one than that in use; nothing is lost by it.
   * Returns whether the session takes it, and owns it from then on: not while it has no connection, or ends.
   */
  moveTo(connection: Connection): boolean {
    return roleAs(InitiatorRole, this.#role).moveTo(connection);
  }

  /** The connection that carries the session, or the last one: who the peer is and which way the bytes go. */
  get connection(): Connection {
    return this.#core.connection;
  }

  /** Which way the bytes go, or went last. */
  get path(): PathLabel {
    return this.#core.connection.path;
  }

  /** How long a question is under way on that path, there and back, in milliseconds; undefined if not measured. */
  get roundTripMs(): number | undefined {
    return this.#core.lastLink?.roundTripMs;
  }

  /** Measures {@link roundTripMs} anew. Resolves when that is done, or cannot be done within `patienceMs`. */
  async measureRoundTrip(patienceMs: number): Promise<void> {
    const { link, clock } = this.#core;
    if (link?.phase !== "running") return;
    await within(clock, patienceMs, link.measure(), undefined);
  }

  /** How it stands with the session. */
  get state(): SessionState {
    return this.#core.standing.is;
  }

  /** Since when there has been no connection that carries it, in monotonic milliseconds; undefined if there is. */
  get detachedAt(): number | undefined {
    const { standing } = this.#core;
    return standing.is === "detached" ? standing.since : undefined;
  }

  /** The session's id, service and salt. */
  get request(): SessionRequest {
    return this.#core.request;
  }

  /** Resolves when the host granted the session; rejects with SessionError when it did not. */
  get opened(): Promise<OpenedBody> {
    return this.#core.opened.promise;
  }

  /** Resolves when the session is over, however it ended. */
  get ended(): Promise<void> {
    return this.#core.ended.promise;
  }

  /** Initiator: whether the host refused the session at its first OPEN, and so took nothing of what was sent. */
  get wasRefused(): boolean {
    return roleAs(InitiatorRole, this.#role).wasRefused;
  }

  /** What the other end gave as its reason for closing, once it has closed. */
  get closeReason(): ReasonBody | undefined {
    return this.#core.closeReceived;
  }

  /** What the session counted so far. */
  get counts(): SessionCounts {
    return {
      messagesSent: this.#sender.messages,
      messagesReceived: this.#receiver.messages,
      bytesSent: this.#sender.bytes,
      bytesReceived: this.#receiver.bytes,
      resumptions: this.#core.resumptions,
    };
  }

  /**
   * How many messages were wholly handed to a connection, whatever became of it. They are handed over in the
   * order in which {@link send} and {@link trySend} accepted them: of the others, those that are
   * {@link SessionCounts.messagesSent} number this plus one and later, the peer cannot have got the end.
   */
  get messagesHandedOver(): number {
    return this.#sender.messagesHandedOver;
  }

  /** The longest message the other end takes, in bytes; undefined until it said so. */
  get peerMaxMessage(): number | undefined {
    return this.#sender.peerMaxMessage;
  }

  /**
   * Sends a message, whose bytes must not change afterwards. Resolves when there was room for it: in the
   * window, and in the budget of the process. Messages leave in the order of the calls. Before the session
   * is granted only short ones are sent; a longer one waits, for the other end's limit is not known yet.
   * Throws SessionError `message_too_large` without sending anything, and what ended the session.
   */
  send(message: Bytes): Promise<void> {
    return this.#sender.send(message);
  }

  /**
   * Sends a message if that needs no waiting, and tells whether it did: where not, {@link send} waits or
   * says why. Throws SessionError `message_too_large` without sending anything.
   */
  trySend(message: Bytes): boolean {
    return this.#sender.trySend(message);
  }

  /**
   * Returns the next message, or null when the other end has closed in order. Throws what ended the
   * session otherwise. One call at a time.
   */
  receive(): Promise<Bytes | null> {
    return this.#receiver.receive();
  }

  /** Returns the next message if one is here already, else null: what that means {@link receive} tells. */
  tryReceive(): Bytes | null {
    return this.#receiver.tryReceive();
  }

  /** Tells whether somebody waits for a message of the other end: its silence is then looked into sooner. */
  expectAnswer(isExpected: boolean): void {
    this.#core.expectAnswer(isExpected);
  }

  /**
   * Ends the session in order: what was sent before leaves first, as far as the other end takes it
   * within `patienceMs`; then CLOSE; then the other end's CLOSE and the end of its stream are awaited for
   * the rest of that time. Messages that still arrive can be received meanwhile and afterwards. A host's
   * session that has no connection ends at once.
   */
  close(reason: ReasonBody = NORMAL_CLOSE, patienceMs = CLOSE_PATIENCE_MS): Promise<void> {
    return this.#closing.close(reason, patienceMs, this.#role.dials);
  }

  /**
   * Ends the session in order as {@link close} does, but for as long as the other end takes what was sent;
   * and where it has no connection, the other end may still come for that, until the session is given up.
   * Nobody receives any more: what was not received is dropped, and so is what still arrives.
   */
  conclude(reason: ReasonBody = NORMAL_CLOSE): Promise<void> {
    return this.#closing.conclude(reason);
  }

  /** Ends the session now, without a word to the other end beyond the end of the connection. */
  abort(error: Error): void {
    this.#core.end(error);
  }

  /** The same as {@link close} with {@link NORMAL_CLOSE}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/** Returns `role` if it is what only one end of a session can do. Throws TypeError otherwise. */
function roleAs<Role extends InitiatorRole | HostRole>(
  wanted: abstract new (...args: never) => Role,
  role: InitiatorRole | HostRole,
): Role {
  if (role instanceof wanted) return role;
  throw new TypeError(`Cannot do that at this end of a session: it takes the ${wanted.name}`);
}
