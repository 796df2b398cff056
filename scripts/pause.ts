/** Waiting for a moment, in programs that no test moves the clock of. */

/** Resolves in `ms` milliseconds; as soon as may be when that is negative. */
export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
