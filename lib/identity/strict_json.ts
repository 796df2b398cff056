/**
 * JSON (RFC 8259) for files that a program writes and people may edit.
 *
 * `JSON.parse` keeps the last of two equal keys and says so to nobody; in a file of permissions that is
 * a lost revocation. This parser refuses a key that comes twice, lone surrogates, a byte order mark and
 * nesting beyond {@link MAX_JSON_DEPTH}, and says where: line and column. The caller bounds the length.
 * Objects have no prototype, so `__proto__` is a key like any other. Made for small files, not for speed.
 */

import { MAX_JSON_DEPTH } from "../limits.ts";

/** A JSON value. */
export type Json = null | boolean | number | string | readonly Json[] | JsonObject;

/** A JSON object, without a prototype. */
export interface JsonObject {
  /** The members, by name. */
  readonly [key: string]: Json;
}

/** A text that is not JSON as required. The message says what and where, and quotes nothing. */
export class JsonError extends Error {
  /** The name of the class. */
  override readonly name = "JsonError";
}

const WHITE_SPACE = /[\t\n\r ]*/y;
// deno-lint-ignore no-control-regex
const STRING = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9A-Fa-f]{4}))*"/y;
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const LITERAL = /true|false|null/y;

/** Returns the one JSON value that `text` is. Throws {@link JsonError}. */
export function parseJson(text: string): Json {
  return parsePlacedJson(text).value;
}

/** A JSON value, and where in its text each part of it stands. */
export interface PlacedJson {
  /** The value. */
  readonly value: Json;
  /**
   * Returns an error for the member `key` of an object or an array in it, with the line and the column: those
   * of a member's name, or of an element. Without a key, and for what is not in it, of the text's beginning.
   */
  readonly errorAt: (reason: string, container?: Json, key?: string | number) => JsonError;
}

/** Does what {@link parseJson} does, for who will have to say where something is that is wrong. */
export function parsePlacedJson(text: string): PlacedJson {
  const reader = new Reader(text);
  const value = reader.value(0);
  reader.end();
  return {
    value,
    errorAt: (reason, container, key) => reader.errorAt(reason, container, key),
  };
}

/** Tells whether a JSON value is an object. */
export function isJsonObject(value: Json | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Tells whether a JSON value is an array. */
export function isJsonArray(value: Json | undefined): value is readonly Json[] {
  return Array.isArray(value);
}

class Reader {
  readonly #text: string;
  /** Where the members of each object and the elements of each array begin. */
  readonly #places = new Map<Json, Map<string | number, number>>();
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  value(depth: number): Json {
    this.#take(WHITE_SPACE);
    const next = this.#text.charAt(this.#at);
    if (next === "{" || next === "[") {
      if (depth >= MAX_JSON_DEPTH) throw this.#error(`nesting deeper than ${MAX_JSON_DEPTH}`);
      return next === "{" ? this.#object(depth + 1) : this.#array(depth + 1);
    }
    if (next === '"') return this.#string();
    const number = this.#take(NUMBER);
    if (number !== undefined) return Number(number);
    switch (this.#take(LITERAL)) {
      case "true":
        return true;
      case "false":
        return false;
      case "null":
        return null;
      default:
        throw this.#error("a value is missing");
    }
  }

  end(): void {
    this.#take(WHITE_SPACE);
    if (this.#at < this.#text.length) throw this.#error("more text follows the value");
  }

  errorAt(reason: string, container?: Json, key?: string | number): JsonError {
    const places = container === undefined ? undefined : this.#places.get(container);
    return this.#error(reason, key === undefined ? 0 : places?.get(key) ?? 0);
  }

  #object(depth: number): JsonObject {
    const object: Record<string, Json> = Object.create(null);
    const places = new Map<string, number>();
    this.#places.set(object, places);
    this.#at++;
    if (this.#accept("}")) return object;
    do {
      this.#take(WHITE_SPACE);
      const start = this.#at;
      if (this.#text.charAt(start) !== '"') throw this.#error("a member name is missing");
      const key = this.#string();
      if (key in object) throw this.#error("a member name comes twice", start);
      places.set(key, start);
      if (!this.#accept(":")) throw this.#error('":" is missing');
      object[key] = this.value(depth);
    } while (this.#accept(","));
    if (!this.#accept("}")) throw this.#error('"," or "}" is missing');
    return object;
  }

  #array(depth: number): readonly Json[] {
    const array: Json[] = [];
    const places = new Map<number, number>();
    this.#places.set(array, places);
    this.#at++;
    if (this.#accept("]")) return array;
    do {
      this.#take(WHITE_SPACE);
      places.set(array.length, this.#at);
      array.push(this.value(depth));
    } while (this.#accept(","));
    if (!this.#accept("]")) throw this.#error('"," or "]" is missing');
    return array;
  }

  #string(): string {
    const start = this.#at;
    const raw = this.#take(STRING);
    if (raw === undefined) throw this.#error("a string is malformed or does not end");
    const text: string = JSON.parse(raw);
    if (!text.isWellFormed()) throw this.#error("a string has half a surrogate pair", start);
    return text;
  }

  #accept(character: string): boolean {
    this.#take(WHITE_SPACE);
    if (this.#text.charAt(this.#at) !== character) return false;
    this.#at++;
    return true;
  }

  #take(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text)?.[0];
    if (found !== undefined) this.#at += found.length;
    return found;
  }

  #error(reason: string, at = this.#at): JsonError {
    const before = this.#text.slice(0, at).split("\n");
    const column = (before.at(-1) ?? "").length + 1;
    return new JsonError(`${reason} at line ${before.length}, column ${column}`);
  }
}
