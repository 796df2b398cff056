/**
 * Setting and removing one server of a TOML configuration, the table `[SECTION.NAME]`, as text.
 *
 * Everything else stays as it is, byte for byte. A server that is written in another way (dotted keys, an inline
 * table, a list of tables, a table for its environment that would have to change) is not understood and refused.
 * What was changed is read again, as in `json_edit.ts`. Pure.
 */

import { type ConfigValue, sameValue } from "./entry.ts";
import type { JsonPlace } from "./json_edit.ts";
import { jsonError } from "./jsonc.ts";
import { parseTomlTables, tomlString, type TomlTable } from "./toml_tables.ts";

/** Returns the server at `place`, or undefined. Throws JsonError. */
export function readTomlServer(text: string, place: JsonPlace): ConfigValue | undefined {
  const { main, below } = tablesOf(text, place);
  if (main === undefined && below.length === 0) return undefined;
  const values: Record<string, ConfigValue> = {};
  for (const { path, value } of main?.keys ?? []) values[path.join(".")] = value;
  for (const { path, keys } of below) {
    values[path.slice(2).join(".")] = Object.fromEntries(
      keys.map(({ path, value }) => [path.join("."), value]),
    );
  }
  return values;
}

/** Returns `text` with these members in the server at `place`; others stay, unless `anew`. Throws JsonError. */
export function setTomlServer(
  text: string,
  place: JsonPlace,
  members: Readonly<Record<string, ConfigValue>>,
  anew: boolean,
): string {
  const cleared = anew ? removeTomlServer(text, place) : text;
  const { main, below } = tablesOf(cleared, place);
  const eol = /\r\n|\n/.exec(text)?.[0] ?? "\n";
  const lines = Object.entries(members).map(([key, value]) =>
    [key, `${key} = ${toml(value)}`] as const
  );
  let changed: string;
  if (main === undefined) {
    const [first] = below;
    if (first !== undefined) {
      throw jsonError(cleared, first.start, "a table of a server without its own");
    }
    const body = cleared.replace(/[ \t\r\n]+$/, "");
    const ahead = body === "" || body === "\ufeff" ? body : `${body}${eol}${eol}`;
    const header = `[${place.section}.${place.name}]`;
    changed = `${ahead}${[header, ...lines.map(([, line]) => line)].join(eol)}${eol}`;
  } else {
    const found = lines.flatMap(([key, line]) => {
      const old = changeable(cleared, place, { main, below }, key, members[key]);
      return old === null ? [] : [{ ...old, line: line.slice(`${key} = `.length) }];
    }).sort((a, b) => b.start - a.start);
    changed = cleared;
    for (const { start, end, line } of found) {
      changed = changed.slice(0, start) + line + changed.slice(end);
    }
    const missing = lines.filter(([key]) =>
      !main.keys.some(({ path }) => path[0] === key) && !below.some(({ path }) => path[2] === key)
    );
    const grown = tablesOf(changed, place).main?.end ?? changed.length;
    const added = missing.map(([, line]) => eol + line).join("");
    changed = changed.slice(0, grown) + added + changed.slice(grown);
  }
  const server = readTomlServer(changed, place);
  const wanted = Object.entries(members).every(([key, value]) =>
    sameValue(
      typeof server === "object" && server !== null ? Reflect.get(server, key) : undefined,
      value,
    )
  );
  verifyRest(text, changed, place, wanted);
  return changed;
}

/** Returns `text` without the server at `place`. Throws JsonError. */
export function removeTomlServer(text: string, place: JsonPlace): string {
  const { main, below } = tablesOf(text, place);
  let changed = text;
  const gone = [...(main === undefined ? [] : [main]), ...below].sort((a, b) => b.start - a.start);
  for (const { start, end } of gone) {
    const lineEnd = /^[ \t]*(?:\r?\n)?/.exec(changed.slice(end))?.[0].length ?? 0;
    const ahead = changed.slice(0, start);
    const behind = changed.slice(end + lineEnd);
    // One of the blank lines around it goes, too; all of them at the end.
    const closed = behind.trim() === "" ? ahead.replace(/(\r?\n)[ \t\r\n]*$/, "$1") : ahead;
    changed = closed +
      (/(?:^|\n)[ \t]*\r?\n$/.test(closed) ? behind.replace(/^[ \t]*\r?\n/, "") : behind);
  }
  verifyRest(text, changed, place, readTomlServer(changed, place) === undefined);
  return changed;
}

/** Returns where the value of a member is that has to change; null for none. Throws JsonError. */
function changeable(
  text: string,
  place: JsonPlace,
  { main, below }: ServerTables,
  key: string,
  wanted: ConfigValue | undefined,
): { readonly start: number; readonly end: number } | null {
  const dotted = main?.keys.find(({ path }) => path.length > 1 && path[0] === key);
  if (dotted !== undefined) throw jsonError(text, dotted.start, "a dotted key of the server");
  if (sameValue(readServerMember(text, place, key), wanted)) return null;
  const table = below.find(({ path }) => path[2] === key);
  if (table !== undefined) {
    throw jsonError(
      text,
      table.start,
      `the table ${key} of the server, which would have to change,`,
    );
  }
  return main?.keys.find(({ path }) => path[0] === key) ?? null;
}

function readServerMember(text: string, place: JsonPlace, key: string): ConfigValue | undefined {
  const server = readTomlServer(text, place);
  return typeof server === "object" && server !== null ? Reflect.get(server, key) : undefined;
}

interface ServerTables {
  /** Its own table. */
  readonly main: TomlTable | undefined;
  /** Those below that. */
  readonly below: readonly TomlTable[];
}

/** Finds the tables of the server. Throws JsonError when it is written in a way that is not understood. */
function tablesOf(text: string, { section, name }: JsonPlace): ServerTables {
  const tables = parseTomlTables(text);
  const named = tables.filter(({ path }) => path[0] === section && path[1] === name);
  for (const { path, isItem, start } of tables) {
    const ofServer = path[0] === section && (path.length === 1 || path[1] === name);
    if (isItem && ofServer) throw jsonError(text, start, "a list of tables of servers");
  }
  for (const { path, keys } of tables) {
    for (const key of keys) {
      const full = [...path, ...key.path];
      const sectionInline = full.length === 1 && full[0] === section;
      const written = path.length < 2 && full[0] === section && full[1] === name;
      if (sectionInline || written) {
        throw jsonError(text, key.start, "a server that has no table of its own");
      }
    }
  }
  const [main, second] = named.filter(({ path }) => path.length === 2);
  if (second !== undefined) throw jsonError(text, second.start, `[${section}.${name}] comes twice`);
  return { main, below: named.filter(({ path }) => path.length > 2) };
}

/** Throws TypeError unless the change is as wanted and every other table says what it did. */
function verifyRest(before: string, after: string, place: JsonPlace, wanted: boolean): void {
  const rest = (text: string): ConfigValue =>
    parseTomlTables(text)
      .filter(({ path }) => path[0] !== place.section || path[1] !== place.name)
      .map(({ path, isItem, keys }) => [
        path,
        isItem,
        keys.map((key) => [key.path, text.slice(key.start, key.end)]),
      ]);
  if (!wanted || !sameValue(rest(before), rest(after))) {
    throw new TypeError("the change would not have done what it should, so it was not made");
  }
}

/** Returns a text, a list of texts or a table of texts as TOML, on one line. */
function toml(value: ConfigValue | undefined): string {
  if (typeof value === "string") return tomlString(value);
  if (Array.isArray(value)) return `[${value.map(toml).join(", ")}]`;
  if (typeof value === "object" && value !== null) {
    const members = Object.entries(value).map(([key, item]) => `${key} = ${toml(item)}`);
    return members.length === 0 ? "{}" : `{ ${members.join(", ")} }`;
  }
  throw new TypeError("an entry has texts alone");
}
