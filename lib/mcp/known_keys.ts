/**
 * The member names that MCP gives a meaning, and the test for names that only look like them.
 *
 * Some JSON libraries (Go's encoding/json, Jackson and System.Text.Json when told to) match names without
 * regard to case. To them `Method` is `method` and `ur\u0131` may be `uri`. So a name that folds to a
 * known one and is not that name is refused. Fold here is the coarsest rule in use: Unicode full case
 * folding, and simple upper and lower case mapping in any order, Turkish dotless i included.
 */

/** The members of a JSON-RPC 2.0 message. */
export const ENVELOPE_KEYS: readonly string[] = [
  "jsonrpc",
  "id",
  "method",
  "params",
  "result",
  "error",
];

/** Every member directly inside `params` of any method, in MCP 2024-11-05 to 2026-07-28, either direction. */
export const PARAMS_KEYS: readonly string[] = [
  "_meta",
  "argument",
  "arguments",
  "capabilities",
  "clientInfo",
  "context",
  "createdAt",
  "cursor",
  "data",
  "elicitationId",
  "includeContext",
  "inputResponses",
  "lastUpdatedAt",
  "level",
  "logger",
  "maxTokens",
  "message",
  "messages",
  "metadata",
  "mode",
  "modelPreferences",
  "name",
  "notifications",
  "pollInterval",
  "progress",
  "progressToken",
  "protocolVersion",
  "reason",
  "ref",
  "requestId",
  "requestState",
  "requestedSchema",
  "status",
  "statusMessage",
  "stopSequences",
  "systemPrompt",
  "task",
  "taskId",
  "temperature",
  "toolChoice",
  "tools",
  "total",
  "ttl",
  "uri",
  "url",
];

/** What folds to ASCII letters and is not one: long s, Kelvin sign, i with and without dot, ß, ligatures. */
const FOLDS_TO_ASCII: ReadonlyMap<string, string> = new Map([
  ["\u017f", "s"],
  ["\u212a", "k"],
  ["\u0130", "i"],
  ["\u0131", "i"],
  ["\u00df", "ss"],
  ["\u1e9e", "ss"],
  ["\ufb00", "ff"],
  ["\ufb01", "fi"],
  ["\ufb02", "fl"],
  ["\ufb03", "ffi"],
  ["\ufb04", "ffl"],
  ["\ufb05", "st"],
  ["\ufb06", "st"],
]);

const NOT_ASCII = /[^\0-\x7f]/;
const SPECIAL = new RegExp(`[${[...FOLDS_TO_ASCII.keys()].join("")}]`, "g");

/** Returns `name` folded: equal for two names that some parser takes for each other. */
export function foldKey(name: string): string {
  const ascii = NOT_ASCII.test(name)
    ? name.replace(SPECIAL, (letter) => FOLDS_TO_ASCII.get(letter) ?? letter)
    : name;
  return ascii.toLowerCase();
}

/** The most bytes of JSON that one letter of a known name can take: `\u0000`. */
const BYTES_PER_LETTER = 6;

/** A set of known names. */
export class KnownKeys {
  readonly #exact: ReadonlySet<string>;
  readonly #folded: ReadonlySet<string>;
  readonly #maxBytes: number;
  /** Not 0 at `length << 5 | first letter & 31` of every known name; a longest name has 16 letters. */
  readonly #shapes = new Uint8Array(32 << 5);

  /** Makes the set of `names`, which are ASCII and have at most 31 letters each. */
  constructor(names: readonly string[]) {
    this.#exact = new Set(names);
    this.#folded = new Set(names.map(foldKey));
    this.#maxBytes = BYTES_PER_LETTER * Math.max(...names.map((name) => name.length));
    for (const name of names) this.#shapes[(name.length << 5) | (name.charCodeAt(0) & 31)] = 1;
  }

  /** Tells cheaply that the key whose JSON stands in `start..stop` of `line` is neither known nor folds to one. */
  excludes(line: Uint8Array, start: number, stop: number): boolean {
    const length = stop - start;
    if (length > this.#maxBytes) return true;
    for (let at = start; at < stop; at++) {
      const byte = line[at]!;
      if (byte >= 0x80 || byte === BACKSLASH) return false;
    }
    return length > 31 || this.#shapes[(length << 5) | (line[start]! & 31)] === 0;
  }

  /** Tells whether `key` is a known name. */
  has(key: string): boolean {
    return this.#exact.has(key);
  }

  /** Tells whether `key` only folds to a known name. */
  imitates(key: string): boolean {
    return !this.#exact.has(key) && this.#folded.has(foldKey(key));
  }
}

const BACKSLASH = 0x5c;
