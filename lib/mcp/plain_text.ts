/**
 * What a child prints, as text for a log: without colours and other escape sequences of terminals, without
 * control characters, bounded. Never throws, whatever the bytes are.
 */

import { fromUtf8Lossy } from "../bytes.ts";
import { printable } from "../log.ts";

/** CSI sequences (colours, cursor) and OSC strings (titles, links) of ECMA-48. */
// deno-lint-ignore no-control-regex -- they begin with ESC
const ESCAPE_SEQUENCES = /\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\))/g;

/** Returns the text of `bytes`, one line, at most `limit` characters; what is cut off shows as `…`. */
export function plainText(bytes: Uint8Array, limit: number): string {
  const text = fromUtf8Lossy(bytes).replace(ESCAPE_SEQUENCES, "").replace(/\r$/, "");
  return printable(text, limit);
}
