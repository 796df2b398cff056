/**
 * The timer around {@link livenessStep}: one per connection, set for the next moment at which something
 * may have to be done, never anew for each message.
 *
 * A laptop that slept shows as a jump between wall and monotonic clock, looked for whenever the timer
 * fires and whenever DATA leaves after a rest. A timer that fires late means that this process stood
 * still, not that the other end is silent: what arrived meanwhile is unread, so the answer gets its time
 * once more.
 */

import type { Clock } from "../clock.ts";
import { CLOCK_JUMP_MS } from "../limits.ts";
import { livenessStep } from "./liveness.ts";

/** What a watch makes happen. */
export interface LivenessActions {
  /** Asks the other end for a sign of life. */
  ping(): void;
  /** Gives the connection up, after `silentMs` milliseconds of silence. Called once. */
  dead(silentMs: number): void;
}

/** Watches one connection until it is disposed. */
export class LivenessWatch implements Disposable {
  readonly #clock: Clock;
  readonly #actions: LivenessActions;
  #heardAt: number;
  #unackedSince: number | null = null;
  #expectsAnswer = false;
  #pingedAt: number | null = null;
  #jumpedAt: number | null = null;
  /** Wall minus monotonic time, as last seen. */
  #offset: number;
  #timer: Disposable | undefined;
  #dueAt = Infinity;
  #disposed = false;

  /** Begins to watch a connection that is alive now. */
  constructor(clock: Clock, actions: LivenessActions) {
    this.#clock = clock;
    this.#actions = actions;
    this.#heardAt = clock.monotonic();
    this.#offset = clock.now() - this.#heardAt;
    this.#schedule(this.#heardAt);
  }

  /** Notes that bytes arrived, or that a full path took some of ours. */
  heard(): void {
    this.#heardAt = this.#clock.monotonic();
    this.#pingedAt = null;
    this.#jumpedAt = null;
  }

  /** Notes that DATA left. */
  sent(): void {
    if (this.#unackedSince !== null) return;
    const now = this.#clock.monotonic();
    this.#unackedSince = now;
    this.#compareClocks(now);
    this.#schedule(now);
  }

  /** Notes that DATA was acknowledged, and whether there is more that is not. */
  acknowledged(awaitsMore: boolean): void {
    this.#unackedSince = awaitsMore ? this.#clock.monotonic() : null;
  }

  /** Notes whether somebody waits for a message of the other end. */
  expectAnswer(isExpected: boolean): void {
    if (this.#expectsAnswer === isExpected) return;
    this.#expectsAnswer = isExpected;
    if (isExpected) this.#schedule(this.#clock.monotonic());
  }

  /** Notes that the machine has slept: the other end may be gone, and is asked at once. */
  jumped(): void {
    this.#jumpedAt = this.#clock.monotonic();
    this.#schedule(this.#jumpedAt);
  }

  /** Notes that something was sent which the other end answers at once, as it does a ping. */
  answerDue(): void {
    this.#pingedAt = this.#clock.monotonic();
    this.#schedule(this.#pingedAt);
  }

  /** Stops watching. */
  [Symbol.dispose](): void {
    this.#disposed = true;
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
  }

  /** Sets the timer for the next decision, unless it is set for that moment or an earlier one. */
  #schedule(now: number): void {
    if (this.#disposed) return;
    const step = livenessStep(this.#state, now);
    const wait = step.action === "wait" ? step.ms : 0;
    if (this.#timer !== undefined && this.#dueAt <= now + wait) return;
    this.#timer?.[Symbol.dispose]();
    this.#dueAt = now + wait;
    this.#timer = this.#clock.after(wait, () => this.#check());
  }

  get #state() {
    return {
      heardAt: this.#heardAt,
      unackedSince: this.#unackedSince,
      expectsAnswer: this.#expectsAnswer,
      pingedAt: this.#pingedAt,
      jumpedAt: this.#jumpedAt,
    };
  }

  #check(): void {
    this.#timer = undefined;
    const now = this.#clock.monotonic();
    const stoodStill = now - this.#dueAt > CLOCK_JUMP_MS;
    this.#compareClocks(now);
    const step = livenessStep(this.#state, now);
    if (step.action === "dead" && !stoodStill) {
      this.#actions.dead(step.silentMs);
      return;
    }
    if (step.action !== "wait") {
      this.#pingedAt = now;
      this.#actions.ping();
    }
    this.#schedule(now);
  }

  #compareClocks(now: number): void {
    const offset = this.#clock.now() - now;
    if (Math.abs(offset - this.#offset) > CLOCK_JUMP_MS) this.#jumpedAt = now;
    this.#offset = offset;
  }
}
