/**
 * The host's end of a session: it grants once, then waits for the initiator to come again when a connection
 * is lost, as long as it granted.
 *
 *     carried ── connection lost ──▶ waiting ── OPEN or RESUME of a later attempt ──▶ carried
 *                                       └────── detach timeout ──▶ given up
 *
 * Whoever comes must come in a later attempt than any before: of two connections of one initiator the one
 * it made last wins, in whatever order they arrive. What is refused changes nothing. Whether the caller is
 * the peer that opened the session, and may still use it, is asked before: by the host.
 */

import { type Bytes, equalBytes } from "../bytes.ts";
import { messageOf } from "../errors.ts";
import {
  encodeOpened,
  encodeResumed,
  type OpenBody,
  type OpenedBody,
  type ReasonBody,
  type ResumeBody,
} from "./bodies.ts";
import type { Connection } from "./connection.ts";
import { SessionError } from "./errors.ts";
import { outOfTurn } from "./frame_order.ts";
import type { Link } from "./link.ts";
import { SessionCore, type SessionParts } from "./session_core.ts";
import type { SessionRole } from "./session_role.ts";

/** What a host grants a session. */
export interface SessionGrant extends Omit<OpenedBody, "next"> {
  /** What is buffered of the initiator's messages at most, in bytes; by default one and some room. */
  readonly window?: number;
}

/** What a host has of a session besides what it grants. */
export type HostParts =
  & Omit<SessionParts, "request" | "maxMessage" | "window">
  & {
    /** What the initiator asked for. */
    readonly request: OpenBody;
  };

/** The host's end of a session. */
export class HostRole implements SessionRole {
  /** What both ends share. */
  readonly core: SessionCore;
  readonly dials = false;
  readonly detachTimeoutMs: number;
  /** The greatest attempt that was seen. */
  #attempt: number;

  /** Grants the session and begins to read. */
  constructor(parts: HostParts, grant: SessionGrant) {
    const { connection, request } = parts;
    const opened = { ...grant, next: 1 };
    const frame = encodeOpened(opened);
    const { maxMessage, window } = grant;
    this.core = new SessionCore({ ...parts, maxMessage, window }, this);
    this.detachTimeoutMs = grant.detachTimeoutMs;
    this.#attempt = request.attempt;
    this.core.note({ kind: "granted" });
    this.core.sender.opened(request.maxMessage);
    this.core.opened.resolve(opened);
    this.#carryOver(connection, frame).begin();
  }

  /**
   * Goes on over `connection`, where the initiator, which never heard OPENED, asks for the session again.
   * Returns why not, or null.
   */
  reopen(connection: Connection, open: OpenBody, grant: SessionGrant): ReasonBody | null {
    const { service, maxMessage, salt } = this.core.request;
    const isSame = open.service === service && open.maxMessage === maxMessage &&
      equalBytes(open.salt, salt);
    if (!isSame) return { code: "protocol", reason: "this session was asked for differently" };
    const { next } = this.core.receiver;
    const again = { attempt: open.attempt, next: 1 };
    return this.#takeOver(connection, again, () => encodeOpened({ ...grant, next }));
  }

  /** Goes on over `connection`, where the initiator resumes the session. Returns why not, or null. */
  resume(connection: Connection, resume: ResumeBody): ReasonBody | null {
    const { next } = this.core.receiver;
    return this.#takeOver(connection, resume, () => encodeResumed({ next }));
  }

  /** Goes on over `connection`, unless an attempt as late as this one has come before. */
  #takeOver(
    connection: Connection,
    { attempt, next }: { readonly attempt: number; readonly next: number },
    answer: () => Bytes,
  ): ReasonBody | null {
    const { core } = this;
    if (core.standing.is === "ended") {
      return { code: "session_lost", reason: "the session has ended" };
    }
    if (attempt <= this.#attempt) {
      return { code: "stale", reason: `attempt ${this.#attempt} came before attempt ${attempt}` };
    }
    let replayed: number;
    try {
      replayed = core.sender.rewind(next);
    } catch (error) {
      return { code: "protocol", reason: messageOf(error) };
    }
    this.#attempt = attempt;
    core.dropLink();
    const link = this.#carryOver(connection, answer());
    core.carriedAgain(replayed);
    link.begin();
    return null;
  }

  /** Begins to send over `connection`, with `frame` first. */
  #carryOver(connection: Connection, frame: Bytes): Link {
    const link = this.core.use(connection, "running", frame);
    this.core.sender.attach(link);
    return link;
  }

  /** Never comes about: a host's links run from the beginning. */
  answered(_link: Link, name: "opened" | "resumed" | "refused"): void {
    throw outOfTurn(name, "the session is open");
  }

  /** Waits to be called. */
  detached(): void {}

  /** Never comes about: what comes to a host carries the session at once. */
  notCarried(): void {}

  givenUp(limitMs: number, last: unknown): Error {
    const seconds = Math.round(limitMs / 1000);
    return new SessionError(
      "session_lost",
      `The peer ${this.core.connection.peer} did not resume the session within ${seconds} s`,
      { cause: last },
    );
  }

  ended(): void {}
}
