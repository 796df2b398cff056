/**
 * The tables of a TOML document (TOML 1.0.0) and where their keys are, so that one can be changed as text.
 *
 * Reads what such a change must see: headers, keys, and values as far as to know where they end. Strings, arrays,
 * inline tables, booleans and integers are values here, everything else (floats, dates) is passed over as
 * {@link OTHER}. It does not find every fault of a document, but never takes text inside a value for a header;
 * what it cannot read it refuses, with line and column. Pure.
 */

import { MAX_CLIENT_CONFIG_DEPTH } from "../../limits.ts";
import type { JsonError } from "../../identity/strict_json.ts";
import type { ConfigValue } from "./entry.ts";
import { jsonError } from "./jsonc.ts";

/** A value that is passed over. */
export const OTHER = "\0other";

/** A table: its header, and the keys up to the next one. The root table comes first, without a header. */
export interface TomlTable {
  /** The parts of its name. */
  readonly path: readonly string[];
  /** Whether it is an item of a list of tables, `[[…]]`. */
  readonly isItem: boolean;
  /** Where its header's line begins; 0 for the root. */
  readonly start: number;
  /** Where its last line with something in it ends, the line's end excluded. */
  readonly end: number;
  /** Its keys, in order. */
  readonly keys: readonly TomlKey[];
}

/** A key and its value. */
export interface TomlKey {
  /** The parts of its name: several where it is dotted. */
  readonly path: readonly string[];
  /** The value. */
  readonly value: ConfigValue;
  /** Where the value begins. */
  readonly start: number;
  /** Where it ends. */
  readonly end: number;
}

const BLANKS = /[ \t]*/y;
const BLANKS_AND_LINES = /(?:[ \t\r\n]|#[^\n]*)*/y;
const COMMENT = /#[^\r\n]*/y;
const LINE_END = /\r?\n/y;
const BARE_KEY = /[A-Za-z0-9_-]+/y;
const BASIC =
  // deno-lint-ignore no-control-regex
  /"(?!"")(?:[^"\\\u0000-\u0008\u000a-\u001f\u007f]|\\(?:["\\bfnrt]|u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}))*"/y;
// deno-lint-ignore no-control-regex
const LITERAL = /'(?!'')[^'\u0000-\u0008\u000a-\u001f\u007f]*'/y;
const LONG_BASIC = /"""(?:[^"\\]|\\[\s\S]|"(?!""))*"{3,5}/y;
const LONG_LITERAL = /'''(?:[^']|'(?!''))*'{3,5}/y;
const WORD =
  /true|false|[+-]?(?:inf|nan|\d[A-Za-z0-9_.:+-]*(?: \d[0-9:.]*(?:[Zz]|[+-][0-9:]+)?)?)/y;
const INTEGER = /^[+-]?\d+$/;

/** Returns the tables of `text`. Throws JsonError, which says line and column, for what it cannot read. */
export function parseTomlTables(text: string): TomlTable[] {
  return new Reader(text).document();
}

/** Returns `text` as a TOML string: a literal one where a backslash would be in the way. */
export function tomlString(text: string): string {
  // deno-lint-ignore no-control-regex
  if (text.includes("\\") && !/['\u0000-\u001f\u007f]/.test(text)) return `'${text}'`;
  return JSON.stringify(text).replaceAll("\u007f", "\\u007F");
}

class Reader {
  readonly #text: string;
  #at: number;

  constructor(text: string) {
    this.#text = text;
    this.#at = text.startsWith("\ufeff") ? 1 : 0;
  }

  document(): TomlTable[] {
    const tables: TomlTable[] = [];
    let keys: TomlKey[] = [];
    let table = { path: [] as readonly string[], isItem: false, start: 0, end: this.#at };
    while (this.#at < this.#text.length) {
      const start = this.#at;
      this.#take(BLANKS);
      if (this.#peek() === "[") {
        tables.push({ ...table, keys });
        keys = [];
        const { path, isItem } = this.#header();
        table = { path, isItem, start, end: this.#at };
      } else if (!this.#atLineEnd()) {
        keys.push(this.#key(0));
        table = { ...table, end: this.#at };
      }
      this.#take(BLANKS);
      // A comment behind the last key is the table's, one below it may be the next one's.
      if (this.#take(COMMENT) !== undefined && table.end > start) {
        table = { ...table, end: this.#at };
      }
      if (this.#at < this.#text.length && this.#take(LINE_END) === undefined) {
        throw this.#error("more text follows the value");
      }
    }
    return [...tables, { ...table, keys }];
  }

  #header(): { path: readonly string[]; isItem: boolean } {
    this.#at++;
    const isItem = this.#peek() === "[";
    if (isItem) this.#at++;
    const path = this.#name();
    this.#expect("]");
    if (isItem) this.#expect("]");
    return { path, isItem };
  }

  #key(depth: number): TomlKey {
    const path = this.#name();
    this.#expect("=");
    this.#take(BLANKS);
    const start = this.#at;
    const value = this.#value(depth);
    return { path, value, start, end: this.#at };
  }

  /** Reads a name, `a."b c".d`, and the blanks around its parts. */
  #name(): readonly string[] {
    const parts: string[] = [];
    for (;;) {
      this.#take(BLANKS);
      const bare = this.#take(BARE_KEY);
      const quoted = bare ?? this.#shortString();
      if (quoted === undefined) throw this.#error("a key is missing");
      parts.push(quoted);
      this.#take(BLANKS);
      if (this.#peek() !== ".") return parts;
      this.#at++;
    }
  }

  #value(depth: number): ConfigValue {
    if (depth > MAX_CLIENT_CONFIG_DEPTH) {
      throw this.#error(`nesting deeper than ${MAX_CLIENT_CONFIG_DEPTH}`);
    }
    const next = this.#peek();
    if (next === "[") return this.#array(depth);
    if (next === "{") return this.#inlineTable(depth);
    if (next === '"' || next === "'") {
      if (this.#text.startsWith(next.repeat(3), this.#at)) {
        const long = this.#take(LONG_BASIC) ?? this.#take(LONG_LITERAL);
        if (long === undefined) throw this.#error("a string does not end");
        return OTHER;
      }
      const short = this.#shortString();
      if (short === undefined) throw this.#error("a string is malformed or does not end");
      return short;
    }
    const word = this.#take(WORD);
    if (word === undefined) throw this.#error("a value is missing");
    if (word === "true" || word === "false") return word === "true";
    return INTEGER.test(word) ? Number(word) : OTHER;
  }

  #array(depth: number): ConfigValue {
    const items: ConfigValue[] = [];
    this.#at++;
    for (;;) {
      this.#take(BLANKS_AND_LINES);
      if (this.#peek() === "]") break;
      items.push(this.#value(depth + 1));
      this.#take(BLANKS_AND_LINES);
      if (this.#peek() !== ",") break;
      this.#at++;
    }
    this.#expect("]");
    return items;
  }

  #inlineTable(depth: number): ConfigValue {
    const table: Record<string, ConfigValue> = Object.create(null);
    this.#at++;
    this.#take(BLANKS);
    while (this.#peek() !== "}") {
      const { path, value } = this.#key(depth + 1);
      // A dotted key in an inline table is none of ours: that it is there is enough.
      table[path.join(".")] = value;
      this.#take(BLANKS);
      if (this.#peek() !== ",") break;
      this.#at++;
      this.#take(BLANKS);
    }
    this.#expect("}");
    return table;
  }

  #shortString(): string | undefined {
    const literal = this.#take(LITERAL);
    if (literal !== undefined) return literal.slice(1, -1);
    const basic = this.#take(BASIC);
    if (basic === undefined) return undefined;
    return JSON.parse(
      basic.replaceAll("\t", "\\t").replace(
        /\\U([0-9A-Fa-f]{8})/g,
        (_, digits: string) => JSON.stringify(this.#character(digits)).slice(1, -1),
      ),
    );
  }

  #character(digits: string): string {
    const code = parseInt(digits, 16);
    if (code > 0x10ffff) throw this.#error("a string names a character that there is not");
    return String.fromCodePoint(code);
  }

  #atLineEnd(): boolean {
    const next = this.#peek();
    return next === "" || next === "\n" || next === "#" || this.#text.startsWith("\r\n", this.#at);
  }

  #peek(): string {
    return this.#text.charAt(this.#at);
  }

  #expect(character: string): void {
    if (this.#peek() !== character) throw this.#error(`"${character}" is missing`);
    this.#at++;
  }

  #take(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text)?.[0];
    if (found !== undefined) this.#at += found.length;
    return found;
  }

  #error(reason: string): JsonError {
    return jsonError(this.#text, this.#at, reason);
  }
}
