/** Lines on stdout and stderr, written at once: one of the thin executors. */

import { utf8 } from "./bytes.ts";

/** Something that takes bytes at once, such as `Deno.stdout`. */
export interface SyncWriter {
  /** Writes at least one byte and returns how many. */
  writeSync(bytes: Uint8Array): number;
}

/** Writes `text` and a line feed, whole. A reader that has gone, as in `talos help | head -1`, is no error. */
export function printLine(to: SyncWriter, text: string): void {
  const bytes = utf8(text + "\n");
  try {
    for (let at = 0; at < bytes.length;) at += to.writeSync(bytes.subarray(at));
  } catch (error) {
    // Nobody misses the rest.
    if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
  }
}

/**
 * Writes a line of a log as far as that works. A full disk behind stderr, or a terminal that was closed,
 * must not end what the log only tells about.
 */
export function printLogLine(to: SyncWriter, text: string): void {
  try {
    printLine(to, text);
  } catch {
    // There is no place left to say so.
  }
}
