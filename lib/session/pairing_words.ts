/**
 * Three words that both ends of a connection show, so that two people can compare them over another channel.
 *
 * They are 33 bits of a hash of the handshake, in which both ends have a part and the host's comes last: who
 * makes connections until the words are those of another one needs eight thousand million of them. Equal words say that what one
 * person started is what the other one sees; they are no secret.
 */

import { utf8 } from "../bytes.ts";
import { sha256 } from "../crypto/sha256.ts";
import { Label } from "../wire/labels.ts";
import { WORDS } from "./word_list.ts";

/** How many words are compared. */
const WORD_COUNT = 3;

/** What a word stands for, in bits: the list has 2^11. */
const WORD_BITS = 11n;

const NUL = Uint8Array.of(0);

/** Returns the words for a handshake, from its 32-byte hash. */
export function pairingWords(handshakeHash: Uint8Array): readonly string[] {
  const digest = sha256(utf8(Label.pairingWords), NUL, handshakeHash);
  const bits = BigInt(`0x${digest.toHex()}`) >> (8n * BigInt(digest.length) - 64n);
  return Array.from({ length: WORD_COUNT }, (_, at) => {
    const word = (bits >> (64n - WORD_BITS * BigInt(at + 1))) & (2n ** WORD_BITS - 1n);
    return WORDS[Number(word)] ?? "";
  });
}
