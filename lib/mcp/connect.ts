/**
 * The agent's side: a stdio MCP server to the agent, whose other end is a session with the host.
 *
 *     dialling ──▶ serving ── the agent or the host ends it ──▶ over
 *                   ▲   │
 *       restored ── │   └─ the host's process or its MCP server died ──▶ away ── dialling ─┐
 *                   └───────────────────────────────────────────────────────────────────────┘
 *
 * stdout carries MCP and nothing else. The host is dialled before the agent has said anything. As long as
 * waiting can cure what is wrong, dialling goes on while the agent waits, at most 50 s from its first
 * request; then, and for what waiting cannot cure, every waiting request is answered with an error that
 * says why. When a server is lost for good, its calls are answered and another one takes its place; that
 * none comes ends nothing, but no call waits for it longer than 50 s. When the agent closes its end, replies
 * that are under way still arrive, but all is over within a second, answered or not: an agent that is gone
 * must leave nothing behind.
 */

import type { Bytes } from "../bytes.ts";
import { type Clock, within } from "../clock.ts";
import type { RandomBytes } from "../crypto/random.ts";
import { CONNECT_PATIENCE_MS } from "../limits.ts";
import type { Log } from "../log.ts";
import { SessionError } from "../session/errors.ts";
import { NORMAL_CLOSE, type Session } from "../session/session.ts";
import { AgentLines } from "./agent_lines.ts";
import { Dialling } from "./dialling.ts";
import { McpError } from "./errors.ts";
import { failureReply, sessionEnded } from "./failure.ts";
import { pathTaken } from "./path_taken.ts";
import type { PendingCall } from "./pending.ts";
import type { Interceptor } from "./pipeline.ts";

/** The agent at the other end of our stdin and stdout. */
export interface AgentStdio {
  /** What the agent sends, in chunks that are valid until the next one is asked for. Ends, never throws. */
  readonly input: AsyncIterable<Bytes>;
  /** Writes one line and its line feed. Throws when the agent is gone. */
  writeLine(line: Bytes): Promise<void>;
}

/** What connecting an agent takes. */
export interface ConnectOptions {
  /** Reaches the host and opens a session. Throws TalosError. */
  readonly openSession: () => Promise<Session>;
  /** The agent. */
  readonly agent: AgentStdio;
  /**
   * Whether a failure is kept until there is a request to answer with it, and what waiting may cure is
   * waited for: not where a person types.
   */
  readonly waitForRequest: boolean;
  /** Pinning, audit and the like. */
  readonly interceptors: readonly Interceptor[];
  /** Tools whose calls are made once more when their server died: those that may run twice. */
  readonly repeatableTools?: readonly string[];
  /** The longest line accepted in either direction, in bytes. */
  readonly maxMessage: number;
  /** Time. */
  readonly clock: Clock;
  /** Randomness for ids of our own. */
  readonly random: RandomBytes;
  /** Standard error. */
  readonly log: Log;
}

/** How long an agent that closed its end has for the replies it waits for, before the server is told. */
const LAST_REPLIES_MS = 500;
/** And then for those that come when the server was told, and for an orderly end: together below 1 s. */
const GOODBYE_MS = 350;

/**
 * Serves the agent until it closes its end or the host ends the session. Throws TalosError when the host
 * could not be reached or the session broke; every call the agent waits for was answered by then.
 */
export async function connectAgent(options: ConnectOptions): Promise<void> {
  await new AgentConnection(options).run();
}

class AgentConnection {
  readonly #options: ConnectOptions;
  readonly #lines: AgentLines;
  readonly #dialling: Dialling;
  /** Resolves when no call waits any more; made when that is waited for. */
  #answered: PromiseWithResolvers<void> | undefined;
  #session: Session | undefined;

  constructor(options: ConnectOptions) {
    this.#options = options;
    this.#dialling = new Dialling({ ...options, isPatient: options.waitForRequest });
    this.#lines = new AgentLines({
      ...options,
      whyUnreachable: () => this.#dialling.failure,
      onCalls: () => this.#noteAnswers(),
    });
  }

  async run(): Promise<void> {
    using _succession = this.#lines.succession;
    using timers = new DisposableStack();
    void this.#lines.closed.then(() => {
      if (timers.disposed) return;
      timers.use(this.#options.clock.after(LAST_REPLIES_MS, () => this.#lines.leave()));
    });
    this.#lines.begin();
    try {
      await this.#serve();
      if (this.#lines.fault !== undefined) throw this.#lines.fault;
    } catch (error) {
      const failure = this.#lines.fault ?? error;
      this.#lines.succession[Symbol.dispose]();
      if (this.#options.waitForRequest) await this.#someRequest();
      await this.#answerPending(failure);
      throw failure;
    }
  }

  /** Serves the agent with one session after another, until it leaves or no further one may follow. */
  async #serve(): Promise<void> {
    let session = await this.#connect();
    while (session !== null) {
      this.#session = session;
      this.#noteAnswers();
      this.#lines.succession.begin();
      try {
        return await this.#relay(session);
      } catch (error) {
        if (!this.#mayGoOn(error, session)) throw error;
        this.#lose(session, error);
      }
      session = await this.#reconnect();
    }
  }

  /** Waits until there is a request to answer, or nobody left to answer. */
  async #someRequest(): Promise<void> {
    const request = Promise.race([this.#lines.firstRequest, this.#lines.closed]);
    await within(this.#options.clock, CONNECT_PATIENCE_MS, request, undefined);
  }

  /**
   * Dials until it works, until that is hopeless, or until the agent has waited long enough. Returns null
   * when the agent left and waits for nothing.
   */
  async #connect(): Promise<Session | null> {
    const { clock } = this.#options;
    using timers = new DisposableStack();
    const enough = Promise.withResolvers<void>();
    void this.#lines.firstRequest.then(() => {
      if (timers.disposed) return;
      timers.use(clock.after(CONNECT_PATIENCE_MS, () => enough.resolve()));
    });
    return await this.#dial(enough.promise);
  }

  /** Dials until it works or that is hopeless. Returns null when the agent left and waits for nothing. */
  async #reconnect(): Promise<Session | null> {
    const never = new Promise<void>(() => {});
    if (!this.#lines.succession.wasInVain) this.#dialling.reset();
    else if (await this.#dialling.pause(this.#impatience(never)) === null) return this.#gaveUp();
    return await this.#dial(never, { quiet: true });
  }

  async #dial(enough: Promise<void>, options?: { quiet: boolean }): Promise<Session | null> {
    return await this.#dialling.connect(this.#impatience(enough), options) ?? this.#gaveUp();
  }

  /** Returns null when nobody waits for a session any more; throws why there is none otherwise. */
  #gaveUp(): null {
    if (this.#lines.awaitsNothing) return null;
    throw this.#dialling.failure;
  }

  /** Resolves when the agent waits no longer for a session. */
  async #impatience(enough: Promise<void>): Promise<null> {
    await Promise.race([
      enough,
      this.#lines.gone,
      this.#lines.closed.then(() => this.#lines.awaitsNothing ? undefined : enough),
    ]);
    return null;
  }

  /** Whether the agent can go on with another server. */
  #mayGoOn(error: unknown, session: Session): boolean {
    if (!this.#options.waitForRequest || this.#lines.isClosed || this.#lines.fault !== undefined) {
      return false;
    }
    // Where we closed, what the host said in return is no reason.
    const closeCode = error instanceof McpError ? undefined : session.closeReason?.code;
    return this.#lines.succession.survives({ error, closeCode });
  }

  #lose(session: Session, error: unknown): void {
    this.#lines.succession.lost({
      error,
      mayHaveRun: this.#knownToHost(session),
      ...pathTaken(session),
    });
    this.#session = undefined;
    this.#noteAnswers();
  }

  /** Returns what tells whether a call may have been run: whether the host may have got it whole. */
  #knownToHost(session: Session | undefined): (call: PendingCall) => boolean {
    // A host that refuses the session at once has taken nothing that rode behind the question.
    const reached = session !== undefined && !session.wasRefused;
    const unsent = this.#lines.outbox.requestKeys(session);
    return (call) =>
      this.#lines.succession.mayHaveRun(call) ||
      (reached && !unsent.has(call.key) && !this.#lines.pipeline.holds(call));
  }

  async #relay(session: Session): Promise<void> {
    const sending = this.#lines.sendTo(session);
    const receiving = this.#lines.receive(session);
    const hostClosed = Promise.race([receiving, sending.then(() => receiving)]);
    const restoring = this.#lines.succession.restore(session.connection.peer);
    const first = await Promise.race([
      hostClosed.then(() => "host closed" as const),
      restoring.then(() => hostClosed).then(() => "host closed" as const),
      this.#agentDone(sending).then(() => "agent done" as const),
      this.#lines.gone.then(() => "agent done" as const),
    ]).catch(async (error: unknown) => {
      // A server that cannot follow is told so; what arrived before the session broke is still handed on.
      if (error instanceof McpError) await session.close(NORMAL_CLOSE, GOODBYE_MS);
      session.abort(error instanceof Error ? error : new Error(String(error)));
      this.#lines.outbox.detach();
      await Promise.race([Promise.allSettled([receiving, sending]), this.#lines.gone]);
      throw error;
    });
    if (first === "agent done") return await this.#sayGoodbye(session, receiving);
    await session.close(NORMAL_CLOSE, GOODBYE_MS);
    this.#lines.outbox.detach();
    await Promise.allSettled([sending]); // what it still holds was not sent
    const reason = session.closeReason ?? NORMAL_CLOSE;
    if (reason.code === NORMAL_CLOSE.code && !this.#lines.hasCalls) return;
    throw sessionEnded(reason, session.connection.peer);
  }

  /** Resolves when the agent has closed its end and all that it said was sent and answered. */
  async #agentDone(sending: Promise<void>): Promise<void> {
    await this.#lines.closed;
    await sending;
    if (this.#lines.hasCalls) {
      this.#answered ??= Promise.withResolvers();
      await this.#answered.promise;
    }
    await this.#lines.output.written;
  }

  /** Ends the session in order, if that is quickly done. */
  async #sayGoodbye(session: Session, receiving: Promise<void>): Promise<void> {
    const { clock, log } = this.#options;
    const goodbye = session.close(NORMAL_CLOSE, GOODBYE_MS).then(() => receiving).catch(() => {});
    await within(clock, GOODBYE_MS, goodbye, undefined);
    session.abort(new SessionError("closed", "The agent is gone"));
    const unanswered = this.#lines.pipeline.pending.to_server.size;
    if (unanswered > 0) log.warn("the agent left before it was answered", { calls: unanswered });
  }

  #noteAnswers(): void {
    const waits = this.#lines.hasCalls;
    this.#session?.expectAnswer(waits);
    if (!waits) this.#answered?.resolve();
  }

  /** Answers every call that waits, so that no agent waits for ever. */
  async #answerPending(error: unknown): Promise<void> {
    await within(this.#options.clock, LAST_REPLIES_MS, this.#lines.settled, undefined);
    const session = this.#session;
    const path = pathTaken(session);
    do { // for while these are written, the agent may ask on
      const mayHaveRun = this.#knownToHost(session);
      for (const call of this.#lines.pipeline.pending.to_server.drain()) {
        if (this.#lines.succession.isOwn(call)) continue;
        void this.#lines.output.write(
          failureReply(error, { call, handedOver: mayHaveRun(call), ...path }),
        );
      }
      await Promise.race([this.#lines.output.written, this.#lines.gone]);
    } while (this.#lines.hasCalls);
  }
}
