/**
 * The log: one line per event on standard error, as text or as JSON.
 *
 * Nothing secret is ever handed to it. Whatever came from a remote loses its control characters here,
 * so that no peer can write to a terminal; in a JSON line they are escaped.
 */

/** How much a line matters. */
export type LogLevel = "debug" | "info" | "warn" | "error";

/** The facts of an event: short values that people and programs can both read. */
export type LogFields = Readonly<Record<string, string | number | boolean | undefined>>;

/** Where events go. */
export interface Log {
  /** What only helps to find a fault. */
  debug(event: string, fields?: LogFields): void;
  /** What a user expects to see. */
  info(event: string, fields?: LogFields): void;
  /** What works, but not as it should. */
  warn(event: string, fields?: LogFields): void;
  /** What failed. */
  error(event: string, fields?: LogFields): void;
}

/** What a log needs from the outside. */
export interface LogOptions {
  /** Takes one finished line, without its line feed. */
  readonly write: (line: string) => void;
  /** The least important level that is written. */
  readonly level: LogLevel;
  /** JSON lines instead of text. */
  readonly json: boolean;
  /** Unix time in milliseconds; stamps JSON lines. */
  readonly now: () => number;
}

const RANK: Readonly<Record<LogLevel, number>> = { debug: 0, info: 1, warn: 2, error: 3 };

// Control characters, lone surrogates, line and paragraph separators, bidirectional controls, and what
// takes no room: the zero-width space and the byte order mark.
const UNPRINTABLE = /[\p{Cc}\p{Cs}\u061c\u200b\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/gu;

/** Returns `text` without control characters and bidirectional overrides, at most `limit` characters. */
export function printable(text: string, limit = 4096): string {
  const clean = text.replace(UNPRINTABLE, "\ufffd");
  if (clean.length <= limit) return clean;
  return clean.slice(0, limit).toWellFormed() + "…"; // a cut pair becomes U+FFFD
}

/**
 * Returns `value` as one line of JSON in which everything unprintable is escaped, so that it is harmless on a
 * terminal too. Reading it gives the same value.
 */
export function printableJson(value: unknown): string {
  // What JSON escapes by itself is escaped already; outside of strings nothing unprintable stands.
  return JSON.stringify(value).replace(
    UNPRINTABLE,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/** Makes a log that formats events and hands each line to `options.write`. */
export function createLog(options: LogOptions): Log {
  const at = (level: LogLevel) => (event: string, fields: LogFields = {}): void => {
    if (RANK[level] < RANK[options.level]) return;
    options.write(
      options.json ? jsonLine(level, event, fields, options.now()) : textLine(level, event, fields),
    );
  };
  return { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
}

/** A log that drops everything. */
export const SILENT: Log = { debug() {}, info() {}, warn() {}, error() {} };

function jsonLine(level: LogLevel, event: string, fields: LogFields, now: number): string {
  return printableJson({ time: new Date(now).toISOString(), level, event, ...fields });
}

function textLine(level: LogLevel, event: string, fields: LogFields): string {
  const facts = Object.entries(fields)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => ` ${name}=${quoted(String(value))}`);
  const mark = level === "warn" ? "warning: " : level === "error" ? "error: " : "";
  return `talos: ${mark}${printable(event)}${facts.join("")}`;
}

function quoted(value: string): string {
  const clean = printable(value);
  return /[\s"=]/.test(clean) || clean === "" ? JSON.stringify(clean) : clean;
}
