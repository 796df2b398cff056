/**
 * The terminal. The rules, once: results go to stdout, everything else to stderr as `talos: …`; an error
 * is one sentence, then its `hint:` lines; with `--json` a result is one JSON value on one line and an
 * error is one JSON object on stderr. Nothing from a remote is printed with its control characters.
 */

import { utf8 } from "../bytes.ts";
import { messageOf, TalosError } from "../errors.ts";
import { printable } from "../log.ts";
import { exitStatusOf } from "./exit_status.ts";

/** Something that takes bytes at once, such as `Deno.stdout`. */
export interface SyncWriter {
  /** Writes at least one byte and returns how many. */
  writeSync(bytes: Uint8Array): number;
}

/** Writes results and messages. */
export class Output {
  readonly #stdout: SyncWriter;
  readonly #stderr: SyncWriter;
  /** Whether results are JSON. */
  readonly json: boolean;

  /** Writes to the given streams. */
  constructor(stdout: SyncWriter, stderr: SyncWriter, json: boolean) {
    this.#stdout = stdout;
    this.#stderr = stderr;
    this.json = json;
  }

  /** Prints a result: `value` as one line of JSON with `--json`, else `text`. */
  result(text: string, value: unknown): void {
    writeLine(this.#stdout, this.json ? JSON.stringify(value) : text);
  }

  /** Prints a JSON line on stdout with `--json`, and nothing otherwise. */
  event(value: unknown): void {
    if (this.json) writeLine(this.#stdout, JSON.stringify(value));
  }

  /** Prints one line on stderr as it is. */
  line(text: string): void {
    writeLine(this.#stderr, text);
  }

  /** Prints `talos: text` on stderr. */
  say(text: string): void {
    this.line(`talos: ${text}`);
  }

  /** Prints an error and its hints on stderr. */
  error(thrown: unknown): void {
    if (this.json) this.line(JSON.stringify(errorObject(thrown)));
    else for (const line of errorLines(thrown)) this.line(line);
  }
}

/** Returns an error as people read it: `talos: sentence`, then `hint: …` lines. */
export function errorLines(thrown: unknown): string[] {
  const hints = thrown instanceof TalosError ? thrown.hints : [];
  return [`talos: ${printable(messageOf(thrown))}`, ...hints.map((hint) => `hint: ${hint}`)];
}

function errorObject(thrown: unknown) {
  const known = thrown instanceof TalosError;
  return {
    error: known ? thrown.code : "internal",
    message: messageOf(thrown),
    hints: known ? thrown.hints : [],
    exit_status: exitStatusOf(thrown),
  };
}

function writeLine(to: SyncWriter, text: string): void {
  const bytes = utf8(text + "\n");
  for (let at = 0; at < bytes.length;) at += to.writeSync(bytes.subarray(at));
}
