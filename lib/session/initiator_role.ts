/**
 * The initiator's end of a session: it asks for the session, and when a connection is lost, dials and asks
 * again until the host answers, says no for good, or has not been reached for too long.
 *
 *     asking ── OPENED, RESUMED ──▶ carried ── connection lost ──▶ dialling ── connected ──▶ asking
 *        ├─── lost; REFUSED for now ──▶ dialling                      └─── out of patience ──▶ given up
 *        └─── REFUSED ──▶ over
 *
 * Before OPENED it asks with OPEN, then with RESUME; each attempt has a greater number than the one before.
 * What was said to one process of a host is never said to another: a host that was restarted has lost the
 * session. A machine that slept long enough for the host to have given the connection up dials at once.
 */

import { type Bytes, EMPTY, equalBytes } from "../bytes.ts";
import type { RandomBytes } from "../crypto/random.ts";
import { messageOf, TalosError } from "../errors.ts";
import {
  CONNECT_PATIENCE_MS,
  GOOD_CONNECTION_MS,
  PING_AFTER_SILENCE_MS,
  PONG_TIMEOUT_MS,
} from "../limits.ts";
import { describePath } from "../transport/transport.ts";
import { Backoff } from "./backoff.ts";
import {
  decodeOpened,
  decodeReason,
  decodeResumed,
  encodeOpen,
  encodeResume,
  type OpenedBody,
  type ReasonBody,
} from "./bodies.ts";
import type { Connection } from "./connection.ts";
import { SessionError, type SessionErrorCode } from "./errors.ts";
import type { Link } from "./link.ts";
import type { PathObserver } from "./outage.ts";
import { type Redial, Redialler } from "./redialler.ts";
import { SessionCore, type SessionParts } from "./session_core.ts";
import type { SessionRole } from "./session_role.ts";
import { isClosing } from "./session_state.ts";
import { WakeWatch } from "./wake_watch.ts";

/** After a longer sleep than this the host has given the connection up. */
const SURELY_LOST_MS = PING_AFTER_SILENCE_MS + PONG_TIMEOUT_MS;

/** How an initiator carries on when its connection is lost. */
export interface Resumption {
  /** Connects to the same host once more. */
  readonly redial: Redial;
  /** Randomness for the pauses between attempts. */
  readonly random: RandomBytes;
  /** Learns what happens to the path. */
  readonly onPath?: PathObserver;
}

/** What an initiator has of a session. */
export type InitiatorParts = Omit<SessionParts, "maxMessage" | "window" | "onPath">;

/** How one dials again. */
interface Dialling {
  readonly redial: Redial;
  readonly backoff: Backoff;
  readonly wake: WakeWatch;
}

/** The initiator's end of a session. */
export class InitiatorRole implements SessionRole {
  /** What both ends share. */
  readonly core: SessionCore;
  readonly dials = true;
  readonly #dialling: Dialling | undefined;
  #redialler: Redialler | undefined;
  /** The host's process, as far as it is known. */
  #instance: Bytes | undefined;
  /** What the host granted; undefined before OPENED. */
  #grantedMs: number | undefined;
  /** The greatest attempt that was sent. */
  #attempt = 0;
  #wasRefused = false;

  /** Asks for the session and begins to read. With `resumption` the session outlives its connection. */
  constructor(parts: InitiatorParts, resumption?: Resumption) {
    const { connection, request } = parts;
    const frame = encodeOpen(request);
    const { maxMessage } = request;
    this.core = new SessionCore({ ...parts, maxMessage, onPath: resumption?.onPath }, this);
    this.#instance = connection.instance;
    if (resumption !== undefined) this.#dialling = this.#prepareToDial(resumption);
    const link = this.core.use(connection, "opening", frame);
    this.core.sender.attach(link);
    link.begin();
  }

  /** Whether the host refused the session at its first OPEN, and so took nothing of what was sent. */
  get wasRefused(): boolean {
    return this.#wasRefused;
  }

  get detachTimeoutMs(): number {
    return this.#dialling === undefined ? 0 : this.#grantedMs ?? CONNECT_PATIENCE_MS;
  }

  get #isOpened(): boolean {
    return this.#grantedMs !== undefined;
  }

  // The host's answers.

  answered(link: Link, name: "opened" | "resumed" | "refused", body: Bytes): void {
    if (name !== "refused") link.answered();
    switch (name) {
      case "opened":
        return this.#opened(link, decodeOpened(body));
      case "resumed":
        return this.#goOn(link, decodeResumed(body).next);
      case "refused":
        return this.#refused(link, decodeReason("refused", body));
      default:
        name satisfies never;
    }
  }

  #opened(link: Link, opened: OpenedBody): void {
    const { core } = this;
    this.#instance = opened.instance;
    this.#grantedMs = opened.detachTimeoutMs;
    core.note({ kind: "granted" });
    core.sender.opened(opened.maxMessage);
    if (this.#attempt === 0) {
      if (opened.next !== 1) throw new SessionError("protocol", "A new session lacks nothing");
      link.phase = "running";
    } else this.#goOn(link, opened.next);
    core.opened.resolve(opened);
  }

  /** Carries on over `link`: the host lacks everything from fragment `next` on. */
  #goOn(link: Link, next: number): void {
    const { core } = this;
    const replayed = core.sender.rewind(next);
    link.phase = "running";
    core.carriedAgain(replayed);
    core.sender.attach(link);
  }

  #refused(link: Link, reason: ReasonBody): void {
    const { core } = this;
    this.#wasRefused = this.#attempt === 0;
    const error = refusal(reason, link.connection);
    if (this.#attempt > 0 && PASSING.has(reason.code)) core.lost(link, error);
    else if (isClosing(core.standing) && error.code === "session_lost") core.end(); // as wanted
    else core.end(error);
  }

  // Dialling again.

  /** Dials at once, but for a host, or somebody on the path, that lets us come back only to cut us off again. */
  detached(link: Link): void {
    const wasGood = this.#resetBackoff(link);
    const isFirst = this.#attempt === 0;
    this.#redial(isFirst || wasGood ? 0 : this.#dialling?.backoff.next(0) ?? 0);
  }

  notCarried(link: Link, error: Error): void {
    this.#resetBackoff(link);
    const { core } = this;
    core.attemptFailed(error);
    if (core.standing.is !== "detached") return;
    const lostForMs = core.clock.monotonic() - core.standing.since;
    this.#redial(this.#dialling?.backoff.next(lostForMs) ?? 0);
  }

  /**
   * Goes on over `connection`, which is a better one than that in use; nothing is lost by it. Returns whether
   * the session takes it, and owns it from then on: not while it has no connection, or ends.
   */
  moveTo(connection: Connection): boolean {
    const { standing, closeReceived, link } = this.core;
    const isSteady = standing.is === "live" && link?.phase === "running" &&
      closeReceived === undefined;
    if (!isSteady || this.detachTimeoutMs === 0 || this.#instance === undefined) return false;
    if (isOther(this.#instance, connection.instance)) return false;
    this.core.leaveLink(
      new SessionError("connection_lost", "The session moves to a better path"),
    );
    this.#askAgain(connection);
    return true;
  }

  givenUp(limitMs: number, last: unknown): Error {
    if (!this.#isOpened && last instanceof TalosError) return last;
    const { peer } = this.core.connection;
    const seconds = Math.round(limitMs / 1000);
    return new SessionError(
      "session_lost",
      `Cannot resume the session: ${peer} was not reached for ${seconds} s: ${messageOf(last)}`,
      { cause: last },
    );
  }

  ended(): void {
    this.#dialling?.wake[Symbol.dispose]();
    this.#redialler?.[Symbol.dispose]();
  }

  #prepareToDial({ redial, random }: Resumption): Dialling {
    const { core } = this;
    const wake = new WakeWatch(core.clock, (sleptMs) => {
      const { link } = core;
      if (link === undefined) this.#redialler?.hurry();
      else if (sleptMs > SURELY_LOST_MS && this.detachTimeoutMs > 0) {
        core.lost(link, slept(sleptMs));
      } else link.watch.jumped();
    });
    return { redial, backoff: new Backoff(random), wake };
  }

  /** Makes pauses short again if `link` lasted long enough. Returns whether it did. */
  #resetBackoff({ since }: Link): boolean {
    const wasGood = this.core.clock.monotonic() - since >= GOOD_CONNECTION_MS;
    if (wasGood) this.#dialling?.backoff.reset();
    return wasGood;
  }

  #redial(waitMs: number): void {
    const { clock, standing } = this.core;
    if (this.#dialling === undefined || standing.is !== "detached") return;
    const { redial, backoff } = this.#dialling;
    this.#redialler = new Redialler({ clock, redial, backoff, lostAt: standing.since, waitMs }, {
      connected: (connection) => this.#askAgain(connection),
      failed: (error) => this.core.attemptFailed(error),
      hopeless: (error) =>
        this.core.end(error instanceof Error ? error : new Error(messageOf(error))),
    });
  }

  /** Asks the host over a new connection to carry on. */
  #askAgain(connection: Connection): void {
    const { core } = this;
    this.#redialler = undefined;
    const instance = this.#isOpened ? this.#instance : this.#instanceInDoubt;
    if (instance !== undefined && isOther(instance, connection.instance)) {
      connection.channel.close();
      return core.end(restarted(connection));
    }
    this.#attempt++;
    const link = this.#isOpened
      ? core.use(connection, "resuming", this.#resumeFrame())
      : core.use(connection, "opening", encodeOpen(core.request, this.#attempt));
    link.watch.answerDue();
    link.begin();
  }

  #resumeFrame(): Bytes {
    const { request: { id }, receiver: { next } } = this.core;
    return encodeResume({ id, instance: this.#instance!, attempt: this.#attempt, next });
  }

  /**
   * Before OPENED: the host's process that may have got messages of ours, so that no other may get them;
   * where nothing was said yet, any process will do.
   */
  get #instanceInDoubt(): Bytes | undefined {
    return this.core.sender.hasBegun ? this.#instance ?? EMPTY : undefined;
  }
}

function slept(ms: number): SessionError {
  const seconds = Math.round(ms / 1000);
  return new SessionError(
    "connection_lost",
    `Lost the connection: this machine slept ${seconds} s`,
  );
}

function restarted({ peer }: Connection): SessionError {
  return new SessionError(
    "session_lost",
    `Cannot resume the session: the host ${peer} was restarted`,
  );
}

/** Whether a connection leads to another process than `instance`, as far as that is known. */
function isOther(instance: Bytes, reached: Bytes | undefined): boolean {
  if (reached === undefined) return instance.length === 0;
  return !equalBytes(instance, reached);
}

/** What a host says of a session that it knows, and that a later attempt may cure. */
const PASSING: ReadonlySet<string> = new Set(["busy", "stale"]);

const REFUSALS: ReadonlySet<string> = new Set<SessionErrorCode>([
  "unauthorized",
  "unknown_service",
  "service_failed",
  "busy",
  "session_lost",
]);

function refusal({ code, reason }: ReasonBody, to: Connection): SessionError {
  const known = REFUSALS.has(code) ? code as SessionErrorCode : "protocol";
  return new SessionError(
    known,
    `The host ${to.peer} (${describePath(to.path)}) refused: ${reason}`,
  );
}
