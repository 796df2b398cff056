/**
 * Taking the fields of our own JSON files out of a parsed value, strictly.
 *
 * A field that is missing, mistyped or unknown is an error that names its path (`grants[2].peer`):
 * what a program wrote is exactly what it reads, and what a person mistyped is never ignored.
 */

import { printable } from "../log.ts";
import { isJsonArray, isJsonObject, type Json, JsonError, type JsonObject } from "./strict_json.ts";

const MAX_QUOTED_CHARACTERS = 40;

// RFC 3339: a date, a time with seconds, an offset. Date.parse takes much more than that.
const TIME = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d{1,3})?(?:Z|[+-]\d{2}:\d{2})$/;

/** An object of a file, and where it stands in it. */
export interface JsonFields {
  /** The object. */
  readonly object: JsonObject;
  /** What stands before the name of a field: empty, or `grants[2].`. */
  readonly path: string;
}

/** Returns `value` as an object with exactly the fields `names`. Throws {@link JsonError}. */
export function fieldsOf(
  value: Json | undefined,
  path: string,
  names: readonly string[],
): JsonFields {
  if (!isJsonObject(value)) throw new JsonError(`${path === "" ? "it" : path} is not an object`);
  const prefix = path === "" ? "" : `${path}.`;
  for (const name of names) {
    if (!(name in value)) throw new JsonError(`the field ${prefix}${name} is missing`);
  }
  for (const name of Object.keys(value)) {
    if (!names.includes(name)) {
      const shown = printable(name, MAX_QUOTED_CHARACTERS);
      throw new JsonError(`the field ${prefix}${shown} is unknown`);
    }
  }
  return { object: value, path: prefix };
}

/** Returns a field that is text. Throws {@link JsonError}. */
export function textField({ object, path }: JsonFields, name: string): string {
  const value = object[name];
  if (typeof value !== "string") throw new JsonError(`the field ${path}${name} is not a string`);
  return value;
}

/** Returns a field that is an integer from `min` to `max`. Throws {@link JsonError}. */
export function integerField(
  { object, path }: JsonFields,
  name: string,
  min: number,
  max: number,
): number {
  const value = object[name];
  if (typeof value !== "number" || !Number.isInteger(value) || value < min || value > max) {
    throw new JsonError(`the field ${path}${name} is not an integer from ${min} to ${max}`);
  }
  return value;
}

/** Returns a field that is an array. Throws {@link JsonError}. */
export function arrayField({ object, path }: JsonFields, name: string): readonly Json[] {
  const value = object[name];
  if (!isJsonArray(value)) throw new JsonError(`the field ${path}${name} is not an array`);
  return value;
}

/**
 * Returns a field that is a time in RFC 3339 form (`2026-01-31T12:00:00Z`), in Unix milliseconds.
 * Throws {@link JsonError}.
 */
export function timeField(fields: JsonFields, name: string): number {
  const time = timeOf(textField(fields, name));
  if (time === null) {
    throw new JsonError(`the field ${fields.path}${name} is not a time like 2026-01-31T12:00:00Z`);
  }
  return time;
}

/** Returns the Unix milliseconds of a time in RFC 3339 form; null for what is none. */
export function timeOf(text: string): number | null {
  const time = TIME.test(text) && dayExists(text) ? Date.parse(text) : NaN;
  return Number.isNaN(time) ? null : time;
}

/** Date.parse makes 2 March of 30 February. */
function dayExists(text: string): boolean {
  const date = text.slice(0, "YYYY-MM-DD".length);
  const time = Date.parse(`${date}T00:00:00Z`);
  return !Number.isNaN(time) && timeText(time).startsWith(date);
}

/**
 * Returns what `parse` makes of a text field. An error of `parse` becomes a {@link JsonError} that
 * names the field; so `parse` must not put the text into its message.
 */
export function parsedField<T>(fields: JsonFields, name: string, parse: (text: string) => T): T {
  const text = textField(fields, name);
  try {
    return parse(text);
  } catch (error) {
    const reason = error instanceof Error ? error.message : "it is malformed";
    throw new JsonError(`the field ${fields.path}${name}: ${reason}`, { cause: error });
  }
}

/** Returns Unix milliseconds in the one form that Talos writes: UTC, with milliseconds. */
export function timeText(time: number): string {
  return new Date(time).toISOString();
}
