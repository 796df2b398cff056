/**
 * A child's standard error: each line goes to the host's log, the last ones are kept for the error that
 * explains how the child died. It is bounded, and loses its colours and control characters.
 */

import { type Bytes, concat } from "../bytes.ts";
import { CHILD_STDERR_LINES, MAX_LOG_LINE_BYTES } from "../limits.ts";
import { plainText } from "./plain_text.ts";

const LINE_FEED = 0x0a;

/** Cuts bytes into printable lines and remembers the last of them. */
export class StderrTail {
  readonly #lines: string[] = [];
  #partial: Bytes[] = [];
  #partialBytes = 0;

  /** Takes a chunk, which may be used again afterwards, and returns the lines it completed. */
  feed(chunk: Bytes): string[] {
    const lines: string[] = [];
    let start = 0;
    for (
      let end = chunk.indexOf(LINE_FEED);
      end >= 0;
      start = end + 1, end = chunk.indexOf(LINE_FEED, start)
    ) {
      this.#keep(chunk.subarray(start, end));
      lines.push(this.#finish());
    }
    this.#keep(chunk.subarray(start));
    return lines;
  }

  /** Returns the last line if it had no line feed. */
  end(): string[] {
    return this.#partialBytes > 0 ? [this.#finish()] : [];
  }

  /** The last lines, oldest first. */
  get last(): readonly string[] {
    return this.#lines;
  }

  #keep(piece: Bytes): void {
    const room = MAX_LOG_LINE_BYTES - this.#partialBytes;
    if (room <= 0 || piece.length === 0) return;
    const kept = piece.slice(0, room);
    this.#partial.push(kept);
    this.#partialBytes += kept.length;
  }

  #finish(): string {
    const line = plainText(concat(...this.#partial), MAX_LOG_LINE_BYTES);
    this.#partial = [];
    this.#partialBytes = 0;
    this.#lines.push(line);
    if (this.#lines.length > CHILD_STDERR_LINES) this.#lines.shift();
    return line;
  }
}
