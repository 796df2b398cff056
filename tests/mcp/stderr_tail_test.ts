import assert from "node:assert/strict";

import { utf8 } from "../../lib/bytes.ts";
import { CHILD_STDERR_LINES, MAX_LOG_LINE_BYTES } from "../../lib/limits.ts";
import { StderrTail } from "../../lib/mcp/stderr_tail.ts";

Deno.test("StderrTail.feed() returns the lines that are complete, wherever the chunks are cut", () => {
  const text = utf8("first\nsecond é\r\n\nlast");
  for (let cut = 0; cut <= text.length; cut++) {
    const tail = new StderrTail();
    const lines = [...tail.feed(text.slice(0, cut)), ...tail.feed(text.slice(cut)), ...tail.end()];
    assert.deepEqual(lines, ["first", "second é", "", "last"], `cut at ${cut}`);
    assert.deepEqual(tail.end(), []);
  }
});

Deno.test("StderrTail.feed() keeps nothing of a chunk when that is used again", () => {
  const tail = new StderrTail();
  const chunk = utf8("half ");
  tail.feed(chunk);
  chunk.fill(0x78);
  assert.deepEqual(tail.feed(utf8("a line\n")), ["half a line"]);
});

Deno.test("StderrTail.feed() takes out what could write to a terminal", () => {
  const tail = new StderrTail();
  assert.deepEqual(tail.feed(utf8("\x1b[31mred\x07 a\rb \u202ex \u0085 \xff\n")), [
    "red\ufffd a\ufffdb \ufffdx \ufffd ÿ",
  ]);
  assert.deepEqual(tail.feed(new Uint8Array([0x80, 0xff, 0x0a])), ["\ufffd\ufffd"]);
});

Deno.test("StderrTail keeps a line only to its limit, and the last lines only", () => {
  const tail = new StderrTail();
  const [long = ""] = tail.feed(utf8("x".repeat(3 * MAX_LOG_LINE_BYTES) + "\n"));
  assert.equal(long.length, MAX_LOG_LINE_BYTES);
  for (let number = 1; number <= CHILD_STDERR_LINES; number++) tail.feed(utf8(`line ${number}\n`));
  assert.equal(tail.last.length, 20);
  assert.deepEqual([tail.last[0], tail.last.at(-1)], ["line 1", "line 20"]);
});
