import assert from "node:assert/strict";

import { pairingWords } from "../../lib/session/pairing_words.ts";
import { WORDS } from "../../lib/session/word_list.ts";

Deno.test("WORDS has 2,048 words that differ in their first four letters, in order", () => {
  assert.equal(WORDS.length, 2048);
  assert.equal(new Set(WORDS.map((word) => word.slice(0, 4))).size, 2048);
  assert.deepEqual([...WORDS].sort(), WORDS);
  assert.ok(WORDS.every((word) => /^[a-z]{3,8}$/.test(word)));
  assert.deepEqual([WORDS[0], WORDS[1024], WORDS[2047]], ["abandon", "length", "zoo"]);
});

Deno.test("pairingWords() is the same three words for the same handshake, and others for another", () => {
  assert.deepEqual(pairingWords(new Uint8Array(32)), ["prevent", "peasant", "estate"]);
  assert.deepEqual(pairingWords(new Uint8Array(32).fill(1)), ["behave", "purchase", "tobacco"]);
});

Deno.test("pairingWords() uses the whole list", () => {
  const seen = new Set<string>();
  for (let round = 0; round < 4_000; round++) {
    const hash = new Uint8Array(32);
    new DataView(hash.buffer).setUint32(0, round);
    for (const word of pairingWords(hash)) seen.add(word);
  }
  assert.ok(seen.size > 2_000, `${seen.size} of 2,048 words`);
});
