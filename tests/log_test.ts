/** The log: what a remote said never reaches a terminal raw. */

import assert from "node:assert/strict";
import { createLog, printable, printableJson } from "../lib/log.ts";

const HOSTILE = "a\u001b[2J\u009b2J\u009d0;x\u202e\u007f\u2028\u200b\ufeff\u061cb";

Deno.test("printable() replaces everything that a terminal could act upon", () => {
  assert.equal(printable("a\u001bb\u009bc\u202ed"), "a\ufffdb\ufffdc\ufffdd");
  assert.match(printable(HOSTILE), /^a\ufffd\[2J\ufffd2J\ufffd0;x\ufffd{6}b$/);
});

Deno.test("printable() cuts at the limit and never leaves half a character", () => {
  assert.equal(printable("abcdef", 3), "abc…");
  assert.equal(printable("x\u{1f600}y", 2), "x\ufffd…");
});

Deno.test("printableJson() escapes what is unprintable and reads back the same", () => {
  const line = printableJson({ text: HOSTILE });
  assert.deepEqual(JSON.parse(line), { text: HOSTILE });
  assert.match(line, /^[\x20-\x7e]*$/);
});

Deno.test("createLog() writes no raw control character, as text and as JSON", () => {
  for (const json of [false, true]) {
    const lines: string[] = [];
    const log = createLog({
      write: (line) => lines.push(line),
      level: "debug",
      json,
      now: () => 0,
    });
    log.warn(`event ${HOSTILE}`, { field: HOSTILE });
    assert.equal(lines.length, 1);
    assert.doesNotMatch(lines[0] ?? "", /[\p{Cc}\u061c\u200b\u2028-\u202e\ufeff]/u);
  }
});

Deno.test("createLog() leaves out what is below its level", () => {
  const lines: string[] = [];
  const write = (line: string) => lines.push(line);
  const log = createLog({ write, level: "warn", json: false, now: () => 0 });
  log.debug("a");
  log.info("b");
  log.warn("c", { n: 1, text: "two words", none: undefined });
  log.error("d");
  assert.deepEqual(lines, ['talos: warning: c n=1 text="two words"', "talos: error: d"]);
});
