/**
 * What both ends of a session share: its two streams, the connection that carries them, the frames that come
 * over it, and how it all ends. What only one end does, it asks its {@link SessionRole} for.
 *
 *     Session ─▶ InitiatorRole or HostRole ─▶ SessionCore ─▶ Sender, Receiver, Link
 *
 * A frame counts only where it comes over the connection in use, and in its turn. One that breaks the
 * protocol ends the session; a connection that breaks does not, unless the session may not be without one.
 */

import type { Bytes } from "../bytes.ts";
import type { Clock } from "../clock.ts";
import { messageOf } from "../errors.ts";
import { WireError } from "../wire/errors.ts";
import { encodePing, type Frame } from "../wire/frames.ts";
import { decodeReason, type OpenedBody, type ReasonBody, type SessionRequest } from "./bodies.ts";
import type { Connection } from "./connection.ts";
import { SessionError } from "./errors.ts";
import { checkTurn, outOfTurn } from "./frame_order.ts";
import { Link } from "./link.ts";
import { Outage, type PathObserver } from "./outage.ts";
import { Receiver } from "./receiver.ts";
import type { ReplayBudget } from "./replay_budget.ts";
import { Sender } from "./sender.ts";
import type { SessionRole } from "./session_role.ts";
import { nextStanding, OPENING, type SessionEvent, type Standing } from "./session_state.ts";

/** What a session is made of, whichever end it is. */
export interface SessionParts {
  /** The first connection. The session owns it from now on. */
  readonly connection: Connection;
  /** What was asked for. */
  readonly request: SessionRequest;
  /** The longest message of our side, in bytes. */
  readonly maxMessage: number;
  /** What is buffered of the other end's messages at most, in bytes; by default one and some room. */
  readonly window?: number | undefined;
  /** Time. */
  readonly clock: Clock;
  /** Bounds what all sessions of the process hold. */
  readonly budget: ReplayBudget;
  /** Learns what happens to the path. */
  readonly onPath: PathObserver | undefined;
}

/** One end of a session, as far as the ends are alike. */
export class SessionCore {
  /** What was asked for: the same each time. */
  readonly request: SessionRequest;
  /** Time. */
  readonly clock: Clock;
  /** What we send. */
  readonly sender: Sender;
  /** What the other end sends. */
  readonly receiver: Receiver;
  /** Settles when the session was granted, or was not. */
  readonly opened = Promise.withResolvers<OpenedBody>();
  /** Resolves when the other end has closed. */
  readonly peerClosed = Promise.withResolvers<void>();
  /** Resolves when the session is over. */
  readonly ended = Promise.withResolvers<void>();
  readonly #role: SessionRole;
  readonly #onPath: PathObserver | undefined;

  #standing: Standing = OPENING;
  /** The connection in use or the last one. */
  #connection: Connection;
  /** The connection in use, whether or not the other end has answered there. */
  #link: Link | undefined;
  /** The same, or the last one. */
  #lastLink: Link | undefined;
  /** The connection that was in use before, while the host is asked over a better one. */
  #former: Link | undefined;
  /** Set while there is no connection that carries the session. */
  #outage: Outage | undefined;
  #resumptions = 0;
  #expectsAnswer = false;
  #closeReceived: ReasonBody | undefined;

  /** Makes a session that uses no connection yet: {@link use} begins with one. */
  constructor(
    { connection, request, maxMessage, window, clock, budget, onPath }: SessionParts,
    role: SessionRole,
  ) {
    this.#connection = connection;
    this.request = request;
    this.clock = clock;
    this.#onPath = onPath;
    this.#role = role;
    this.receiver = new Receiver(maxMessage, window, clock);
    this.sender = new Sender({
      receiving: this.receiver.window,
      share: budget.share(connection.peer),
      maxMessage,
    });
    this.opened.promise.catch(() => {}); // whoever does not wait for it learns of it from receive()
  }

  /** How it stands with the session. */
  get standing(): Standing {
    return this.#standing;
  }

  /** The connection in use or the last one. */
  get connection(): Connection {
    return this.#connection;
  }

  /** The connection in use, whether or not the other end has answered there. */
  get link(): Link | undefined {
    return this.#link;
  }

  /** The same, or the last one. */
  get lastLink(): Link | undefined {
    return this.#lastLink;
  }

  /** How often it went on over a new connection. */
  get resumptions(): number {
    return this.#resumptions;
  }

  /** What the other end gave as its reason for closing, once it has closed. */
  get closeReceived(): ReasonBody | undefined {
    return this.#closeReceived;
  }

  /** Set while there is no connection that carries the session. */
  get outage(): Outage | undefined {
    return this.#outage;
  }

  /** Notes that something has happened, which changes nothing but the standing. */
  note(event: SessionEvent): void {
    this.#standing = nextStanding(this.#standing, event);
  }

  /** Tells whether somebody waits for a message of the other end. */
  expectAnswer(isExpected: boolean): void {
    this.#expectsAnswer = isExpected;
    this.#link?.watch.expectAnswer(isExpected);
  }

  // The connection.

  /** Takes `connection` into use and says `first` there. Nothing is read before {@link Link.begin}. */
  use(connection: Connection, phase: Link["phase"], first: Bytes): Link {
    this.#connection = connection;
    const link = new Link(connection, phase, this.clock, {
      take: (link, frame) => this.#take(link, frame),
      tookAll: () => this.receiver.acknowledgeSoon(),
      violated: (link, error) => {
        if (link === this.#link) this.end(translated(error));
      },
      lost: (link, error) => {
        if (link === this.#link) this.lost(link, translated(error));
      },
    });
    this.#link = this.#lastLink = link;
    link.watch.expectAnswer(this.#expectsAnswer);
    link.channel.enqueue(first);
    this.receiver.attach(link.channel);
    return link;
  }

  /** Ends the connection in use, if there is one. */
  dropLink(): void {
    this.sender.detach();
    this.receiver.detach();
    const link = this.#link;
    this.#link = undefined;
    link?.drop();
    this.#dropFormer();
  }

  #dropFormer(): void {
    this.#former?.drop();
    this.#former = undefined;
  }

  /**
   * Stops using the connection there is, for `why`: another one is about to carry the session on. It stays
   * until that does: the host would take the session for lost.
   */
  leaveLink(why: Error): void {
    const link = this.#link;
    this.#link = undefined; // what it still brings the host says once more
    this.dropLink();
    this.#former = link;
    this.#isLost(why);
  }

  /** Notes that `link`, the one in use, is over or of no use. */
  lost(link: Link, error: Error): void {
    // Once the peer has closed, and we have too, how its stream ends says nothing.
    if (this.#closeReceived !== undefined && link.closeSent) return this.end();
    if (this.#role.detachTimeoutMs === 0) return this.end(error);
    this.dropLink();
    if (this.#outage !== undefined) return this.#role.notCarried(link, error);
    this.#isLost(error);
    this.#onPath?.({ kind: "lost", path: this.#connection.path, why: error.message });
    this.#role.detached(link);
  }

  #isLost(error: Error): void {
    const limitMs = this.#role.detachTimeoutMs;
    this.#outage = new Outage(this.clock, error, limitMs, (lastError) => {
      this.end(this.#role.givenUp(limitMs, lastError));
    });
    this.note({ kind: "lost", at: this.#outage.since });
  }

  /** Notes that an attempt to carry the session on has failed, and that another follows. */
  attemptFailed(error: Error): void {
    if (this.#outage === undefined) return;
    const event = this.#outage.attemptFailed(error); // noted whether or not anybody is told
    this.#onPath?.(event);
  }

  /** Notes that the connection in use carries the session on; `replayed` messages are sent once more. */
  carriedAgain(replayed: number): void {
    const now = this.clock.monotonic();
    const afterMs = now - (this.#outage?.since ?? now);
    this.#dropFormer();
    this.#endOutage();
    this.#resumptions++;
    this.note({ kind: "carried" });
    this.#onPath?.({ kind: "resumed", path: this.#connection.path, afterMs, replayed });
  }

  #endOutage(): void {
    this.#outage?.[Symbol.dispose]();
    this.#outage = undefined;
  }

  // Frames.

  #take(link: Link, frame: Frame): void {
    if (link !== this.#link) return;
    checkTurn(frame, link, this.#closeReceived !== undefined);
    switch (frame.type) {
      case "data":
        this.receiver.accept(frame);
        return this.sender.acknowledged(frame.ack, frame.credit);
      case "ack":
        return this.sender.acknowledged(frame.ack, frame.credit);
      case "ping":
        // A peer that floods us with pings and reads nothing gets no answers beyond what has room.
        if (link.channel.hasRoom) link.channel.enqueue(encodePing("pong", frame.token));
        return;
      case "pong":
        return link.ponged(frame.token);
      case "opened":
      case "resumed":
      case "refused":
        return this.#role.answered(link, frame.type, frame.body);
      case "close":
        return this.#takeClose(link, decodeReason("close", frame.body));
      case "open":
      case "resume":
      case "rekey":
        throw outOfTurn(frame.type, "the session runs");
      default:
        frame satisfies never;
    }
  }

  #takeClose(link: Link, reason: ReasonBody): void {
    link.closeReceived = true;
    this.#closeReceived ??= reason;
    this.receiver.end(null);
    this.peerClosed.resolve();
  }

  // The end.

  /** Ends the session: in order, or because of `failure`, which whoever sends or receives is told. */
  end(failure: Error | null = null): void {
    if (this.#standing.is === "ended") return;
    this.note({ kind: "ended", failure });
    this.#role.ended();
    this.#endOutage();
    this.dropLink();
    const error = failure ?? closed();
    this.sender.end(error);
    this.receiver.end(failure);
    this.opened.reject(error);
    this.ended.resolve();
  }
}

function closed(): SessionError {
  return new SessionError("closed", "Cannot use the session: it is closed");
}

function translated(error: unknown): Error {
  if (error instanceof WireError) {
    return new SessionError("protocol", error.message, { cause: error });
  }
  return error instanceof Error ? error : new Error(messageOf(error));
}
