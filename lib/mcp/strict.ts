/**
 * A strict reader of one JSON text (RFC 8259), over its bytes, without building values.
 *
 * It guarantees that what it accepts is read alike by every JSON parser: grammar, UTF-8, no control
 * characters, and, where asked for, no duplicate keys, lone surrogates or NUL in keys. Numbers are checked
 * for their grammar and otherwise left alone: how precisely they are read still differs. White space is
 * space and tab only, because a text is one line. Nothing recurses, so depth costs no stack.
 *
 * One pass, no allocation per token. A caller that wants to see a level member by member walks it with
 * `enterObject` and `nextKey` and lets `value` check what is beneath. Long strings are checked four bytes
 * at a time, which is as fast as a native search and looks for everything at once.
 */

import { isUtf8 } from "node:buffer";

import { type Bytes, EMPTY, fromUtf8 } from "../bytes.ts";
import { MAX_MESSAGE_DEPTH } from "../limits.ts";
import { hex4, type KeyHash, KeyTable } from "./key_table.ts";
import { Violation } from "./refusals.ts";

const TAB = 0x09;
const CR = 0x0d;
const SPACE = 0x20;
const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
const BACKSLASH = 0x5c;
const LETTER_U = 0x75;
/** The byte `{`. */
export const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
/** The byte `[`. */
export const OPEN_ARRAY = 0x5b;
const CLOSE_ARRAY = 0x5d;

/** Not 0 for a byte that ends a plain run inside a string: quote, backslash, control characters. */
const STOPS = new Uint8Array(256).fill(1, 0, 0x20);
STOPS[QUOTE] = STOPS[BACKSLASH] = 1;

/** Not 0 for what may follow a backslash, `u` aside. */
const ESCAPABLE = new Uint8Array(256);
for (const letter of '"\\/bfnrt') ESCAPABLE[letter.charCodeAt(0)] = 1;

/** A plain run of this many bytes is gone on with four bytes at a time. */
const LONG_RUN = 32;

/** Flags of an open object or array. */
const OBJECT = 1;
const TRACKED = 2;
const BEGUN = 4;

/** A reader of one text after another. All methods throw {@link Violation} and leave it unusable until `open`. */
export class JsonReader {
  /** The index of the byte that is read next. */
  at = 0;
  /** The content of the string or key that was read last, without its quotes. */
  start = 0;
  /** The index behind the content of the string or key that was read last. */
  stop = 0;
  /** Whether the string or key that was read last holds an escape. */
  escaped = false;

  #line: Bytes = EMPTY;
  #strict = true;
  #words: Int32Array | null = null;
  #depth = 0;
  readonly #levels = new Uint8Array(MAX_MESSAGE_DEPTH + 1);
  readonly #keys: KeyTable;

  /** Makes a reader whose hashes of keys are seeded with `hash`. */
  constructor(hash: KeyHash) {
    this.#keys = new KeyTable(hash);
  }

  /**
   * Turns to `line`. With `strict`, lone surrogates are refused, and duplicate keys and NUL in keys in
   * every object that {@link value} passes; without, only in objects entered as tracked.
   */
  open(line: Bytes, strict: boolean): void {
    this.#line = line;
    this.#strict = strict;
    this.#words = null;
    this.#depth = 0;
    this.at = 0;
    this.#keys.open(line);
    if (line[0] === 0xef && line[1] === 0xbb && line[2] === 0xbf) {
      throw new Violation("byte_order_mark", 0);
    }
    if (!isUtf8(line)) throw new Violation("invalid_utf8", validPrefix(line));
  }

  /** Lets go of the line. */
  close(): void {
    this.#line = EMPTY;
    this.#words = null;
    this.#keys.open(this.#line);
  }

  /** Skips white space and returns the byte that follows, −1 at the end. */
  peek(): number {
    const line = this.#line;
    const length = line.length;
    let at = this.at;
    while (at < length) {
      const byte = line[at]!;
      if (byte !== SPACE && byte !== TAB) {
        this.at = at;
        return byte;
      }
      at++;
    }
    this.at = at;
    return -1;
  }

  /** Throws the violation that the byte at `at`, which cannot stand there, amounts to. */
  unexpected(): never {
    throw new Violation(refusalOf(this.#line, this.at), this.at);
  }

  /** Throws unless only white space is left. */
  end(): void {
    if (this.peek() !== -1) this.unexpected();
  }

  /** Goes into the object whose `{` is next; its keys must differ if it is tracked. Go on with {@link nextKey}. */
  enterObject(tracked: boolean): void {
    this.#enter(tracked ? OBJECT | TRACKED : OBJECT);
    if (tracked) this.#keys.enter();
  }

  /** Goes into the array whose `[` is next. Go on with {@link nextElement}. */
  enterArray(): void {
    this.#enter(0);
  }

  /** Reads the next key and its colon; or the end of the object, and returns false. */
  nextKey(): boolean {
    const level = this.#levels[this.#depth]!;
    let byte = this.peek();
    if (byte === CLOSE_OBJECT) {
      if ((level & TRACKED) !== 0) this.#keys.leave();
      this.#depth--;
      this.at++;
      return false;
    }
    if ((level & BEGUN) !== 0) {
      if (byte !== COMMA) this.unexpected();
      this.at++;
      byte = this.peek();
    } else {
      this.#levels[this.#depth] = level | BEGUN;
    }
    if (byte !== QUOTE) this.unexpected();
    if ((level & TRACKED) !== 0) this.#trackedKey();
    else this.string();
    if (this.peek() !== COLON) this.unexpected();
    this.at++;
    return true;
  }

  /** Tells whether an element follows, past the comma before it; or reads the end of the array. */
  nextElement(): boolean {
    const level = this.#levels[this.#depth]!;
    const byte = this.peek();
    if (byte === CLOSE_ARRAY) {
      this.#depth--;
      this.at++;
      return false;
    }
    if ((level & BEGUN) !== 0) {
      if (byte !== COMMA) this.unexpected();
      this.at++;
    } else {
      this.#levels[this.#depth] = level | BEGUN;
    }
    return true;
  }

  /** Reads one value of any kind with all that is in it. */
  value(): void {
    const floor = this.#depth;
    for (;;) {
      const byte = this.peek();
      if (byte === QUOTE) {
        this.string();
      } else if (byte === OPEN_OBJECT) {
        this.enterObject(this.#strict);
        if (this.nextKey()) continue;
      } else if (byte === OPEN_ARRAY) {
        this.enterArray();
        if (this.nextElement()) continue;
      } else {
        this.#scalar(byte);
      }
      let more = false;
      while (this.#depth > floor && !more) {
        more = (this.#levels[this.#depth]! & OBJECT) !== 0 ? this.nextKey() : this.nextElement();
      }
      if (!more) return;
    }
  }

  /** Reads the string whose quote is at `at`. */
  string(): void {
    const line = this.#line;
    const length = line.length;
    let at = this.at + 1;
    let escaped = false;
    const start = at;
    for (;;) {
      const near = Math.min(length, at + LONG_RUN);
      while (at < near && STOPS[line[at]!] === 0) at++;
      if (at === near) {
        if (at === length) {
          this.at = at;
          this.unexpected();
        }
        at = this.#plainRun(at);
      } else if (line[at] === QUOTE) {
        break;
      } else if (line[at] === BACKSLASH) {
        at = this.#escape(at);
        escaped = true;
      } else {
        this.at = at;
        this.unexpected();
      }
    }
    this.start = start;
    this.stop = at;
    this.escaped = escaped;
    this.at = at + 1;
  }

  /** The text of the string or key that was read last. */
  text(): string {
    return decodeString(this.#line, this.start, this.stop);
  }

  #enter(level: number): void {
    if (this.#depth === MAX_MESSAGE_DEPTH) throw new Violation("too_deep", this.at);
    this.#levels[++this.#depth] = level;
    this.at++;
  }

  #trackedKey(): void {
    const start = this.at + 1;
    const stop = this.#keys.addPlain(start, STOPS, QUOTE);
    if (this.#line[stop] === QUOTE) {
      this.start = start;
      this.stop = stop;
      this.escaped = false;
      this.at = stop + 1;
      return;
    }
    this.string();
    this.#keys.addEscaped(this.start, this.stop);
  }

  /**
   * Skips words of four bytes without a stop, and returns an index that no stop before it was skipped:
   * the beginning of a word. It may lie up to three bytes before `at`, in what was seen to be plain.
   */
  #plainRun(at: number): number {
    const line = this.#line;
    const words = this.#words ??= new Int32Array(line.buffer, 0, line.buffer.byteLength >> 2);
    const end = (line.byteOffset + line.length) >> 2;
    let index = (line.byteOffset + at) >> 2;
    while (index < end) {
      const word = words[index]!;
      const quotes = word ^ 0x22222222;
      const backslashes = word ^ 0x5c5c5c5c;
      // Per byte: the high bit appears if the byte is below 0x20, or 0 after the exclusive or.
      const found = ((word - 0x20202020) & ~word) |
        ((quotes - 0x01010101) & ~quotes) |
        ((backslashes - 0x01010101) & ~backslashes);
      if ((found & 0x80808080) !== 0) break;
      index++;
    }
    return (index << 2) - line.byteOffset;
  }

  /** Reads the escape whose backslash is at `at`, and returns the index behind it. */
  #escape(at: number): number {
    const line = this.#line;
    const kind = at + 1 < line.length ? line[at + 1]! : 0;
    if (ESCAPABLE[kind] !== 0) return at + 2;
    const unit = kind === LETTER_U ? hex4(line, at + 2) : -1;
    if (unit < 0) throw new Violation(kind < SPACE ? refusalOf(line, at + 1) : "not_json", at);
    if (!this.#strict || unit < 0xd800 || unit > 0xdfff) return at + 6;
    if (unit < 0xdc00 && line[at + 6] === BACKSLASH && line[at + 7] === LETTER_U) {
      const low = hex4(line, at + 8);
      if (low >= 0xdc00 && low <= 0xdfff) return at + 12;
    }
    throw new Violation("lone_surrogate", at);
  }

  #scalar(byte: number): void {
    if (byte === 0x74) this.#literal(TRUE);
    else if (byte === 0x66) this.#literal(FALSE);
    else if (byte === 0x6e) this.#literal(NULL);
    else this.#number();
  }

  #literal(word: Uint8Array): void {
    for (const byte of word) {
      if (this.#line[this.at] !== byte) this.unexpected();
      this.at++;
    }
  }

  #number(): void {
    const line = this.#line;
    if (line[this.at] === 0x2d) this.at++;
    if (line[this.at] === 0x30) this.at++;
    else this.#digits();
    if (line[this.at] === 0x2e) {
      this.at++;
      this.#digits();
    }
    const exponent = line[this.at];
    if (exponent === 0x65 || exponent === 0x45) {
      this.at++;
      const sign = line[this.at];
      if (sign === 0x2b || sign === 0x2d) this.at++;
      this.#digits();
    }
  }

  #digits(): void {
    const line = this.#line;
    const length = line.length;
    let at = this.at;
    while (at < length && line[at]! >= 0x30 && line[at]! <= 0x39) at++;
    if (at === this.at) this.unexpected();
    this.at = at;
  }
}

const TRUE = new Uint8Array([0x74, 0x72, 0x75, 0x65]);
const FALSE = new Uint8Array([0x66, 0x61, 0x6c, 0x73, 0x65]);
const NULL = new Uint8Array([0x6e, 0x75, 0x6c, 0x6c]);

function refusalOf(line: Bytes, at: number): "carriage_return" | "control_character" | "not_json" {
  const byte = at < line.length ? line[at]! : SPACE;
  if (byte === CR) return "carriage_return";
  return byte < SPACE ? "control_character" : "not_json";
}

/**
 * Returns the text of the JSON string whose content, quotes not counted, stands in `start..stop` of `line`
 * and was checked by {@link JsonReader.string}.
 */
export function decodeString(line: Bytes, start: number, stop: number): string {
  if (stop - start <= LONG_RUN) {
    let text = "";
    let at = start;
    while (at < stop) {
      const byte = line[at]!;
      if (byte === BACKSLASH || byte >= 0x80) break;
      text += String.fromCharCode(byte);
      at++;
    }
    if (at === stop) return text;
  }
  const text: unknown = JSON.parse(fromUtf8(line.subarray(start - 1, stop + 1)));
  return typeof text === "string" ? text : "";
}

/** The steps in which invalid UTF-8 is looked for: a power of 2. */
const FIRST_STEP_BYTES = 64 * 1024;
/** The longest character. */
const LAST_STEP_BYTES = 4;

/** Returns the length of the longest beginning of `line` that is valid UTF-8. Reads each byte a few times. */
export function validPrefix(line: Bytes): number {
  let known = 0;
  for (let step = FIRST_STEP_BYTES; step >= LAST_STEP_BYTES; step >>>= 1) {
    let next = known;
    do {
      known = next;
      next = validCut(line, known, Math.min(known + step, line.length));
    } while (next > known);
  }
  return known;
}

/**
 * Returns where the text that is valid up to `known` can be cut at or shortly before `end` and is still
 * valid, or `known`: of the 4 cuts up to the end of a valid text one falls inside no character.
 */
function validCut(line: Bytes, known: number, end: number): number {
  for (let cut = end; cut > known && cut > end - 4; cut--) {
    if (isUtf8(line.subarray(known, cut))) return cut;
  }
  return known;
}
