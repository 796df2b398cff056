import assert from "node:assert/strict";

import { fromUtf8, utf8 } from "../../lib/bytes.ts";
import { replaceToken, tokensAt } from "../../lib/mcp/tokens.ts";

Deno.test("tokensAt() finds a member by its path, however its keys are written", () => {
  const line = utf8('{"a":[{"b":1}],"\\u0062":{"a":2, "b" : [ 3 ] },"b":4,"b":{"b":"5"}}');
  assert.deepEqual(tokensAt(line, ["b", "b"]).map(fromUtf8), ["[ 3 ]", '"5"']);
  assert.deepEqual(tokensAt(line, ["a", "b"]), []);
  assert.deepEqual(tokensAt(line, ["b"]).map(fromUtf8), [
    '{"a":2, "b" : [ 3 ] }',
    "4",
    '{"b":"5"}',
  ]);
});

Deno.test("replaceToken() puts another token in place, and throws when there is none", () => {
  const line = utf8('{"a":1}').subarray(0);
  assert.equal(fromUtf8(replaceToken(line, line.subarray(5, 6), utf8('"x"'))), '{"a":"x"}');
  assert.throws(() => replaceToken(line, utf8("1"), utf8("2")), TypeError);
  assert.throws(() => replaceToken(line.subarray(2), line.subarray(0, 1), utf8("2")), TypeError);
});
