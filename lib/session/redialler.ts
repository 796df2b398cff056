/**
 * Dialling a lost peer until it answers: the attempts, their pauses, and which of them wins.
 *
 * An attempt may hang in a network that is gone, and TCP sends its first packet again ever more rarely. So
 * when one has neither failed nor succeeded within a second, another begins beside it, a few at most. The
 * first connection wins; all others are given up, and closed if they come about later. What an attempt
 * fails with is reported and tried again, unless the peer itself, authenticated, said no for good.
 */

import type { Clock } from "../clock.ts";
import { EARLY_REDIAL_MS, MAX_REDIALS_AT_ONCE } from "../limits.ts";
import { TalosError } from "../errors.ts";
import type { Backoff } from "./backoff.ts";
import type { Connection } from "./connection.ts";
import { SessionError, type SessionErrorCode } from "./errors.ts";

/** Connects to the same peer once more. Gives up when `signal` aborts, if it can. Throws TalosError. */
export type Redial = (signal: AbortSignal) => Promise<Connection>;

/** What a redialler makes happen. */
export interface RedialActions {
  /** Takes the first connection. Called once. */
  connected(connection: Connection): void;
  /** Learns that an attempt failed and that another follows. */
  failed(error: TalosError): void;
  /** Learns that no attempt can succeed. Called once. */
  hopeless(error: unknown): void;
}

/** What the peer says in the handshake, authenticated, that waiting does not cure. */
const FINAL: ReadonlySet<SessionErrorCode> = new Set(["blocked", "version"]);

/** Dials until there is a connection, or until it is disposed. */
export class Redialler implements Disposable {
  readonly #clock: Clock;
  readonly #redial: Redial;
  readonly #backoff: Backoff;
  readonly #actions: RedialActions;
  readonly #lostAt: number;
  readonly #done = new AbortController();
  #underWay = 0;
  #latest = 0;
  #timer: Disposable | undefined;

  /** Begins in `waitMs` milliseconds; the peer was lost at `lostAt`, in monotonic time. */
  constructor(
    { clock, redial, backoff, lostAt, waitMs }: {
      readonly clock: Clock;
      readonly redial: Redial;
      readonly backoff: Backoff;
      readonly lostAt: number;
      readonly waitMs: number;
    },
    actions: RedialActions,
  ) {
    this.#clock = clock;
    this.#redial = redial;
    this.#backoff = backoff;
    this.#lostAt = lostAt;
    this.#actions = actions;
    this.#beginIn(waitMs);
  }

  /** Begins the next attempt now: something has changed. */
  hurry(): void {
    if (this.#done.signal.aborted) return;
    this.#backoff.reset();
    this.#timer?.[Symbol.dispose]();
    this.#timer = this.#clock.after(0, () => this.#begin()); // beside those that hang, however many
  }

  /** Gives every attempt up. */
  [Symbol.dispose](): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
    this.#done.abort();
  }

  #beginIn(ms: number): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
    if (this.#underWay >= MAX_REDIALS_AT_ONCE) return; // the next failure sets it
    this.#timer = this.#clock.after(Math.max(0, ms), () => this.#begin());
  }

  #begin(): void {
    this.#timer = undefined;
    const attempt = ++this.#latest;
    const beganAt = this.#clock.monotonic();
    const pauseMs = this.#backoff.next(beganAt - this.#lostAt);
    this.#underWay++;
    this.#beginIn(Math.max(pauseMs, EARLY_REDIAL_MS));
    this.#redial(this.#done.signal).then(
      (connection) => this.#connected(connection),
      (error: unknown) => {
        this.#underWay--;
        if (this.#done.signal.aborted) return;
        if (!isCurable(error)) return this.#hopeless(error);
        this.#actions.failed(error);
        const waitedMs = this.#clock.monotonic() - beganAt;
        if (attempt === this.#latest || this.#timer === undefined) {
          this.#beginIn(pauseMs - waitedMs);
        }
      },
    );
  }

  #connected(connection: Connection): void {
    if (this.#done.signal.aborted) {
      connection.channel.close();
      return;
    }
    this[Symbol.dispose]();
    this.#actions.connected(connection);
  }

  #hopeless(error: unknown): void {
    this[Symbol.dispose]();
    this.#actions.hopeless(error);
  }
}

function isCurable(error: unknown): error is TalosError {
  if (!(error instanceof TalosError)) return false;
  return !(error instanceof SessionError && FINAL.has(error.code));
}
