import assert from "node:assert/strict";
import { isUtf8 } from "node:buffer";

import { type Bytes, utf8 } from "../../lib/bytes.ts";
import { validPrefix } from "../../lib/mcp/strict.ts";
import { SeededRandom } from "../../scripts/seeded_random.ts";

/** The longest beginning that is valid, by trying them all. */
function longestValid(line: Bytes): number {
  let longest = 0;
  for (let end = 1; end <= line.length; end++) if (isUtf8(line.subarray(0, end))) longest = end;
  return longest;
}

Deno.test("validPrefix() returns where the first invalid sequence begins", () => {
  const cases: readonly (readonly [string, number[], number])[] = [
    ["", [], 0],
    ["abc", [], 3],
    ["abc", [0x80], 3],
    ["abc", [0xff, 0x61], 3],
    ["\u00e9", [0xa9], 2],
    ["\u20ac", [0xe2, 0x82], 3],
    ["\ud83d\ude00", [0x80, 0x80, 0x80, 0x80], 4],
    ["\ud83d\ude00", [0xf0, 0x9f, 0x98], 4],
    ["", [0xed, 0xa0, 0x80], 0],
    ["", [0xc0, 0x80], 0],
    ["", [0xf4, 0x90, 0x80, 0x80], 0],
  ];
  for (const [text, bytes, expected] of cases) {
    assert.equal(validPrefix(Uint8Array.of(...utf8(text), ...bytes)), expected, `${text} ${bytes}`);
  }
});

Deno.test("validPrefix() finds what trying every length finds, whatever the bytes", () => {
  const random = new SeededRandom("valid prefix");
  const pieces = ["a", "\u00e9", "\u20ac", "\ud83d\ude00"].map(utf8);
  for (let round = 0; round < 20_000; round++) {
    const line: number[] = [];
    const length = random.below(300);
    while (line.length < length) line.push(...random.pick(pieces));
    for (let damage = random.below(3); damage > 0 && line.length > 0; damage--) {
      const at = random.below(line.length);
      if (random.chance(0.5)) line[at] = random.below(256);
      else line.splice(at, random.below(4), ...random.bytes(random.below(6)));
    }
    const bytes = Uint8Array.from(line);
    assert.equal(validPrefix(bytes), longestValid(bytes), `round ${round}: ${line}`);
  }
});

Deno.test("validPrefix() finds the place in a text of many steps, however characters lie across them", () => {
  const random = new SeededRandom("long valid prefix");
  for (const piece of ["a", "\u00e9", "\u20ac", "\ud83d\ude00"].map(utf8)) {
    for (let round = 0; round < 50; round++) {
      const shift = random.below(4);
      const line = new Uint8Array(shift + 300_000).fill(0x61);
      for (let at = shift; at + piece.length <= line.length; at += piece.length) {
        line.set(piece, at);
      }
      const character = random.below(Math.floor(300_000 / piece.length));
      const at = shift + character * piece.length;
      line[at] = 0xff;
      assert.equal(validPrefix(line), at);
    }
  }
});

Deno.test("validPrefix() reads a line a few times and not a hundred times", () => {
  const line = new Uint8Array(8 * 1024 * 1024).fill(0x61);
  line[line.length - 1] = 0xff;
  const median = (work: () => unknown) => {
    const times = Array.from({ length: 5 }, () => {
      const began = performance.now();
      work();
      return performance.now() - began;
    });
    return times.sort((a, b) => a - b)[2]!;
  };
  const once = median(() => isUtf8(line));
  const search = median(() => validPrefix(line));
  assert.ok(search < 15 * once + 1, `${search} ms, and ${once} ms for reading it once`);
});
