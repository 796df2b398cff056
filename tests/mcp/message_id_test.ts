import assert from "node:assert/strict";
import { fromHex, utf8 } from "../../lib/bytes.ts";
import { parseMessageId } from "../../lib/mcp/message_id.ts";

const key = (token: string) => parseMessageId(utf8(token))?.key ?? null;

Deno.test("parseMessageId() gives one key when two tokens are the same value", () => {
  const same: [string, string[]][] = [
    ["n:1", ["1", "1.0", "1e0", "10e-1", "0.1e1", "1.000E+0", "0.0001e4"]],
    ["n:0", ["0", "-0", "0.0", "0e5", "-0.000e-9"]],
    ["n:1e2", ["100", "1e2", "1.00e2", "10e1", "1000e-1"]],
    ["n:-17", ["-17", "-1.7e1", "-170e-1"]],
    ["n:15e-1", ["1.5", "15e-1", "0.15E1"]],
    ["n:9007199254740993", ["9007199254740993", "9007199254740993.0"]],
    ["n:1e999999999999", ["1e999999999999", "10e999999999998"]],
    ["n:1e40", [`1${"0".repeat(40)}`, "1e40"]],
    ["s:a", ['"a"', '"\\u0061"']],
    ["s:1", ['"1"']],
    ["s:", ['""']],
    ["s:ä😀\n", ['"ä😀\\n"', '"\\u00e4\\ud83d\\ude00\\u000A"']],
    [`s:${"x".repeat(100)}`, [`"${"x".repeat(100)}"`]],
  ];
  for (const [expected, tokens] of same) {
    for (const token of tokens) assert.equal(key(token), expected, token);
  }
});

Deno.test("parseMessageId() gives different keys when a double could not tell two ids apart", () => {
  assert.notEqual(key("9007199254740993"), key("9007199254740992"));
  assert.notEqual(key("1e400"), key("2e400"));
  assert.notEqual(key("1"), key('"1"'));
  assert.notEqual(key("12"), key("120"));
});

Deno.test("parseMessageId() keeps the token as it stood", () => {
  const token = utf8("1.0");
  assert.equal(parseMessageId(token)?.token, token);
});

Deno.test("parseMessageId() returns null when a token is no string, no number or too long", () => {
  for (
    const token of ["", "null", "true", "{}", "[1]", "01", "1.", '"', '"a', 'a"', '"\\x"', "1 2"]
  ) {
    assert.equal(key(token), null, token);
  }
  for (const token of ['"a"b"', '"\x01"', '"\t"', "1\r2", "-", "+1", "1e5000000000x"]) {
    assert.equal(key(token), null, token);
  }
  assert.equal(parseMessageId(fromHex("22ff22")), null);
  assert.equal(key("1".repeat(1024))?.length, 1026);
  assert.equal(key("1".repeat(1025)), null);
});
