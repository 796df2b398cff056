/**
 * The agent's side: a stdio MCP server to the agent, whose other end is a session with the host.
 *
 * stdout carries MCP and nothing else. The host is dialled before the agent has said anything. As long as
 * waiting can cure what is wrong, dialling goes on while the agent waits, at most 50 s from its first
 * request; then, and for what waiting cannot cure, every waiting request is answered with an error that
 * says why. When the agent closes its end, replies that are under way still arrive, but all is over within
 * a second, answered or not: an agent that is gone must leave nothing behind.
 */

import type { Bytes } from "../bytes.ts";
import { type Clock, within } from "../clock.ts";
import { TalosError } from "../errors.ts";
import { CONNECT_PATIENCE_MS } from "../limits.ts";
import type { Log } from "../log.ts";
import { SessionError } from "../session/errors.ts";
import { NORMAL_CLOSE, type Session } from "../session/session.ts";
import { windowBytes } from "../session/window.ts";
import { describePath } from "../transport/transport.ts";
import { failureReply, isRefusal, sessionEnded } from "./failure.ts";
import { HeldPassages } from "./held_passages.ts";
import { type Line, LineSplitter, type OversizedLine } from "./lines.ts";
import { Outbox } from "./outbox.ts";
import { oversizedOutcome, tooLargeForPeer } from "./oversized.ts";
import { type Interceptor, type Passage, Pipeline } from "./pipeline.ts";

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
  /** The longest line accepted in either direction, in bytes. */
  readonly maxMessage: number;
  /** Time. */
  readonly clock: Clock;
  /** Standard error. */
  readonly log: Log;
}

const FIRST_RETRY_MS = 50;
const LAST_RETRY_MS = 5_000;
/** How long an agent that closed its end has for the replies it waits for, before the server is told. */
const LAST_REPLIES_MS = 500;
/** And then for those that come when the server was told, and for an orderly end: together below 1 s. */
const GOODBYE_MS = 350;

/** How much may be on its way to an agent before nothing more is taken from the host. */
const MAX_UNHEARD_BYTES = 1024 * 1024;

/** What a later attempt may cure. */
const CURABLE: ReadonlySet<string> = new Set([
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
]);

/**
 * Serves the agent until it closes its end or the host ends the session. Throws TalosError when the host
 * could not be reached or the session broke; every call the agent waits for was answered by then.
 */
export async function connectAgent(options: ConnectOptions): Promise<void> {
  await new AgentConnection(options).run();
}

class AgentConnection {
  readonly #options: ConnectOptions;
  readonly #pipeline: Pipeline;
  readonly #held: HeldPassages;
  readonly #outbox: Outbox;
  /** Resolves when no call waits any more; made when that is waited for. */
  #answered: PromiseWithResolvers<void> | undefined;
  readonly #firstRequest = Promise.withResolvers<void>();
  /** The agent sends nothing more. */
  readonly #agentClosed = Promise.withResolvers<void>();
  #isAgentClosed = false;
  /** The agent hears nothing more, or has had its time. */
  readonly #agentGone = Promise.withResolvers<void>();
  /** Reading from the agent failed inside of Talos. */
  #fault: unknown;
  /** What is on its way to the agent, in bytes. */
  #unheardBytes = 0;
  #lastWritten: Promise<void> = Promise.resolve();
  #session: Session | undefined;

  constructor(options: ConnectOptions) {
    this.#options = options;
    this.#pipeline = new Pipeline({
      strictness: { to_server: "towards_agent", to_agent: "towards_agent" },
      interceptors: options.interceptors,
      clock: options.clock,
    });
    this.#held = new HeldPassages((error) => this.#fail(error));
    this.#outbox = new Outbox(windowBytes(options.maxMessage));
  }

  async run(): Promise<void> {
    using timers = new DisposableStack();
    void this.#agentClosed.promise.then(() => {
      if (timers.disposed) return;
      timers.use(this.#options.clock.after(LAST_REPLIES_MS, () => this.#agentGone.resolve()));
    });
    this.#readAgent().then(() => this.#closeAgent(), (error: unknown) => this.#fail(error));
    try {
      const session = await this.#connect();
      if (session !== null) {
        this.#session = session;
        await this.#relay(session);
      }
      if (this.#fault !== undefined) throw this.#fault;
    } catch (error) {
      const failure = this.#fault ?? error;
      if (this.#options.waitForRequest) await this.#someRequest();
      await this.#answerPending(failure);
      throw failure;
    }
  }

  /** Waits until there is a request to answer, or nobody left to answer. */
  async #someRequest(): Promise<void> {
    const request = Promise.race([this.#firstRequest.promise, this.#agentClosed.promise]);
    await within(this.#options.clock, CONNECT_PATIENCE_MS, request, undefined);
  }

  /**
   * Dials until it works, until that is hopeless, or until the agent has waited long enough. Returns null
   * when the agent left and waits for nothing.
   */
  async #connect(): Promise<Session | null> {
    const { clock, log, openSession, waitForRequest } = this.#options;
    using timers = new DisposableStack();
    const enough = Promise.withResolvers<void>();
    void this.#firstRequest.promise.then(() => {
      if (timers.disposed) return;
      timers.use(clock.after(CONNECT_PATIENCE_MS, () => enough.resolve()));
    });
    const impatience = Promise.race([
      enough.promise,
      this.#agentGone.promise,
      this.#agentClosed.promise.then(() => this.#awaitsNothing ? undefined : enough.promise),
    ]).then(() => null);
    let failure: unknown = new SessionError("handshake_timeout", "The host did not answer in time");
    for (let retryMs = FIRST_RETRY_MS, attempt = 1;; attempt++) {
      const opening = openSession();
      try {
        const session = await Promise.race([opening, impatience]);
        if (session !== null) return session;
        // Nobody waits for it any more.
        opening.then((late) => late.abort(agentIsGone()), () => {});
        break;
      } catch (error) {
        if (!(error instanceof TalosError) || !CURABLE.has(error.code)) throw error;
        if (!waitForRequest) throw error; // a person would rather know now
        failure = error;
        log.warn(`${error.message}; trying again`, { attempt, wait_ms: retryMs });
      }
      if (await within(clock, retryMs, impatience, "go on") === null) break;
      retryMs = Math.min(2 * retryMs, LAST_RETRY_MS);
    }
    if (this.#awaitsNothing) return null;
    throw failure;
  }

  /** Whether the agent has closed its end and has said nothing that is still to be sent or answered. */
  get #awaitsNothing(): boolean {
    return this.#isAgentClosed && this.#outbox.isEmpty &&
      this.#pipeline.pending.to_server.size === 0;
  }

  async #relay(session: Session): Promise<void> {
    const sending = this.#outbox.sendTo(
      session,
      (line, limit) => this.#tooLargeForHost(line, limit),
    );
    const receiving = this.#receive(session);
    const hostClosed = Promise.race([receiving, sending.then(() => receiving)]);
    const first = await Promise.race([
      hostClosed.then(() => "host closed" as const),
      this.#agentDone(sending).then(() => "agent done" as const),
      this.#agentGone.promise.then(() => "agent done" as const),
    ]).catch(async (error: unknown) => {
      // What arrived before the session broke is still handed on.
      session.abort(error instanceof Error ? error : new Error(String(error)));
      this.#outbox.close();
      await Promise.race([Promise.allSettled([receiving, sending]), this.#agentGone.promise]);
      throw error;
    });
    if (first === "agent done") return await this.#sayGoodbye(session, receiving);
    await session.close(NORMAL_CLOSE, GOODBYE_MS);
    const reason = session.closeReason ?? NORMAL_CLOSE;
    if (reason.code === NORMAL_CLOSE.code && this.#pipeline.pending.to_server.size === 0) return;
    throw sessionEnded(reason, session.connection.peer);
  }

  /** Resolves when the agent has closed its end and all that it said was sent and answered. */
  async #agentDone(sending: Promise<void>): Promise<void> {
    await this.#agentClosed.promise;
    await sending;
    if (this.#pipeline.pending.to_server.size > 0) {
      this.#answered = Promise.withResolvers();
      await this.#answered.promise;
    }
    await this.#lastWritten;
  }

  /** Ends the session in order, if that is quickly done. */
  async #sayGoodbye(session: Session, receiving: Promise<void>): Promise<void> {
    const { clock, log } = this.#options;
    const goodbye = session.close(NORMAL_CLOSE, GOODBYE_MS).then(() => receiving).catch(() => {});
    await within(clock, GOODBYE_MS, goodbye, undefined);
    session.abort(agentIsGone());
    const unanswered = this.#pipeline.pending.to_server.size;
    if (unanswered > 0) log.warn("the agent left before it was answered", { calls: unanswered });
  }

  async #readAgent(): Promise<void> {
    const { agent, maxMessage } = this.#options;
    const splitter = new LineSplitter(maxMessage);
    for await (const chunk of agent.input) {
      for (const line of splitter.feed(chunk)) {
        const reply = this.#takeAgentLine(line, chunk.buffer);
        if (reply !== undefined) await reply;
      }
      await this.#outbox.room();
    }
    const last = splitter.end();
    if (last !== null) await this.#takeAgentLine(last, null);
  }

  #closeAgent(): void {
    this.#isAgentClosed = true;
    this.#agentClosed.resolve();
    this.#outbox.close();
  }

  /** Something failed that must not: the agent is served no longer. */
  #fail(error: unknown): void {
    this.#fault ??= error;
    this.#closeAgent();
    this.#agentGone.resolve();
  }

  /**
   * Takes a line whose bytes may lie in `reused`, a buffer that the next chunk overwrites. Returns the
   * writing of our own reply to it, if there is one: nothing more is read before the agent has that.
   */
  #takeAgentLine(line: Line, reused: ArrayBuffer | null): Promise<void> | undefined {
    if (line.kind === "oversized") return this.#tooLarge(line);
    const bytes = line.bytes.buffer === reused ? line.bytes.slice() : line.bytes;
    const passage = this.#pipeline.pass("to_server", bytes);
    if (this.#pipeline.pending.to_server.size > 0) this.#firstRequest.resolve();
    return this.#towardsHost(passage);
  }

  /** A line of the agent is beyond what we take: that one message fails. */
  #tooLarge(line: OversizedLine): Promise<void> | undefined {
    const { log, maxMessage } = this.#options;
    log.warn("a message of the agent is too large", { bytes: line.length, limit: maxMessage });
    const outcome = oversizedOutcome(line, maxMessage, this.#pipeline.pending.to_agent);
    if (outcome?.to === "back") return this.#write(outcome.reply);
    if (outcome?.to === "on") this.#outbox.post(outcome.reply);
    return undefined;
  }

  #towardsHost(passage: Passage): Promise<void> | undefined {
    let reply: Promise<void> | undefined;
    for (const note of passage.notes) this.#options.log.warn(note);
    for (const line of passage.forward) this.#outbox.post(line);
    for (const line of passage.back) reply = this.#write(line);
    this.#held.add(passage, (later) => this.#towardsHost(later));
    this.#noteAnswers();
    return reply;
  }

  #towardsAgent(passage: Passage): void {
    for (const note of passage.notes) this.#options.log.warn(note);
    for (const line of passage.forward) void this.#write(line);
    for (const line of passage.back) this.#outbox.postReply(line);
    this.#held.add(passage, (later) => this.#towardsAgent(later));
    this.#noteAnswers();
  }

  #noteAnswers(): void {
    if (this.#pipeline.pending.to_server.size === 0) this.#answered?.resolve();
  }

  async #tooLargeForHost(line: Bytes, limit: number): Promise<void> {
    this.#options.log.warn("a message is too large for the host", { bytes: line.length, limit });
    for (const { to, reply } of tooLargeForPeer(line, limit, this.#pipeline.pending.to_server)) {
      if (to === "back") await this.#write(reply);
      else this.#outbox.post(reply);
    }
  }

  async #receive(session: Session): Promise<void> {
    for (;;) {
      if (!this.#outbox.hasRoomForReplies) {
        // A host that provokes answers and takes none is not listened to.
        await Promise.race([this.#outbox.roomForReplies(), session.ended]);
      }
      const line = session.tryReceive() ?? await session.receive();
      if (line === null) return await this.#lastWritten;
      this.#towardsAgent(this.#pipeline.pass("to_agent", line));
      while (this.#unheardBytes > MAX_UNHEARD_BYTES) await this.#lastWritten;
    }
  }

  /** Writes to the agent, one line after the other. Never rejects: an agent that no longer reads is gone. */
  #write(line: Bytes): Promise<void> {
    this.#unheardBytes += line.length;
    const heard = () => void (this.#unheardBytes -= line.length);
    const broken = () => {
      heard();
      this.#closeAgent();
      this.#agentGone.resolve();
    };
    return this.#lastWritten = this.#options.agent.writeLine(line).then(heard, broken);
  }

  /** Answers every call that waits, so that no agent waits for ever. */
  async #answerPending(error: unknown): Promise<void> {
    await within(this.#options.clock, LAST_REPLIES_MS, this.#held.settled(), undefined);
    const session = this.#session;
    const reached = session !== undefined &&
      (session.peerMaxMessage !== undefined || !isRefusal(error));
    const path = session === undefined ? {} : { path: describePath(session.path) };
    do { // for while these are written, the agent may ask on
      const unsent = this.#outbox.requestKeys();
      for (const call of this.#pipeline.pending.to_server.drain()) {
        const handedOver = reached && !unsent.has(call.key) && !this.#pipeline.holds(call);
        void this.#write(failureReply(error, { call, handedOver, ...path }));
      }
      await Promise.race([this.#lastWritten, this.#agentGone.promise]);
    } while (this.#pipeline.pending.to_server.size > 0);
  }
}

function agentIsGone(): SessionError {
  return new SessionError("closed", "The agent is gone");
}
