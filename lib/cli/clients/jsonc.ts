/**
 * JSON with comments, read with the place of everything, so that it can be changed without losing a comment.
 *
 * The grammar is RFC 8259, with `//` and block comments and a comma behind the last item where that is allowed.
 * What is refused is said with line and column. A byte order mark is skipped. Nesting is bounded; the caller
 * bounds the length. It does not mind a key that comes twice, since the file is somebody else's; {@link member}
 * does where it matters. Pure.
 */

import { JsonError } from "../../identity/strict_json.ts";
import { MAX_CLIENT_CONFIG_DEPTH } from "../../limits.ts";
import type { ConfigFormat } from "./client.ts";
import type { ConfigValue } from "./entry.ts";

/** What is allowed beyond RFC 8259. */
export interface JsoncDialect {
  /** `//` and block comments. */
  readonly comments: boolean;
  /** A comma behind the last item. */
  readonly trailingCommas: boolean;
}

/** Returns what a client's file allows. */
export function dialectOf(format: ConfigFormat): JsoncDialect {
  return { comments: format !== "json", trailingCommas: format === "jsonc" };
}

/** A value and where it is: offsets in UTF-16 units, the end exclusive. */
export interface JsoncNode {
  /** Where it begins. */
  readonly start: number;
  /** Where it ends. */
  readonly end: number;
  /** What it is. */
  readonly value: ConfigValue;
  /** Its members, in order; null when it is no object. */
  readonly members: readonly JsoncMember[] | null;
}

/** A member of an object. */
export interface JsoncMember {
  /** Its key. */
  readonly key: string;
  /** Where the key begins. */
  readonly start: number;
  /** Its value. */
  readonly node: JsoncNode;
  /** Where the comma behind it is; null without one. */
  readonly comma: number | null;
}

const BYTE_ORDER_MARK = "\ufeff";
const WHITE_SPACE = /[\t\n\r ]*/y;
const COMMENT = /\/\/[^\n\r]*|\/\*[\s\S]*?\*\//y;
// deno-lint-ignore no-control-regex
const STRING = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9A-Fa-f]{4}))*"/y;
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const LITERAL = /true|false|null/y;

/** Returns the one value of `text`, or null when there is none, comments aside. Throws JsonError. */
export function parseJsonc(text: string, dialect: JsoncDialect): JsoncNode | null {
  return new Reader(text, dialect).document();
}

/** Returns the member of `node` with the key, or undefined. Throws JsonError when it comes twice. */
export function member(text: string, node: JsoncNode, key: string): JsoncMember | undefined {
  const [found, second] = (node.members ?? []).filter((one) => one.key === key);
  if (second !== undefined) {
    throw jsonError(text, second.start, `${JSON.stringify(key)} comes twice`);
  }
  return found;
}

/** Returns an error that says where in `text` it is. */
export function jsonError(text: string, at: number, reason: string): JsonError {
  const before = text.slice(0, at).split(/\r\n|\n|\r/);
  const column = (before.at(-1) ?? "").replace(BYTE_ORDER_MARK, "").length + 1;
  return new JsonError(`${reason} at line ${before.length}, column ${column}`);
}

class Reader {
  readonly #text: string;
  readonly #dialect: JsoncDialect;
  #at: number;

  constructor(text: string, dialect: JsoncDialect) {
    this.#text = text;
    this.#dialect = dialect;
    this.#at = text.startsWith(BYTE_ORDER_MARK) ? 1 : 0;
  }

  document(): JsoncNode | null {
    this.#skip();
    if (this.#at === this.#text.length) return null;
    const node = this.#value(0);
    this.#skip();
    if (this.#at < this.#text.length) throw this.#error("more text follows the value");
    return node;
  }

  #value(depth: number): JsoncNode {
    const start = this.#at;
    const next = this.#text.charAt(start);
    if (next === "{" || next === "[") {
      if (depth >= MAX_CLIENT_CONFIG_DEPTH) {
        throw this.#error(`nesting deeper than ${MAX_CLIENT_CONFIG_DEPTH}`);
      }
      return next === "{" ? this.#object(depth + 1) : this.#array(depth + 1);
    }
    const value = this.#scalar();
    return { start, end: this.#at, value, members: null };
  }

  #scalar(): ConfigValue {
    if (this.#text.charAt(this.#at) === '"') return this.#string();
    const raw = this.#take(NUMBER) ?? this.#take(LITERAL);
    if (raw === undefined) throw this.#error("a value is missing");
    const value: ConfigValue = JSON.parse(raw);
    return value;
  }

  #object(depth: number): JsoncNode {
    const start = this.#at++;
    const members: JsoncMember[] = [];
    const value: Record<string, ConfigValue> = Object.create(null);
    this.#items("}", () => {
      const at = this.#at;
      if (this.#text.charAt(at) !== '"') throw this.#error("a key is missing");
      const key = this.#string();
      this.#skip();
      if (this.#text.charAt(this.#at) !== ":") throw this.#error('":" is missing');
      this.#at++;
      this.#skip();
      const node = this.#value(depth);
      value[key] = node.value;
      return (comma) => members.push({ key, start: at, node, comma });
    });
    return { start, end: this.#at, value, members };
  }

  #array(depth: number): JsoncNode {
    const start = this.#at++;
    const value: ConfigValue[] = [];
    this.#items("]", () => {
      value.push(this.#value(depth).value);
      return () => {};
    });
    return { start, end: this.#at, value, members: null };
  }

  /** Reads items up to `close`. Each is told where its comma is. */
  #items(close: string, item: () => (comma: number | null) => void): void {
    this.#skip();
    let behindComma: number | null = null;
    while (this.#text.charAt(this.#at) !== close) {
      const tell = item();
      this.#skip();
      behindComma = this.#text.charAt(this.#at) === "," ? this.#at : null;
      tell(behindComma);
      if (behindComma === null) break;
      this.#at++;
      this.#skip();
    }
    if (this.#text.charAt(this.#at) !== close) throw this.#error(`"," or "${close}" is missing`);
    if (behindComma !== null && !this.#dialect.trailingCommas) {
      throw this.#error(`a comma has nothing behind it`, behindComma);
    }
    this.#at++;
  }

  #string(): string {
    const raw = this.#take(STRING);
    if (raw === undefined) throw this.#error("a string is malformed or does not end");
    return JSON.parse(raw);
  }

  #skip(): void {
    for (;;) {
      this.#take(WHITE_SPACE);
      if (this.#text.charAt(this.#at) !== "/") return;
      const start = this.#at;
      const comment = this.#take(COMMENT);
      if (comment === undefined) throw this.#error("a comment does not end, or is none");
      if (!this.#dialect.comments) {
        throw this.#error("a comment, which this client does not read,", start);
      }
    }
  }

  #take(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text)?.[0];
    if (found !== undefined) this.#at += found.length;
    return found;
  }

  #error(reason: string, at = this.#at): JsonError {
    return jsonError(this.#text, at, at < this.#text.length ? reason : "the text ends too early");
  }
}
