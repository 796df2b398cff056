/** An agent for soak runs: a `talos mcp-connect` that is asked questions. */

import { TALOS } from "../talos_process.ts";

/** How long an answer may take: only hanging takes longer. */
const PATIENCE_MS = 60_000;

/** How long an agent's side may stay once its stdin is closed: one second is promised. */
const LEAVING_PATIENCE_MS = 10_000;

/** A running `talos mcp-connect`. */
export class Agent implements AsyncDisposable {
  readonly #process: Deno.ChildProcess;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #reader: ReadableStreamDefaultReader<string>;
  #text = "";
  #lastId = 0;

  /** Starts it in `home`, for `target`. */
  constructor(home: string, target: string) {
    const [command, ...args] = TALOS;
    this.#process = new Deno.Command(command, {
      args: [...args, "--home", home, "mcp-connect", target],
      stdin: "piped",
      stdout: "piped",
      stderr: "null",
    }).spawn();
    this.#writer = this.#process.stdin.getWriter();
    this.#writer.closed.catch(() => {}); // ask() reports it
    this.#reader = this.#process.stdout.pipeThrough(new TextDecoderStream()).getReader();
  }

  /** Sends a request and returns whether a result came, not an error. Throws Error when nothing comes. */
  async ask(): Promise<boolean> {
    const request = { jsonrpc: "2.0", id: ++this.#lastId, method: "ping" };
    await this.#writer.write(new TextEncoder().encode(JSON.stringify(request) + "\n"));
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error("no answer in 60 s")), PATIENCE_MS);
    });
    try {
      const reply = JSON.parse(await Promise.race([this.#line(), late]));
      return reply.id === request.id && reply.result !== undefined;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Ends it as nothing else does. */
  kill(): void {
    this.#process.kill("SIGKILL");
  }

  /**
   * Closes its stdin and returns how long it takes to end, in milliseconds; null when it had to be killed
   * after {@link LEAVING_PATIENCE_MS}.
   */
  async leave(): Promise<number | null> {
    const began = performance.now();
    let killed = false;
    const timer = setTimeout(() => {
      killed = true;
      this.kill();
    }, LEAVING_PATIENCE_MS);
    await this.#writer.close().catch(() => {}); // it has ended already
    await this.#process.status;
    clearTimeout(timer);
    await this.#reader.cancel().catch(() => {}); // its stdout broke
    return killed ? null : performance.now() - began;
  }

  /** The same as {@link leave}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.leave();
  }

  async #line(): Promise<string> {
    for (;;) {
      const end = this.#text.indexOf("\n");
      if (end >= 0) {
        const line = this.#text.slice(0, end);
        this.#text = this.#text.slice(end + 1);
        return line;
      }
      const { done, value } = await this.#reader.read();
      if (done) throw new Error("mcp-connect ended without an answer");
      this.#text += value;
    }
  }
}
