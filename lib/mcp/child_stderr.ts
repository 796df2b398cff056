/** A child's stderr from its first byte on: each line into the host's log, the last ones kept. */

import type { Bytes } from "../bytes.ts";
import type { Log } from "../log.ts";
import { StderrTail } from "./stderr_tail.ts";

/** Reads a child's stderr to its end, whoever the child belongs to meanwhile. */
export class ChildStderr {
  readonly #tail = new StderrTail();
  readonly #log: Log;
  readonly #service: string;
  /** Resolves when the pipe has ended. */
  readonly ended: Promise<void>;

  /** Begins to read `chunks`; lines are logged as those of `service`. */
  constructor(chunks: AsyncIterable<Bytes>, log: Log, service: string) {
    this.#log = log;
    this.#service = service;
    this.ended = this.#read(chunks).catch(() => {}); // a broken pipe has ended too
  }

  /** The last lines, oldest first. */
  get last(): readonly string[] {
    return this.#tail.last;
  }

  async #read(chunks: AsyncIterable<Bytes>): Promise<void> {
    for await (const chunk of chunks) this.#say(this.#tail.feed(chunk));
    this.#say(this.#tail.end());
  }

  #say(lines: readonly string[]): void {
    for (const line of lines) this.#log.info(`[${this.#service}] ${line}`);
  }
}
