/**
 * Finds the program that a command names, as the system's shell would, and says how to start it.
 *
 * Windows can start only .exe and .com files; .cmd and .bat scripts (npx is one) run under cmd.exe, which
 * reads its arguments as a language of its own. No quoting is safe for all of that language (BatBadBut,
 * CVE-2024-24576), because a script may read its arguments a second time. So an argument that holds any
 * character with a meaning there is refused; everything else is quoted. The current directory is not
 * searched, and names that Windows would rewrite before it opens them are refused.
 */

import { McpError } from "./errors.ts";

/** The system's name, as in `Deno.build.os`. Everything but `windows` follows POSIX. */
export type OperatingSystem = typeof Deno.build.os;

/** What is asked about the file system. */
export interface ProgramFacts {
  /** Tells whether `path` is a file; on POSIX, one that may be executed. */
  exists(path: string): boolean;
}

/** How to start a program. */
export interface StartableCommand {
  /** The program's full path (or cmd.exe's) and its arguments. */
  readonly argv: readonly [string, ...string[]];
  /**
   * Whether the arguments are quoted already and have to reach the command line as they are:
   * `windowsRawArguments` of `Deno.Command`. Only for scripts under cmd.exe.
   */
  readonly rawArguments: boolean;
}

/** What PATH is when there is none: the POSIX default. */
const DEFAULT_PATH = "/usr/bin:/bin";

/** The kinds of files that can be started on Windows, in the order in which they are looked for. */
const DEFAULT_PATHEXT = ".COM;.EXE;.BAT;.CMD";
const STARTABLE: ReadonlySet<string> = new Set([".com", ".exe", ".bat", ".cmd"]);
/** With a drive and a root, or a share: what does not depend on the current directory. */
const ABSOLUTE_WINDOWS = /^([A-Za-z]:)?[\\/]/;
const SCRIPTS: ReadonlySet<string> = new Set([".bat", ".cmd"]);

/**
 * Returns how to start `words`, a program and its arguments, with the variables `env` and in the directory
 * `cwd`, which is absolute. A name without a directory is looked for on PATH. Throws McpError
 * `empty_command`, `command_not_found`, `program_type` for a file that cannot be started, and
 * `unquotable_argument` for an argument that a script cannot be given safely.
 */
export function resolveProgram(
  os: OperatingSystem,
  env: Readonly<Record<string, string>>,
  facts: ProgramFacts,
  words: readonly string[],
  cwd: string,
): StartableCommand {
  const [program, ...args] = words;
  if (program === undefined || program === "") {
    throw new McpError("empty_command", "Cannot start the MCP server: the command is empty", {
      hints: ["give it with --command or behind --"],
    });
  }
  for (const word of words) {
    if (word.includes("\0")) {
      throw new McpError(
        "unquotable_argument",
        "Cannot start the MCP server: an argument holds NUL",
      );
    }
  }
  if (os === "windows") return resolveWindows(env, facts, program, args, cwd);
  return { argv: [resolvePosix(env, facts, program, cwd), ...args], rawArguments: false };
}

function resolvePosix(
  env: Readonly<Record<string, string>>,
  facts: ProgramFacts,
  program: string,
  cwd: string,
): string {
  const absolute = (path: string) => path.startsWith("/") ? path : joinPath(cwd, path, "/");
  if (program.includes("/")) {
    const path = absolute(program);
    if (facts.exists(path)) return path;
    throw notFound(program, `${path} is no program`, `ls -l ${path}`);
  }
  const directories = (env["PATH"] ?? DEFAULT_PATH).split(":");
  for (const directory of directories) {
    // An empty entry is the current directory (POSIX.1-2024, Base Definitions, 8.3).
    const path = absolute(joinPath(directory === "" ? cwd : directory, program, "/"));
    if (facts.exists(path)) return path;
  }
  const why = `none of the ${directories.length} directories of PATH has it`;
  throw notFound(program, why, `command -v ${program}`);
}

function resolveWindows(
  env: Readonly<Record<string, string>>,
  facts: ProgramFacts,
  program: string,
  args: readonly string[],
  cwd: string,
): StartableCommand {
  refuseRewrittenName(program);
  const path = findWindows(env, facts, program, cwd);
  const extension = extensionOf(path);
  if (!STARTABLE.has(extension)) {
    throw new McpError(
      "program_type",
      `Cannot start ${path}: Windows starts only .exe, .com, .cmd and .bat files`,
      { hints: ["name the program that runs it first, as in: node server.js"] },
    );
  }
  if (!SCRIPTS.has(extension)) return { argv: [path, ...args], rawArguments: false };
  const shell = windowsVariable(env, "ComSpec") ??
    `${windowsVariable(env, "SystemRoot") ?? "C:\\Windows"}\\System32\\cmd.exe`;
  const command = [path, ...args].map(quoteForScript).join(" ");
  // /d: no AutoRun commands; /s: take off exactly the outer quotes; /c: run and end.
  return { argv: [shell, "/d", "/s", "/c", `"${command}"`], rawArguments: true };
}

function findWindows(
  env: Readonly<Record<string, string>>,
  facts: ProgramFacts,
  program: string,
  cwd: string,
): string {
  const extensions = (windowsVariable(env, "PATHEXT") ?? DEFAULT_PATHEXT)
    .split(";")
    .map((extension) => extension.trim().toLowerCase())
    .filter((extension) => STARTABLE.has(extension));
  const named = STARTABLE.has(extensionOf(program));
  const candidates = named
    ? [program, ...extensions.map((extension) => program + extension)]
    : extensions.map((extension) => program + extension);
  if (/[\\/:]/.test(program)) {
    const whole = (path: string) =>
      /^([A-Za-z]:|[\\/])/.test(path) ? path : joinPath(cwd, path, "\\");
    const found = candidates.map(whole).find((path) => facts.exists(path));
    if (found !== undefined) return found;
    const path = whole(program);
    // A file of another kind: said by its name, not as missing.
    if (facts.exists(path)) return path;
    throw notFound(program, `${path} is no program`, `dir ${path}`);
  }
  const directories = (windowsVariable(env, "Path") ?? "")
    .split(";")
    .map((directory) => directory.trim().replaceAll('"', ""))
    .filter((directory) => ABSOLUTE_WINDOWS.test(directory));
  for (const directory of directories) {
    for (const candidate of candidates) {
      const path = joinPath(directory, candidate, "\\");
      if (facts.exists(path)) return path;
    }
  }
  const why = `none of the ${directories.length} directories of PATH has it`;
  throw notFound(program, why, `where ${program}`);
}

/** Windows drops trailing dots and blanks, and takes what follows a colon for a stream of the file. */
function refuseRewrittenName(program: string): void {
  if (!/[. ]$/.test(program) && !/^.{2,}:/s.test(program)) return;
  throw new McpError(
    "program_type",
    `Cannot start ${program}: Windows would open a file of another name`,
    { hints: ["write the program's name as the directory lists it"] },
  );
}

/** What cmd.exe, or a script that reads its arguments again, takes for more than a character. */
const MEANINGFUL = /[%!"^&|<>`\p{Cc}]/u;

/** Returns `word` in quotes, as cmd.exe, a script and the program behind it all read it. */
function quoteForScript(word: string): string {
  const match = MEANINGFUL.exec(word);
  // Backslashes before the closing quote are doubled for the program behind the script.
  if (match === null) return `"${word.replace(/\\+$/, "$&$&")}"`;
  const code = match[0].charCodeAt(0);
  const found = code < 0x20 || code >= 0x7f
    ? `U+${code.toString(16).toUpperCase().padStart(4, "0")}`
    : match[0];
  throw new McpError(
    "unquotable_argument",
    `Cannot run a .cmd or .bat script: a word of the command holds ${found}, which cmd.exe may act upon`,
    {
      hints: [
        "start the program behind the script instead, as in: node C:\\path\\to\\server.js",
        "or put the value into a variable: --env NAME=VALUE",
      ],
    },
  );
}

function extensionOf(path: string): string {
  const name = path.slice(Math.max(path.lastIndexOf("\\"), path.lastIndexOf("/")) + 1);
  const dot = name.lastIndexOf(".");
  return dot < 0 ? "" : name.slice(dot).toLowerCase();
}

/** Returns the variable `name`, in whatever case it is written. */
function windowsVariable(env: Readonly<Record<string, string>>, name: string): string | undefined {
  const wanted = name.toUpperCase();
  for (const [key, value] of Object.entries(env)) if (key.toUpperCase() === wanted) return value;
  return undefined;
}

function joinPath(directory: string, name: string, separator: string): string {
  const clean = name.startsWith(`.${separator}`) ? name.slice(2) : name;
  return /[\\/]$/.test(directory) ? directory + clean : directory + separator + clean;
}

/** @param look What shows a person whether it is there. */
function notFound(program: string, why: string, look: string): McpError {
  return new McpError("command_not_found", `Cannot find ${program}: ${why}`, {
    hints: [`see whether it is there and may be run: ${look}`, "or name it by its full path"],
  });
}
