/**
 * Words of a registry or of a peer in a sentence of ours: quoted and cut, so that nobody, an agent least of
 * all, takes them for what Talos says.
 */

import { printable } from "../log.ts";

/** The longest text of a remote in an error, in characters: a sentence, not a page of instructions. */
export const MAX_REMOTE_TEXT_CHARACTERS = 160;

/** Returns text of a remote in double quotes, printable, quotes in it escaped, cut at 160 characters. */
export function quoted(text: string): string {
  return JSON.stringify(printable(text, MAX_REMOTE_TEXT_CHARACTERS));
}
