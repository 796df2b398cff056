/**
 * Splits a command line, the text of `--command`, into words. No shell ever runs.
 *
 * POSIX: what is accepted is split exactly as `sh` splits it (POSIX.1-2024, Shell Command Language, 2.2 and
 * 2.6), quotes and backslashes included. Where a shell would do more than split (operators, expansions,
 * patterns, comments, assignments) there is an error that says how to write it instead: words that mean
 * something else than they seem to are worse than a refusal.
 *
 * Windows: the rules of CommandLineToArgvW and of the C runtime since 2008, which differ from older ones
 * in that `""` inside quotes is a quote and does not end them. `%NAME%` and operators are plain characters.
 */

import { McpError } from "./errors.ts";

/** What a POSIX shell acts upon unquoted, apart from `$`, `~` and `#`, which depend on their place. */
const OPERATORS: ReadonlyMap<string, string> = new Map([
  ["|", "a pipe"],
  ["&", "an operator"],
  [";", "an operator"],
  ["<", "a redirection"],
  [">", "a redirection"],
  ["(", "an operator"],
  [")", "an operator"],
  ["`", "a command substitution"],
  ["*", "a file name pattern"],
  ["?", "a file name pattern"],
  ["[", "a file name pattern"],
  ["\n", "a line break"],
]);

/** A backslash before a line break: a shell joins the lines, even in the middle of `$NAME`. */
const CONTINUATION = "a line continuation";

/** What behind `$` makes an expansion, in POSIX shells and in bash. */
const EXPANDS = /^\$[A-Za-z0-9_@*#?$!({'"-]/;
const EXPANDS_IN_QUOTES = /^\$[A-Za-z0-9_@*#?$!({[-]/;

/** An assignment before the program, as in `KEY=value program`. */
const ASSIGNMENT = /^[A-Za-z_][A-Za-z0-9_]*=/;

/**
 * Returns the words of `text` as a POSIX shell makes them; none for blank text. Throws McpError
 * `unterminated_quote`, `shell_syntax` for what only a shell could carry out, `unquotable_argument` for NUL.
 */
export function splitPosix(text: string): string[] {
  refuseNul(text);
  const words: string[] = [];
  /** The word that is being read; null between words, where "" is a word of its own. */
  let word: string | null = null;
  let at = 0;
  while (at < text.length) {
    const character = text.charAt(at);
    if (character === " " || character === "\t") {
      if (word !== null) words.push(word);
      word = null;
      at++;
    } else if (character === "'") {
      const end = text.indexOf("'", at + 1);
      if (end < 0) throw unterminated("single quote", at);
      word = (word ?? "") + text.slice(at + 1, end);
      at = end + 1;
    } else if (character === '"') {
      const [content, end] = doubleQuoted(text, at);
      word = (word ?? "") + content;
      at = end;
    } else if (character === "\\") {
      if (at + 1 === text.length) throw unterminated("backslash", at);
      if (text.charAt(at + 1) === "\n") throw shellSyntax(text, at + 1, CONTINUATION);
      word = (word ?? "") + text.charAt(at + 1);
      at += 2;
    } else {
      refuseShellSyntax(text, at, word === null);
      if (words.length === 0 && word === null) refuseAssignment(text, at);
      word = (word ?? "") + character;
      at++;
    }
  }
  if (word !== null) words.push(word);
  return words;
}

/** Reads the double-quoted text whose quote is at `start`; returns it and the index behind it. */
function doubleQuoted(text: string, start: number): [content: string, end: number] {
  let content = "";
  let at = start + 1;
  while (at < text.length) {
    const character = text.charAt(at);
    if (character === '"') return [content, at + 1];
    if (character === "`") throw shellSyntax(text, at, "a command substitution");
    if (character === "$" && EXPANDS_IN_QUOTES.test(text.slice(at, at + 2))) {
      throw shellSyntax(text, at, "an expansion");
    }
    if (character !== "\\") {
      content += character;
      at++;
      continue;
    }
    const next = text.charAt(at + 1);
    if (next === "\n") throw shellSyntax(text, at + 1, CONTINUATION);
    if (next === "$" || next === "`" || next === '"' || next === "\\") content += next;
    else content += character + next;
    at += 2;
  }
  throw unterminated("double quote", start);
}

function refuseShellSyntax(text: string, at: number, startsWord: boolean): void {
  const character = text.charAt(at);
  const operator = OPERATORS.get(character);
  if (operator !== undefined) throw shellSyntax(text, at, operator);
  if (character === "$" && EXPANDS.test(text.slice(at, at + 2))) {
    throw shellSyntax(text, at, "an expansion");
  }
  if (startsWord && character === "~") throw shellSyntax(text, at, "a home directory");
  if (startsWord && character === "#") throw shellSyntax(text, at, "a comment");
}

function refuseAssignment(text: string, at: number): void {
  const match = ASSIGNMENT.exec(text.slice(at));
  if (match === null) return;
  const name = match[0].slice(0, -1);
  throw new McpError(
    "shell_syntax",
    `Cannot split the command: it begins with an assignment to ${name}, which only a shell carries out`,
    {
      hints: [
        `pass the variable with --env ${name}=VALUE, or with --env ${name} if it is set here`,
      ],
    },
  );
}

function shellSyntax(text: string, at: number, what: string): McpError {
  const found = text.charAt(at) === "\n" ? "\\n" : text.charAt(at);
  const literally = text.charAt(at) === "~"
    ? "write the directory in full"
    : "put it in single quotes if it is meant literally: '" + found + "'";
  return new McpError(
    "shell_syntax",
    `Cannot split the command: ${found} at character ${
      at + 1
    } is ${what}, which only a shell carries out`,
    { hints: [literally, `run a shell if one is meant: --command "sh -c '…'"`] },
  );
}

function unterminated(what: string, at: number): McpError {
  return new McpError(
    "unterminated_quote",
    `Cannot split the command: the ${what} at character ${at + 1} has no end`,
    { hints: ["close the quote, or give the words one by one behind --"] },
  );
}

function refuseNul(text: string): void {
  const at = text.indexOf("\0");
  if (at < 0) return;
  throw new McpError("unquotable_argument", `Cannot use the command: character ${at + 1} is NUL`);
}

/**
 * Returns the words of `text` as a Windows program gets them; none for blank text. The first is the
 * program's name, in which a backslash never escapes. Throws McpError `unterminated_quote`, where Windows
 * would guess, and `unquotable_argument` for NUL.
 */
export function splitWindows(text: string): string[] {
  refuseNul(text);
  const words: string[] = [];
  let at = skipBlanks(text, 0);
  while (at < text.length) {
    const [word, end] = words.length === 0 ? windowsProgram(text, at) : windowsArgument(text, at);
    words.push(word);
    at = skipBlanks(text, end);
  }
  return words;
}

function isBlank(character: string): boolean {
  return character === " " || character === "\t";
}

function skipBlanks(text: string, at: number): number {
  while (at < text.length && isBlank(text.charAt(at))) at++;
  return at;
}

/** Reads the program's name: quotes only switch the meaning of blanks. */
function windowsProgram(text: string, start: number): [word: string, end: number] {
  let word = "";
  let quote = -1;
  let at = start;
  for (; at < text.length; at++) {
    const character = text.charAt(at);
    if (character === '"') quote = quote < 0 ? at : -1;
    else if (quote < 0 && isBlank(character)) break;
    else word += character;
  }
  if (quote >= 0) throw unterminated("double quote", quote);
  return [word, at];
}

function windowsArgument(text: string, start: number): [word: string, end: number] {
  let word = "";
  let quote = -1;
  let at = start;
  while (at < text.length) {
    let backslashes = 0;
    while (text.charAt(at) === "\\") {
      backslashes++;
      at++;
    }
    const character = text.charAt(at);
    if (character !== '"') {
      word += "\\".repeat(backslashes);
      if (at === text.length || (quote < 0 && isBlank(character))) break;
      word += character;
      at++;
      continue;
    }
    word += "\\".repeat(backslashes >> 1);
    if (backslashes % 2 === 1) {
      word += '"';
    } else if (quote >= 0 && text.charAt(at + 1) === '"') {
      word += '"';
      at++;
    } else {
      quote = quote < 0 ? at : -1;
    }
    at++;
  }
  if (quote >= 0) throw unterminated("double quote", quote);
  return [word, at];
}

/**
 * Returns the command line that {@link splitWindows} and every C runtime split into `words` again; the
 * first word is the program. Throws McpError `empty_command` without a program, and `unquotable_argument`
 * for NUL and for a quote in the program's name, which no rule can express.
 */
export function quoteWindows(words: readonly string[]): string {
  const [program, ...args] = words;
  if (program === undefined || program === "") {
    throw new McpError("empty_command", "Cannot quote the command: it has no program");
  }
  for (const word of words) refuseNul(word);
  if (program.includes('"')) {
    throw new McpError(
      "unquotable_argument",
      "Cannot quote the command: the program's name holds a quote",
    );
  }
  const first = /[ \t]/.test(program) ? `"${program}"` : program;
  return [first, ...args.map(quoteWindowsArgument)].join(" ");
}

/** Returns one argument as it stands behind the program in a Windows command line. */
export function quoteWindowsArgument(argument: string): string {
  if (argument !== "" && !/[ \t\n\v"]/.test(argument)) return argument;
  // Backslashes count only before a quote, the closing one included: there they are doubled.
  const escaped = argument.replace(/(\\*)"/g, '$1$1\\"').replace(/\\+$/, "$&$&");
  return `"${escaped}"`;
}
