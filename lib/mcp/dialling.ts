/**
 * Dialling a host until it answers, ever more slowly, while waiting can cure what is wrong.
 */

import { type Clock, within } from "../clock.ts";
import type { DiscoveryErrorCode } from "../discovery/errors.ts";
import { TalosError } from "../errors.ts";
import type { Log } from "../log.ts";
import { race } from "../race.ts";
import { SessionError, type SessionErrorCode } from "../session/errors.ts";
import type { Session } from "../session/session.ts";
import type { TransportErrorCode } from "../transport/errors.ts";

const FIRST_RETRY_MS = 50;
const LAST_RETRY_MS = 5_000;

/** What a later attempt may cure. */
const CURABLE: ReadonlySet<string> = new Set<
  TransportErrorCode | SessionErrorCode | DiscoveryErrorCode
>([
  "refused",
  "unreachable",
  "name_unknown",
  "broken",
  "connection_lost",
  "handshake_timeout",
  "busy",
  "registry_unreachable",
  "registry_busy",
  "peer_away",
  "peer_unreachable",
  "relay_failed",
]);

/**
 * Handshakes that may fail one after the other. A host hangs up without a word on whoever expects another
 * key; so does a path that breaks, or a host that is being restarted. Which it was, repetition tells.
 */
const MAX_FAILED_HANDSHAKES = 4;

/** Tells whether a later attempt may not fail with `error`. */
export function mayPass(error: TalosError): boolean {
  return CURABLE.has(error.code);
}

/** What dialling takes. */
export interface DiallingOptions {
  /** Reaches the host and opens a session. Throws TalosError. */
  readonly openSession: () => Promise<Session>;
  /** Whether what waiting may cure is waited for. */
  readonly isPatient: boolean;
  /** Time. */
  readonly clock: Clock;
  /** Standard error. */
  readonly log: Log;
}

/** Dials one host, again and again. */
export class Dialling {
  readonly #options: DiallingOptions;
  #retryMs = FIRST_RETRY_MS;
  #failure: unknown = noAnswer();

  /** Prepares to dial. */
  constructor(options: DiallingOptions) {
    this.#options = options;
  }

  /** Why no session could be opened, the last time. */
  get failure(): unknown {
    return this.#failure;
  }

  /**
   * Returns a session, or null once `impatience` has resolved before there was one. Throws what waiting does
   * not cure. `quiet` reports the first failure alone as a warning.
   */
  async connect(impatience: Promise<null>, { quiet = false } = {}): Promise<Session | null> {
    const { log, openSession, isPatient } = this.#options;
    this.#failure = noAnswer();
    let failedHandshakes = 0;
    for (let attempt = 1;; attempt++) {
      log.debug("dialling", { attempt });
      const opening = openSession();
      try {
        const session = await race<Session | null>(opening, impatience);
        // Nobody waits for it any more.
        if (session === null) opening.then((late) => late.abort(notNeeded()), () => {});
        return session;
      } catch (error) {
        if (!(error instanceof TalosError)) throw error;
        failedHandshakes = error.code === "handshake_failed" ? failedHandshakes + 1 : 0;
        const isInDoubt = failedHandshakes > 0 && failedHandshakes < MAX_FAILED_HANDSHAKES;
        if (!mayPass(error) && !isInDoubt) throw error;
        if (!isPatient) throw error; // a person would rather know now
        this.#failure = error;
        const report = quiet && attempt > 1 ? log.debug : log.warn;
        report(`${error.message}; trying again`, { attempt, wait_ms: this.#retryMs });
      }
      if (await this.pause(impatience) === null) return null;
    }
  }

  /** Waits for a moment, longer each time. Returns null once `impatience` has resolved before. */
  async pause(impatience: Promise<null>): Promise<"go on" | null> {
    const wait = this.#retryMs;
    this.#retryMs = Math.min(2 * wait, LAST_RETRY_MS);
    return await within(this.#options.clock, wait, impatience, "go on");
  }

  /** The next wait is a short one again. */
  reset(): void {
    this.#retryMs = FIRST_RETRY_MS;
  }
}

function noAnswer(): SessionError {
  return new SessionError("handshake_timeout", "The host did not answer in time");
}

function notNeeded(): SessionError {
  return new SessionError("closed", "The agent is gone");
}
