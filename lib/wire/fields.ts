/**
 * The typed reader of decoded maps: one call per field, each with its type and bounds.
 *
 * Every control message and signed body is read through it, so a message that gets past its reader has
 * all its fields, of the right types and within limits; anything else is a {@link WireError} whose path
 * names the field. Absent and nil differ: nil is never a substitute for a field. Fields that nobody
 * asks for are ignored, so that a later version may add some; `end({ strict: true })` refuses them where
 * that would be wrong, as in what is signed. An error tells types, lengths and numbers, never the
 * content of a text or byte string. Lengths of texts are in bytes of UTF-8 throughout.
 *
 *     const open = new Fields(decode(body), "OPEN");
 *     const id = open.bin("id", 16);
 *     const service = open.str("service", { min: 1, max: 64 });
 *     const reason = open.optional("reason", (name) => open.str(name, { max: 256 }));
 *     open.end();
 */
import { type Bytes, utf8 } from "../bytes.ts";
import { printable } from "../log.ts";
import { type FieldErrorCode, WireError } from "./errors.ts";
import type { MsgPackMap, MsgPackValue } from "./msgpack.ts";

/** How long a text or byte string may be, in bytes, both ends included. */
export interface LengthBounds {
  /** The least length; 0 by default. */
  readonly min?: number;
  /** The greatest length. */
  readonly max: number;
}

/** Which integers a field may hold, both ends included. */
export interface IntegerBounds {
  /** The least integer. */
  readonly min?: number;
  /** The greatest integer; 2^53 − 1 by default. */
  readonly max?: number;
}

/** How many items a list may have. */
export interface ListBounds {
  /** The greatest number of items. */
  readonly maxItems: number;
}

/** The fields of one decoded map. */
export class Fields {
  /** What the map is, for errors: `OPEN`, or `PEERS.peers[3]` for one inside another. */
  readonly path: string;
  readonly #map: MsgPackMap;
  readonly #read = new Set<string>();

  /** Opens `value`, called `path` in errors. Throws `field_invalid` where it is no map. */
  constructor(value: MsgPackValue, path: string) {
    if (!(value instanceof Map)) throw invalid(path, "map", kindOf(value));
    this.#map = value;
    this.path = path;
  }

  /** Tells whether the field is there, whatever it holds. */
  has(name: string): boolean {
    return this.#map.has(name);
  }

  /** Returns what `read` makes of the field, or undefined where it is absent. */
  optional<T>(name: string, read: (name: string) => T): T | undefined {
    return this.#map.has(name) ? read(name) : undefined;
  }

  /** Returns the field whatever it holds. Throws `field_missing`. */
  value(name: string): MsgPackValue {
    return this.#value(name);
  }

  /** Returns a byte string of exactly `length` bytes, or within bounds. */
  bin(name: string, length: number | LengthBounds): Bytes {
    return checkBin(this.#value(name), this.#at(name), length);
  }

  /** Returns a text within bounds. */
  str(name: string, bounds: LengthBounds): string {
    return checkStr(this.#value(name), this.#at(name), bounds);
  }

  /** Returns a text that is one of `choices`. */
  oneOf<const T extends string>(name: string, choices: readonly T[]): T {
    const value = this.#value(name);
    const choice = choices.find((known) => known === value);
    if (choice !== undefined) return choice;
    throw invalid(
      this.#at(name),
      `one of ${choices.join(", ")}`,
      typeof value === "string" ? "another" : kindOf(value),
    );
  }

  /** Returns an integer from `min` (0 by default) to `max`. */
  uint(name: string, bounds: IntegerBounds = {}): number {
    return this.int(name, { ...bounds, min: bounds.min ?? 0 });
  }

  /** Returns an integer within bounds, negative ones included by default. */
  int(name: string, bounds: IntegerBounds = {}): number {
    const { min = Number.MIN_SAFE_INTEGER, max = Number.MAX_SAFE_INTEGER } = bounds;
    const value = this.#value(name);
    if (typeof value === "number" && value >= min && value <= max) return value;
    throw invalid(
      this.#at(name),
      `an integer from ${min} to ${max}`,
      typeof value === "number" ? value : kindOf(value),
    );
  }

  /** Returns a bool. */
  bool(name: string): boolean {
    const value = this.#value(name);
    if (typeof value === "boolean") return value;
    throw invalid(this.#at(name), "bool", kindOf(value));
  }

  /** Returns a list of texts of at most `maxLength` bytes each. */
  strings(name: string, bounds: ListBounds & { readonly maxLength: number }): string[] {
    const each = { max: bounds.maxLength };
    return this.list(name, bounds, (value, path) => checkStr(value, path, each));
  }

  /** Returns the fields of a map inside this one. */
  map(name: string): Fields {
    return new Fields(this.#value(name), this.#at(name));
  }

  /** Returns the fields of each map of a list. */
  maps(name: string, bounds: ListBounds): Fields[] {
    return this.list(name, bounds, (value, path) => new Fields(value, path));
  }

  /** Returns what `read` makes of each item of a list; it gets the item and its path, as `OPEN.caps[2]`. */
  list<T>(
    name: string,
    bounds: ListBounds,
    read: (value: MsgPackValue, path: string) => T,
  ): T[] {
    const value = this.#value(name);
    const path = this.#at(name);
    if (!Array.isArray(value)) throw invalid(path, "array", kindOf(value));
    if (value.length > bounds.maxItems) {
      throw invalid(path, `at most ${bounds.maxItems} items`, value.length);
    }
    return value.map((item, index) => read(item, `${path}[${index}]`));
  }

  /** Ends the reading of this map. When strict, a field that was not asked for is `field_unknown`. */
  end(options: { readonly strict?: boolean } = {}): void {
    if (options.strict !== true) return;
    for (const name of this.#map.keys()) {
      if (!this.#read.has(name)) {
        throw refusal("field_unknown", this.#at(name), "it is not expected");
      }
    }
  }

  #value(name: string): MsgPackValue {
    const value = this.#map.get(name);
    if (value === undefined) throw refusal("field_missing", this.#at(name), "it is missing");
    this.#read.add(name);
    return value;
  }

  #at(name: string): string {
    return `${this.path}.${printable(name, 64)}`;
  }
}

function checkBin(value: MsgPackValue, path: string, length: number | LengthBounds): Bytes {
  const { min = 0, max } = typeof length === "number" ? { min: length, max: length } : length;
  if (!(value instanceof Uint8Array)) throw invalid(path, bytesBetween(min, max), kindOf(value));
  if (value.length < min || value.length > max) {
    throw invalid(path, bytesBetween(min, max), value.length);
  }
  return value;
}

function checkStr(value: MsgPackValue, path: string, { min = 0, max }: LengthBounds): string {
  if (typeof value !== "string") throw invalid(path, "str", kindOf(value));
  const length = utf8(value).length;
  if (length < min || length > max) throw invalid(path, bytesBetween(min, max), length);
  return value;
}

function bytesBetween(min: number, max: number): string {
  if (min === max) return `${max} bytes`;
  return min === 0 ? `at most ${max} bytes` : `${min} to ${max} bytes`;
}

/** Returns the MsgPack name of a value's type. */
function kindOf(value: MsgPackValue): string {
  if (value === null) return "nil";
  if (typeof value === "boolean") return "bool";
  if (typeof value === "number") return "integer";
  if (typeof value === "string") return "str";
  if (value instanceof Uint8Array) return "bin";
  return Array.isArray(value) ? "array" : "map";
}

function invalid(path: string, expected: string, got: string | number): WireError {
  return refusal("field_invalid", path, `expected ${expected}, got ${got}`);
}

function refusal(code: FieldErrorCode, path: string, state: string): WireError {
  return new WireError(code, `Cannot read ${path}: ${state}`, { path });
}
