/**
 * A child process: an MCP server on pipes, in its own process group, ended in order.
 *
 * Shutdown is stdin closed, 2 s, SIGTERM to the group, 2 s, SIGKILL to the group. The group is signalled
 * even when the child itself is gone, so that what it started ends too, as far as it stayed in the group.
 * This is one of the thin executors: what it does on each system is decided in process_tree.ts.
 */

import type { Bytes } from "../bytes.ts";
import { type Clock, within } from "../clock.ts";
import { messageOf } from "../errors.ts";
import { CHILD_GRACE_MS } from "../limits.ts";
import { type ChildExit, exitOf } from "./child_exit.ts";
import { McpError } from "./errors.ts";
import type { LaunchPlan } from "./launcher.ts";
import { LineWriter } from "./line_writer.ts";
import { leadsGroup, treeSignal } from "./process_tree.ts";

const READ_BUFFER_BYTES = 64 * 1024;

/** A running MCP server. */
export class ChildProcess {
  readonly #os: string;
  readonly #process: Deno.ChildProcess;
  readonly #stdin: WritableStreamDefaultWriter<Uint8Array<ArrayBufferLike>>;
  readonly #input: LineWriter;
  readonly #stdout: OutputPipe;
  readonly #stderr: OutputPipe;
  /** Resolves when the child has ended. */
  readonly exited: Promise<ChildExit>;
  #stdinClosed = false;
  #runs = true;
  #ending: Promise<ChildExit> | undefined;

  /** Spawns what `plan` says. Throws McpError `command_not_found` or `spawn_failed`. */
  constructor(plan: LaunchPlan, os: string) {
    this.#os = os;
    this.#process = spawn(plan, os);
    this.#stdout = new OutputPipe(this.#process.stdout);
    this.#stderr = new OutputPipe(this.#process.stderr);
    this.#stdin = this.#process.stdin.getWriter();
    this.#stdin.closed.catch(() => {}); // write() reports it
    this.#input = new LineWriter((bytes) => this.#stdin.write(bytes));
    this.exited = this.#process.status.then((status) => {
      this.#runs = false;
      const { code, signal } = plan.signalsAsStatus === true ? exitOf(status) : status;
      return { code, signal };
    });
  }

  /** The id of the process that was spawned: the child's own, or that of what runs it. */
  get pid(): number {
    return this.#process.pid;
  }

  /** Writes one line and its line feed. Returns false when the child no longer reads. */
  async writeLine(line: Bytes): Promise<boolean> {
    if (this.#stdinClosed) return false;
    try {
      await this.#input.write(line);
      return true;
    } catch {
      return false; // the pipe broke: the child is ending, and `exited` says how
    }
  }

  /** Whether it has so much to read that it should be given no more for now. */
  get isBehind(): boolean {
    return this.#input.isFull;
  }

  /** Drops the lines that are not written yet: the child gets no more of them, and none that come later. */
  forgetInput(): void {
    this.#input.forget();
  }

  /** Closes the child's stdin: the sign for an MCP server to end. */
  async closeStdin(): Promise<void> {
    if (this.#stdinClosed) return;
    this.#stdinClosed = true;
    await this.#input.flush();
    await this.#stdin.close().catch(() => {}); // broken already: closed all the same
  }

  /** What the child prints, in chunks that are valid until the next one is asked for. */
  stdout(): AsyncIterable<Bytes> {
    return this.#stdout;
  }

  /** What the child says on stderr, in chunks that are valid until the next one is asked for. */
  stderr(): AsyncIterable<Bytes> {
    return this.#stderr;
  }

  /** Ends the child and its group, each step after `graceMs`. Resolves when the child and its pipes are gone. */
  shutDown(clock: Clock, graceMs = CHILD_GRACE_MS): Promise<ChildExit> {
    return this.#ending ??= this.#shutDownInOrder(clock, graceMs);
  }

  async #shutDownInOrder(clock: Clock, graceMs: number): Promise<ChildExit> {
    void this.closeStdin();
    if (await within(clock, graceMs, this.exited, null) === null) {
      this.#signalTree(false);
      await within(clock, graceMs, this.exited, null);
    }
    this.#signalTree(true);
    const exit = await this.exited;
    await Promise.all([this.#stdout.settle(clock), this.#stderr.settle(clock)]);
    return exit;
  }

  #signalTree(force: boolean): void {
    const signal = treeSignal(this.#os, {
      pid: this.pid,
      childRuns: this.#runs,
      force,
      systemRoot: this.#os === "windows" ? Deno.env.get("SystemRoot") : undefined,
    });
    if (signal === null) return;
    if (signal.how === "command") {
      const [program, ...args] = signal.argv;
      new Deno.Command(program, { args, stdin: "null", stdout: "null", stderr: "null" }).spawn();
      return;
    }
    try {
      Deno.kill(-signal.group, signal.signal);
    } catch (error) {
      // Nobody is left in the group; macOS says it otherwise while a zombie is in it.
      const gone = error instanceof Deno.errors.NotFound ||
        error instanceof Deno.errors.PermissionDenied;
      if (!gone) throw error;
    }
  }
}

function spawn(
  { argv, rawArguments = false, env, cwd }: LaunchPlan,
  os: string,
): Deno.ChildProcess {
  const [program, ...args] = argv;
  try {
    return new Deno.Command(program, {
      args,
      windowsRawArguments: rawArguments,
      env: { ...env },
      clearEnv: true,
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
      detached: leadsGroup(os),
      ...(cwd === undefined ? {} : { cwd }),
    }).spawn();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) throw programMissing(program, cwd, error);
    throw new McpError("spawn_failed", `Cannot run ${program}: ${messageOf(error)}`, {
      cause: error,
    });
  }
}

/** Returns the error that says that `program`, or the directory it was to run in, is not there. */
export function programMissing(program: string, cwd?: string, cause?: unknown): McpError {
  const directory = cwd === undefined ? "" : `, or no directory ${cwd}`;
  const state = `there is no such program${directory}`;
  return new McpError("command_not_found", `Cannot run ${program}: ${state}`, {
    cause,
    hints: [`check that it runs by itself: ${program} --help`],
  });
}

/** How long a pipe of a child that is gone may be silent before it is given up. */
const PIPE_PATIENCE_MS = 500;

/** An output of a child, read to its end into one buffer that is used again and again. */
class OutputPipe implements AsyncIterable<Bytes> {
  readonly #reader: ReadableStreamBYOBReader;
  readonly #ended = Promise.withResolvers<void>();
  #begun = false;
  #reading = true;
  #chunks = 0;

  constructor(stream: ReadableStream<Uint8Array>) {
    this.#reader = stream.getReader({ mode: "byob" });
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Bytes> {
    this.#begun = true;
    let buffer = new ArrayBuffer(READ_BUFFER_BYTES);
    try {
      for (;;) {
        this.#reading = true;
        const { value, done } = await this.#reader.read(new Uint8Array(buffer));
        this.#reading = false;
        if (done || value === undefined) return;
        this.#chunks++;
        yield value;
        buffer = value.buffer;
      }
    } finally {
      await this.#reader.cancel().catch(() => {}); // the pipe is broken: nothing is left to cancel
      this.#ended.resolve();
    }
  }

  /**
   * Waits for the end of the pipe once the child is gone. A process that left the child's group may hold
   * it open for ever: a pipe that gives nothing for a while is closed. What is still being handed on
   * takes the time it takes, and what nobody reads takes none.
   */
  async settle(clock: Clock): Promise<void> {
    if (!this.#begun) return await this.#reader.cancel().catch(() => {}); // broken: it ends by itself
    for (;;) {
      const before = this.#chunks;
      const ended = this.#ended.promise.then(() => true);
      if (await within(clock, PIPE_PATIENCE_MS, ended, false)) return;
      if (!this.#reading || this.#chunks !== before) continue;
      await this.#reader.cancel().catch(() => {}); // broken: it ends by itself
      return;
    }
  }
}
