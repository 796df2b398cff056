/** Children for tests: a module of this folder in a process of its own, spoken to over its pipes. */

import assert from "node:assert/strict";

/** A running child, killed at the latest when the test ends. */
export class Child implements AsyncDisposable {
  readonly #process: Deno.ChildProcess;
  readonly #lines: ReadableStreamDefaultReader<string>;
  #rest = "";
  #ended = false;

  /** Starts `module` of this folder with `args`. */
  constructor(module: string, args: readonly string[]) {
    this.#process = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--no-check", new URL(module, import.meta.url).href, ...args],
      cwd: new URL("../..", import.meta.url),
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    this.#lines = this.#process.stdout.pipeThrough(new TextDecoderStream()).getReader();
  }

  /** Its process id. */
  get pid(): number {
    return this.#process.pid;
  }

  /** Returns the next line that it prints; fails when it ends instead. */
  async line(): Promise<string> {
    for (;;) {
      const end = this.#rest.indexOf("\n");
      if (end >= 0) {
        const line = this.#rest.slice(0, end);
        this.#rest = this.#rest.slice(end + 1);
        return line;
      }
      const { done, value } = await this.#lines.read();
      assert.ok(!done, "the child ended without another line");
      this.#rest += value;
    }
  }

  /** Ends its stdin, which is the sign to go on. */
  async go(): Promise<void> {
    await this.#process.stdin.close();
  }

  /** Ends it as nothing else does, and waits until it is gone. */
  async kill(): Promise<void> {
    this.#process.kill("SIGKILL");
    await this.#process.status;
  }

  /** Waits until it ended by itself and returns its exit status. */
  async status(): Promise<number> {
    const { code } = await this.#process.status;
    return code;
  }

  /** Kills it if it still runs, and releases the pipes. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#ended) return;
    this.#ended = true;
    try {
      this.#process.kill("SIGKILL");
    } catch {
      // It has ended.
    }
    await this.#process.stdin.close().catch(() => {});
    await this.#lines.cancel();
    await this.#process.status;
  }
}
