/**
 * The strict MsgPack decoder.
 *
 * One pass, recursive, at most `MAX_MSGPACK_DEPTH` frames deep. Each announced length or count is held
 * against the bytes that remain, at one byte or more per element, before anything is allocated for it,
 * so memory stays proportional to the input and, through the bound on elements, small. Errors carry the
 * offset of the item that is wrong. Byte strings are copied: a slice would keep a whole record alive,
 * and change under its reader where the transport uses its buffer again.
 */
import { type Bytes, fromUtf8 } from "../bytes.ts";
import { MAX_MSGPACK_DEPTH, MAX_MSGPACK_ELEMENTS } from "../limits.ts";
import { printable } from "../log.ts";
import { type MsgPackErrorCode, WireError } from "./errors.ts";
import {
  ARRAY16,
  BIN8,
  FALSE,
  FIXARRAY,
  FIXARRAY_END,
  FIXINT_END,
  FIXINT_LEAST,
  FIXMAP,
  FIXMAP_END,
  FIXSTR,
  FIXSTR_END,
  type Form,
  INT8,
  MAP16,
  type MsgPackMap,
  type MsgPackOptions,
  type MsgPackValue,
  NEGATIVE_FIXINT,
  NIL,
  STR8,
  TRUE,
  TWO_32,
  UINT8,
} from "./msgpack_format.ts";

/** Up to this many bytes, reading ASCII here beats the call into `TextDecoder` several times over. */
const SHORT_TEXT = 32;

/**
 * Returns the one value that `bytes` hold. Byte strings in it are copies, so `bytes` may be a buffer that
 * is used again. Throws {@link WireError} with the offset for everything outside the subset.
 */
export function decode(bytes: Uint8Array, options: MsgPackOptions = {}): MsgPackValue {
  return new Decoder(bytes, options.maxElements ?? MAX_MSGPACK_ELEMENTS).whole();
}

class Decoder {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;
  #elementsLeft: number;

  constructor(bytes: Uint8Array, maxElements: number) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#elementsLeft = maxElements;
  }

  whole(): MsgPackValue {
    const value = this.#value(0);
    const rest = this.#bytes.length - this.#at;
    if (rest > 0) {
      throw refusal("msgpack_trailing_bytes", this.#at, `${rest} bytes follow the value`);
    }
    return value;
  }

  /** Reads the value at the cursor, which lies inside `depth` arrays and maps. */
  #value(depth: number): MsgPackValue {
    const start = this.#at;
    const head = this.#view.getUint8(this.#skip(1, start));
    if (head < FIXMAP) return head;
    if (head < FIXARRAY) return this.#map(head - FIXMAP, depth, start);
    if (head < FIXSTR) return this.#array(head - FIXARRAY, depth, start);
    if (head < NIL) return this.#str(head - FIXSTR, start);
    if (head >= NEGATIVE_FIXINT) return head - 0x100;
    switch (head) {
      case NIL:
        return null;
      case FALSE:
        return false;
      case TRUE:
        return true;
      case BIN8:
        return this.#bin(this.#unsigned(0, 0, start), start);
      case BIN8 + 1:
        return this.#bin(this.#unsigned(1, 2 ** 8, start), start);
      case BIN8 + 2:
        return this.#bin(this.#unsigned(2, 2 ** 16, start), start);
      case UINT8:
        return this.#unsigned(0, FIXINT_END, start);
      case UINT8 + 1:
        return this.#unsigned(1, 2 ** 8, start);
      case UINT8 + 2:
        return this.#unsigned(2, 2 ** 16, start);
      case UINT8 + 3:
        return this.#unsigned(3, TWO_32, start);
      case INT8:
        return this.#negative(0, FIXINT_LEAST, start);
      case INT8 + 1:
        return this.#negative(1, -(2 ** 7), start);
      case INT8 + 2:
        return this.#negative(2, -(2 ** 15), start);
      case INT8 + 3:
        return this.#negative(3, -(2 ** 31), start);
      case STR8:
      case STR8 + 1:
      case STR8 + 2:
        return this.#longStr(head, start);
      case ARRAY16:
        return this.#array(this.#unsigned(1, FIXARRAY_END, start), depth, start);
      case ARRAY16 + 1:
        return this.#array(this.#unsigned(2, 2 ** 16, start), depth, start);
      case MAP16:
        return this.#map(this.#unsigned(1, FIXMAP_END, start), depth, start);
      case MAP16 + 1:
        return this.#map(this.#unsigned(2, 2 ** 16, start), depth, start);
      default:
        throw refusal(
          "msgpack_unsupported_type",
          start,
          `type 0x${head.toString(16)} is not allowed`,
        );
    }
  }

  /** Moves the cursor over `length` bytes of the item at `start` and returns where they begin. */
  #skip(length: number, start: number): number {
    const at = this.#at;
    const rest = this.#bytes.length - at;
    if (length > rest) {
      throw refusal("msgpack_truncated", start, `${length} bytes are due, ${rest} remain`);
    }
    this.#at = at + length;
    return at;
  }

  /** Reads an unsigned number; below `least` it has a shorter form and is refused. */
  #unsigned(form: Form, least: number, start: number): number {
    const view = this.#view;
    const at = this.#skip(1 << form, start);
    const value = form === 0
      ? view.getUint8(at)
      : form === 1
      ? view.getUint16(at)
      : form === 2
      ? view.getUint32(at)
      : safe(view.getUint32(at) * TWO_32 + view.getUint32(at + 4), start);
    if (value < least) throw notShortest(value, start);
    return value;
  }

  /** Reads a signed number; from `end` upwards it has a shorter or an unsigned form and is refused. */
  #negative(form: Form, end: number, start: number): number {
    const view = this.#view;
    const at = this.#skip(1 << form, start);
    const value = form === 0
      ? view.getInt8(at)
      : form === 1
      ? view.getInt16(at)
      : form === 2
      ? view.getInt32(at)
      : safe(view.getInt32(at) * TWO_32 + view.getUint32(at + 4), start);
    if (value >= end) throw notShortest(value, start);
    return value;
  }

  #bin(length: number, start: number): Bytes {
    const at = this.#skip(length, start);
    return new Uint8Array(this.#bytes.subarray(at, at + length));
  }

  #str(length: number, start: number): string {
    const at = this.#skip(length, start);
    if (length <= SHORT_TEXT) {
      const text = this.#ascii(at, length);
      if (text !== null) return text;
    }
    try {
      return fromUtf8(this.#bytes.subarray(at, at + length));
    } catch (cause) {
      throw refusal(
        "msgpack_invalid_utf8",
        start,
        `a string of ${length} bytes is not UTF-8`,
        cause,
      );
    }
  }

  /** Returns a short text, or null where it is not plain ASCII. */
  #ascii(at: number, length: number): string | null {
    const bytes = this.#bytes;
    let text = "";
    for (let i = at; i < at + length; i++) {
      const code = bytes[i]!;
      if (code > 0x7f) return null;
      text += String.fromCharCode(code);
    }
    return text;
  }

  /** Reads a string whose length follows `head`. */
  #longStr(head: number, start: number): string {
    if (head === STR8) return this.#str(this.#unsigned(0, FIXSTR_END, start), start);
    if (head === STR8 + 1) return this.#str(this.#unsigned(1, 2 ** 8, start), start);
    return this.#str(this.#unsigned(2, 2 ** 16, start), start);
  }

  #array(count: number, depth: number, start: number): MsgPackValue[] {
    this.#enter(count, count, depth, start);
    const items: MsgPackValue[] = [];
    for (let i = 0; i < count; i++) items.push(this.#value(depth + 1));
    return items;
  }

  #map(count: number, depth: number, start: number): MsgPackMap {
    this.#enter(count, 2 * count, depth, start);
    const map: MsgPackMap = new Map();
    for (let i = 0; i < count; i++) {
      const at = this.#at;
      const key = this.#key();
      if (map.has(key)) {
        throw refusal("msgpack_duplicate_key", at, `key "${printable(key, 64)}" is there twice`);
      }
      map.set(key, this.#value(depth + 1));
    }
    return map;
  }

  #key(): string {
    const start = this.#at;
    const head = this.#view.getUint8(this.#skip(1, start));
    if (head >= FIXSTR && head < NIL) return this.#str(head - FIXSTR, start);
    if (head >= STR8 && head <= STR8 + 2) return this.#longStr(head, start);
    throw refusal("msgpack_unsupported_type", start, `type 0x${head.toString(16)} is no key`);
  }

  /** Admits an array or map of `count` elements, which take `leastBytes` or more. */
  #enter(count: number, leastBytes: number, depth: number, start: number): void {
    const rest = this.#bytes.length - this.#at;
    if (leastBytes > rest) {
      throw refusal(
        "msgpack_truncated",
        start,
        `${count} elements are announced, ${rest} bytes remain`,
      );
    }
    if (depth >= MAX_MSGPACK_DEPTH) {
      throw refusal(
        "msgpack_too_deep",
        start,
        `depth is ${depth + 1}, limit is ${MAX_MSGPACK_DEPTH}`,
      );
    }
    if (count > this.#elementsLeft) {
      const state = `${count} elements more, ${this.#elementsLeft} are left of the limit`;
      throw refusal("msgpack_too_many_elements", start, state);
    }
    this.#elementsLeft -= count;
  }
}

function refusal(
  code: MsgPackErrorCode,
  offset: number,
  state: string,
  cause?: unknown,
): WireError {
  return new WireError(code, `Cannot decode MsgPack at byte ${offset}: ${state}`, {
    offset,
    cause,
  });
}

function notShortest(value: number, offset: number): WireError {
  return refusal("msgpack_not_shortest", offset, `${value} has a shorter form`);
}

/** Returns `value`, refused where several 64-bit integers share its double. */
function safe(value: number, offset: number): number {
  if (Number.isSafeInteger(value)) return value;
  throw refusal("msgpack_integer_range", offset, "an integer beyond ±(2^53 − 1)");
}
