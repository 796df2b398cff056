/**
 * The agent's side: a stdio MCP server to the agent, whose other end is a session with the host.
 *
 * stdout carries MCP and nothing else. The host is dialled before the agent has said anything. As long as
 * waiting can cure what is wrong, dialling goes on while the agent waits, at most 50 s from its first
 * request; then, and for what waiting cannot cure, every waiting request is answered with an error that
 * says why. When the agent closes its end, all is over within a second.
 */

import type { Bytes } from "../bytes.ts";
import { type Clock, within } from "../clock.ts";
import { TalosError } from "../errors.ts";
import { CONNECT_PATIENCE_MS } from "../limits.ts";
import type { Log } from "../log.ts";
import { SessionError } from "../session/errors.ts";
import { Queue } from "../session/queue.ts";
import { NORMAL_CLOSE, type Session } from "../session/session.ts";
import { windowBytes } from "../session/window.ts";
import { describePath } from "../transport/transport.ts";
import { type FailedCall, failureReply } from "./failure.ts";
import { type Line, LineSplitter, type OversizedLine } from "./lines.ts";
import { oversizedOutcome } from "./oversized.ts";
import { type Interceptor, type Passage, Pipeline } from "./pipeline.ts";
import { scanLine } from "./scan.ts";

/** The agent at the other end of our stdin and stdout. */
export interface AgentStdio {
  /** What the agent sends, in chunks that are valid until the next one is asked for. */
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
  /** Whether a failure is kept until there is a request to answer with it: not where a person types. */
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
/** A part of the second in which `mcp-connect` is gone once its agent closed. */
const FAREWELL_MS = 800;

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
  "peer_away",
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
  readonly #outbox = new Queue<Bytes>();
  #outboxBytes = 0;
  #outboxChange = Promise.withResolvers<void>();
  readonly #agentClosed = Promise.withResolvers<"agent closed">();
  readonly #firstRequest = Promise.withResolvers<void>();
  #session: Session | undefined;
  /** Whether the session's own end is the reason for whatever fails now. */
  #over = false;

  constructor(options: ConnectOptions) {
    this.#options = options;
    this.#pipeline = new Pipeline({
      strictness: { to_server: "towards_agent", to_agent: "towards_agent" },
      interceptors: options.interceptors,
      clock: options.clock,
    });
  }

  async run(): Promise<void> {
    const reading = this.#readAgent();
    reading.then(
      () => this.#agentClosed.resolve("agent closed"),
      () => this.#agentClosed.resolve("agent closed"), // a broken stdin is a closed one
    );
    try {
      const session = await Promise.race([this.#connect(), this.#agentClosed.promise]);
      if (session === "agent closed") return;
      this.#session = session;
      await this.#relay(session);
    } catch (error) {
      if (this.#session === undefined && this.#options.waitForRequest) await this.#someRequest();
      await this.#answerPending(error);
      throw error;
    } finally {
      this.#over = true;
    }
  }

  /** Waits until there is a request to answer, or nobody left to answer. */
  async #someRequest(): Promise<void> {
    await Promise.race([
      this.#firstRequest.promise,
      this.#agentClosed.promise,
      elapsed(this.#options.clock, CONNECT_PATIENCE_MS),
    ]);
  }

  /** Dials until it works, until that is hopeless, or until the agent has waited long enough. */
  async #connect(): Promise<Session> {
    const { clock, log, openSession } = this.#options;
    const patience = this.#firstRequest.promise.then(() => elapsed(clock, CONNECT_PATIENCE_MS));
    for (let retryMs = FIRST_RETRY_MS, attempt = 1;; attempt++) {
      let failure: unknown;
      try {
        const opening = openSession();
        const first = await Promise.race([opening, patience]);
        if (first !== undefined) return first;
        void opening.then((late) => late.close(), () => {}); // nobody waits for it any more
        failure = new SessionError("handshake_timeout", "The host did not answer in time");
      } catch (error) {
        if (!(error instanceof TalosError) || !CURABLE.has(error.code) || this.#over) throw error;
        failure = error;
        log.warn(`${error.message}; trying again`, { attempt, wait_ms: retryMs });
      }
      const waited = await Promise.race([
        elapsed(clock, retryMs).then(() => "go on" as const),
        patience.then(() => "enough" as const),
      ]);
      if (waited === "enough" || this.#over) throw failure;
      retryMs = Math.min(2 * retryMs, LAST_RETRY_MS);
    }
  }

  async #relay(session: Session): Promise<void> {
    const sending = this.#sendOutbox(session);
    const receiving = this.#receive(session);
    const first = await Promise.race([
      receiving.then(() => "host closed" as const),
      sending.then(() => "host closed" as const),
      this.#agentClosed.promise,
    ]);
    if (first === "agent closed") {
      await this.#sayGoodbye(session, sending, receiving);
      return;
    }
    await session.close(NORMAL_CLOSE, FAREWELL_MS);
    const { code, reason } = session.closeReason ?? NORMAL_CLOSE;
    if (code !== NORMAL_CLOSE.code) throw hostEnded(code, reason, session);
  }

  /** Sends what the agent said last and hands it what the host still answers, for a moment. */
  async #sayGoodbye(session: Session, sending: Promise<void>, receiving: Promise<void>) {
    const { clock } = this.#options;
    const finish = async () => {
      await sending;
      await session.close(NORMAL_CLOSE, FAREWELL_MS);
      await receiving;
    };
    await within(clock, FAREWELL_MS, finish().catch(() => {}), undefined); // the agent is gone
    session.abort(new SessionError("closed", "The agent is gone"));
  }

  async #readAgent(): Promise<void> {
    const { agent, maxMessage } = this.#options;
    const splitter = new LineSplitter(maxMessage);
    for await (const chunk of agent.input) {
      for (const line of splitter.feed(chunk)) await this.#takeAgentLine(line, chunk.buffer);
      await this.#roomInOutbox();
    }
    const last = splitter.end();
    if (last !== null) await this.#takeAgentLine(last, null);
  }

  /** Takes a line whose bytes may lie in `reused`, a buffer that the next chunk overwrites. */
  async #takeAgentLine(line: Line, reused: ArrayBuffer | null): Promise<void> {
    if (line.kind === "oversized") return await this.#tooLarge(line, this.#options.maxMessage);
    const bytes = line.bytes.buffer === reused ? line.bytes.slice() : line.bytes;
    const passage = this.#pipeline.pass("to_server", bytes);
    if (this.#pipeline.pending.to_server.size > 0) this.#firstRequest.resolve();
    await this.#towardsHost(passage);
  }

  /** A line of the agent is beyond what we or the host take: that one request fails. */
  async #tooLarge(line: Pick<OversizedLine, "length" | "id" | "method">, limit: number) {
    const outcome = oversizedOutcome(line, limit, this.#pipeline.pending.to_agent);
    if (outcome?.to === "back") await this.#write(outcome.reply);
    else if (outcome?.to === "on") this.#post(outcome.reply);
    else {this.#options.log.warn("dropped a message that is too large", {
        bytes: line.length,
        limit,
      });}
  }

  async #towardsHost(passage: Passage): Promise<void> {
    for (const note of passage.notes) this.#options.log.warn(note);
    for (const line of passage.forward) this.#post(line);
    for (const line of passage.back) await this.#write(line);
    for (const held of passage.held) this.#later(held, (later) => this.#towardsHost(later));
  }

  async #towardsAgent(passage: Passage): Promise<void> {
    for (const note of passage.notes) this.#options.log.warn(note);
    for (const line of passage.forward) await this.#write(line);
    for (const line of passage.back) this.#post(line);
    for (const held of passage.held) this.#later(held, (later) => this.#towardsAgent(later));
  }

  #later(held: Promise<Passage>, carryOut: (passage: Passage) => Promise<void>): void {
    held.then(carryOut).catch((error: unknown) =>
      this.#session?.abort(error instanceof Error ? error : new Error(String(error)))
    );
  }

  #post(line: Bytes): void {
    this.#outbox.push(line);
    this.#outboxBytes += line.length;
    this.#signalOutbox();
  }

  /** Stops reading the agent while too much waits to be sent: back-pressure, never loss. */
  async #roomInOutbox(): Promise<void> {
    while (this.#outboxBytes > windowBytes(this.#options.maxMessage)) {
      await this.#outboxChange.promise;
    }
  }

  /** Sends what is in the outbox, in order. Ends when the agent closed and the outbox is empty. */
  async #sendOutbox(session: Session): Promise<void> {
    let closed = false;
    void this.#agentClosed.promise.then(() => {
      closed = true;
      this.#signalOutbox();
    });
    for (;;) {
      const line = this.#outbox.at(0);
      if (line === undefined) {
        if (closed) return;
        await this.#outboxChange.promise;
        continue;
      }
      try {
        await session.send(line);
      } catch (error) {
        if (!(error instanceof SessionError) || error.code !== "message_too_large") throw error;
        await this.#tooLargeForHost(line, session.peerMaxMessage ?? 0);
      }
      this.#outbox.shift();
      this.#outboxBytes -= line.length;
      this.#signalOutbox();
    }
  }

  async #tooLargeForHost(line: Bytes, limit: number): Promise<void> {
    const scanned = scanLine(line, "towards_agent");
    if (scanned.kind === "request") this.#pipeline.pending.to_server.settle(scanned.id.key);
    if (scanned.kind !== "request" && scanned.kind !== "response") return;
    const method = scanned.kind === "request" ? scanned.method : null;
    await this.#tooLarge({ length: line.length, id: scanned.id, method }, limit);
  }

  #signalOutbox(): void {
    const { resolve } = this.#outboxChange;
    this.#outboxChange = Promise.withResolvers();
    resolve();
  }

  async #receive(session: Session): Promise<void> {
    for (;;) {
      const line = await session.receive();
      if (line === null) return;
      await this.#towardsAgent(this.#pipeline.pass("to_agent", line));
    }
  }

  /** Writes to the agent. One that no longer reads counts as one that closed. */
  async #write(line: Bytes): Promise<void> {
    try {
      await this.#options.agent.writeLine(line);
    } catch {
      this.#agentClosed.resolve("agent closed"); // a broken pipe: the agent is gone
    }
  }

  /** Answers every call that waits, so that no agent waits for ever. */
  async #answerPending(error: unknown): Promise<void> {
    const unsent = new Set<string>();
    for (let at = 0, line = this.#outbox.at(0); line !== undefined; line = this.#outbox.at(++at)) {
      const scanned = scanLine(line, "towards_agent");
      if (scanned.kind === "request") unsent.add(scanned.id.key);
    }
    const path = this.#session === undefined ? undefined : describePath(this.#session.path);
    for (const call of this.#pipeline.pending.to_server.drain()) {
      const failed: FailedCall = {
        call,
        handedOver: this.#session !== undefined && !unsent.has(call.key),
        ...(path === undefined ? {} : { path }),
      };
      await this.#write(failureReply(error, failed));
    }
  }
}

function hostEnded(code: string, reason: string, session: Session): SessionError {
  const known = code === "unauthorized" ? "unauthorized" : "service_failed";
  return new SessionError(
    known,
    `The host ${session.connection.peer} ended the session: ${reason}`,
  );
}

function elapsed(clock: Clock, ms: number): Promise<undefined> {
  return new Promise((resolve) => clock.after(ms, () => resolve(undefined)));
}
