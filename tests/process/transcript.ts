/**
 * Transcripts: what people type and what Talos answers, as text that is read and run.
 *
 *     # A comment.
 *     * host and agent have identities                  something that happens without Talos
 *     host$ talos mcp-serve --command cat &             runs on, once it says what to do next
 *     agent$ talos mcp-connect <HOST>@127.0.0.1:<PORT>  a command, on the machine of that name
 *     < {"jsonrpc":"2.0","id":1,"method":"ping"}        a line of its standard input
 *     {"jsonrpc":"2.0","id":1,…                         a line of its standard output
 *     ! talos: …                                        a line of its standard error
 *     exit 4                                            its exit status
 *
 * `$` alone is the machine `agent`. What differs from run to run stands as `<NAME>`. Pure.
 */

/** A line that is only read, or one that something comes of. */
export type Step =
  /** A comment or an empty line. */
  | { readonly kind: "text"; readonly line: string }
  /** Something that happens without Talos. */
  | { readonly kind: "act"; readonly line: string; readonly act: string }
  /** A command that is typed on a machine. */
  | {
    readonly kind: "command";
    readonly line: string;
    readonly machine: string;
    readonly typed: string;
    readonly background: boolean;
    readonly input: readonly string[];
  };

const PROMPT = /^(\w*)\$ (.*?)( &)?$/;

/** Returns the steps of a transcript, without what was printed. */
export function parseTranscript(text: string): Step[] {
  const steps: Step[] = [];
  let input: string[] = [];
  const all = text.trimEnd().split("\n");
  for (const [at, line] of all.entries()) {
    const [prompt, machine = "", typed = "", ampersand] = PROMPT.exec(line) ?? [];
    if (prompt !== undefined) {
      input = [];
      steps.push({
        kind: "command",
        line,
        machine: machine === "" ? "agent" : machine,
        typed,
        background: ampersand !== undefined,
        input,
      });
    } else if (line.startsWith("* ")) {
      steps.push({ kind: "act", line, act: line.slice("* ".length) });
    } else if (line.startsWith("#") || (line === "" && !isPrinted(all.slice(at)))) {
      steps.push({ kind: "text", line });
    } else if (line.startsWith("< ")) {
      input.push(line.slice("< ".length));
    }
  }
  return steps;
}

/** Tells whether the first of `lines` was printed: then the exit status comes before anything new. */
function isPrinted(lines: readonly string[]): boolean {
  const next = lines.find((line) => /^(?:exit \d+$|#|\* )/.test(line) || PROMPT.test(line));
  return next !== undefined && next.startsWith("exit ");
}

/** What a command printed. */
export interface Printed {
  readonly stdout: string;
  readonly stderr: string;
  /** Null while it runs on. */
  readonly code: number | null;
}

/** Returns the lines that a transcript has for what a command printed. */
export function printedLines({ stdout, stderr, code }: Printed): string[] {
  return [
    ...lines(stdout),
    ...lines(stderr).map((line) => `! ${line}`),
    ...(code === null ? [] : [`exit ${code}`]),
  ];
}

function lines(text: string): string[] {
  return text === "" ? [] : text.replace(/\n$/, "").split("\n");
}

/** Values that differ from run to run, by the names that transcripts have for them. */
export class Placeholders {
  readonly #values = new Map<string, string>();

  /** Gives `value` a name. */
  set(name: string, value: string): void {
    this.#values.set(name, value);
  }

  /** Returns `text` with the values in place of their names. Throws an Error for a name without one. */
  fill(text: string): string {
    return text.replace(/<([A-Z][A-Z-]*)>/g, (_, name: string) => {
      const value = this.#values.get(name);
      if (value === undefined) throw new Error(`nothing is called <${name}>`);
      return value;
    });
  }

  /** Returns `line` with names in place of the values, and of everything else that differs. */
  hide(line: string): string {
    let hidden = line;
    const longestFirst = [...this.#values].sort(([, a], [, b]) => b.length - a.length);
    for (const [name, value] of longestFirst) {
      // A port is no part of a longer number.
      const literal = value.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
      hidden = hidden.replace(
        new RegExp(/^\d+$/.test(value) ? `(?<!\\d)${literal}(?!\\d)` : literal, "g"),
        `<${name}>`,
      );
      if (value.startsWith("z6Mk")) {
        hidden = hidden.replaceAll(`${value.slice(0, 12)}…`, `<${name}…>`);
      }
    }
    for (const [pattern, replacement] of VARYING) hidden = hidden.replace(pattern, replacement);
    // Clocks are compared across two processes: a busy machine adds some tenths of a second.
    return hidden.replace(
      /\b(differ by )(\d+\.\d+)/g,
      (_, words: string, seconds: string) => words + Math.round(Number(seconds)),
    );
  }
}

const VARYING: readonly (readonly [RegExp, string])[] = [
  [/z6Mk[1-9A-HJ-NP-Za-km-z]{44}/g, "<PEER-ID>"],
  [/z6Mk[1-9A-HJ-NP-Za-km-z]{8}…/g, "<PEER-ID…>"],
  [/\b(pid[=" :]+)\d+/g, "$1<PID>"],
  [/\b(after_ms=)\d+/g, "$1<MS>"],
  [/\bprocess \d+/g, "process <PID>"],
  [/\bnone of the \d+ directories/g, "none of the <N> directories"],
  [/\bkill \d+/g, "kill <PID>"],
  [/\b(127\.0\.0\.1:)\d{4,5}\b/g, "$1<PORT>"],
  [/\b(port )\d{4,5}\b/g, "$1<PORT>"],
  [/("round_trip_ms":)\d+/g, "$1<N>"],
  [/\b\d+ s ago\b/g, "<N> s ago"],
  [/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/g, "<TIME>"],
];

/** Returns `lines` with each run of lines that differ in numbers alone as its first and `…`. */
export function withoutRepetitions(lines: readonly string[]): string[] {
  const kept: string[] = [];
  let last = "";
  for (const line of lines) {
    const shape = line.replace(/\d+/g, "0");
    if (shape !== last) kept.push(line);
    else if (kept.at(-1) !== "! …") kept.push("! …");
    last = shape;
  }
  return kept;
}
