/**
 * How a child and everything it started are told to end, per system. Pure.
 *
 * On Linux and macOS a child leads its own process group, and a signal to the group reaches what it
 * started unless that left the group. Windows has no such groups: `taskkill /T` walks the tree, and there
 * is no polite form that a console program would hear, so the first step is the last. There a child stays
 * attached: a detached one has no console, so every console program it starts opens a window, and it is
 * outside the job object by which Windows ends children together with their parent.
 */

/** What to do. */
export type TreeSignal =
  /** Send `signal` to process group `group`, a positive number. */
  | { readonly how: "group"; readonly group: number; readonly signal: "SIGTERM" | "SIGKILL" }
  /** Run this program. */
  | { readonly how: "command"; readonly argv: readonly [string, ...string[]] };

/** What {@link treeSignal} needs to know. */
export interface TreeFacts {
  /** The child's process id. */
  readonly pid: number;
  /** Whether the child itself has not ended yet. */
  readonly childRuns: boolean;
  /** Not asking first. */
  readonly force: boolean;
  /** Where Windows lies: `%SystemRoot%`. */
  readonly systemRoot?: string | undefined;
}

/**
 * Returns how the tree under a child is ended on `os`; null when there is no way. A group outlives the
 * child that led it. A tree does not: once the child is gone, Windows may give its id to somebody else.
 */
export function treeSignal(os: string, facts: TreeFacts): TreeSignal | null {
  const { pid, childRuns, force, systemRoot = "C:\\Windows" } = facts;
  if (os !== "windows") return { how: "group", group: pid, signal: force ? "SIGKILL" : "SIGTERM" };
  if (!childRuns) return null;
  // By its full path: a program of that name in the current directory is not meant.
  const taskkill = `${systemRoot}\\System32\\taskkill.exe`;
  return { how: "command", argv: [taskkill, "/T", "/F", "/PID", String(pid)] };
}

/** Tells whether a child on `os` leads a process group of its own: `detached` of `Deno.Command`. */
export function leadsGroup(os: string): boolean {
  return os !== "windows";
}
