/**
 * Whether Claude Desktop runs: one that does writes its configuration from memory now and then and at its end,
 * and what was added meanwhile is gone. Other clients leave their files alone.
 *
 * Which process is Claude Desktop is decided by {@link isClaudeDesktop}, which is pure; it is easily mistaken for
 * Claude Code, whose program is called `claude`.
 */

import type { OperatingSystem } from "../../identity/file_path.ts";
import { splitPath } from "../../identity/file_path.ts";

/** What is known of a process. */
export interface ProcessFacts {
  /** Its id. */
  readonly pid: number;
  /** Its name: on Linux the first 15 characters of its program's name, on Windows its program's path. */
  readonly name: string;
  /** Its command line, where that is known. */
  readonly words: readonly string[];
}

/** Tells whether a process is Claude Desktop. */
export function isClaudeDesktop(os: OperatingSystem, { name, words }: ProcessFacts): boolean {
  switch (os) {
    case "darwin":
      return name === "Claude";
    case "windows":
      return /\\(?:AnthropicClaude|WindowsApps\\Claude_[^\\]*)\\(?:.*\\)?claude\.exe$/i.test(name);
    default: {
      const [, program] = splitPath(os, words[0] ?? "");
      return [name, program].some((one) => one === "claude-desktop" || one === "Claude") ||
        words.some((word) => /\/claude-desktop\/(?:.*\/)?app\.asar$/.test(word));
    }
  }
}

/** Returns the ids of the user's processes that are Claude Desktop; null when that cannot be told. */
export async function runningClaudeDesktop(os: OperatingSystem): Promise<readonly number[] | null> {
  try {
    const processes = os === "linux" ? linuxProcesses() : await listedProcesses(os);
    return processes.filter((process) => isClaudeDesktop(os, process)).map(({ pid }) => pid);
  } catch {
    return null; // no such program, or not ours to look at
  }
}

/** Returns what the program that lists processes prints, as facts. Lines: an id, a space, a name. */
export function parseProcessList(output: string): ProcessFacts[] {
  return output.split(/\r?\n/).flatMap((line) => {
    const [, pid = "", name = ""] = /^\s*(\d+)\s+(.*\S)\s*$/.exec(line) ?? [];
    return pid === "" ? [] : [{ pid: Number(pid), name, words: [] }];
  });
}

const LISTERS: Readonly<Record<"darwin" | "windows", readonly [string, ...string[]]>> = {
  darwin: ["/usr/bin/pgrep", "-l", "-x", "Claude"],
  windows: [
    "powershell.exe",
    "-NoProfile",
    "-Command",
    'Get-Process -Name claude -ErrorAction SilentlyContinue | ForEach-Object { "$($_.Id) $($_.Path)" }',
  ],
};

async function listedProcesses(os: OperatingSystem): Promise<ProcessFacts[]> {
  const [program, ...args] = LISTERS[os === "windows" ? "windows" : "darwin"];
  const { stdout } = await new Deno.Command(program, { args, stdin: "null", stderr: "null" })
    .output();
  return parseProcessList(new TextDecoder().decode(stdout));
}

function linuxProcesses(): ProcessFacts[] {
  const uid = Deno.uid();
  const found: ProcessFacts[] = [];
  for (const { name: id } of Deno.readDirSync("/proc")) {
    if (!/^\d+$/.test(id)) continue;
    try {
      if (Deno.statSync(`/proc/${id}`).uid !== uid) continue;
      const name = Deno.readTextFileSync(`/proc/${id}/comm`).trimEnd();
      const words = Deno.readTextFileSync(`/proc/${id}/cmdline`).split("\0");
      found.push({ pid: Number(id), name, words });
    } catch (error) {
      if (error instanceof Deno.errors.NotCapable) throw error;
      // It has ended meanwhile, or it is not ours to look at.
    }
  }
  return found;
}
