/**
 * Cuts a stream of bytes into lines, one JSON-RPC message each.
 *
 * `\n` ends a line; a `\r` directly before it belongs to the ending. Where chunks begin and end makes no
 * difference. A line that lies wholly in one chunk is a view into it, everything else is joined once from
 * blocks, so a 64 MiB line in small chunks takes linear time and at most twice its size. A line over the
 * limit is not held: it is skipped up to its line feed and reported once, with what can be said of it.
 */

import { Buffer } from "node:buffer";

import { type Bytes, EMPTY } from "../bytes.ts";
import { DEFAULT_MAX_MESSAGE_BYTES, OVERSIZED_HEAD_BYTES } from "../limits.ts";
import { EnvelopeFinder } from "./envelope_finder.ts";
import type { MessageId } from "./message_id.ts";

const LF = 0x0a;
const CR = 0x0d;

/** Chunks from this size on are searched for line feeds as text. */
const SHORT_CHUNK_BYTES = 1024;

/** Partial lines are collected in blocks of this size. The first one is also an over-long line's head. */
const BLOCK_BYTES = OVERSIZED_HEAD_BYTES;

/** A line within the limit. */
export interface WholeLine {
  /** Which kind of line. */
  readonly kind: "line";
  /**
   * The line without its ending. Valid until the chunk that was fed is overwritten: copy it to keep it
   * beyond that, or never reuse the buffer.
   */
  readonly bytes: Bytes;
}

/** A line over the limit, which is gone. */
export interface OversizedLine {
  /** Which kind of line. */
  readonly kind: "oversized";
  /** How long it was, without its ending. */
  readonly length: number;
  /** Its first 64 KiB. */
  readonly head: Bytes;
  /** The id of the message in it, for an error reply: null when there was none or more than one. */
  readonly id: MessageId | null;
  /** The message's method, if it had one: then it was a request or a notification. */
  readonly method: string | null;
}

/** A line, or what became of it. */
export type Line = WholeLine | OversizedLine;

/** How many blocks are kept for the next long line. */
const MAX_FREE_BLOCKS = 16;

/** What is known of an over-long line while it is skipped. */
interface Skipped {
  readonly head: Bytes;
  readonly finder: EnvelopeFinder;
  length: number;
  endsInCr: boolean;
}

/** Splits one stream. */
export class LineSplitter {
  readonly #limit: number;
  /** Full blocks of the partial line. */
  #blocks: Bytes[] = [];
  /** The block that is being filled; kept from line to line. */
  #block: Bytes = EMPTY;
  #filled = 0;
  /** Blocks to be used again: allocating them anew for every long line costs more than copying. */
  #free: Bytes[] = [];
  #skipped: Skipped | null = null;

  /** Splits into lines of at most `maxLineBytes`, their endings not counted. */
  constructor(maxLineBytes = DEFAULT_MAX_MESSAGE_BYTES) {
    if (!Number.isSafeInteger(maxLineBytes) || maxLineBytes < 1) {
      throw new RangeError(`Cannot split lines: the limit is ${maxLineBytes} bytes`);
    }
    this.#limit = maxLineBytes;
  }

  /** Takes the next chunk and returns the lines that it completes, in order. */
  feed(chunk: Bytes): Line[] {
    const lines: Line[] = [];
    const lineFeed = lineFeedFinder(chunk);
    let start = 0;
    while (start < chunk.length) {
      const end = lineFeed(start);
      if (end < 0) {
        this.#hold(start === 0 ? chunk : chunk.subarray(start));
        break;
      }
      lines.push(this.#complete(chunk.subarray(start, end)));
      start = end + 1;
    }
    return lines;
  }

  /**
   * The stream has ended. Returns the partial last line if there is one, with a `\r` at its end if that is
   * there, because no `\n` followed. The splitter is as new afterwards.
   */
  end(): Line | null {
    if (this.#skipped !== null) return this.#endSkipped(this.#skipped, false);
    const length = this.#held();
    if (length === 0) return null;
    const line = this.#join(EMPTY);
    return length > this.#limit ? oversized(line) : { kind: "line", bytes: line };
  }

  #held(): number {
    return this.#blocks.length * BLOCK_BYTES + this.#filled;
  }

  /** Makes a line of what is held and `tail`, which a line feed ended. */
  #complete(tail: Bytes): Line {
    if (this.#skipped !== null) {
      this.#skip(this.#skipped, tail);
      return this.#endSkipped(this.#skipped, true);
    }
    let length = this.#held() + tail.length;
    if (length > this.#limit + 1) {
      const skipped = this.#startSkipping();
      this.#skip(skipped, tail);
      return this.#endSkipped(skipped, true);
    }
    const joined = this.#held() === 0 ? tail : this.#join(tail);
    if (joined[length - 1] === CR) length--;
    const bytes = length === joined.length ? joined : joined.subarray(0, length);
    return length > this.#limit ? oversized(bytes) : { kind: "line", bytes };
  }

  /** Keeps a copy of `part`, the end of a chunk without a line feed. */
  #hold(part: Bytes): void {
    // One byte more may be the carriage return of the ending.
    if (this.#skipped === null && this.#held() + part.length > this.#limit + 1) {
      this.#startSkipping();
    }
    if (this.#skipped !== null) {
      this.#skip(this.#skipped, part);
      return;
    }
    for (let at = 0; at < part.length;) {
      if (this.#block.length === 0) this.#block = this.#free.pop() ?? new Uint8Array(BLOCK_BYTES);
      const piece = part.subarray(at, at + BLOCK_BYTES - this.#filled);
      this.#block.set(piece, this.#filled);
      this.#filled += piece.length;
      at += piece.length;
      if (this.#filled === BLOCK_BYTES) {
        this.#blocks.push(this.#block);
        this.#block = EMPTY;
        this.#filled = 0;
      }
    }
  }

  /** Returns one new byte string of what is held and `tail`, and holds nothing any more. */
  #join(tail: Bytes): Bytes {
    const whole = new Uint8Array(this.#held() + tail.length);
    let at = 0;
    for (const block of this.#blocks) {
      whole.set(block, at);
      at += BLOCK_BYTES;
    }
    whole.set(this.#block.subarray(0, this.#filled), at);
    whole.set(tail, at + this.#filled);
    if (this.#blocks.length > 0) {
      this.#free = this.#free.concat(this.#blocks).slice(0, MAX_FREE_BLOCKS);
      this.#blocks = [];
    }
    this.#filled = 0;
    return whole;
  }

  #startSkipping(): Skipped {
    const skipped: Skipped = {
      head: new Uint8Array(OVERSIZED_HEAD_BYTES),
      finder: new EnvelopeFinder(),
      length: 0,
      endsInCr: false,
    };
    for (const block of this.#blocks) this.#skip(skipped, block);
    this.#skip(skipped, this.#block.subarray(0, this.#filled));
    this.#blocks = [];
    this.#filled = 0;
    this.#skipped = skipped;
    return skipped;
  }

  #skip(skipped: Skipped, part: Bytes): void {
    if (part.length === 0) return;
    skipped.finder.feed(part);
    if (skipped.length < OVERSIZED_HEAD_BYTES) {
      skipped.head.set(part.subarray(0, OVERSIZED_HEAD_BYTES - skipped.length), skipped.length);
    }
    skipped.length += part.length;
    skipped.endsInCr = part[part.length - 1] === CR;
  }

  #endSkipped(skipped: Skipped, byLineFeed: boolean): OversizedLine {
    this.#skipped = null;
    const length = skipped.length - (byLineFeed && skipped.endsInCr ? 1 : 0);
    return {
      kind: "oversized",
      length,
      head: skipped.head.subarray(0, length),
      id: skipped.finder.id,
      method: skipped.finder.method,
    };
  }
}

/**
 * Returns what finds the next line feed in `chunk`. Searching a byte array looks at one byte after the
 * other; searching a string is many times as fast, the copy that makes it one included.
 */
function lineFeedFinder(chunk: Bytes): (from: number) => number {
  if (chunk.length < SHORT_CHUNK_BYTES) return (from) => chunk.indexOf(LF, from);
  const text = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length).toString("latin1");
  return (from) => text.indexOf("\n", from);
}

/** Reports a line that is one byte too long and was held, because that byte might have been a `\r`. */
function oversized(line: Bytes): OversizedLine {
  const finder = new EnvelopeFinder();
  finder.feed(line);
  return {
    kind: "oversized",
    length: line.length,
    head: line.slice(0, OVERSIZED_HEAD_BYTES),
    id: finder.id,
    method: finder.method,
  };
}
