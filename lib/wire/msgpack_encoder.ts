/**
 * The canonical MsgPack encoder: every value in its shortest form, entries in the order they come.
 *
 * It refuses loudly what has no form in the subset. That of `@msgpack/msgpack` writes the same bytes for
 * the subset (the tests hold ours to it) but, in silence, a `Map` as an empty map, 1.5 and NaN as floats,
 * a `Date` as an extension, and a lone surrogate as bytes that no strict decoder takes; walking a value
 * first in order to rule all that out would cost as much as writing it.
 */
import { type Bytes, utf8 } from "../bytes.ts";
import { MAX_MSGPACK_DEPTH, MAX_MSGPACK_ELEMENTS } from "../limits.ts";
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
  type MsgPackInput,
  type MsgPackOptions,
  NIL,
  STR8,
  TRUE,
  TWO_32,
  UINT8,
} from "./msgpack_format.ts";

/**
 * Returns the encoding of `value`, in a buffer of its own. Throws {@link WireError} for what `decode` with
 * the same options would refuse, and for what MsgPack has no word for.
 */
export function encode(value: MsgPackInput, options: MsgPackOptions = {}): Bytes {
  const encoder = new Encoder(options.maxElements ?? MAX_MSGPACK_ELEMENTS);
  encoder.value(value, 0);
  return encoder.finish();
}

class Encoder {
  #bytes: Bytes = new Uint8Array(256);
  #view = new DataView(this.#bytes.buffer);
  #at = 0;
  #elementsLeft: number;

  constructor(maxElements: number) {
    this.#elementsLeft = maxElements;
  }

  finish(): Bytes {
    return this.#bytes.slice(0, this.#at);
  }

  /** Writes `value`, which lies inside `depth` arrays and maps. */
  value(value: MsgPackInput | undefined, depth: number): void {
    switch (typeof value) {
      case "boolean":
        return this.#byte(value ? TRUE : FALSE);
      case "number":
        return this.#integer(value);
      case "string":
        return this.#str(value);
      case "object":
        if (value === null) return this.#byte(NIL);
        if (value instanceof Uint8Array) return this.#bin(value);
        if (isArray(value)) return this.#array(value, depth);
        return this.#map(entriesOf(value), depth);
      default:
        throw misuse("msgpack_unsupported_type", `there is no form for ${typeof value}`);
    }
  }

  #integer(value: number): void {
    if (!Number.isInteger(value)) {
      throw misuse("msgpack_unsupported_type", `${value} is no integer`);
    }
    if (!Number.isSafeInteger(value)) {
      throw misuse("msgpack_integer_range", `${value} is beyond ±(2^53 − 1)`);
    }
    if (value >= FIXINT_END) this.#sized(UINT8, value);
    else if (value >= 0) this.#byte(value);
    else if (value >= FIXINT_LEAST) this.#byte(value + 0x100);
    else if (value >= -(2 ** 7)) this.#number(INT8, 0, value);
    else if (value >= -(2 ** 15)) this.#number(INT8 + 1, 1, value);
    else if (value >= -(2 ** 31)) this.#number(INT8 + 2, 2, value);
    else this.#number(INT8 + 3, 3, value);
  }

  #str(text: string): void {
    if (text.length < FIXSTR_END && this.#ascii(text)) return;
    if (!text.isWellFormed()) {
      throw misuse("msgpack_invalid_utf8", "a string holds a lone surrogate");
    }
    const bytes = utf8(text);
    if (bytes.length < FIXSTR_END) this.#byte(FIXSTR + bytes.length);
    else this.#sized(STR8, bytes.length);
    this.#raw(bytes);
  }

  /** Writes a short text without a detour over `TextEncoder`, or nothing where it is not plain ASCII. */
  #ascii(text: string): boolean {
    const at = this.#room(1 + text.length);
    const bytes = this.#bytes;
    bytes[at] = FIXSTR + text.length;
    for (let i = 0; i < text.length; i++) {
      const code = text.charCodeAt(i);
      if (code > 0x7f) {
        this.#at = at;
        return false;
      }
      bytes[at + 1 + i] = code;
    }
    return true;
  }

  #bin(bytes: Uint8Array): void {
    this.#sized(BIN8, bytes.length);
    this.#raw(bytes);
  }

  #array(items: readonly MsgPackInput[], depth: number): void {
    this.#enter(items.length, depth);
    if (items.length < FIXARRAY_END) this.#byte(FIXARRAY + items.length);
    else if (items.length < 2 ** 16) this.#number(ARRAY16, 1, items.length);
    else this.#number(ARRAY16 + 1, 2, items.length);
    for (const item of items) this.value(item, depth + 1);
  }

  #map(entries: readonly (readonly [string, MsgPackInput | undefined])[], depth: number): void {
    this.#enter(entries.length, depth);
    if (entries.length < FIXMAP_END) this.#byte(FIXMAP + entries.length);
    else if (entries.length < 2 ** 16) this.#number(MAP16, 1, entries.length);
    else this.#number(MAP16 + 1, 2, entries.length);
    for (const [key, item] of entries) {
      if (typeof key !== "string") throw misuse("msgpack_unsupported_type", "a key is no string");
      this.#str(key);
      this.value(item, depth + 1);
    }
  }

  #enter(count: number, depth: number): void {
    if (depth >= MAX_MSGPACK_DEPTH) {
      throw misuse("msgpack_too_deep", `depth is ${depth + 1}, limit is ${MAX_MSGPACK_DEPTH}`);
    }
    if (count > this.#elementsLeft) {
      const state = `${count} elements more, ${this.#elementsLeft} are left of the limit`;
      throw misuse("msgpack_too_many_elements", state);
    }
    this.#elementsLeft -= count;
  }

  /** Writes an unsigned number in the shortest of the forms that begin at `first`. */
  #sized(first: number, value: number): void {
    const form = value < 2 ** 8 ? 0 : value < 2 ** 16 ? 1 : value < TWO_32 ? 2 : 3;
    this.#number(first + form, form, value);
  }

  /** Writes a head and a number. The setters take negative numbers modulo their size. */
  #number(head: number, form: Form, value: number): void {
    this.#byte(head);
    const at = this.#room(1 << form);
    if (form === 0) this.#view.setUint8(at, value);
    else if (form === 1) this.#view.setUint16(at, value);
    else if (form === 2) this.#view.setUint32(at, value);
    else {
      this.#view.setUint32(at, Math.floor(value / TWO_32));
      this.#view.setUint32(at + 4, value);
    }
  }

  #byte(value: number): void {
    const at = this.#room(1);
    this.#bytes[at] = value;
  }

  #raw(bytes: Uint8Array): void {
    const at = this.#room(bytes.length);
    this.#bytes.set(bytes, at);
  }

  /** Moves the cursor over `length` bytes, growing the buffer where needed; returns where they begin. */
  #room(length: number): number {
    const at = this.#at;
    this.#at = at + length;
    if (this.#at > this.#bytes.length) {
      const larger = new Uint8Array(2 * this.#at);
      larger.set(this.#bytes);
      this.#bytes = larger;
      this.#view = new DataView(larger.buffer);
    }
    return at;
  }
}

/** Returns the entries of a map or plain record. A class instance would lose what it is: refused. */
function entriesOf(
  value: Exclude<MsgPackInput & object, Uint8Array | readonly MsgPackInput[]>,
): readonly (readonly [string, MsgPackInput | undefined])[] {
  if (isMap(value)) return [...value];
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) {
    throw misuse(
      "msgpack_unsupported_type",
      `there is no form for a ${value.constructor?.name ?? "object"}`,
    );
  }
  return Object.entries(value).filter(([, item]) => item !== undefined);
}

// Array.isArray and instanceof narrow to mutable types and so lose the readonly members of the union.
function isArray(value: MsgPackInput & object): value is readonly MsgPackInput[] {
  return Array.isArray(value);
}

function isMap(value: MsgPackInput & object): value is ReadonlyMap<string, MsgPackInput> {
  return value instanceof Map;
}

function misuse(code: MsgPackErrorCode, state: string): WireError {
  return new WireError(code, `Cannot encode MsgPack: ${state}`);
}
