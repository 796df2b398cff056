import assert from "node:assert/strict";

import { utf8 } from "../../lib/bytes.ts";
import { canonicalJson, differences, initializeAnswerOf } from "../../lib/mcp/initialize_answer.ts";

function answer(result: unknown) {
  return initializeAnswerOf(utf8(JSON.stringify({ jsonrpc: "2.0", id: 1, result })))!;
}

const RESULT = {
  protocolVersion: "2025-11-25",
  capabilities: { tools: { listChanged: true, x: [1, { b: 2, a: 1 }] }, prompts: {} },
  serverInfo: { name: "s" },
  instructions: "i",
};

Deno.test("canonicalJson() is the same for the same value, however its members are sorted", () => {
  assert.equal(
    canonicalJson({ b: [1, null, "é"], a: { d: 1, c: 2 } }),
    '{"a":{"c":2,"d":1},"b":[1,null,"é"]}',
  );
  assert.equal(canonicalJson(undefined), "null");
});

Deno.test("initializeAnswerOf() knows which lists announce their changes", () => {
  assert.deepEqual(answer(RESULT).announces, ["tools"]);
  assert.deepEqual(answer({}).announces, []);
  assert.equal(initializeAnswerOf(utf8('{"jsonrpc":"2.0","id":1,"error":{}}')), null);
});

Deno.test("differences() are none when only the description or the order of members differs", () => {
  const capabilities = { prompts: {}, tools: { x: [1, { a: 1, b: 2 }], listChanged: true } };
  const other = { ...RESULT, capabilities, serverInfo: {}, instructions: "j" };
  assert.deepEqual(differences(answer(RESULT), answer(other)), []);
  assert.notEqual(answer(RESULT).description, answer(other).description);
});

Deno.test("differences() name what an agent would be wrong about", () => {
  const other = {
    protocolVersion: "2025-06-18",
    capabilities: { tools: { listChanged: false, x: [1, { b: 2, a: 1 }] }, logging: {} },
  };
  assert.deepEqual(differences(answer(RESULT), answer(other)), [
    'its protocol version is "2025-06-18", was "2025-11-25"',
    'its capability "tools" has changed',
    'its capability "prompts" is gone',
    'its capability "logging" is new',
  ]);
});
