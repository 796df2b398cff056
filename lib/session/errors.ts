/** Errors of the handshake, the secure channel and the session above it. */

import { TalosError, type TalosErrorOptions } from "../errors.ts";

/** What can go wrong between two peers that reach each other. */
export type SessionErrorCode =
  /** The other end broke the protocol. */
  | "protocol"
  /** What answers is no Talos peer. */
  | "not_talos"
  /** The two share no protocol version. */
  | "version"
  /** The other end does not hold the key that was expected, or the handshake was altered. */
  | "handshake_failed"
  /** The clocks differ by more than the limit. */
  | "clock"
  /** The responder has no room for another connection. */
  | "busy"
  /** The responder refuses this peer whatever it asks for. */
  | "blocked"
  /** The handshake took too long. */
  | "handshake_timeout"
  /** The peer may not use the service. */
  | "unauthorized"
  /** No invite of the host's is proved by the ticket. */
  | "invite_unknown"
  /** As many as may have used the ticket. */
  | "invite_used"
  /** The ticket's time is over. */
  | "invite_expired"
  /** The host has withdrawn the ticket. */
  | "invite_revoked"
  /** Too many wrong tickets came to the host lately. */
  | "invite_limited"
  /** The host has no such service. */
  | "unknown_service"
  /** The host could not start the service. */
  | "service_failed"
  /** The connection broke, or stopped answering. */
  | "connection_lost"
  /** The session cannot be resumed: the host has it no more, or was not reached for too long. */
  | "session_lost"
  /** The message is larger than the other end takes. */
  | "message_too_large"
  /** The session is closed. */
  | "closed";

/** What else an error between two peers can say. */
export interface SessionErrorOptions extends TalosErrorOptions {
  /** The difference of the two clocks, for `clock`: theirs minus ours. */
  readonly skewMs?: number;
  /** With `clock`: no retry with the other end's time is allowed. */
  readonly strict?: boolean;
}

/** An error between two peers. */
export class SessionError extends TalosError<SessionErrorCode> {
  /** The difference of the two clocks, for `clock`: theirs minus ours, in milliseconds. */
  readonly skewMs: number | undefined;
  /** With `clock`: no retry with the other end's time is allowed. */
  readonly strict: boolean;

  /** Makes an error of the session layer. */
  constructor(code: SessionErrorCode, message: string, options: SessionErrorOptions = {}) {
    super(code, message, options);
    this.skewMs = options.skewMs;
    this.strict = options.strict ?? false;
  }
}
