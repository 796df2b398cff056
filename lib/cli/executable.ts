/** Whether a path is a program that can be started: one of the thin executors. */

/** Tells whether `path` is a file; on POSIX, one that somebody may execute. */
export function isExecutable(path: string): boolean {
  try {
    const info = Deno.statSync(path);
    return info.isFile && (info.mode === null || (info.mode & 0o111) !== 0);
  } catch {
    return false; // not there, or not ours to look at: not a program for us
  }
}
