/** Base58: the test vectors of draft-msporny-base58-03 §5, and its bounds. */

import assert from "node:assert/strict";
import { fromHex, utf8 } from "../../lib/bytes.ts";
import { decodeBase58, encodeBase58, foreignCharacter } from "../../lib/identity/base58.ts";
import { SeededRandom } from "../../scripts/seeded_random.ts";

const VECTORS = [
  [utf8("Hello World!"), "2NEpo7TZRRrLZSi2U"],
  [
    utf8("The quick brown fox jumps over the lazy dog."),
    "USm3fpXnKG5EUBx2ndxBDMPVciP5hGey2Jh4NDv6gmeo1LkMeiKrLJUUBk6Z",
  ],
  [fromHex("0000287fb4cd"), "11233QC4"],
  [fromHex(""), ""],
  [fromHex("00"), "1"],
  [fromHex("39"), "z"],
  [fromHex("3a"), "21"],
] as const;

for (const [bytes, text] of VECTORS) {
  Deno.test(`encodeBase58() and decodeBase58() agree with the vector "${text}"`, () => {
    assert.equal(encodeBase58(bytes), text);
    assert.deepEqual(decodeBase58(text), new Uint8Array(bytes));
  });
}

Deno.test("decodeBase58() gives back what encodeBase58() took, for seeded bytes of each length", () => {
  const random = new SeededRandom("base58");
  for (let length = 0; length <= 66; length++) {
    const bytes = random.bytes(length);
    // Half of the runs begin with zeros, which are digits of their own.
    if (length % 2 === 0) bytes.fill(0, 0, random.below(length + 1));
    assert.deepEqual(decodeBase58(encodeBase58(bytes)), bytes);
  }
});

Deno.test("encodeBase58() throws RangeError when there are 67 bytes", () => {
  assert.throws(() => encodeBase58(new Uint8Array(67)), RangeError);
});

Deno.test("decodeBase58() throws RangeError when there are 92 characters", () => {
  assert.throws(() => decodeBase58("1".repeat(92)), RangeError);
});

Deno.test("decodeBase58() throws SyntaxError when a character is foreign", () => {
  for (const text of ["0", "O", "I", "l", "a b", "ä", "constructor0"]) {
    assert.throws(() => decodeBase58(text), SyntaxError, text);
  }
});

Deno.test("foreignCharacter() gives the first foreign index, or -1", () => {
  assert.equal(foreignCharacter("abc0O"), 3);
  assert.equal(foreignCharacter("l"), 0);
  assert.equal(foreignCharacter("z6Mk"), -1);
});
