import assert from "node:assert/strict";
import { utf8 } from "../../lib/bytes.ts";
import { EnvelopeFinder } from "../../lib/mcp/envelope_finder.ts";
import { SeededRandom } from "../../scripts/seeded_random.ts";

type Found = [id: string | null, method: string | null];

function find(text: string, sizes: readonly number[]): Found {
  const finder = new EnvelopeFinder();
  const bytes = utf8(text);
  for (let at = 0, turn = 0; at < bytes.length; turn++) {
    const size = sizes[turn % sizes.length]!;
    finder.feed(bytes.slice(at, at + size));
    at += size;
  }
  return [finder.id?.key ?? null, finder.method];
}

const CASES: readonly (readonly [text: string, found: Found])[] = [
  ['{"jsonrpc":"2.0","id":1,"method":"ping"}', ["n:1", "ping"]],
  ['{"method":"a","params":{"id":2,"method":"b"},"jsonrpc":"2.0","id":"x"}', ["s:x", "a"]],
  ['{"result":{"content":[{"text":"}],\\"id\\":9,\\\\"}]},"jsonrpc":"2.0","id":3}', ["n:3", null]],
  ['{"result":"\\\\","id":3}', ["n:3", null]],
  ['{"result":"\\\\\\"","id":3}', ["n:3", null]],
  ['{"id":"\\"}","result":[]}', ['s:"}', null]],
  [' \t{ "id" : 5 , "method" : "m" } ', ["n:5", "m"]],
  ['{"\\u0069d":1.50,"m\\u0065thod":"\\u0061"}', ["n:15e-1", "a"]],
  ['{"id":1,"id":2,"method":"a"}', [null, "a"]],
  ['{"id":1,"id":{},"method":"a"}', [null, "a"]],
  ['{"id":null,"method":"a"}', [null, "a"]],
  ['{"id":[1],"method":"a"}', [null, "a"]],
  ['{"id":{"id":1},"method":"a"}', [null, "a"]],
  ['{"method":"a"}', [null, "a"]],
  ['{"id":1,"method":5}', ["n:1", null]],
  ['{"id":7', [null, null]],
  ['{"id":7,', ["n:7", null]],
  ['{"id":7 ', ["n:7", null]],
  ['{"method":"a","x":"never closed, "id":7}', [null, "a"]],
  ['{"x":1}{"id":7}', [null, null]],
  ['[{"id":7}]', [null, null]],
  ["log line: {id: 7}", [null, null]],
  ["", [null, null]],
  ["{}", [null, null]],
  ["{id:7}", [null, null]],
  ['{"id"7}', [null, null]],
  [`{"id":"${"x".repeat(1022)}"}`, [`s:${"x".repeat(1022)}`, null]],
  [`{"id":"${"x".repeat(1023)}","method":"a"}`, [null, "a"]],
  [`{"${"k".repeat(5000)}":"${"v".repeat(5000)}","id":1}`, ["n:1", null]],
  ['\ufeff{"id":1}', ["n:1", null]],
  ['{"a":"\r\0","id":\r1}', ["n:1", null]],
];

Deno.test("EnvelopeFinder finds the id and the method of a message when there is one of each", () => {
  for (const [text, found] of CASES) {
    assert.deepEqual(find(text, [1 << 20]), found, text.slice(0, 100));
  }
});

Deno.test("EnvelopeFinder finds the same when the line comes in pieces of any size", () => {
  for (const [text, found] of CASES) {
    assert.deepEqual(find(text, [1]), found, text.slice(0, 100));
    for (let seed = 0; seed < 50; seed++) {
      const random = new SeededRandom(`pieces/${seed}`);
      const sizes = Array.from({ length: 5 }, () => random.between(1, 9));
      assert.deepEqual(find(text, sizes), found, `${text.slice(0, 100)} seed ${seed}`);
    }
  }
});

Deno.test("EnvelopeFinder copies the id when it finds one", () => {
  const finder = new EnvelopeFinder();
  const line = utf8('{"id":17,"method":"something else"}');
  finder.feed(line);
  line.fill(0);
  assert.deepEqual(finder.id?.token, utf8("17"));
});
