import assert from "node:assert/strict";

import { utf8 } from "../../../lib/bytes.ts";
import { argumentFault, parsePointer } from "../../../lib/mcp/policy/argument_rules.ts";
import { policyOf } from "./scene.ts";

/** Tells whether arguments, as JSON, are as a constraint at a place has it. */
function holds(args: string | null, pointer: string, constraint: unknown): boolean {
  const { rules: [rule] } = policyOf({ peer: "*", arguments: { t: { [pointer]: constraint } } });
  return argumentFault(args === null ? null : utf8(args), rule!.arguments[0]!) === null;
}

Deno.test("argumentFault() finds the place, whatever stands around it", () => {
  const cases: readonly (readonly [string, string, boolean])[] = [
    ["/a", '{"a":1}', true],
    ["/a", ' { "b" : [{"a":2}] , "\\u0061" : 1.0 } ', true],
    ["/a/b", '{"a":{"b":1}}', true],
    ["/a/0", '{"a":[1,2]}', true],
    ["/a/1", '{"a":[1,2]}', false],
    ["/a/2", '{"a":[1,1]}', false],
    ["/a/01", '{"a":[1,1]}', false],
    ["/a/*", '{"a":[1,1]}', true],
    ["/a/*", '{"a":[1,2]}', false],
    ["/a/*", '{"a":[2,1]}', false],
    ["/a/*", '{"a":{"x":1,"y":1}}', true],
    ["/a/*", '{"a":{"x":1,"y":2}}', false],
    ["/a/*", '{"a":{"x":2,"y":1}}', false],
    ["/a/*", '{"a":[]}', true],
    ["/a/*", '{"a":1}', false],
    ["/a/*/n", '{"a":[{"n":1},{"n":1}]}', true],
    ["/a/*/n", '{"a":[{"n":1},{}]}', false],
    ["/a~1b~0~2", '{"a/b~*":1}', true],
    ["/", '{"":1}', true],
    ["/a", '{"b":1}', false],
    ["/a", '{"a":1,"A":1}', false],
    ["/a", "[1]", false],
    ["/a", '"a"', false],
    ["/a/b", '{"a":1}', false],
  ];
  for (const [pointer, args, expected] of cases) {
    assert.equal(holds(args, pointer, { values: [1] }), expected, `${pointer} of ${args}`);
  }
});

Deno.test("argumentFault() refuses what is missing unless it is optional", () => {
  assert.equal(holds("{}", "/a", { values: [1] }), false);
  assert.equal(holds(null, "/a", { values: [1] }), false);
  assert.equal(holds("{}", "/a", { values: [1], optional: true }), true);
  assert.equal(holds(null, "/a", { values: [1], optional: true }), true);
  assert.equal(holds('{"a":2}', "/a", { values: [1], optional: true }), false);
  assert.equal(
    holds('{"a":2}', "/a/b", { values: [1], optional: true }),
    false,
    "what should hold it does not",
  );
});

Deno.test("argumentFault() compares values by type, and numbers by what all parsers read", () => {
  const values = ["x", 1, 0.5, true, null];
  for (
    const value of ['"x"', '"\\u0078"', "1", "1.0", "1e0", "10E-1", "0.5", "5e-1", "true", "null"]
  ) {
    assert.ok(holds(`{"a":${value}}`, "/a", { values }), value);
  }
  for (
    const value of [
      '"X"',
      '"1"',
      "2",
      "1.0000000000000001",
      "0.50000000000000001",
      "false",
      '"true"',
      "[]",
      "{}",
      '["x"]',
    ]
  ) {
    assert.ok(!holds(`{"a":${value}}`, "/a", { values }), value);
  }
});

Deno.test("argumentFault() keeps numbers in their range, and refuses those that a double does not hold", () => {
  const range = { min: -1, max: 9007199254740991 };
  for (const value of ["-1", "-0", "0", "9007199254740991", "9.007199254740991e15", "0.1"]) {
    assert.ok(holds(`{"a":${value}}`, "/a", range), value);
  }
  for (
    const value of [
      "-1.5",
      "9007199254740992",
      "9007199254740993",
      "1e400",
      "0.1000000000000000055",
      "1e-400",
      '"1"',
      "null",
      "true",
      "[1]",
    ]
  ) {
    assert.ok(!holds(`{"a":${value}}`, "/a", range), value);
  }
});

Deno.test("argumentFault() keeps text under a prefix, without a way up", () => {
  const prefix = { prefix: "/home/me/" };
  for (const path of ["/home/me/x", "/home/me/", "/home/me/..x/y..", "/home/me/a.b"]) {
    assert.ok(holds(JSON.stringify({ a: path }), "/a", prefix), path);
  }
  for (
    const path of [
      "/home/me",
      "/home/you/x",
      "/HOME/me/x",
      " /home/me/x",
      "/home/me/..",
      "/home/me/../x",
      "/home/me/a/../../x",
      "/home/me/a\\..\\x",
      "/home/me/%2e%2e/x",
      "/home/me/.%2E%2fx",
      "/home/me/a%2f..%2fx",
    ]
  ) {
    assert.ok(!holds(JSON.stringify({ a: path }), "/a", prefix), path);
  }
});

Deno.test("argumentFault() matches globs exactly and counts bytes of UTF-8", () => {
  assert.ok(holds('{"a":"read_x"}', "/a", { globs: ["write", "read_*"] }));
  assert.ok(!holds('{"a":"READ_x"}', "/a", { globs: ["write", "read_*"] }));
  assert.ok(!holds('{"a":1}', "/a", { globs: ["*"] }));
  assert.ok(holds('{"a":"\u00e9\u00e9"}', "/a", { max_length: 4 }));
  assert.ok(!holds('{"a":"\\u00e9\u00e9x"}', "/a", { max_length: 4 }));
  assert.ok(
    !holds('{"a":"read_long"}', "/a", { globs: ["read_*"], max_length: 4 }),
    "all that is said holds",
  );
});

Deno.test("parsePointer() takes no place that is not one", () => {
  for (const text of ["", "a", "a/b", "/~", "/~3", "/a~"]) {
    assert.equal(parsePointer(text), null, text);
  }
});
