/**
 * How a child ended, and how that is read from a program that ran it and waited for it. Pure.
 */

/** How a child ended. */
export interface ChildExit {
  /** Its exit status. */
  readonly code: number;
  /** The signal that ended it, or null. */
  readonly signal: string | null;
}

/** The signals of Linux, by number, that end a process. */
const SIGNALS: ReadonlyMap<number, string> = new Map([
  [1, "SIGHUP"],
  [2, "SIGINT"],
  [3, "SIGQUIT"],
  [4, "SIGILL"],
  [5, "SIGTRAP"],
  [6, "SIGABRT"],
  [7, "SIGBUS"],
  [8, "SIGFPE"],
  [9, "SIGKILL"],
  [10, "SIGUSR1"],
  [11, "SIGSEGV"],
  [12, "SIGUSR2"],
  [13, "SIGPIPE"],
  [14, "SIGALRM"],
  [15, "SIGTERM"],
  [24, "SIGXCPU"],
  [25, "SIGXFSZ"],
  [31, "SIGSYS"],
]);

/**
 * Returns how a server ended whose reaper ended with `status`. A server that exits by itself with 128 + n is
 * taken for one that signal n ended, which is what it says.
 */
export function exitOf({ code, signal }: ChildExit): ChildExit {
  return { code, signal: signal ?? SIGNALS.get(code - 128) ?? null };
}
