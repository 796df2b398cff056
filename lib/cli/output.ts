/**
 * The terminal. The rules, once: results go to stdout, everything else to stderr; an error is one
 * sentence, `talos: …`, then its `hint:` lines; a command that is done names the `next` one. With
 * `--json` a result is one JSON value on one line, its next steps in it, and an error is one JSON object
 * on stderr. Nothing from a remote is printed with its control characters, and nothing in colour.
 */

import { utf8 } from "../bytes.ts";
import { messageOf, TalosError } from "../errors.ts";
import { printable, printableJson } from "../log.ts";
import { exitStatusOf, lacksPermission } from "./exit_status.ts";

/** Something that takes bytes at once, such as `Deno.stdout`. */
export interface SyncWriter {
  /** Writes at least one byte and returns how many. */
  writeSync(bytes: Uint8Array): number;
}

/** What can be run next. */
export interface NextStep {
  /** The command line. */
  readonly command: string;
  /** What it is for, in a few words. */
  readonly purpose: string;
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

  /**
   * Prints a result: `text` on stdout and the next steps on stderr, or with `--json` one line on stdout:
   * `value`, with the commands of the next steps as its `next` if it is an object.
   */
  result(text: string, value: unknown, next: readonly NextStep[] = []): void {
    if (this.json) {
      writeLine(this.#stdout, printableJson(withNext(value, next)));
      return;
    }
    writeLine(this.#stdout, text);
    this.next(next);
  }

  /** Prints a JSON line on stdout with `--json`, and nothing otherwise. */
  event(value: unknown): void {
    if (this.json) writeLine(this.#stdout, printableJson(value));
  }

  /** Prints one line on stderr as it is. */
  line(text: string): void {
    writeLine(this.#stderr, text);
  }

  /** Prints `talos: text` on stderr. */
  say(text: string): void {
    this.line(`talos: ${text}`);
  }

  /** Prints next steps on stderr, all at once: whoever waits for one of them has them all. */
  next(steps: readonly NextStep[]): void {
    if (steps.length === 0) return;
    this.line(steps.map(({ command, purpose }) => `next, ${purpose}: ${command}`).join("\n"));
  }

  /** Prints an error and its hints on stderr. */
  error(thrown: unknown): void {
    if (this.json) this.line(printableJson(errorObject(thrown)));
    else for (const line of errorLines(thrown)) this.line(line);
  }
}

/** Returns an error as people read it: `talos: sentence`, then `hint: …` lines. */
export function errorLines(thrown: unknown): string[] {
  return [
    `talos: ${printable(messageOf(thrown))}`,
    ...hintsOf(thrown).map((hint) => `hint: ${printable(hint)}`),
  ];
}

function withNext(value: unknown, next: readonly NextStep[]): unknown {
  const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
  if (next.length === 0 || !isObject) return value;
  return { ...value, next: next.map(({ command }) => command) };
}

function errorObject(thrown: unknown) {
  return {
    error: thrown instanceof TalosError ? thrown.code : "internal",
    message: messageOf(thrown),
    hints: hintsOf(thrown),
    exit_status: exitStatusOf(thrown),
  };
}

function hintsOf(thrown: unknown): readonly string[] {
  if (lacksPermission(thrown)) {
    return ["Deno keeps this process from it; see what a command needs: talos permissions COMMAND"];
  }
  if (thrown instanceof TalosError) return thrown.hints;
  return ["this is a fault of Talos: run it again with --verbose, and report what it prints"];
}

function writeLine(to: SyncWriter, text: string): void {
  const bytes = utf8(text + "\n");
  try {
    for (let at = 0; at < bytes.length;) at += to.writeSync(bytes.subarray(at));
  } catch (error) {
    // Whoever read this has gone, as in `talos help | head -1`: nobody misses the rest.
    if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
  }
}
