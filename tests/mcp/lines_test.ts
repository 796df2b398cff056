import assert from "node:assert/strict";
import { type Bytes, concat, EMPTY, fromUtf8, utf8 } from "../../lib/bytes.ts";
import { type Line, LineSplitter, type OversizedLine } from "../../lib/mcp/lines.ts";

/** The text of a line, or what is said of an oversized one. */
function told(line: Line): string {
  if (line.kind === "line") return fromUtf8(line.bytes);
  return `oversized ${line.length} ${line.head.length} ${line.id?.key ?? "-"} ${
    line.method ?? "-"
  }`;
}

function split(splitter: LineSplitter, ...chunks: (string | Bytes)[]): string[] {
  return chunks.flatMap((chunk) =>
    splitter.feed(typeof chunk === "string" ? utf8(chunk) : chunk).map(told)
  );
}

function oversized(line: Line | null | undefined): OversizedLine {
  assert.ok(line?.kind === "oversized");
  return line;
}

Deno.test("LineSplitter.feed() returns the lines that are complete when a chunk holds several", () => {
  const splitter = new LineSplitter();
  assert.deepEqual(split(splitter, "a\nbc\n\nd"), ["a", "bc", ""]);
  assert.deepEqual(split(splitter, "e"), []);
  assert.deepEqual(split(splitter, "", "f\n"), ["def"]);
  assert.equal(splitter.end(), null);
});

Deno.test("LineSplitter.feed() takes off one carriage return when it is directly before the line feed", () => {
  assert.deepEqual(split(new LineSplitter(), "a\r\nb\r\r\n\r\nc\rd\n\ra\n"), [
    "a",
    "b\r",
    "",
    "c\rd",
    "\ra",
  ]);
  assert.deepEqual(split(new LineSplitter(), "a\r", "\nb", "\r", "\n", "\r", "\n"), ["a", "b", ""]);
});

Deno.test("LineSplitter.feed() returns the same lines when the stream is cut at any two bytes", () => {
  const text = '{"a":"ä€😀"}\r\n\n\r\n{"b":1}\nlast\r\n';
  const stream = utf8(text);
  const expected = ['{"a":"ä€😀"}', "", "", '{"b":1}', "last"];
  for (let a = 0; a <= stream.length; a++) {
    for (let b = a; b <= stream.length; b++) {
      const splitter = new LineSplitter();
      const lines = split(splitter, stream.slice(0, a), stream.slice(a, b), stream.slice(b));
      assert.deepEqual(lines, expected, `cut at ${a} and ${b}`);
      assert.equal(splitter.end(), null);
    }
  }
});

Deno.test("LineSplitter.feed() returns a view when a line lies in one chunk, and else a copy", () => {
  const splitter = new LineSplitter();
  const chunk = utf8("one\ntwo");
  const [one] = splitter.feed(chunk);
  assert.ok(one?.kind === "line");
  assert.equal(one.bytes.buffer, chunk.buffer);
  chunk.fill(0x78);
  assert.equal(fromUtf8(one.bytes), "xxx");
  assert.deepEqual(split(splitter, "!\n"), ["two!"]);
});

Deno.test("LineSplitter.feed() returns joined lines that stay as they are when more is fed", () => {
  const splitter = new LineSplitter();
  splitter.feed(utf8("fir"));
  const [first] = splitter.feed(utf8("st\nsec"));
  const [second] = splitter.feed(utf8("ond\nthi"));
  splitter.feed(utf8("rd\n"));
  assert.ok(first?.kind === "line" && second?.kind === "line");
  assert.deepEqual([fromUtf8(first.bytes), fromUtf8(second.bytes)], ["first", "second"]);
});

Deno.test("LineSplitter.end() returns the partial last line when the stream does not end in a line feed", () => {
  const splitter = new LineSplitter();
  assert.deepEqual(split(splitter, "a\nb\r"), ["a"]);
  const last = splitter.end();
  assert.ok(last !== null);
  assert.equal(told(last), "b\r");
  assert.equal(splitter.end(), null);
  assert.deepEqual(split(splitter, "c\n"), ["c"]);
});

Deno.test("LineSplitter.feed() reports a line once when it is longer than the limit, and goes on", () => {
  const splitter = new LineSplitter(8);
  assert.deepEqual(split(splitter, "12345678\n123456789\n1\n"), [
    "12345678",
    "oversized 9 9 - -",
    "1",
  ]);
  assert.deepEqual(split(splitter, "123456", "789", "0", "12", "\nok\n"), [
    "oversized 12 12 - -",
    "ok",
  ]);
});

Deno.test("LineSplitter.feed() counts no byte of the ending when it compares with the limit", () => {
  for (const [ending, length] of [["\n", 8], ["\r\n", 8], ["\r\n", 9], ["\n", 9], ["\r\n", 10]]) {
    const content = "123456789012".slice(0, Number(length));
    const expected = length === 8 ? content : `oversized ${length} ${length} - -`;
    const stream = utf8(content + ending);
    for (let cut = 0; cut <= stream.length; cut++) {
      const splitter = new LineSplitter(8);
      const lines = split(splitter, stream.slice(0, cut), stream.slice(cut));
      assert.deepEqual(lines, [expected], `${JSON.stringify(content + ending)} cut at ${cut}`);
    }
    for (let size = 1; size < 4; size++) {
      const splitter = new LineSplitter(8);
      const lines: string[] = [];
      for (let at = 0; at < stream.length; at += size) {
        lines.push(...split(splitter, stream.slice(at, at + size)));
      }
      assert.deepEqual(lines, [expected], `in pieces of ${size}`);
    }
  }
});

Deno.test("LineSplitter.end() reports a partial line when it is longer than the limit", () => {
  for (
    const [text, expected] of [["123456789", "oversized 9 9 - -"], [
      "1234567890",
      "oversized 10 10 - -",
    ]]
  ) {
    const splitter = new LineSplitter(8);
    assert.deepEqual(split(splitter, String(text)), []);
    assert.equal(told(oversized(splitter.end())), expected);
    assert.deepEqual(split(splitter, "a\n"), ["a"]);
  }
});

Deno.test("LineSplitter.feed() finds the id of an over-long message when it stands behind the params", () => {
  const huge = "x".repeat(300_000);
  const line =
    `{"method":"tools/call","params":{"name":"t","arguments":{"id":9,"a":"${huge}\\""}},` +
    `"jsonrpc":"2.0","id":"q-7"}`;
  for (const size of [7, 4096, 65_536, 1 << 20]) {
    const splitter = new LineSplitter(100_000);
    const stream = utf8(`${line}\n{"jsonrpc":"2.0"}\n`);
    const lines: Line[] = [];
    for (let at = 0; at < stream.length; at += size) {
      lines.push(...splitter.feed(stream.slice(at, at + size)));
    }
    assert.deepEqual(lines.map(told), [
      `oversized ${line.length} 65536 s:q-7 tools/call`,
      '{"jsonrpc":"2.0"}',
    ]);
    const { head } = oversized(lines[0]);
    assert.equal(fromUtf8(head), line.slice(0, 65_536));
  }
});

Deno.test("LineSplitter.feed() holds little when a line without end is fed", () => {
  const splitter = new LineSplitter(1 << 20);
  const chunk = new Uint8Array(1 << 20).fill(0x61);
  const before = Deno.memoryUsage();
  for (let i = 0; i < 256; i++) assert.deepEqual(splitter.feed(chunk), []);
  const after = Deno.memoryUsage();
  assert.ok(after.external - before.external < 64 << 20, "256 MiB were held");
  assert.equal(oversized(splitter.feed(utf8("\n"))[0]).length, 256 << 20);
});

Deno.test("LineSplitter.feed() takes linear time when a long line comes in small chunks", () => {
  const size = 16 << 20;
  for (const chunkSize of [64, 4096]) {
    const chunk = new Uint8Array(chunkSize).fill(0x61);
    const splitter = new LineSplitter();
    const start = performance.now();
    for (let at = 0; at < size; at += chunkSize) splitter.feed(chunk);
    const [line] = splitter.feed(Uint8Array.of(0x0a));
    assert.ok(line?.kind === "line");
    assert.equal(line.bytes.length, size);
    // Quadratic time would be hours for the smaller chunks.
    assert.ok(performance.now() - start < 20_000);
  }
});

Deno.test("LineSplitter() refuses a limit when it is no positive whole number", () => {
  for (const limit of [0, -1, 1.5, NaN, Infinity]) {
    assert.throws(() => new LineSplitter(limit), RangeError);
  }
  assert.deepEqual(new LineSplitter(1).feed(EMPTY), []);
});

Deno.test("LineSplitter.feed() joins exactly what was fed when lines cross blocks", () => {
  for (const length of [65_535, 65_536, 65_537, 131_072, 200_001]) {
    const line = Uint8Array.from({ length }, (_, i) => 0x20 + (i * 31) % 90);
    const splitter = new LineSplitter();
    const got: Line[] = [];
    const stream = concat(line, utf8("\n"), line, utf8("\n"));
    for (let at = 0; at < stream.length; at += 1000) {
      got.push(...splitter.feed(stream.subarray(at, at + 1000)));
    }
    assert.equal(got.length, 2);
    for (const one of got) {
      assert.ok(one.kind === "line");
      assert.deepEqual(one.bytes, line);
    }
  }
});

Deno.test("LineSplitter.feed() finds every line feed in a long chunk, and no other byte for one", () => {
  const lines = Array.from({ length: 300 }, (_, at) => "é\u010a\u0a0a€".repeat(at % 7) + at);
  const chunk = utf8(lines.join("\n") + "\n");
  assert.ok(chunk.length > 1024);
  const inside = concat(utf8("?".repeat(999)), chunk, utf8("?".repeat(999)));
  assert.deepEqual(split(new LineSplitter(), chunk), lines);
  const view = inside.subarray(999, 999 + chunk.length);
  assert.deepEqual(split(new LineSplitter(), view), lines);
});

Deno.test("LineSplitter.feed() gives every long line memory of its own", () => {
  const splitter = new LineSplitter();
  const chunk = (byte: number) => new Uint8Array(300_000).fill(byte);
  const joined: Bytes[] = [];
  for (const byte of [0x61, 0x62, 0x63]) {
    assert.deepEqual(splitter.feed(chunk(byte)), []);
    const [line] = splitter.feed(utf8("\n"));
    assert.ok(line?.kind === "line");
    joined.push(line.bytes);
  }
  assert.deepEqual(joined.map((line) => fromUtf8(line.subarray(0, 3))), ["aaa", "bbb", "ccc"]);
  assert.deepEqual(joined.map((line) => line.length), [300_000, 300_000, 300_000]);
});
