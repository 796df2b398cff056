/**
 * The lines between an agent and whichever server it has: what the agent says, through the pipeline, to the
 * outbox; what comes out of a session, through the pipeline, to the agent.
 *
 * Nothing here dials, and nothing here ends a session: connect.ts does. The agent is read as long as the
 * outbox has room, session or not.
 */

import type { Bytes } from "../bytes.ts";
import { race } from "../race.ts";
import { windowBytes } from "../session/window.ts";
import type { Session } from "../session/session.ts";
import { AgentOutput } from "./agent_output.ts";
import { AgentState } from "./agent_state.ts";
import type { ConnectOptions } from "./connect.ts";
import { HeldPassages } from "./held_passages.ts";
import { type Line, LineSplitter, type OversizedLine } from "./lines.ts";
import { Outbox } from "./outbox.ts";
import { oversizedOutcome, tooLargeForPeer } from "./oversized.ts";
import { type Passage, Pipeline } from "./pipeline.ts";
import { RepeatableCalls } from "./repeatable_calls.ts";
import { scanLine } from "./scan.ts";
import { ServerIds } from "./server_ids.ts";
import { Succession } from "./succession.ts";

/** What an agent's lines need. */
export interface AgentLinesOptions extends ConnectOptions {
  /** Why there is no session, while there is none. */
  readonly whyUnreachable: () => unknown;
  /** Learns whenever it may have changed whether a call waits. */
  readonly onCalls: () => void;
}

/** The lines of one agent. */
export class AgentLines {
  /** What is decided about lines, and the calls that wait. */
  readonly pipeline: Pipeline;
  /** What is on its way to a server. */
  readonly outbox: Outbox;
  /** What is on its way to the agent. */
  readonly output: AgentOutput;
  /** One server after the other. */
  readonly succession: Succession;
  readonly #options: AgentLinesOptions;
  readonly #held: HeldPassages;
  readonly #firstRequest = Promise.withResolvers<void>();
  readonly #closed = Promise.withResolvers<void>();
  readonly #gone = Promise.withResolvers<void>();
  #isClosed = false;
  #fault: unknown;

  /** Prepares to read. */
  constructor(options: AgentLinesOptions) {
    const { agent, clock, log, random } = options;
    this.#options = options;
    const serverIds = new ServerIds(random);
    const state = new AgentState((key) => serverIds.isOwn(key));
    const repeatable = new RepeatableCalls(options.repeatableTools ?? []);
    this.pipeline = new Pipeline({
      strictness: { to_server: "towards_agent", to_agent: "towards_agent" },
      interceptors: [...options.interceptors, state, repeatable],
      serverIds,
      clock,
    });
    this.#held = new HeldPassages((error) => this.#fail(error));
    this.outbox = new Outbox(windowBytes(options.maxMessage));
    this.output = new AgentOutput((line) => agent.writeLine(line), () => {
      this.#close();
      this.leave();
    });
    this.succession = new Succession({
      pipeline: this.pipeline,
      state,
      repeatable,
      serverIds,
      outbox: this.outbox,
      clock,
      log,
      tell: (line) => void this.output.write(line),
      sendFirst: (line) => this.#sendFirst(this.pipeline.pass("to_server", line)),
      whyUnreachable: options.whyUnreachable,
    });
  }

  /** Resolves when the agent has made a call. */
  get firstRequest(): Promise<void> {
    return this.#firstRequest.promise;
  }

  /** Resolves when the agent sends nothing more. */
  get closed(): Promise<void> {
    return this.#closed.promise;
  }

  /** Whether the agent sends nothing more. */
  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Resolves when the agent hears nothing more, or has had its time. */
  get gone(): Promise<void> {
    return this.#gone.promise;
  }

  /** What failed inside of Talos while lines were passed. */
  get fault(): unknown {
    return this.#fault;
  }

  /** Whether a call of the agent waits. */
  get hasCalls(): boolean {
    return this.pipeline.pending.to_server.size > 0;
  }

  /** Whether the agent has closed its end and has said nothing that is still to be sent or answered. */
  get awaitsNothing(): boolean {
    return this.#isClosed && this.outbox.isEmpty && !this.hasCalls;
  }

  /** Resolves when every message that an interceptor holds now has been decided. */
  get settled(): Promise<void> {
    return this.#held.settled();
  }

  /** The agent has had its time. */
  leave(): void {
    this.#gone.resolve();
  }

  /** Begins to read the agent. */
  begin(): void {
    this.#readAgent().then(() => this.#close(), (error: unknown) => this.#fail(error));
  }

  /** Sends what the agent says to `session`, until the agent has closed or the outbox is detached. */
  sendTo(session: Session): Promise<void> {
    return this.outbox.sendTo(session, (line, limit) => this.#tooLargeForHost(line, limit));
  }

  async #readAgent(): Promise<void> {
    const { agent, maxMessage } = this.#options;
    const splitter = new LineSplitter(maxMessage);
    for await (const chunk of agent.input) {
      for (const line of splitter.feed(chunk)) {
        const reply = this.#takeAgentLine(line, chunk.buffer);
        if (reply !== undefined) await reply;
      }
      await this.outbox.room();
    }
    const last = splitter.end();
    if (last !== null) await this.#takeAgentLine(last, null);
  }

  #close(): void {
    this.#isClosed = true;
    this.#closed.resolve();
    this.outbox.close();
  }

  /** Something failed that must not: the agent is served no longer. */
  #fail(error: unknown): void {
    this.#fault ??= error;
    this.#close();
    this.leave();
  }

  /**
   * Takes a line whose bytes may lie in `reused`, a buffer that the next chunk overwrites. Returns the
   * writing of our own reply to it, if there is one: nothing more is read before the agent has that.
   */
  #takeAgentLine(line: Line, reused: ArrayBuffer | null): Promise<void> | undefined {
    if (line.kind === "oversized") return this.#tooLarge(line);
    const bytes = line.bytes.buffer === reused ? line.bytes.slice() : line.bytes;
    const passage = this.pipeline.pass("to_server", bytes);
    if (this.hasCalls) {
      this.#firstRequest.resolve();
      this.succession.called();
    }
    return this.#towardsHost(passage);
  }

  /** A line of the agent is beyond what we take: that one message fails. */
  #tooLarge(line: OversizedLine): Promise<void> | undefined {
    const { log, maxMessage } = this.#options;
    log.warn("a message of the agent is too large", { bytes: line.length, limit: maxMessage });
    const isResponse = line.method === null && line.id !== null;
    const id = isResponse ? this.pipeline.idAtServer(line.id) : line.id;
    const answers = this.pipeline.pending.to_agent;
    const outcome = oversizedOutcome({ ...line, id }, maxMessage, answers);
    if (outcome?.to === "back") return this.output.write(outcome.reply);
    if (outcome?.to === "on") this.outbox.postReply(outcome.reply);
    return undefined;
  }

  #towardsHost(passage: Passage): Promise<void> | undefined {
    let reply: Promise<void> | undefined;
    for (const note of passage.notes) this.#options.log.warn(note);
    for (const line of passage.forward) this.#post(line);
    for (const line of passage.back) reply = this.output.write(line);
    this.#held.add(passage, (later) => this.#towardsHost(later));
    this.#options.onCalls();
    return reply;
  }

  #post(line: Bytes): void {
    // A server that is being restored may wait for the agent's reply before it goes on.
    const goesFirst = this.succession.isRestoring &&
      scanLine(line, "towards_agent").kind === "response";
    if (goesFirst) this.outbox.postFirst(line);
    else this.outbox.post(line);
  }

  /** Sends what goes before all that the agent said since its server was lost. */
  #sendFirst(passage: Passage): void {
    for (const note of passage.notes) this.#options.log.warn(note);
    for (const line of passage.forward) this.outbox.postFirst(line);
    for (const line of passage.back) this.#tell(line);
    this.#held.add(passage, (later) => this.#sendFirst(later));
  }

  #towardsAgent(passage: Passage): void {
    for (const note of passage.notes) this.#options.log.warn(note);
    for (const line of passage.forward) this.#tell(line);
    for (const line of passage.back) this.outbox.postReply(line);
    this.#held.add(passage, (later) => this.#towardsAgent(later));
    this.#options.onCalls();
  }

  /** Writes a line to the agent, unless it is none of its business. */
  #tell(line: Bytes): void {
    if (!this.succession.take(line)) void this.output.write(line);
  }

  async #tooLargeForHost(line: Bytes, limit: number): Promise<void> {
    this.#options.log.warn("a message is too large for the host", { bytes: line.length, limit });
    for (const { to, reply } of tooLargeForPeer(line, limit, this.pipeline.pending.to_server)) {
      if (to === "back") this.#tell(reply);
      else this.outbox.post(reply);
    }
    await this.output.written;
  }

  /** Hands on what comes out of `session`, to its end. Throws what ended it. */
  async receive(session: Session): Promise<void> {
    for (;;) {
      if (!this.outbox.hasRoomForReplies) {
        // A host that provokes answers and takes none is not listened to.
        await race(this.outbox.roomForReplies(), session.ended);
      }
      const line = session.tryReceive() ?? await session.receive();
      if (line === null) return await this.output.written;
      this.#towardsAgent(this.pipeline.pass("to_agent", line));
      this.outbox.tidy();
      if (!this.output.hasRoom) await this.output.room();
    }
  }
}
