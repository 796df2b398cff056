/**
 * Setting and removing one server of a JSON configuration as text: comments, order, indentation, line ends,
 * byte order mark and the last line's end stay as they are.
 *
 * New members look like their neighbours: indented as they are, on one line where all is on one line, behind a
 * comma where the last had one. What was changed is read again: unless it says what was wanted, and nothing else
 * changed, it is an error of ours and nothing is returned. Pure.
 */

import { type ConfigValue, isTable, sameValue } from "./entry.ts";
import {
  type JsoncDialect,
  type JsoncMember,
  type JsoncNode,
  jsonError,
  member,
  parseJsonc,
} from "./jsonc.ts";

/** Where a server stands: the key of the section, and its name in it. */
export interface JsonPlace {
  /** The section's key. */
  readonly section: string;
  /** The server's name. */
  readonly name: string;
}

const DEFAULT_UNIT = "  ";

/** Returns the server at `place`, or undefined. Throws JsonError. */
export function readJsonServer(
  text: string,
  dialect: JsoncDialect,
  place: JsonPlace,
): ConfigValue | undefined {
  const root = parseJsonc(text, dialect);
  if (root === null) return undefined;
  const section = sectionOf(text, root, place);
  if (section === undefined) return undefined;
  return member(text, section.node, place.name)?.node.value;
}

/**
 * Returns `text` with these members in the server at `place`; other members that it has stay, unless `anew`.
 * Throws JsonError for a text that cannot be read.
 */
export function setJsonServer(
  text: string,
  dialect: JsoncDialect,
  place: JsonPlace,
  members: Readonly<Record<string, ConfigValue>>,
  anew: boolean,
): string {
  const root = parseJsonc(text, dialect);
  const eol = lineEndOf(text);
  if (root === null) {
    const document = { [place.section]: { [place.name]: members } };
    const separator = text === "" || text === "\ufeff" || /[\r\n]$/.test(text) ? "" : eol;
    return text + separator + pretty(document, DEFAULT_UNIT, "", eol) + eol;
  }
  const section = sectionOf(text, root, place);
  const server = section === undefined ? undefined : member(text, section.node, place.name);
  const layout: Layout = { unit: unitOf(text, root), eol, inline: isInline(text, root) };
  let changed: string;
  if (section === undefined) {
    changed = insert(text, root, place.section, { [place.name]: members }, layout);
  } else if (server === undefined) {
    changed = insert(text, section.node, place.name, members, layout);
  } else if (anew || server.node.members === null) {
    changed = replace(text, server, members, layout);
  } else {
    changed = text;
    for (const [key, value] of Object.entries(members)) {
      const now = requireServer(changed, dialect, place);
      const there = member(changed, now, key);
      if (there === undefined) changed = insert(changed, now, key, value, layout);
      else if (!sameValue(there.node.value, value)) {
        changed = replace(changed, there, value, layout);
      }
    }
  }
  verify(
    text,
    changed,
    dialect,
    place,
    (server) =>
      isTable(server) &&
      Object.entries(members).every(([key, value]) => sameValue(server[key], value)),
  );
  return changed;
}

/** Returns `text` without the server at `place`; the section stays. Throws JsonError. */
export function removeJsonServer(text: string, dialect: JsoncDialect, place: JsonPlace): string {
  const root = parseJsonc(text, dialect);
  const section = root === null ? undefined : sectionOf(text, root, place);
  if (section === undefined) return text;
  const server = member(text, section.node, place.name);
  if (server === undefined) return text;
  const changed = remove(text, section.node, server);
  verify(text, changed, dialect, place, (server) => server === undefined);
  return changed;
}

/** How new text looks. */
interface Layout {
  /** One step of indentation. */
  readonly unit: string;
  /** The end of a line. */
  readonly eol: string;
  /** Whether the whole document is on one line. */
  readonly inline: boolean;
}

function sectionOf(text: string, root: JsoncNode, { section }: JsonPlace): JsoncMember | undefined {
  if (root.members === null) throw jsonError(text, root.start, "something else than an object is");
  const found = member(text, root, section);
  if (found !== undefined && found.node.members === null) {
    throw jsonError(text, found.node.start, `${JSON.stringify(section)} is no object`);
  }
  return found;
}

function requireServer(text: string, dialect: JsoncDialect, place: JsonPlace): JsoncNode {
  const root = parseJsonc(text, dialect);
  const section = root === null ? undefined : sectionOf(text, root, place);
  const server = section === undefined ? undefined : member(text, section.node, place.name);
  if (server === undefined) throw new TypeError("a server that was there is gone");
  return server.node;
}

function insert(
  text: string,
  object: JsoncNode,
  key: string,
  value: ConfigValue,
  layout: Layout,
): string {
  const members = object.members ?? [];
  const last = members.at(-1);
  const whole = text.slice(object.start, object.end);
  if (layout.inline || (last !== undefined && !/[\r\n]/.test(whole))) {
    const added = `${JSON.stringify(key)}: ${oneLine(value)}`;
    if (last === undefined) {
      return splice(text, object.end - 1, object.end - 1, added);
    }
    const comma = last.comma === null ? ", " : " ";
    const at = (last.comma ?? last.node.end - 1) + 1;
    return splice(text, at, at, comma + added + (last.comma === null ? "" : ","));
  }
  const { eol, unit } = layout;
  const base = indentationAt(text, object.start);
  const first = members.find(({ start }) => beginsLine(text, start));
  const indent = first === undefined ? base + unit : indentationAt(text, first.start);
  const added = `${eol}${indent}${JSON.stringify(key)}: ${pretty(value, unit, indent, eol)}`;
  if (last === undefined) {
    const inside = text.slice(object.start + 1, object.end - 1);
    if (/[\r\n]/.test(inside)) {
      // A comment at the brace stays there, those below it come behind.
      const at = endOfLineBehind(text, object.start + 1);
      return splice(text, at, at, added);
    }
    const kept = inside.trimEnd();
    return splice(text, object.start + 1, object.end - 1, `${kept}${added}${eol}${base}`);
  }
  if (last.comma !== null) {
    const at = endOfLineBehind(text, last.comma + 1);
    return splice(text, at, at, added + ",");
  }
  const at = endOfLineBehind(text, last.node.end);
  return splice(splice(text, at, at, added), last.node.end, last.node.end, ",");
}

function replace(text: string, { start, node }: JsoncMember, value: ConfigValue, layout: Layout) {
  const old = text.slice(node.start, node.end);
  const flat = layout.inline ||
    (!/[\r\n]/.test(old) && node.members !== null && node.members.length > 0);
  const indent = indentationAt(text, start);
  return splice(
    text,
    node.start,
    node.end,
    flat ? oneLine(value) : pretty(value, layout.unit, indent, layout.eol),
  );
}

function remove(text: string, object: JsoncNode, gone: JsoncMember): string {
  const members = object.members ?? [];
  const before = members[members.indexOf(gone) - 1];
  const isLast = members.at(-1) === gone;
  const end = gone.comma === null ? gone.node.end : gone.comma + 1;
  let changed: string;
  let length: number;
  const lineEnd = endOfLineBehind(text, end);
  if (beginsLine(text, gone.start) && /^(?:\r\n|\n|\r)/.test(text.slice(lineEnd))) {
    const lineStart = gone.start - indentationAt(text, gone.start).length;
    const next = lineEnd + (text.startsWith("\r\n", lineEnd) ? 2 : 1);
    changed = splice(text, lineStart, next, "");
    length = next - lineStart;
  } else {
    const blanks = /^[ \t]*/.exec(text.slice(end))?.[0].length ?? 0;
    const behind = isLast ? end : end + blanks;
    const ahead = isLast ? (/[ \t]*$/.exec(text.slice(0, gone.start))?.[0].length ?? 0) : 0;
    changed = splice(text, gone.start - ahead, behind, "");
    length = behind - gone.start + ahead;
  }
  if (isLast && gone.comma === null && before !== undefined && before.comma !== null) {
    return splice(changed, before.comma, before.comma + 1, "");
  }
  const close = object.end - length;
  const inside = changed.slice(object.start + 1, close - 1);
  if (members.length === 1 && inside.trim() === "") {
    return splice(changed, object.start + 1, close - 1, "");
  }
  return changed;
}

/** Throws TypeError unless `place` is as wanted and all the rest says what it did. */
function verify(
  before: string,
  after: string,
  dialect: JsoncDialect,
  place: JsonPlace,
  isWanted: (server: ConfigValue | undefined) => boolean,
): void {
  const rest = (text: string) => {
    const root = parseJsonc(text, dialect)?.value;
    if (!isTable(root)) return {};
    const { [place.section]: section, ...others } = root;
    if (!isTable(section)) return others;
    const { [place.name]: _, ...servers } = section;
    return Object.keys(servers).length === 0 ? others : { ...others, [place.section]: servers };
  };
  const wanted = isWanted(readJsonServer(after, dialect, place));
  if (!wanted || !sameValue(rest(before), rest(after))) {
    throw new TypeError("the change would not have done what it should, so it was not made");
  }
}

function splice(text: string, start: number, end: number, added: string): string {
  return text.slice(0, start) + added + text.slice(end);
}

function lineEndOf(text: string): string {
  return /\r\n|\n|\r/.exec(text)?.[0] ?? "\n";
}

function isInline(text: string, root: JsoncNode): boolean {
  const members = root.members ?? [];
  return members.length > 0 && !/[\r\n]/.test(text.slice(root.start, root.end));
}

/** One step of indentation: by how much the first member on a line of its own is indented. */
function unitOf(text: string, root: JsoncNode): string {
  const first = (root.members ?? []).find(({ start }) => beginsLine(text, start));
  const base = indentationAt(text, root.start);
  const unit = first === undefined ? "" : indentationAt(text, first.start).slice(base.length);
  return unit === "" ? DEFAULT_UNIT : unit;
}

/** Returns the white space at the beginning of the line of `at`. */
function indentationAt(text: string, at: number): string {
  const line = text.slice(0, at).split(/[\r\n]/).at(-1) ?? "";
  return /^\ufeff?([ \t]*)/.exec(line)?.[1] ?? "";
}

function beginsLine(text: string, at: number): boolean {
  return /(?:^|[\r\n])[ \t]*$/.test(text.slice(0, at));
}

/** Returns where what stands behind `at` on its line ends, when that is white space and comments alone. */
function endOfLineBehind(text: string, at: number): number {
  const rest = /^(?:[ \t]*\/\*(?:[^*\r\n]|\*(?!\/))*\*\/)*[ \t]*(?:\/\/[^\r\n]*)?(?=[\r\n]|$)/.exec(
    text.slice(at),
  );
  return at + (rest?.[0].length ?? 0);
}

function pretty(value: ConfigValue, unit: string, indent: string, eol: string): string {
  return JSON.stringify(value, null, unit).replaceAll("\n", eol + indent);
}

function oneLine(value: ConfigValue): string {
  if (Array.isArray(value)) return `[${value.map(oneLine).join(", ")}]`;
  if (!isTable(value)) return JSON.stringify(value);
  const members = Object.entries(value).map(([key, item]) =>
    `${JSON.stringify(key)}: ${oneLine(item)}`
  );
  return members.length === 0 ? "{}" : `{ ${members.join(", ")} }`;
}
