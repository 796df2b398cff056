/**
 * The terminal. The rules, once: results go to stdout, everything else to stderr; an error is one
 * sentence, `talos: …`, then its `hint:` lines; a command that is done names the `next` one. With
 * `--json` a result is one JSON value on one line, its next steps in it, and an error is one JSON object
 * on stderr. Nothing from a remote is printed with its control characters, and nothing in colour.
 */

import { messageOf, TalosError } from "../errors.ts";
import { printable, printableJson } from "../log.ts";
import { printLine, printLogLine, type SyncWriter } from "../print_line.ts";
import { exitStatusOf, lacksPermission } from "./exit_status.ts";

/** What can be run next. */
export interface NextStep {
  /** The command line. */
  readonly command: string;
  /** What it is for, in a few words. */
  readonly purpose: string;
}

/** Gives a hint, or a command that can be run next, what it needs to be typed here. */
export type RenderHint = (hint: string) => string;

/** Writes results and messages. */
export class Output {
  readonly #stdout: SyncWriter;
  readonly #stderr: SyncWriter;
  readonly #renderHint: RenderHint;
  /** Whether results are JSON. */
  readonly json: boolean;

  /** Writes to the given streams. */
  constructor(
    stdout: SyncWriter,
    stderr: SyncWriter,
    json: boolean,
    renderHint: RenderHint = (hint) => hint,
  ) {
    this.#stdout = stdout;
    this.#stderr = stderr;
    this.#renderHint = renderHint;
    this.json = json;
  }

  /**
   * Prints a result: `text` on stdout and the next steps on stderr, or with `--json` one line on stdout:
   * `value`, with the commands of the next steps as its `next` if it is an object.
   */
  result(text: string, value: unknown, next: readonly NextStep[] = []): void {
    if (this.json) {
      printLine(this.#stdout, printableJson(withNext(value, this.commands(next))));
      return;
    }
    printLine(this.#stdout, text);
    this.next(next);
  }

  /** Prints a JSON line on stdout with `--json`, and nothing otherwise. */
  event(value: unknown): void {
    if (this.json) printLine(this.#stdout, printableJson(value));
  }

  /** Prints one line on stderr as it is, if stderr takes it: a full disk ends nothing. */
  line(text: string): void {
    printLogLine(this.#stderr, text);
  }

  /** Prints `talos: text` on stderr. */
  say(text: string): void {
    this.line(`talos: ${text}`);
  }

  /** Prints next steps on stderr, all at once: whoever waits for one of them has them all. */
  next(steps: readonly NextStep[]): void {
    if (steps.length === 0) return;
    this.line(steps.map((step) => this.#renderHint(stepText(step))).join("\n"));
  }

  /** Returns the command lines of next steps, for programs. */
  commands(steps: readonly NextStep[]): string[] {
    return steps.map((step) => {
      const prefix = stepText({ ...step, command: "" });
      return this.#renderHint(stepText(step)).slice(prefix.length);
    });
  }

  /** Prints an error and its hints on stderr. */
  error(thrown: unknown): void {
    const hints = hintsOf(thrown).map((hint) => this.rendered(hint));
    if (this.json) this.line(printableJson(errorObject(thrown, hints)));
    else for (const line of errorLines(thrown, hints)) this.line(line);
  }

  /** Returns a hint as it can be typed here. */
  rendered(hint: string): string {
    return this.#renderHint(hint);
  }
}

/** Returns an error as people read it: `talos: sentence`, then `hint: …` lines. */
function errorLines(thrown: unknown, hints: readonly string[]): string[] {
  return [
    `talos: ${printable(messageOf(thrown))}`,
    ...hints.map((hint) => `hint: ${printable(hint)}`),
  ];
}

function stepText({ command, purpose }: NextStep): string {
  return `next, ${purpose}: ${command}`;
}

function withNext(value: unknown, next: readonly string[]): unknown {
  const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
  if (next.length === 0 || !isObject) return value;
  return { ...value, next };
}

function errorObject(thrown: unknown, hints: readonly string[]) {
  return {
    error: thrown instanceof TalosError ? thrown.code : "internal",
    message: messageOf(thrown),
    hints,
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
