/**
 * An agent that writes and reads raw lines of its `mcp-connect`: for measuring, where a client library's
 * own work would be in the way. A line of any size is taken without being parsed.
 */

import type { Bytes } from "../../lib/bytes.ts";
import { LineSplitter } from "../../lib/mcp/lines.ts";

/** The beginning of a line is enough to tell what it answers. */
const SHOWN_BYTES = 512;

/** A line that arrived. */
export interface ArrivedLine {
  /** Its first 512 bytes as text. */
  readonly head: string;
  /** All of its bytes. */
  readonly length: number;
  /** When its last byte arrived, as `performance.now` has it. */
  readonly at: number;
}

/** A running `mcp-connect`. */
export class RawAgent implements AsyncDisposable {
  readonly #process: Deno.ChildProcess;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #reading: Promise<unknown>;
  readonly #waiting: {
    matches: (line: ArrivedLine) => boolean;
    resolve: (line: ArrivedLine) => void;
  }[] = [];
  /** What it said on stderr. */
  stderr = "";
  /** Bytes that arrived. */
  received = 0;

  /** Starts it. */
  constructor(
    [command, ...args]: readonly [string, ...string[]],
    env: Readonly<Record<string, string>>,
  ) {
    this.#process = new Deno.Command(command, {
      args,
      env: { ...env },
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#writer = this.#process.stdin.getWriter();
    this.#writer.closed.catch(() => {}); // it ended without reading all
    this.#reading = Promise.all([this.#readLines(), this.#readStderr()]);
  }

  /** Its process id. */
  get pid(): number {
    return this.#process.pid;
  }

  /** Writes one message; resolves when `mcp-connect` has taken it. */
  async send(message: object): Promise<void> {
    const line = JSON.stringify({ jsonrpc: "2.0", ...message }) + "\n";
    await this.#writer.write(new TextEncoder().encode(line));
  }

  /** Resolves with the first line from now on that `matches`. */
  line(matches: (line: ArrivedLine) => boolean): Promise<ArrivedLine> {
    return new Promise((resolve) => this.#waiting.push({ matches, resolve }));
  }

  /** Resolves with the answer to the request with this id. */
  answer(id: number): Promise<ArrivedLine> {
    return this.line(({ head }) => head.startsWith(`{"jsonrpc":"2.0","id":${id},`));
  }

  /** Closes its stdin and waits for its end. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#writer.close().catch(() => {}); // it has ended already
    await this.#process.status;
    await this.#reading;
  }

  async #readLines(): Promise<void> {
    const splitter = new LineSplitter(2 ** 30);
    const decoder = new TextDecoder();
    for await (const chunk of this.#process.stdout) {
      this.received += chunk.length;
      for (const line of splitter.feed(chunk as Bytes)) {
        if (line.kind !== "line") continue;
        const { bytes } = line;
        const head = decoder.decode(bytes.subarray(0, SHOWN_BYTES));
        this.#arrived({ head, length: bytes.length, at: performance.now() });
      }
    }
  }

  #arrived(line: ArrivedLine): void {
    const at = this.#waiting.findIndex(({ matches }) => matches(line));
    if (at < 0) return;
    const [waiting] = this.#waiting.splice(at, 1);
    waiting?.resolve(line);
  }

  async #readStderr(): Promise<void> {
    for await (const text of this.#process.stderr.pipeThrough(new TextDecoderStream())) {
      this.stderr += text;
    }
  }
}
