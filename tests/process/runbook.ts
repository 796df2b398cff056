/**
 * Reads a runbook: Markdown whose fenced blocks say what is typed on which machine.
 *
 *     ```console                     every command runs to its end; what is expected stands below it
 *     ```console running             the command runs on once it has printed what is expected
 *     ```console checkout            typed in a checkout of Talos
 *     ```console not run: REASON     only read
 *     ```json NAME MACHINE           a file of that name in the user's directory there; `client` is the
 *                                    configuration of an MCP client, which is started
 *
 * `<NAME>` stands for something that is known, or becomes known from what is printed. `…` is anything.
 * Pure.
 */

/** Something that is typed, and lines that it prints among others. */
export interface Command {
  readonly machine: string;
  readonly typed: string;
  readonly expected: readonly string[];
}

/** A fenced block. */
export type Block =
  & {
    /** The heading that it stands below. */
    readonly section: string;
    /** The line of the document on which it begins. */
    readonly line: number;
  }
  & (
    | {
      readonly kind: "commands";
      readonly where: "home" | "checkout";
      readonly commands: Command[];
    }
    | { readonly kind: "running"; readonly commands: Command[] }
    | { readonly kind: "not run"; readonly reason: string; readonly commands: Command[] }
    | {
      readonly kind: "file";
      readonly name: string;
      readonly machine: string;
      readonly text: string;
    }
    | { readonly kind: "other"; readonly language: string }
  );

const FENCE = /^```(.*)$/;
const PROMPT = /^(\w+)\$ (.*)$/;

/** Returns the blocks of a runbook. Throws Error for one that it does not understand. */
export function parseRunbook(text: string): Block[] {
  const blocks: Block[] = [];
  let section = "";
  let open: { readonly info: string; readonly line: number; readonly lines: string[] } | undefined;
  for (const [index, line] of text.split("\n").entries()) {
    const fence = FENCE.exec(line);
    if (fence !== null && open === undefined) {
      open = { info: fence[1] ?? "", line: index + 1, lines: [] };
    } else if (fence !== null && open !== undefined) {
      blocks.push(blockOf(section, open));
      open = undefined;
    } else if (open !== undefined) {
      open.lines.push(line);
    } else {
      section = /^## (.*)$/.exec(line)?.[1] ?? section;
    }
  }
  if (open !== undefined) throw new Error(`the block of line ${open.line} does not end`);
  return blocks;
}

function blockOf(
  section: string,
  { info, line, lines }: {
    readonly info: string;
    readonly line: number;
    readonly lines: readonly string[];
  },
): Block {
  const at = { section, line };
  const [language = "", ...words] = info.split(" ");
  const rest = words.join(" ");
  if (language === "json") {
    const [name = "", machine = ""] = words;
    return { ...at, kind: "file", name, machine, text: lines.join("\n") + "\n" };
  }
  if (language !== "console") return { ...at, kind: "other", language };
  const commands = commandsOf(line, lines);
  if (rest.startsWith("not run: ")) {
    return { ...at, kind: "not run", reason: rest.slice("not run: ".length), commands };
  }
  switch (rest) {
    case "":
      return { ...at, kind: "commands", where: "home", commands };
    case "checkout":
      return { ...at, kind: "commands", where: "checkout", commands };
    case "running":
      return { ...at, kind: "running", commands };
    default:
      throw new Error(`line ${line}: nobody knows what "${info}" is`);
  }
}

function commandsOf(line: number, lines: readonly string[]): Command[] {
  const commands: (Command & { readonly expected: string[] })[] = [];
  for (const text of lines) {
    const [prompt, machine = "", typed = ""] = PROMPT.exec(text) ?? [];
    if (prompt !== undefined) commands.push({ machine, typed, expected: [] });
    else if (commands.length === 0) throw new Error(`line ${line}: no command is typed`);
    else commands.at(-1)?.expected.push(text);
  }
  return commands;
}

/** What the angle brackets of a runbook stand for. */
export class Known {
  readonly #values: Map<string, string>;

  /** Begins with what is known beforehand. */
  constructor(values: Readonly<Record<string, string>>) {
    this.#values = new Map(Object.entries(values));
  }

  /** Returns what a name stands for. Throws Error for one that nothing has told. */
  value(name: string): string {
    const value = this.#values.get(name);
    if (value === undefined) throw new Error(`nobody knows what <${name}> is`);
    return value;
  }

  /** Returns `text` with values in place of their names. Throws Error for a name without one. */
  fill(text: string): string {
    return text.replace(/<([A-Z][A-Z_]*)>/g, (_, name: string) => this.value(name));
  }

  /**
   * Returns the expected lines that are not among those that were printed, each of which stands for one
   * at most; learns what unknown names in the others stand for.
   */
  missing(expected: readonly string[], printed: string): string[] {
    const left = printed.split("\n").map((line) => line.trimEnd());
    return expected.filter((line) => {
      if (line === "…") return false;
      const { pattern, names } = this.#pattern(line);
      for (const [index, candidate] of left.entries()) {
        const found = pattern.exec(candidate);
        if (found === null) continue;
        names.forEach((name, i) => this.#values.set(name, found[i + 1] ?? ""));
        left.splice(index, 1);
        return false;
      }
      return true;
    });
  }

  #pattern(line: string): { readonly pattern: RegExp; readonly names: readonly string[] } {
    const names: string[] = [];
    const source = line.split(/(…|<[A-Z][A-Z_]*>)/).map((part) => {
      if (part === "…") return ".*";
      const name = /^<(.*)>$/.exec(part)?.[1];
      if (name === undefined) return literally(part);
      const value = this.#values.get(name);
      if (value !== undefined) return literally(value);
      names.push(name);
      return name.endsWith("_ID") ? "(z6Mk[1-9A-HJ-NP-Za-km-z]{44})" : "(\\S+)";
    });
    return { pattern: new RegExp(`^${source.join("")}$`), names };
  }
}

function literally(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}
