/**
 * Globs over names and URIs: `*` stands for any text, also for none, everything else for itself.
 *
 * Each glob is matched in two ways. *Exactly*, for what permits: code point by code point. *Coarsely*, for
 * what forbids: whatever some program could take for a text that matches does match, so that no other case,
 * normal form, invisible character, percent escape or detour in a path gets around a denial.
 *
 * Not covered: letters of other scripts that look alike. They are other names; what permits names them or not.
 */

import { foldKey } from "../known_keys.ts";

/** A pattern. */
export interface Glob {
  /** As it was written. */
  readonly text: string;
  /** What stands between the asterisks. */
  readonly pieces: readonly string[];
  /** The same in its coarse form. */
  readonly coarse: readonly string[];
}

/** What a text is: names are folded, URIs are read as the programs that open them do. */
export type TextKind = "name" | "uri";

/** Returns the pattern that `text` is: every text is one. */
export function globOf(text: string): Glob {
  const pieces = text.split("*");
  return { text, pieces, coarse: pieces.map(folded) };
}

/** Tells whether `text` matches as it stands. A URI that programs read differently matches `*` alone. */
export function matchesExactly(
  { text: pattern, pieces }: Glob,
  text: string,
  kind: TextKind,
): boolean {
  if (kind === "uri" && isAmbiguousUri(text)) return /^\*+$/.test(pattern);
  return matches(pieces, text);
}

/** Tells whether `text` could be taken for one that matches. A URI that programs read differently could. */
export function matchesCoarsely({ coarse }: Glob, text: string, kind: TextKind): boolean {
  if (kind === "name") return matches(coarse, folded(text));
  return isAmbiguousUri(text) || coarseUris(text).some((form) => matches(coarse, form));
}

function matches(pieces: readonly string[], text: string): boolean {
  const first = pieces[0] ?? "";
  if (pieces.length === 1) return text === first;
  const last = pieces.at(-1) ?? "";
  if (!text.startsWith(first) || !text.endsWith(last)) return false;
  const end = text.length - last.length;
  let at = first.length;
  for (const piece of pieces.slice(1, -1)) {
    const found = text.indexOf(piece, at);
    if (found < 0) return false;
    at = found + piece.length;
  }
  return at <= end;
}

// White space, controls, and all that is not seen.
const UNSEEN = /[\s\p{Cc}\p{Cf}\p{Default_Ignorable_Code_Point}]/gu;

/** Returns the form that is equal for all texts that some program takes for each other. */
function folded(text: string): string {
  const plain = text.normalize("NFKC").replace(UNSEEN, "");
  const lower = foldKey(plain.toUpperCase().toLowerCase()).replaceAll("\u03c2", "\u03c3"); // two sigmas
  return lower.normalize("NFKC");
}

const PERCENT = /(?:%[0-9A-Fa-f]{2})+/g;
/** An escape of an escape of an escape; no program undoes more. */
const MAX_UNESCAPES = 3;

/** Returns `uri` with its percent escapes undone, as often as some program might. */
function unescaped(uri: string): string {
  let text = uri;
  for (let times = 0; times < MAX_UNESCAPES; times++) {
    const next = text.replace(
      PERCENT,
      (escapes) => new TextDecoder().decode(Uint8Array.fromHex(escapes.replaceAll("%", ""))),
    );
    if (next === text) break;
    text = next;
  }
  return text;
}

// deno-lint-ignore no-control-regex -- these are what parsers of URLs drop, or take for something else
const CONFUSING = /[\u0000-\u0020\u007f\\]/;
const DOT_SEGMENT = /(?:^|[/\\:?#])\.{1,2}(?:$|[/\\?#;])/;

/**
 * Tells whether programs read `uri` differently: it holds a backslash, white space or a control character, or
 * a `.` or `..` in its path, which some follow and some do not, escaped or not.
 */
export function isAmbiguousUri(uri: string): boolean {
  if (CONFUSING.test(uri)) return true;
  const plain = unescaped(uri);
  return plain.includes("\0") || plain.includes("\\") || DOT_SEGMENT.test(uri) ||
    DOT_SEGMENT.test(plain);
}

const AUTHORITY = /^([a-z][a-z0-9+.-]*:\/\/[^/]*)(\/.*)$/is;

/** Returns the forms in which a URI could be understood: as it stands, unescaped, and as browsers write it. */
function coarseUris(uri: string): readonly string[] {
  const forms = [uri, unescaped(uri)];
  const parsed = URL.parse(uri)?.href;
  if (parsed !== undefined) forms.push(parsed, unescaped(parsed));
  const single = forms.map((form) =>
    form.replace(AUTHORITY, (_, head: string, path: string) => head + path.replace(/\/+/g, "/"))
  );
  return [...new Set([...forms, ...single].map(folded))];
}
