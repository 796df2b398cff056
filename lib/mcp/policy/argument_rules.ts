/**
 * What the arguments of a tool have to be like: `{"/path": {"prefix": "/home/me/"}}`.
 *
 * A place is named as by RFC 6901, and `*` is every element of an array or member of an object. What has to
 * be there and is not, what is of another type, and what could be read in two ways does not hold: a number
 * that a double cannot hold exactly, a member whose name differs from the named one in case alone, a path
 * with `..` in it under a prefix. The arguments are read from the very bytes that the server gets.
 */

import { type Bytes, utf8 } from "../../bytes.ts";
import { keyHash } from "../key_table.ts";
import { foldKey } from "../known_keys.ts";
import { parseMessageId } from "../message_id.ts";
import { decodeString, JsonReader, OPEN_ARRAY, OPEN_OBJECT } from "../strict.ts";
import { type Glob, matchesExactly } from "./glob.ts";

/** What stands for every element of an array or member of an object. */
export const EVERY = Symbol("*");

/** A step of a place. */
export type Step = string | typeof EVERY;

/** What a value has to be like: all that is said of it. */
export interface Constraint {
  /** Whether it may be missing. */
  readonly optional: boolean;
  /** It is one of these. */
  readonly values?: readonly (string | number | boolean | null)[];
  /** It is text that matches one of these. */
  readonly globs?: readonly Glob[];
  /** It is text that begins so, and has no `..` among what slashes divide. */
  readonly prefix?: string;
  /** It is text of at most so many bytes in UTF-8. */
  readonly maxLength?: number;
  /** It is a number, this or more. */
  readonly min?: number;
  /** It is a number, this or less. */
  readonly max?: number;
}

/** What one argument of some tools has to be like. */
export interface ArgumentRule {
  /** Which tools. */
  readonly tool: Glob;
  /** The place, as it was written. */
  readonly pointer: string;
  /** The place. */
  readonly steps: readonly Step[];
  /** What has to hold there. */
  readonly constraint: Constraint;
}

/** Returns the steps of a place; null where it is none. `~0` is a tilde, `~1` a slash, `~2` an asterisk. */
export function parsePointer(text: string): readonly Step[] | null {
  if (!text.startsWith("/") || /~(?![012])/.test(text)) return null;
  return text.slice(1).split("/").map((step) =>
    step === "*" ? EVERY : step.replaceAll("~2", "*").replaceAll("~1", "/").replaceAll("~0", "~")
  );
}

// One reader serves all: reading is synchronous and calls nothing that could come back here.
const reader = new JsonReader(keyHash(crypto.getRandomValues(new Uint32Array(2))));

/**
 * Returns why `args` is not as `rule` has it; null where it is.
 *
 * @param args The JSON token of the arguments, scanned strictly before; null where there are none.
 */
export function argumentFault(
  args: Bytes | null,
  { steps, constraint }: ArgumentRule,
): string | null {
  if (args === null) return constraint.optional ? null : "is missing";
  reader.open(args, true);
  try {
    return walk(args, steps, 0, constraint);
  } finally {
    reader.close();
  }
}

function walk(
  args: Bytes,
  steps: readonly Step[],
  depth: number,
  constraint: Constraint,
): string | null {
  const first = reader.peek();
  const step = steps[depth];
  if (step === undefined) {
    const start = reader.at;
    reader.value();
    return valueFault(args.subarray(start, reader.at), constraint);
  }
  let fault: string | null = null;
  let found = step === EVERY;
  if (first === OPEN_OBJECT) {
    reader.enterObject(false);
    while (reader.nextKey()) {
      const key = reader.text();
      if (step === EVERY || key === step) {
        found = true;
        fault = walk(args, steps, depth + 1, constraint) ?? fault;
        continue;
      }
      if (foldKey(key) === foldKey(step)) fault = "has a name that differs only in case";
      reader.peek();
      reader.value();
    }
  } else if (first === OPEN_ARRAY && (step === EVERY || INDEX.test(step))) {
    let index = 0;
    reader.enterArray();
    while (reader.nextElement()) {
      if (step === EVERY || String(index) === step) {
        found = true;
        fault = walk(args, steps, depth + 1, constraint) ?? fault;
      } else {
        reader.peek();
        reader.value();
      }
      index++;
    }
  } else {
    reader.value();
    return "is not reached: what should hold it is no object and no array";
  }
  return fault ?? (found || constraint.optional ? null : "is missing");
}

const INDEX = /^(?:0|[1-9]\d{0,9})$/;
const QUOTE = 0x22;

function valueFault(token: Bytes, constraint: Constraint): string | null {
  const { values, globs, prefix, maxLength, min, max } = constraint;
  const isText = token[0] === QUOTE;
  const text = isText ? decodeString(token, 1, token.length - 1) : null;
  const number = isText ? null : exactNumber(token);
  if (values !== undefined && !isOneOf(values, token, text, number)) return "is none of the values";
  if (globs !== undefined) {
    if (text === null) return "is no text";
    if (!globs.some((glob) => matchesExactly(glob, text, "name"))) return "matches no glob";
  }
  if (prefix !== undefined) {
    if (text === null) return "is no text";
    if (!text.startsWith(prefix)) return `does not begin with ${JSON.stringify(prefix)}`;
    if (UPWARDS.test(text)) return 'has a ".." in its path';
  }
  if (maxLength !== undefined) {
    if (text === null) return "is no text";
    const { length } = utf8(text);
    if (length > maxLength) return `has ${length} bytes, the limit is ${maxLength}`;
  }
  if (min !== undefined || max !== undefined) {
    if (number === null) return "is no number that is read alike everywhere";
    if (min !== undefined && number < min) return `is less than ${min}`;
    if (max !== undefined && number > max) return `is more than ${max}`;
  }
  return null;
}

/** `..` between slashes of either kind, percent escapes undone. */
const UPWARDS = /(?:^|[/\\]|%2f|%5c)(?:\.|%2e){2}(?:$|[/\\?#;]|%2f|%5c)/i;

function isOneOf(
  values: NonNullable<Constraint["values"]>,
  token: Bytes,
  text: string | null,
  number: number | null,
): boolean {
  const literal = LITERALS.find(([word]) =>
    word.length === token.length && word.every((byte, at) => byte === token[at])
  );
  return values.some((value) => {
    if (typeof value === "string") return value === text;
    if (typeof value === "number") return value === number;
    return literal !== undefined && literal[1] === value;
  });
}

const LITERALS: readonly (readonly [Bytes, boolean | null])[] = [
  [utf8("true"), true],
  [utf8("false"), false],
  [utf8("null"), null],
];

/** Returns the number that a token is; null for what is none, or none that a double holds as it stands. */
function exactNumber(token: Bytes): number | null {
  const id = parseMessageId(token);
  if (id === null || !id.key.startsWith("n:")) return null;
  const value = Number(id.key.slice(2));
  if (!Number.isFinite(value)) return null;
  return parseMessageId(utf8(JSON.stringify(value)))?.key === id.key ? value : null;
}
