/**
 * Finds the id and the method of a message that is not scanned: one too long to hold, or refused.
 *
 * It reads a line in pieces of any size, keeps a few kilobytes at most, and checks nothing: it only counts
 * brackets and skips strings. The id may stand anywhere (the MCP SDK writes it last, behind the params).
 * What it finds serves to answer the one request that failed, never to decide anything.
 */

import { type Bytes, fromUtf8 } from "../bytes.ts";
import { MAX_IDENTIFIER_BYTES } from "../limits.ts";
import { type MessageId, parseMessageId } from "./message_id.ts";

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
const OPEN_ARRAY = 0x5b;
const CLOSE_ARRAY = 0x5d;

/** Where the finder is, by what it waits for. */
type State =
  /** The message's `{`. */
  | "message"
  /** A key's quote, or the end. */
  | "key"
  /** The colon behind a key. */
  | "colon"
  /** A value's first byte. */
  | "value"
  /** The end of a number, `true`, `false` or `null` directly in the message. */
  | "scalar"
  /** The comma behind a value, or the end. */
  | "comma"
  /** The bracket that closes an object or array inside the message. */
  | "nested"
  /** Nothing: the message has ended, or this is none. */
  | "done";

/** A reader of one line in pieces. */
export class EnvelopeFinder {
  #state: State = "message";
  #inString = false;
  #escaping = false;
  /** Open brackets inside the message. */
  #depth = 0;
  /** The key whose value is read, if it is one that matters. */
  #key: "id" | "method" | null = null;
  /** The bytes of the key or value that is read; `#length` counts beyond its end. */
  readonly #captured = new Uint8Array(MAX_IDENTIFIER_BYTES);
  #length = 0;
  #id: MessageId | null = null;
  #ids = 0;
  #method: string | null = null;

  /** The id if exactly one was found. Its token is a copy. */
  get id(): MessageId | null {
    return this.#ids === 1 ? this.#id : null;
  }

  /** The last method found. */
  get method(): string | null {
    return this.#method;
  }

  /** Reads the next piece of the line. */
  feed(piece: Bytes): void {
    let at = 0;
    while (at < piece.length) {
      if (this.#inString) at = this.#string(piece, at);
      else if (this.#state === "nested") at = this.#nested(piece, at);
      else if (this.#state === "done") return;
      else this.#step(piece[at++]!);
    }
  }

  /** Reads on inside a string, and returns the index behind what it read. */
  #string(piece: Bytes, at: number): number {
    const captures = this.#state === "key" || (this.#state === "value" && this.#key !== null);
    if (!captures && !this.#escaping) {
      // The bulk of a long message: search for its end natively.
      const quote = piece.indexOf(QUOTE, at);
      const stop = quote < 0 ? piece.length : quote;
      let backslashes = 0;
      while (stop - backslashes > at && piece[stop - backslashes - 1] === BACKSLASH) backslashes++;
      const escaped = backslashes % 2 === 1;
      if (quote < 0) this.#escaping = escaped;
      else if (!escaped) this.#endString();
      return quote < 0 ? stop : stop + 1;
    }
    while (at < piece.length) {
      const byte = piece[at++]!;
      this.#capture(byte);
      if (this.#escaping) {
        this.#escaping = false;
        if (!captures) break;
      } else if (byte === BACKSLASH) {
        this.#escaping = true;
      } else if (byte === QUOTE) {
        this.#endString();
        break;
      }
    }
    return at;
  }

  #endString(): void {
    this.#inString = false;
    if (this.#state === "key") {
      const key = this.#text();
      this.#key = key === "id" || key === "method" ? key : null;
      this.#state = "colon";
    } else if (this.#state === "value") {
      this.#endValue();
      this.#state = "comma";
    }
  }

  #nested(piece: Bytes, at: number): number {
    while (at < piece.length) {
      const byte = piece[at++]!;
      if (byte === QUOTE) {
        this.#inString = true;
        return at;
      }
      if (byte === OPEN_OBJECT || byte === OPEN_ARRAY) {
        this.#depth++;
      } else if (byte === CLOSE_OBJECT || byte === CLOSE_ARRAY) {
        this.#depth--;
        if (this.#depth === 0) {
          this.#state = "comma";
          return at;
        }
      }
    }
    return at;
  }

  #step(byte: number): void {
    if (byte <= 0x20 && this.#state !== "scalar") return;
    switch (this.#state) {
      case "message":
        // A byte order mark is one reason to be here.
        if (byte < 0x80) this.#state = byte === OPEN_OBJECT ? "key" : "done";
        break;
      case "key":
        this.#beginString(byte);
        break;
      case "colon":
        this.#state = byte === COLON ? "value" : "done";
        break;
      case "value":
        if (byte === OPEN_OBJECT || byte === OPEN_ARRAY) {
          if (this.#key === "id") this.#ids++;
          this.#depth = 1;
          this.#state = "nested";
        } else if (byte === QUOTE) {
          this.#beginString(byte);
        } else {
          this.#length = 0;
          this.#capture(byte);
          this.#state = "scalar";
        }
        break;
      case "scalar":
        if (byte > 0x20 && byte !== COMMA && byte !== CLOSE_OBJECT) {
          this.#capture(byte);
          break;
        }
        this.#endValue();
        this.#state = byte === COMMA ? "key" : byte === CLOSE_OBJECT ? "done" : "comma";
        break;
      case "comma":
        this.#state = byte === COMMA ? "key" : "done";
        break;
    }
  }

  #beginString(byte: number): void {
    if (byte !== QUOTE) {
      this.#state = "done";
      return;
    }
    this.#inString = true;
    this.#length = 0;
    this.#capture(byte);
  }

  #capture(byte: number): void {
    if (this.#length < this.#captured.length) this.#captured[this.#length] = byte;
    this.#length++;
  }

  /** The string that was captured; null when it is too long or no JSON. */
  #text(): string | null {
    if (this.#length > this.#captured.length) return null;
    try {
      const text: unknown = JSON.parse(fromUtf8(this.#captured.subarray(0, this.#length)));
      return typeof text === "string" ? text : null;
    } catch {
      return null;
    }
  }

  #endValue(): void {
    if (this.#key === "method") this.#method = this.#text();
    if (this.#key !== "id") return;
    this.#ids++;
    if (this.#length > this.#captured.length) return;
    this.#id = parseMessageId(this.#captured.slice(0, this.#length));
  }
}
