/**
 * Writes lines to a pipe in as few writes as possible, in order, each with its line feed.
 *
 * What one turn hands over leaves in one write, and so does what is handed over while a write is under
 * way: every write wakes the process at the other end, which costs more than the copying. A long line is
 * not copied; its line feed leaves with what follows. Nobody need wait for one line before handing over
 * the next; whoever reads a source that never ends looks at {@link LineWriter.isFull}.
 */

import type { Bytes } from "../bytes.ts";

const LINE_FEED = 0x0a;

/** Short lines are copied together up to this size, which is what a pipe holds; longer ones are not copied. */
const TOGETHER_BYTES = 64 * 1024;

/** What the buffer for short lines begins with. */
const FIRST_TOGETHER_BYTES = 1024;

/** How much may wait before sources should be left alone. */
const FULL_BYTES = 1024 * 1024;

/** Lines on their way into one pipe. */
export class LineWriter {
  readonly #write: (bytes: Bytes) => Promise<unknown>;
  #lines: Bytes[] = [];
  #waitingBytes = 0;
  /** Settles with the writing of `#lines`. */
  #batch: PromiseWithResolvers<void> | undefined;
  #lastBatch: Promise<unknown> = Promise.resolve();
  #isWriting = false;
  #isOver = false;
  #together: Bytes = new Uint8Array(FIRST_TOGETHER_BYTES);

  /**
   * `write` writes all of its argument, which does not change until that is done, or rejects. It is called
   * again only when it has settled.
   */
  constructor(write: (bytes: Bytes) => Promise<unknown>) {
    this.#write = write;
  }

  /** Whether so much is unwritten, 1 MiB, that sources should not be read on. */
  get isFull(): boolean {
    return this.#waitingBytes >= FULL_BYTES;
  }

  /** Resolves when `line`, which must not change until then, is written; rejects when writing failed. */
  write(line: Bytes): Promise<void> {
    this.#lines.push(line);
    this.#waitingBytes += line.length + 1;
    if (this.#batch === undefined) {
      this.#batch = Promise.withResolvers();
      this.#lastBatch = this.#batch.promise.catch(() => {}); // not everybody waits for it
    }
    const { promise } = this.#batch;
    if (!this.#isWriting) void this.#writeAll();
    return promise;
  }

  /** Drops what is not written yet, and whatever comes later: their writing is rejected. */
  forget(): void {
    this.#isOver = true;
  }

  /** Resolves when everything that was handed over so far is written, or cannot be. */
  async flush(): Promise<void> {
    await this.#lastBatch;
  }

  /** Writes until nothing is left. Begins a microtask later, so that one turn's lines share a write. */
  async #writeAll(): Promise<void> {
    this.#isWriting = true;
    await undefined;
    for (let batch = this.#batch; batch !== undefined; batch = this.#batch) {
      const lines = this.#lines;
      this.#lines = [];
      this.#batch = undefined;
      try {
        await this.#writeLines(lines);
        batch.resolve();
      } catch (error) {
        batch.reject(error);
      }
      for (const { length } of lines) this.#waitingBytes -= length + 1;
    }
    this.#isWriting = false;
  }

  async #writeLines(lines: readonly Bytes[]): Promise<void> {
    let length = 0;
    for (const line of lines) {
      if (length > 0 && length + line.length >= TOGETHER_BYTES) {
        await this.#writeNow(this.#together.subarray(0, length));
        length = 0;
      }
      if (line.length >= TOGETHER_BYTES) {
        await this.#writeNow(line);
      } else {
        this.#makeRoom(length, line.length + 1);
        this.#together.set(line, length);
        length += line.length;
      }
      this.#together[length++] = LINE_FEED;
    }
    await this.#writeNow(this.#together.subarray(0, length));
  }

  async #writeNow(bytes: Bytes): Promise<void> {
    if (this.#isOver) throw new Error("Cannot write: what was not written is forgotten");
    await this.#write(bytes);
  }

  /** Sees to it that `more` bytes have room behind the first `kept`. */
  #makeRoom(kept: number, more: number): void {
    const needed = kept + more;
    if (needed <= this.#together.length) return;
    const larger = new Uint8Array(Math.max(needed, 2 * this.#together.length));
    larger.set(this.#together.subarray(0, kept));
    this.#together = larger;
  }
}
