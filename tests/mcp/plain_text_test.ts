import assert from "node:assert/strict";

import { utf8 } from "../../lib/bytes.ts";
import { plainText } from "../../lib/mcp/plain_text.ts";

Deno.test("plainText() takes colours, cursor movements, titles and links out", () => {
  const cases: [string, string][] = [
    ["\x1b[0m\x1b[1m\x1b[31merror\x1b[0m: no", "error: no"],
    ["\x1b[38;5;245mgrey\x1b[m", "grey"],
    ["a\x1b[2K\x1b[1;1Hb\x1b[?25l", "ab"],
    ["\x1b]0;title\x07text \x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "text link"],
    ["plain [31m text]", "plain [31m text]"],
    ["line\r", "line"],
  ];
  for (const [printed, text] of cases) assert.equal(plainText(utf8(printed), 100), text);
});

Deno.test("plainText() lets nothing through that could act on a terminal", () => {
  const cases: [string, string][] = [
    ["\x1b", "\ufffd"],
    ["\x1b[31", "\ufffd[31"],
    ["\x1b]0;no end", "\ufffd]0;no end"],
    ["\x1b\x1b[1m[31m", "\ufffd[31m"],
    ["\x9b31m", "\ufffd31m"],
    ["a\rb\x07\x00\u202e", "a\ufffdb\ufffd\ufffd\ufffd"],
  ];
  for (const [printed, text] of cases) assert.equal(plainText(utf8(printed), 100), text);
  assert.equal(plainText(Uint8Array.of(0xff, 0x41), 100), "\ufffdA");
});

Deno.test("plainText() is as long as it may be", () => {
  assert.equal(plainText(utf8("x".repeat(20)), 10), "x".repeat(10) + "…");
});
