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

/** Returns how the tree under `pid` is ended on `os`, by force or asking first. */
export function treeSignal(os: string, pid: number, force: boolean): TreeSignal {
  if (os === "windows") {
    return { how: "command", argv: ["taskkill", "/T", "/F", "/PID", String(pid)] };
  }
  return { how: "group", group: pid, signal: force ? "SIGKILL" : "SIGTERM" };
}

/** Tells whether a child on `os` leads a process group of its own: `detached` of `Deno.Command`. */
export function leadsGroup(os: string): boolean {
  return os !== "windows";
}
