/** Strict JSON: the same values as `JSON.parse`, and what it refuses beyond that. */

import assert from "node:assert/strict";
import { isJsonObject, JsonError, parseJson } from "../../lib/identity/strict_json.ts";
import { SeededRandom } from "../../scripts/seeded_random.ts";

const REFUSED: readonly (readonly [what: string, text: string, message: string])[] = [
  ["there is nothing", "", "a value is missing at line 1, column 1"],
  ["there is white space only", " \n ", "a value is missing at line 2, column 2"],
  ["a byte order mark leads", "\ufeff{}", "a value is missing at line 1, column 1"],
  ["text follows", "{} x", "more text follows the value at line 1, column 4"],
  ["a key comes twice", '{"a":1,\n "b":2, "a":1}', "a member name comes twice at line 2, column 9"],
  [
    "a key comes twice, once escaped",
    '{"a":1,"\\u0061":1}',
    "a member name comes twice at line 1, column 8",
  ],
  [
    "__proto__ comes twice",
    '{"__proto__":1,"__proto__":1}',
    "a member name comes twice at line 1, column 16",
  ],
  [
    "a key comes twice further down",
    '[{"a":{"b":1,"b":2}}]',
    "a member name comes twice at line 1, column 14",
  ],
  [
    "a surrogate stands alone",
    '["\\ud800"]',
    "a string has half a surrogate pair at line 1, column 2",
  ],
  ["a string does not end", '"abc', "a string is malformed or does not end at line 1, column 1"],
  [
    "a string has a line feed",
    '"a\nb"',
    "a string is malformed or does not end at line 1, column 1",
  ],
  ["an escape is unknown", '"\\x41"', "a string is malformed or does not end at line 1, column 1"],
  ["a comma is left over in an object", '{"a":1,}', "a member name is missing at line 1, column 8"],
  ["a comma is left over in an array", "[1,]", "a value is missing at line 1, column 4"],
  ["a colon is missing", '{"a" 1}', '":" is missing at line 1, column 6'],
  ["an object does not end", '{"a":1', '"," or "}" is missing at line 1, column 7'],
  ["an array does not end", "[1", '"," or "]" is missing at line 1, column 3'],
  ["a comment is there", "/* */ 1", "a value is missing at line 1, column 1"],
  ["a number has a zero ahead", "01", "more text follows the value at line 1, column 2"],
  ["a number has a plus", "+1", "a value is missing at line 1, column 1"],
  ["it is NaN", "NaN", "a value is missing at line 1, column 1"],
  ["a key is not quoted", "{a:1}", "a member name is missing at line 1, column 2"],
  ["white space is not JSON's", "\u00a01", "a value is missing at line 1, column 1"],
  ["it nests too deep", "[".repeat(9), "nesting deeper than 8 at line 1, column 9"],
];

for (const [what, text, message] of REFUSED) {
  Deno.test(`parseJson() throws JsonError when ${what}`, () => {
    assert.throws(
      () => parseJson(text),
      (error) => error instanceof JsonError && error.message === message,
    );
  });
}

Deno.test("parseJson() takes __proto__ as a key like any other", () => {
  const value = parseJson('{"__proto__":{"polluted":true}}');
  assert.ok(isJsonObject(value));
  assert.deepEqual(Object.keys(value), ["__proto__"]);
  assert.equal(Object.getPrototypeOf(value), null);
  assert.equal("polluted" in value, false);
});

Deno.test("parseJson() reads a megabyte of string, ended or not, without overflow", () => {
  const text = '"' + "a\\n".repeat(1 << 19);
  assert.equal(parseJson(text + '"')?.toString().length, 1 << 20);
  assert.throws(() => parseJson(text), JsonError);
});

Deno.test("parseJson() gives what JSON.parse gives, for 500 seeded values in two notations", () => {
  const random = new SeededRandom("strict json");
  for (let run = 0; run < 500; run++) {
    const value = randomValue(random, 0);
    for (const indent of [undefined, 2]) {
      const text = JSON.stringify(value, null, indent);
      // Through JSON again: the parser's objects have no prototype, deepEqual minds.
      assert.deepEqual(JSON.parse(JSON.stringify(parseJson(text))), JSON.parse(text));
    }
  }
});

Deno.test("parseJson() accepts nothing that JSON.parse refuses, for 5,000 mutated texts", () => {
  const random = new SeededRandom("strict json mutations");
  const alphabet = [...'{}[]":,\\ \n\t0123456789.-+eEtrufalsn/\u0000\u00a0ü'];
  for (let run = 0; run < 5000; run++) {
    const text = [...JSON.stringify(randomValue(random, 0))];
    for (let edits = random.between(1, 3); edits > 0; edits--) {
      text.splice(random.below(text.length + 1), random.below(2), random.pick(alphabet));
    }
    const joined = text.join("");
    let value: unknown;
    try {
      value = parseJson(joined);
    } catch (error) {
      if (!(error instanceof JsonError)) throw error;
      continue;
    }
    assert.equal(JSON.stringify(value), JSON.stringify(JSON.parse(joined)));
  }
});

function randomValue(random: SeededRandom, depth: number): unknown {
  const kind = random.below(depth < 4 ? 8 : 6);
  if (kind === 0) return null;
  if (kind === 1) return random.chance(0.5);
  if (kind === 2) return random.between(-1000, 1000) / random.pick([1, 8, 1e-20, 1e20]);
  if (kind < 6) return [...'aä😀"\\\n/\u0001'].filter(() => random.chance(0.5)).join("");
  if (kind === 6) {
    return Array.from({ length: random.below(4) }, () => randomValue(random, depth + 1));
  }
  return Object.fromEntries(
    Array.from({ length: random.below(4) }, (_, at) => [`k${at}`, randomValue(random, depth + 1)]),
  );
}
