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
import { CHILD_GRACE_MS, MAX_CHILDREN_PER_PEER_SERVICE } from "../limits.ts";
import { type Log, printable } from "../log.ts";
import { shortPeerId } from "../identity/peer_id.ts";
import type { Session } from "../session/session.ts";
import type { ChildExit, ChildProcess } from "./child_process.ts";
import { McpError } from "./errors.ts";
import { HeldPassages } from "./held_passages.ts";
import type { Caller, Launcher, LaunchLimits, LaunchPlan } from "./launcher.ts";
import { type Line, LineSplitter, type OversizedLine } from "./lines.ts";
import { oversizedOutcome } from "./oversized.ts";
import { type Interceptor, type Passage, Pipeline } from "./pipeline.ts";
import { plainText } from "./plain_text.ts";
import { scanLine } from "./scan.ts";
import { StderrTail } from "./stderr_tail.ts";

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
  /** Policy, audit and the like, made anew for each session. */
  readonly interceptors: (caller: Caller) => readonly Interceptor[];
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
export class McpService {
  readonly #options: McpServiceOptions;
  readonly #live = new Map<string, number>();

  /** Shares what `options.plan` runs. */
  constructor(options: McpServiceOptions) {
    this.#options = options;
  }

  /** The service's name on the wire. */
  get name(): string {
    return this.#options.service;
  }

  /** The longest message accepted, in bytes. */
  get maxMessage(): number {
    return this.#options.maxMessage;
  }

  /** Whether `peer` may have another child. */
  hasRoom(peer: string): boolean {
    return (this.#live.get(peer) ?? 0) < MAX_CHILDREN_PER_PEER_SERVICE;
  }

  /**
   * Runs a session to its end, which is at once when `cut` aborts: from then on nothing of the peer reaches
   * the child. Throws McpError when the child cannot be started or dies, and what ended the session
   * otherwise; the child is gone in every case.
   */
  async run(session: Session, caller: Caller, cut: AbortSignal): Promise<void> {
    this.#live.set(caller.peer, (this.#live.get(caller.peer) ?? 0) + 1);
    try {
      await this.#bridge(session, caller, cut);
    } finally {
      const left = (this.#live.get(caller.peer) ?? 1) - 1;
      if (left === 0) this.#live.delete(caller.peer);
      else this.#live.set(caller.peer, left);
    }
  }

  async #bridge(session: Session, caller: Caller, cut: AbortSignal): Promise<void> {
    const { clock, log, interceptors } = this.#options;
    const facts = { peer: shortPeerId(caller.peer), service: caller.service };
    const child = this.#launch(caller, facts);
    log.info("session opened", { ...facts, pid: child.pid, path: session.path.remote });
    const bridge = new Bridge(session, child, this.#options, interceptors(caller), facts);
    try {
      await bridge.run(cut);
    } finally {
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

  #launch(caller: Caller, facts: Facts): ChildProcess {
    const { launcher, plan, limits, log } = this.#options;
    try {
      return launcher.launch(plan(caller), limits, caller);
    } catch (error) {
      log.error("the MCP server cannot be started", { ...facts, why: messageOf(error) });
      throw error;
    }
  }
}

/** What stands with each line of the log about a session. */
type Facts = Readonly<Record<"peer" | "service", string>>;

/** The lines of one session. */
class Bridge {
  readonly #session: Session;
  readonly #child: ChildProcess;
  readonly #options: McpServiceOptions;
  readonly #pipeline: Pipeline;
  readonly #facts: Facts;
  readonly #held: HeldPassages;
  readonly #failed = Promise.withResolvers<never>();
  readonly #stderr = new StderrTail();
  readonly #childOutput: Promise<void>;
  readonly #drained: Promise<unknown>;

  constructor(
    session: Session,
    child: ChildProcess,
    options: McpServiceOptions,
    interceptors: readonly Interceptor[],
    facts: Facts,
  ) {
    this.#session = session;
    this.#child = child;
    this.#options = options;
    this.#facts = facts;
    this.#pipeline = new Pipeline({
      strictness: { to_server: "towards_server", to_agent: "towards_agent" },
      interceptors,
      clock: options.clock,
    });
    this.#held = new HeldPassages(this.#failed.reject);
    this.#failed.promise.catch(() => {}); // run() throws it, if it still runs
    this.#childOutput = this.#readChild();
    this.#drained = Promise.allSettled([this.#childOutput, this.#readStderr()]);
  }

  /**
   * Resolves when the peer closed, or `cut` aborted, and the child has ended; throws when the child ended
   * first.
   */
  async run(cut: AbortSignal): Promise<void> {
    const { clock, log } = this.#options;
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
    const error = childExited(exit, this.#stderr.last);
    log.error(error.message, { ...this.#facts, pid: this.#child.pid });
    throw error;
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

  async #readStderr(): Promise<void> {
    for await (const chunk of this.#child.stderr()) this.#logStderr(this.#stderr.feed(chunk));
    this.#logStderr(this.#stderr.end());
  }

  #logStderr(lines: readonly string[]): void {
    for (const line of lines) this.#options.log.info(`[${this.#facts.service}] ${line}`);
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
