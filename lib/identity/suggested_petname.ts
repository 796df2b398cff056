/**
 * A petname for a peer that says what it is called: made from that, safe to type and to show, and not taken. Pure.
 *
 * What a peer calls itself decides nothing: the name stands for its Peer ID, and who has a name here keeps it.
 */

import { MAX_NAME_BYTES } from "../limits.ts";
import { utf8 } from "../bytes.ts";
import { INVITE_NAME } from "./invites.ts";
import { parsePetname, type Petname } from "./names.ts";
import { PEER_ID_START, type PeerId } from "./peer_id.ts";

/** How many characters of a Peer ID make a name, where a peer has none that could be used. */
const PEER_CHARACTERS = 6;

/** Room for what makes a name another one: `-999`. */
const SUFFIX_BYTES = 4;

/** Returns a petname like `called` that none of `taken` looks like, in whatever case. */
export function suggestedPetname(called: string, peer: PeerId, taken: readonly string[]): Petname {
  const base = shortened(safe(called)) ||
    `peer-${
      peer.slice(PEER_ID_START.length, PEER_ID_START.length + PEER_CHARACTERS).toLowerCase()
    }`;
  const used = new Set(taken.map(folded));
  for (let count = 1;; count++) {
    const name = count === 1 ? base : `${base}-${count}`;
    if (!used.has(folded(name))) return parsePetname(name);
  }
}

/** Keeps letters, digits and marks of every script, and what names have between them; a hyphen for all else. */
function safe(text: string): string {
  const name = text.normalize("NFKC").replace(/\p{Default_Ignorable_Code_Point}/gu, "")
    .replace(/[^\p{L}\p{N}\p{M}._-]+/gu, "-").replace(/^[\p{M}._-]+|[._-]+$/gu, "");
  const isTakenForOther = name.startsWith(PEER_ID_START) || INVITE_NAME.test(name);
  return isTakenForOther ? "" : name;
}

function shortened(name: string): string {
  let short = "";
  for (const character of name) {
    if (utf8(short + character).length > MAX_NAME_BYTES - SUFFIX_BYTES) break;
    short += character;
  }
  return short.normalize("NFC");
}

function folded(name: string): string {
  return name.normalize("NFKC").toLowerCase();
}
