/**
 * One server after another for one agent: what happens from the loss of a server until the next one is where
 * the agent left the one before.
 *
 *     serving ── lost() ──▶ away ── restore() ──▶ serving
 *
 * While it is away, calls that come wait in the outbox, none longer than 50 s; then they are answered as not
 * run, and the next ones wait as long. Nothing of the agent reaches the new server before that is restored.
 */

import type { Bytes } from "../bytes.ts";
import { type Clock, within } from "../clock.ts";
import { messageOf } from "../errors.ts";
import { CONNECT_PATIENCE_MS } from "../limits.ts";
import type { Log } from "../log.ts";
import type { AgentSnapshot, AgentState } from "./agent_state.ts";
import { McpError } from "./errors.ts";
import { LostCalls, type ServerLoss } from "./lost_calls.ts";
import type { Outbox } from "./outbox.ts";
import type { PendingCall } from "./pending.ts";
import type { Pipeline } from "./pipeline.ts";
import type { RepeatableCalls } from "./repeatable_calls.ts";
import { Restoration, type RestorationStep } from "./restoration.ts";
import type { ServerIds } from "./server_ids.ts";
import { EarlyDeaths, isCurable, isInVain, type SessionEnd } from "./session_loss.ts";

/** How long a new server may take to accept what the agent had set. */
const SETTINGS_PATIENCE_MS = 10_000;

/** What a succession works with. */
export interface SuccessionParts {
  /** Knows the calls. */
  readonly pipeline: Pipeline;
  /** Knows the agent. */
  readonly state: AgentState;
  /** Knows what may be repeated. */
  readonly repeatable: RepeatableCalls;
  /** How the agent sees the server's ids. */
  readonly serverIds: ServerIds;
  /** What the agent has said, on its way to a server. */
  readonly outbox: Outbox;
  /** Time. */
  readonly clock: Clock;
  /** Standard error. */
  readonly log: Log;
  /** Writes a line to the agent. */
  readonly tell: (line: Bytes) => void;
  /** Passes a request or a notification on to the new server, before all that waits in the outbox. */
  readonly sendFirst: (line: Bytes) => void;
  /** Why there is no session, while there is none. */
  readonly whyUnreachable: () => unknown;
}

/** The servers of one agent, in a row. */
export class Succession implements Disposable {
  readonly #parts: SuccessionParts;
  readonly #calls: LostCalls;
  readonly #deaths = new EarlyDeaths();
  #snapshot: AgentSnapshot | null = null;
  #restoration: Restoration | null = null;
  /** Resolves when the restoration has got on, or is over. */
  #progress = Promise.withResolvers<void>();
  /** While no server serves: resolves when one does, or all is over. */
  #back: PromiseWithResolvers<void> | null = null;
  /** While no server serves: resolves when a call waits. */
  #asked = Promise.withResolvers<void>();
  #lostAt = 0;
  #beganAt = 0;
  #answersBefore = 0;
  #inVain = false;

  /** Begins with a server that is not there yet. */
  constructor(parts: SuccessionParts) {
    this.#parts = parts;
    this.#calls = new LostCalls(parts);
  }

  /** Whether a server is being restored: replies to it do not wait for that. */
  get isRestoring(): boolean {
    return this.#restoration !== null;
  }

  /** Whether the last server was of no use to the agent: then the next one is not to follow at once. */
  get wasInVain(): boolean {
    return this.#inVain;
  }

  /** Whether a server that is gone may have run a call that waits. */
  mayHaveRun(call: PendingCall): boolean {
    return this.#calls.mayHaveRun(call);
  }

  /** Whether a call is one that we made ourselves. */
  isOwn({ key }: PendingCall): boolean {
    return this.#parts.serverIds.isOwn(key);
  }

  /** A session begins. */
  begin(): void {
    this.#beganAt = this.#parts.clock.monotonic();
    this.#answersBefore = this.#parts.state.answers;
  }

  /** Tells whether another server may follow one whose session ended so. */
  survives({ error, closeCode }: Pick<SessionEnd, "error" | "closeCode">): boolean {
    const { clock, state, log } = this.#parts;
    const end: SessionEnd = {
      error,
      closeCode,
      lastedMs: clock.monotonic() - this.#beganAt,
      answered: state.answers > this.#answersBefore,
      isLater: this.#parts.serverIds.server > 1,
    };
    this.#inVain = isInVain(end);
    if (!isCurable(end)) return false;
    if (state.isInitializeLost) {
      log.warn("no other server can follow: the agent's initialize was too long to be remembered");
      return false;
    }
    return !this.#deaths.add(end);
  }

  /** The server is gone for good: its calls are answered, and nothing is sent until {@link restore} is done. */
  lost(loss: ServerLoss): void {
    const { outbox, state, clock, log, tell } = this.#parts;
    this.#stopRestoring();
    const replies = this.#calls.serverLost(loss);
    for (const line of replies) tell(line);
    log.warn(`${messageOf(loss.error)}; starting anew`, { calls_told: replies.length });
    if (state.forgotten > 0) {
      log.warn("settings of the agent that could not be remembered are not restored", {
        settings: state.forgotten,
      });
    }
    this.#snapshot = state.serverLost();
    outbox.clear();
    outbox.hold();
    if (this.#back !== null) return;
    this.#lostAt = clock.monotonic();
    this.#back = Promise.withResolvers();
    void this.#limitWaiting(this.#back.promise);
  }

  /** The agent has made a call. */
  called(): void {
    this.#asked.resolve();
  }

  /** Takes a line for the agent, and tells whether it was none: a reply to what was asked for its sake. */
  take(line: Bytes): boolean {
    const step = this.#restoration?.take(line) ?? null;
    if (step === null) return false;
    this.#perform(step);
    return true;
  }

  /**
   * Brings the new server of `host` to where the agent left the last one, and lets the agent's lines pass.
   * Throws McpError when that server cannot follow. Resolves early when the server is lost meanwhile.
   */
  async restore(host: string): Promise<void> {
    const { clock, serverIds } = this.#parts;
    const snapshot = this.#snapshot;
    if (snapshot === null) return;
    const restoration = new Restoration({ snapshot, newId: () => serverIds.ownToken(), host });
    this.#restoration = restoration;
    this.#perform(restoration.begin());
    for (;;) {
      const { state } = restoration;
      if (this.#restoration !== restoration) return;
      if (state === "failed") throw restoration.error;
      if (state === "restored") return this.#restored(restoration);
      const patience = state === "initializing" ? CONNECT_PATIENCE_MS : SETTINGS_PATIENCE_MS;
      const progress = this.#progress.promise.then(() => true);
      if (!await within(clock, patience, progress, false)) this.#giveUp(restoration);
    }
  }

  /** Waits for no more replies: those that come late answer nothing any more, and are dropped as such. */
  #giveUp(restoration: Restoration): void {
    const { to_server: calls } = this.#parts.pipeline.pending;
    for (const key of restoration.waiting) calls.settle(key);
    this.#perform(restoration.giveUp());
  }

  /** Nothing more is awaited. */
  [Symbol.dispose](): void {
    this.#stopRestoring();
    this.#back?.resolve();
    this.#back = null;
  }

  #perform({ send, notes }: RestorationStep): void {
    const { log, sendFirst } = this.#parts;
    for (const note of notes) log.warn(note);
    for (const line of send) sendFirst(line);
    this.#signalProgress();
  }

  #restored(restoration: Restoration): void {
    const { outbox, clock, log, tell, sendFirst } = this.#parts;
    this.#restoration = null;
    this.#snapshot = null;
    for (const line of restoration.news) tell(line);
    const madeAgain = this.#calls.makeAgain(sendFirst);
    outbox.release();
    this.#back?.resolve();
    this.#back = null;
    log.info("a new MCP server has taken over", {
      after_ms: Math.round(clock.monotonic() - this.#lostAt),
      calls_made_again: madeAgain,
    });
  }

  #stopRestoring(): void {
    this.#restoration = null;
    this.#signalProgress();
  }

  #signalProgress(): void {
    this.#progress.resolve();
    this.#progress = Promise.withResolvers();
  }

  /** Sees to it that no call waits too long, until `back` resolves. */
  async #limitWaiting(back: Promise<void>): Promise<void> {
    const { clock, outbox, tell } = this.#parts;
    const isBack = back.then(() => true);
    for (;;) {
      this.#asked = Promise.withResolvers();
      if (this.#parts.pipeline.pending.to_server.size > 0) this.#asked.resolve();
      if (await Promise.race([isBack, this.#asked.promise.then(() => false)])) return;
      if (await within(clock, CONNECT_PATIENCE_MS, isBack, false)) return;
      if (this.#back === null) return;
      for (const line of this.#calls.answer(this.#whyAway())) tell(line);
      outbox.dropRequests();
    }
  }

  #whyAway(): unknown {
    if (this.#restoration === null) return this.#parts.whyUnreachable();
    return new McpError(
      "restoration_timeout",
      "The new MCP server has not answered initialize yet",
    );
  }
}
