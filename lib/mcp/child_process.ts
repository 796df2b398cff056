/**
 * A child process: an MCP server on pipes, in its own process group, ended in order.
 *
 * Shutdown is stdin closed, 2 s, SIGTERM to the group, 2 s, SIGKILL to the group. The group is signalled
 * even when the child itself is gone, so that what it started ends too, as far as it stayed in the group.
 * This is one of the thin executors: what it does on each system is decided in process_tree.ts.
 */

import { type Bytes, concat } from "../bytes.ts";
import { type Clock, within } from "../clock.ts";
import { messageOf } from "../errors.ts";
import { CHILD_GRACE_MS } from "../limits.ts";
import { McpError } from "./errors.ts";
import type { LaunchPlan } from "./launcher.ts";
import { treeSignal } from "./process_tree.ts";

/** How a child ended. */
export interface ChildExit {
  /** Its exit status. */
  readonly code: number;
  /** The signal that ended it, or null. */
  readonly signal: string | null;
}

/** Lines up to this size are copied behind their line feed into one write; longer ones take two. */
const ONE_WRITE_BYTES = 64 * 1024;
const READ_BUFFER_BYTES = 64 * 1024;
const LINE_FEED = Uint8Array.of(0x0a);

/** A running MCP server. */
export class ChildProcess {
  readonly #os: string;
  readonly #process: Deno.ChildProcess;
  readonly #stdin: WritableStreamDefaultWriter<Uint8Array<ArrayBufferLike>>;
  /** Resolves when the child has ended. */
  readonly exited: Promise<ChildExit>;
  #stdinClosed = false;

  /** Spawns what `plan` says. Throws McpError `command_not_found` or `spawn_failed`. */
  constructor(plan: LaunchPlan, os: string) {
    this.#os = os;
    this.#process = spawn(plan);
    this.#stdin = this.#process.stdin.getWriter();
    this.#stdin.closed.catch(() => {}); // write() reports it
    this.exited = this.#process.status.then(({ code, signal }) => ({ code, signal }));
  }

  /** The child's process id. */
  get pid(): number {
    return this.#process.pid;
  }

  /** Writes one line and its line feed. Returns false when the child no longer reads. */
  async writeLine(line: Bytes): Promise<boolean> {
    if (this.#stdinClosed) return false;
    try {
      if (line.length <= ONE_WRITE_BYTES) {
        await this.#stdin.write(concat(line, LINE_FEED));
      } else {
        await this.#stdin.write(line);
        await this.#stdin.write(LINE_FEED);
      }
      return true;
    } catch {
      return false; // the pipe broke: the child is ending, and `exited` says how
    }
  }

  /** Closes the child's stdin: the sign for an MCP server to end. */
  async closeStdin(): Promise<void> {
    if (this.#stdinClosed) return;
    this.#stdinClosed = true;
    await this.#stdin.close().catch(() => {}); // broken already: closed all the same
  }

  /** What the child prints, in chunks that are valid until the next one is asked for. */
  stdout(): AsyncGenerator<Bytes> {
    return chunks(this.#process.stdout);
  }

  /** What the child says on stderr, in chunks that are valid until the next one is asked for. */
  stderr(): AsyncGenerator<Bytes> {
    return chunks(this.#process.stderr);
  }

  /** Ends the child and its group, each step after `graceMs`. Resolves when the child is gone. */
  async shutDown(clock: Clock, graceMs = CHILD_GRACE_MS): Promise<ChildExit> {
    void this.closeStdin();
    if (await within(clock, graceMs, this.exited, null) === null) {
      this.#signalTree(false);
      await within(clock, graceMs, this.exited, null);
    }
    this.#signalTree(true);
    return await this.exited;
  }

  /** Ends the child and its group now. */
  kill(): void {
    this.#signalTree(true);
  }

  #signalTree(force: boolean): void {
    const signal = treeSignal(this.#os, this.pid, force);
    if (signal.how === "command") {
      const [program, ...args] = signal.argv;
      new Deno.Command(program, { args, stdin: "null", stdout: "null", stderr: "null" }).spawn();
      return;
    }
    try {
      Deno.kill(-signal.group, signal.signal);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error; // nobody is left in the group
    }
  }
}

function spawn({ argv: [program, ...args], env, cwd }: LaunchPlan): Deno.ChildProcess {
  try {
    return new Deno.Command(program, {
      args,
      env: { ...env },
      clearEnv: true,
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
      detached: true,
      ...(cwd === undefined ? {} : { cwd }),
    }).spawn();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) {
      throw new McpError("command_not_found", `Cannot run ${program}: there is no such program`, {
        cause: error,
        hints: [`check that it runs by itself: ${program} --help`],
      });
    }
    throw new McpError("spawn_failed", `Cannot run ${program}: ${messageOf(error)}`, {
      cause: error,
    });
  }
}

/** Reads a pipe to its end into one buffer that is used again and again. */
async function* chunks(stream: ReadableStream<Uint8Array>): AsyncGenerator<Bytes> {
  const reader = stream.getReader({ mode: "byob" });
  let buffer = new ArrayBuffer(READ_BUFFER_BYTES);
  try {
    for (;;) {
      const { value, done } = await reader.read(new Uint8Array(buffer));
      if (done || value === undefined) return;
      yield value;
      buffer = value.buffer;
    }
  } finally {
    await reader.cancel().catch(() => {}); // the pipe is broken: nothing is left to cancel
  }
}
