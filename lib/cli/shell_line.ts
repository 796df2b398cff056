/** Words as a line that a shell takes: what is printed to be pasted. */

import type { OperatingSystem } from "../identity/file_path.ts";
import { quotedPath } from "../identity/file_permissions.ts";

/** Returns `words` as a shell of the system takes them. */
export function shellLine(os: OperatingSystem, words: readonly string[]): string {
  return words.map((word) => os === "windows" ? quotedForWindows(word) : quotedPath(word)).join(
    " ",
  );
}

function quotedForWindows(word: string): string {
  return /^[A-Za-z0-9_.\\/:+@%,=~-]+$/.test(word) ? word : `"${word.replaceAll('"', '\\"')}"`;
}
