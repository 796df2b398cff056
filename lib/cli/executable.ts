/** What a path of the command line is: one of the thin executors. */

/** Tells whether `path` is a file; on POSIX, one that somebody may execute. */
export function isExecutable(path: string): boolean {
  try {
    const info = Deno.statSync(path);
    return info.isFile && (info.mode === null || (info.mode & 0o111) !== 0);
  } catch {
    return false; // not there, or not ours to look at: not a program for us
  }
}

/** Returns the full path of the directory at `path`, its links resolved; null when there is none. */
export function directoryAt(path: string): string | null {
  try {
    const real = Deno.realPathSync(path);
    return Deno.statSync(real).isDirectory ? real : null;
  } catch {
    return null; // not there, or not ours to look at
  }
}
