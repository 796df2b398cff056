/**
 * One session on the serving side: a child MCP server of its own, and the lines between it and the peer.
 *
 * The child lives exactly as long as the session. When the peer closes, the child's stdin is closed and
 * what it still prints is delivered; when the child ends, the peer is told how, with the last lines of
 * its stderr. What the child prints on stdout that is no JSON never leaves this machine.
 */

import type { Bytes } from "../bytes.ts";
import { type Clock, within } from "../clock.ts";
import { messageOf } from "../errors.ts";
import { CHILD_GRACE_MS } from "../limits.ts";
import { type Log, printable } from "../log.ts";
import { shortPeerId } from "../identity/peer_id.ts";
import type { Session } from "../session/session.ts";
import { describePath } from "../transport/transport.ts";
import type { ChildExit } from "./child_exit.ts";
import type { ChildProcess } from "./child_process.ts";
import { ChildStderr } from "./child_stderr.ts";
import { McpError } from "./errors.ts";
import { HeldPassages } from "./held_passages.ts";
import type { Caller, Launcher, LaunchLimits, LaunchPlan } from "./launcher.ts";
import { type Line, LineSplitter, type OversizedLine } from "./lines.ts";
import { oversizedOutcome } from "./oversized.ts";
import { type Interceptor, type Passage, Pipeline } from "./pipeline.ts";
import { plainText } from "./plain_text.ts";
import { PrewarmPool, type WarmCount } from "./prewarm.ts";
import { scanLine } from "./scan.ts";
import type { SessionLines } from "./session_lines.ts";
import { SLOW_START_MS, slowStartAdvice, SlowStartWatch } from "./slow_start.ts";

/** What a service runs for each session. */
export interface McpServiceOptions {
  /** The service's name on the wire, such as `mcp/default`. */
  readonly service: string;
  /** What to run for a caller. */
  readonly plan: (caller: Caller) => LaunchPlan;
  /** What the child may do. */
  readonly limits: LaunchLimits;
  /** Makes the children. */
  readonly launcher: Launcher;
  /** How many children are kept ready for each caller; none by default. */
  readonly prewarm?: number;
  /** Policy, audit and the like, made anew for each session. */
  readonly interceptors: (caller: Caller, lines: SessionLines) => readonly Interceptor[];
  /** The longest line accepted in either direction, in bytes. */
  readonly maxMessage: number;
  /** Time. */
  readonly clock: Clock;
  /** The host's log. */
  readonly log: Log;
}

const NOISE_SHOWN_CHARACTERS = 200;
/** What a child said last, as far as it accompanies an error: a CLOSE has room for some 500 characters. */
const LAST_WORDS_CHARACTERS = 400;

/** A shared MCP server: a child for each session. */
export class McpService implements AsyncDisposable {
  readonly #options: McpServiceOptions;
  readonly #ready: PrewarmPool<LaunchedChild>;
  #slownessTold = false;

  /** Shares what `options.plan` runs. */
  constructor(options: McpServiceOptions) {
    this.#options = options;
    const { prewarm: size = 0, clock, log } = options;
    this.#ready = new PrewarmPool({ size, start: (caller) => this.#start(caller), clock, log });
  }

  /** How many children are kept ready for each caller. */
  get prewarm(): number {
    return this.#options.prewarm ?? 0;
  }

  /** Keeps children ready for `callers` alone, as many for each as `prewarm` says. */
  prewarmFor(callers: readonly Caller[]): void {
    this.#ready.keepFor(callers);
  }

  /** The children that are ready and belong to no session. */
  get prewarmed(): readonly WarmCount[] {
    return this.#ready.counts;
  }

  /** Ends the children that belong to no session. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#ready[Symbol.asyncDispose]();
  }

  /** The service's name on the wire. */
  get name(): string {
    return this.#options.service;
  }

  /** The longest message accepted, in bytes. */
  get maxMessage(): number {
    return this.#options.maxMessage;
  }

  /**
   * Runs a session to its end, which is at once when `cut` aborts: from then on nothing of the peer reaches
   * the child. Throws McpError when the child cannot be started or dies, and what ended the session
   * otherwise; the child is gone in every case.
   */
  async run(session: Session, caller: Caller, cut: AbortSignal): Promise<void> {
    const { clock, log, interceptors } = this.#options;
    const facts = { peer: shortPeerId(caller.peer), service: caller.service };
    const launched = this.#launch(caller, facts);
    const child = launched.process;
    log.info("session opened", { ...facts, pid: child.pid, path: describePath(session.path) });
    const slow = () => this.#tellSlow(caller, facts);
    const bridge = new Bridge(
      session,
      launched,
      this.#options,
      (lines) => interceptors(caller, lines),
      facts,
      slow,
    );
    try {
      await bridge.run(cut);
    } finally {
      bridge.end();
      const exit = await child.shutDown(clock);
      const { messagesReceived, messagesSent } = session.counts;
      log.info("session closed", {
        ...facts,
        pid: child.pid,
        exit: exit.signal ?? exit.code,
        from_agent: messagesReceived,
        to_agent: messagesSent,
      });
    }
  }

  #launch(caller: Caller, facts: Facts): LaunchedChild {
    try {
      return this.#ready.take(caller) ?? this.#start(caller);
    } catch (error) {
      this.#options.log.error("the MCP server cannot be started", {
        ...facts,
        why: messageOf(error),
      });
      throw error;
    }
  }

  #start(caller: Caller): LaunchedChild {
    const { launcher, plan, limits, log, service } = this.#options;
    const child = launcher.launch(plan(caller), limits, caller);
    return { process: child, said: new ChildStderr(child.stderr(), log, service) };
  }

  /** Once for each service: whoever waits for it again waits for the same reason. */
  #tellSlow(caller: Caller, facts: Facts): void {
    if (this.#slownessTold) return;
    this.#slownessTold = true;
    const { log, plan } = this.#options;
    log.warn(`the MCP server has not answered its first request for ${SLOW_START_MS / 1000} s`, {
      ...facts,
      cure: slowStartAdvice(plan(caller).argv, this.prewarm > 0),
    });
  }
}

/** A child, and what it says on stderr from its start. */
interface LaunchedChild {
  readonly process: ChildProcess;
  readonly said: ChildStderr;
}

/** What stands with each line of the log about a session. */
type Facts = Readonly<Record<"peer" | "service", string>>;

/** The lines of one session. */
class Bridge {
  readonly #session: Session;
  readonly #child: ChildProcess;
  readonly #said: ChildStderr;
  readonly #options: McpServiceOptions;
  readonly #interceptors: readonly Interceptor[];
  readonly #pipeline: Pipeline;
  readonly #facts: Facts;
  readonly #held: HeldPassages;
  readonly #failed = Promise.withResolvers<never>();
  readonly #firstAnswer: SlowStartWatch;
  readonly #childOutput: Promise<void>;
  readonly #drained: Promise<unknown>;

  constructor(
    session: Session,
    { process, said }: LaunchedChild,
    options: McpServiceOptions,
    interceptors: (lines: SessionLines) => readonly Interceptor[],
    facts: Facts,
    tellSlow: () => void,
  ) {
    this.#session = session;
    this.#child = process;
    this.#said = said;
    this.#options = options;
    this.#facts = facts;
    this.#interceptors = interceptors(this.#lines());
    this.#pipeline = new Pipeline({
      strictness: { to_server: "towards_server", to_agent: "towards_agent" },
      interceptors: this.#interceptors,
      clock: options.clock,
    });
    this.#held = new HeldPassages(this.#failed.reject);
    this.#failed.promise.catch(() => {}); // run() throws it, if it still runs
    this.#firstAnswer = new SlowStartWatch(options.clock, tellSlow);
    this.#childOutput = this.#readChild();
    this.#drained = Promise.allSettled([this.#childOutput, said.ended]);
  }

  /**
   * Resolves when the peer closed, or `cut` aborted, and the child has ended; throws when the child ended
   * first.
   */
  async run(cut: AbortSignal): Promise<void> {
    const { clock, log } = this.#options;
    using _firstAnswer = this.#firstAnswer;
    const peerClosed = Promise.race([
      this.#readPeer(cut),
      this.#session.ended,
      aborted(cut),
      this.#failed.promise,
    ]);
    const childEnded = Promise.race([this.#childOutput, this.#child.exited]);
    const first = await Promise.race([
      peerClosed.then(() => "peer" as const),
      childEnded.then(() => "child" as const),
    ]);
    if (cut.aborted) this.#child.forgetInput();
    const exit = await this.#child.shutDown(clock);
    await this.#drained;
    if (first === "peer" || this.#session.closeReason !== undefined) return;
    await within(clock, CHILD_GRACE_MS, this.#held.settled(), undefined);
    const error = childExited(exit, this.#said.last);
    log.error(error.message, { ...this.#facts, pid: this.#child.pid });
    throw error;
  }

  /** Nothing passes any more. */
  end(): void {
    for (const interceptor of this.#interceptors) interceptor.ended?.();
  }

  #lines(): SessionLines {
    const calls = () => this.#pipeline.pending.to_server;
    return {
      get calls() {
        return calls();
      },
      toServer: (line) => void this.#writeToChild(line),
      toAgent: (line) => void this.#send(line),
    };
  }

  async #readPeer(cut: AbortSignal): Promise<void> {
    for (;;) {
      const line = this.#session.tryReceive() ?? await this.#session.receive();
      if (line === null || cut.aborted) return;
      const more = this.#deliver(this.#pipeline.pass("to_server", line));
      if (more !== undefined) await more;
    }
  }

  /** Carries out what the pipeline decided about a line from the peer. Returns what to wait for, if anything. */
  #deliver(passage: Passage): Promise<unknown> | undefined {
    let more: Promise<unknown> | undefined;
    for (const note of passage.notes) this.#options.log.warn(note, this.#facts);
    for (const line of passage.forward) more = this.#writeToChild(line) ?? more;
    for (const line of passage.back) more = this.#send(line) ?? more;
    this.#held.add(passage, async (later) => void await this.#deliver(later));
    return more;
  }

  async #readChild(): Promise<void> {
    const splitter = new LineSplitter(this.#maxLine());
    for await (const chunk of this.#child.stdout()) {
      this.#firstAnswer[Symbol.dispose]();
      for (const line of splitter.feed(chunk)) {
        const more = this.#takeChildLine(line, chunk.buffer);
        if (more !== undefined) await more;
      }
    }
    const last = splitter.end();
    if (last !== null) await this.#takeLastLine(last);
  }

  /** A last line without a line feed is a message only if it is whole; its call learns why it died. */
  async #takeLastLine(line: Line): Promise<void> {
    if (line.kind === "line" && scanLine(line.bytes, "towards_agent").kind === "invalid") {
      const note = "dropped the last line of the server, which has no end";
      this.#options.log.warn(note, { ...this.#facts, line: shortened(line.bytes) });
      return;
    }
    await this.#takeChildLine(line, null);
  }

  #maxLine(): number {
    return Math.min(this.#options.maxMessage, this.#session.peerMaxMessage ?? Infinity);
  }

  /** Takes a line whose bytes may lie in `reused`, a buffer that the next chunk overwrites. */
  #takeChildLine(line: Line, reused: ArrayBuffer | null): Promise<unknown> | undefined {
    if (line.kind === "oversized") return this.#takeOversized(line);
    const bytes = line.bytes.buffer === reused ? line.bytes.slice() : line.bytes;
    return this.#return(this.#pipeline.pass("to_agent", bytes), bytes);
  }

  #takeOversized(line: OversizedLine): Promise<unknown> | undefined {
    const limit = this.#maxLine();
    this.#options.log.warn("a line of the server is too long", {
      ...this.#facts,
      bytes: line.length,
      limit,
    });
    const outcome = oversizedOutcome(line, limit, this.#pipeline.pending.to_server);
    if (outcome?.to === "on") return this.#send(outcome.reply);
    return outcome?.to === "back" ? this.#writeToChild(outcome.reply) : undefined;
  }

  /** Carries out what the pipeline decided about a line from the child. Returns what to wait for, if anything. */
  #return(passage: Passage, original?: Bytes): Promise<unknown> | undefined {
    let more: Promise<unknown> | undefined;
    for (const note of passage.notes) {
      const shown = original === undefined ? undefined : shortened(original);
      this.#options.log.warn(note, { ...this.#facts, line: shown });
    }
    for (const line of passage.forward) more = this.#send(line) ?? more;
    for (const line of passage.back) more = this.#writeToChild(line) ?? more;
    this.#held.add(passage, async (later) => void await this.#return(later));
    return more;
  }

  /** Writes to the child, and returns what to wait for if that has too much to read. */
  #writeToChild(line: Bytes): Promise<unknown> | undefined {
    if (this.#pipeline.pending.to_server.size > 0) this.#firstAnswer.asked();
    const written = this.#child.writeLine(line);
    return this.#child.isBehind ? written : undefined;
  }

  /**
   * Sends to the peer, and returns what to wait for if there is no room for it. What can no longer be sent
   * is dropped, for the session's end is told elsewhere.
   */
  #send(line: Bytes): Promise<unknown> | undefined {
    try {
      if (this.#session.trySend(line)) return undefined;
    } catch {
      return undefined; // it is larger than the peer takes
    }
    return this.#session.send(line).catch(() => {});
  }
}

function childExited(exit: ChildExit, stderr: readonly string[]): McpError {
  const how = exit.signal === null ? `exit status ${exit.code}` : `signal ${exit.signal}`;
  const words = lastWords(stderr);
  const said = words === "" ? "" : `; it said: ${words}`;
  return new McpError("child_exited", `The MCP server ended (${how})${said}`);
}

/** Returns as many of the last lines as have room together: the very last ones tell most. */
function lastWords(lines: readonly string[]): string {
  const kept: string[] = [];
  let room = LAST_WORDS_CHARACTERS;
  for (const line of lines.toReversed()) {
    if (line.trim() === "") continue;
    if (line.length > room && kept.length > 0) break;
    kept.unshift(printable(line, room));
    room -= line.length;
  }
  return kept.join(" | ");
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

function shortened(line: Bytes): string {
  return plainText(line.subarray(0, 4 * NOISE_SHOWN_CHARACTERS), NOISE_SHOWN_CHARACTERS);
}
