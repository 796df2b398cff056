/** An agent in the hands of a test: it says lines, closes its end, and keeps what it is told. */

import { type Bytes, concat, fromUtf8, utf8 } from "../../lib/bytes.ts";
import type { AgentStdio } from "../../lib/mcp/connect.ts";
import { turn } from "../session/fake_clock.ts";

/** The agent behind `connectAgent`. */
export class FakeAgent implements AgentStdio {
  readonly #chunks: Bytes[] = [];
  #more = Promise.withResolvers<void>();
  #closed = false;
  #deaf = false;
  /** What it was told, line by line. */
  readonly heard: string[] = [];
  /** Chunks that were read. */
  reads = 0;
  /** Set to make every write wait. */
  blocked: Promise<void> | undefined;

  /** Says a line, or several. Everything that follows from it has happened when this resolves. */
  async say(...lines: readonly (string | Bytes)[]): Promise<void> {
    for (const line of lines) {
      this.#chunks.push(concat(typeof line === "string" ? utf8(line) : line, utf8("\n")));
    }
    this.#signal();
    await turn();
  }

  /** Ends its stdin. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#signal();
    await turn();
  }

  /** From now on every write fails. */
  stopReading(): void {
    this.#deaf = true;
  }

  /** What it was told, parsed. */
  get messages() {
    return this.heard.map((line) => JSON.parse(line));
  }

  get input(): AsyncIterable<Bytes> {
    return this.#read();
  }

  async writeLine(line: Bytes): Promise<void> {
    await this.blocked;
    if (this.#deaf) throw new Deno.errors.BrokenPipe();
    this.heard.push(fromUtf8(line));
  }

  /** Reuses one buffer, as a real reader does. */
  async *#read(): AsyncGenerator<Bytes> {
    const buffer = new Uint8Array(1024 * 1024);
    for (;;) {
      const chunk = this.#chunks.shift();
      if (chunk !== undefined) {
        this.reads++;
        buffer.fill(0x21);
        buffer.set(chunk);
        yield buffer.subarray(0, chunk.length);
      } else if (this.#closed) return;
      else await this.#more.promise;
    }
  }

  #signal(): void {
    const { resolve } = this.#more;
    this.#more = Promise.withResolvers();
    resolve();
  }
}
