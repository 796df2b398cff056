import assert from "node:assert/strict";
import { type Bytes, concat, equalBytes, fromHex, fromUtf8, utf8 } from "../../lib/bytes.ts";
import { LineSplitter } from "../../lib/mcp/lines.ts";
import { REFUSALS } from "../../lib/mcp/refusals.ts";
import {
  type InvalidLine,
  scanLine,
  type ScannedLine,
  type Strictness,
} from "../../lib/mcp/scan.ts";
import { AMBIGUOUS, type Corpus, MALFORMED } from "./scan_corpus.ts";

const BOTH: readonly Strictness[] = ["towards_server", "towards_agent"];

function scan(line: string | Bytes, strictness: Strictness = "towards_server"): ScannedLine {
  return scanLine(typeof line === "string" ? utf8(line) : line, strictness);
}

function bytesOf(line: string | Bytes): Bytes {
  return typeof line === "string" ? utf8(line) : line;
}

function show(line: string | Bytes): string {
  return JSON.stringify(typeof line === "string" ? line : `hex ${line.toHex()}`).slice(0, 120);
}

function refused(line: string | Bytes, strictness: Strictness): InvalidLine {
  const scanned = scan(line, strictness);
  assert.equal(scanned.kind, "invalid", `${strictness} accepts ${show(line)}`);
  assert.ok(scanned.kind === "invalid");
  return scanned;
}

function checkCorpus(corpus: Corpus, strictness: Strictness): void {
  for (const [reason, { refuses, accepts }] of Object.entries(corpus)) {
    assert.ok(refuses.length >= 2 && accepts.length >= 2, `${reason} has too few examples`);
    for (const [line, offset] of refuses) {
      const { reason: given, offset: at } = refused(line, strictness);
      assert.deepEqual([given, at], [reason, offset], `${strictness}: ${show(line)}`);
    }
    for (const line of accepts) {
      const scanned = scan(line, strictness);
      const why = scanned.kind === "invalid" ? scanned.reason : "";
      assert.notEqual(scanned.kind, "invalid", `${strictness} refuses ${show(line)}: ${why}`);
    }
  }
}

Deno.test("scanLine() names the reason and the offset when a line is refused towards a server", () => {
  checkCorpus(MALFORMED, "towards_server");
  checkCorpus(AMBIGUOUS, "towards_server");
});

Deno.test("scanLine() refuses the same malformed lines when they go towards an agent", () => {
  checkCorpus(MALFORMED, "towards_agent");
});

Deno.test("scanLine() lets pass what only strictness forbids when a line goes towards an agent", () => {
  for (const [reason, { refuses, agentRefuses = [] }] of Object.entries(AMBIGUOUS)) {
    for (const [line] of refuses) {
      const expected = agentRefuses.includes(line) ? "invalid" : "accepted";
      const kind = scan(line, "towards_agent").kind === "invalid" ? "invalid" : "accepted";
      assert.equal(kind, expected, `${reason}: ${show(line)}`);
    }
  }
});

Deno.test("scanLine() has examples for every reason", () => {
  const covered = new Set([...Object.keys(MALFORMED), ...Object.keys(AMBIGUOUS)]);
  assert.deepEqual([...covered].sort(), Object.keys(REFUSALS).sort());
});

Deno.test("scanLine() judges every example alike when it comes through LineSplitter cut at any byte", () => {
  for (const corpus of [MALFORMED, AMBIGUOUS]) {
    for (const { refuses, accepts } of Object.values(corpus)) {
      for (const example of [...refuses.map(([line]) => line), ...accepts]) {
        const line = bytesOf(example);
        if (line.length > 2000 || line.includes(0x0a) || line.at(-1) === 0x0d) continue;
        const expected = scanLine(line, "towards_server");
        const stream = concat(line, utf8("\r\n"), line, utf8("\n"));
        for (let cut = 0; cut <= stream.length; cut++) {
          const splitter = new LineSplitter();
          const lines = [stream.slice(0, cut), stream.slice(cut)].flatMap((part) =>
            splitter.feed(part)
          );
          assert.equal(lines.length, 2, `${show(example)} cut at ${cut}`);
          for (const got of lines) {
            assert.ok(got.kind === "line");
            assert.ok(equalBytes(got.bytes, line), `${show(example)} cut at ${cut}`);
            assert.deepEqual(plain(scanLine(got.bytes, "towards_server")), plain(expected));
          }
        }
      }
    }
  }
});

/** A result without its views, to compare two of them. */
function plain(scanned: ScannedLine): unknown {
  return JSON.parse(
    JSON.stringify(scanned, (_, value) => value instanceof Uint8Array ? fromUtf8(value) : value),
  );
}

Deno.test("scanLine() reads a request when it has a method and an id", () => {
  const line = '{"method":"tools/call","params":{"name":"read_file","arguments":{"name":"x"}},' +
    '"jsonrpc":"2.0","id":17}';
  for (const strictness of BOTH) {
    const scanned = scan(line, strictness);
    assert.deepEqual(scanned, {
      kind: "request",
      id: { token: utf8("17"), key: "n:17" },
      method: "tools/call",
      name: "read_file",
      uri: null,
    });
  }
});

Deno.test("scanLine() reads a notification when there is no id, with what it cancels", () => {
  const line =
    '{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"\\u0061"}}';
  for (const strictness of BOTH) {
    assert.deepEqual(scan(line, strictness), {
      kind: "notification",
      method: "notifications/cancelled",
      name: null,
      uri: null,
      cancels: { token: utf8('"\\u0061"'), key: "s:a" },
    });
  }
});

Deno.test("scanLine() takes a requestId for what is cancelled only when the method cancels", () => {
  for (const method of ["notifications/progress", "notifications/Cancelled", "x"]) {
    const scanned = scan(`{"jsonrpc":"2.0","method":"${method}","params":{"requestId":1}}`);
    assert.ok(scanned.kind === "notification");
    assert.equal(scanned.cancels, null);
  }
});

Deno.test("scanLine() reads the name when a tool is called without an id", () => {
  const line = '{"jsonrpc":"2.0","method":"tools/call","params":{"name":"rm"}}';
  const scanned = scan(line);
  assert.ok(scanned.kind === "notification");
  assert.equal(scanned.name, "rm");
});

Deno.test("scanLine() tells results from errors when it reads a response", () => {
  const id = { token: utf8('"x"'), key: "s:x" };
  const cases: [string, ScannedLine][] = [
    ['{"jsonrpc":"2.0","id":"x","result":{}}', { kind: "response", id, isError: false }],
    ['{"jsonrpc":"2.0","id":"x","result":null}', { kind: "response", id, isError: false }],
    ['{"error":{"code":1},"id":"x","jsonrpc":"2.0"}', { kind: "response", id, isError: true }],
    ['{"jsonrpc":"2.0","id":null,"error":{}}', { kind: "response", id: null, isError: true }],
    ['{"jsonrpc":"2.0","error":{}}', { kind: "response", id: null, isError: true }],
    [
      '{"jsonrpc":"2.0","id":"x","result":{"error":{},"isError":true}}',
      { kind: "response", id, isError: false },
    ],
  ];
  for (const strictness of BOTH) {
    for (const [line, expected] of cases) assert.deepEqual(scan(line, strictness), expected, line);
  }
});

Deno.test("scanLine() takes method, name and uri as a parser would when they hold escapes", () => {
  const cases: [string, string, string | null, string | null][] = [
    [
      '{"jsonrpc":"2.0","id":1,"\\u006dethod":"tools\\/c\\u0061ll","params":{"n\\u0061me":"\\u00e4"}}',
      "tools/call",
      "ä",
      null,
    ],
    [
      '{"jsonrpc":"2.0","id":1,"method":"prompts/get","params":{"name":"\\ud83d\\ude00 😀"}}',
      "prompts/get",
      "😀 😀",
      null,
    ],
    [
      '{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"file:\\/\\/\\/a","name":"n"}}',
      "resources/read",
      null,
      "file:///a",
    ],
    ['{"jsonrpc":"2.0","id":1,"method":"","params":[{"name":"x"}]}', "", null, null],
    [
      '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"arguments":{"name":"x","uri":"y"}}}',
      "tools/call",
      null,
      null,
    ],
    ['{"jsonrpc":"2.0","id":1,"method":"x/y","params":{"name":[1],"uri":{}}}', "x/y", null, null],
  ];
  for (const strictness of BOTH) {
    for (const [line, method, name, uri] of cases) {
      const scanned = scan(line, strictness);
      assert.ok(scanned.kind === "request", line);
      assert.deepEqual([scanned.method, scanned.name, scanned.uri], [method, name, uri], line);
    }
  }
});

Deno.test("scanLine() lists the elements of a batch with their bytes when the line is an array", () => {
  const first = '{"jsonrpc":"2.0","id":1,"method":"a"}';
  const second = '{"jsonrpc":"2.0","method":"b"}';
  const third = '{"jsonrpc":"2.0","id":2,"result":{}}';
  for (const strictness of BOTH) {
    const scanned = scan(` [ ${first}\t,${second} , ${third}] `, strictness);
    assert.ok(scanned.kind === "batch");
    assert.deepEqual(
      scanned.elements.map(({ message }) => message.kind),
      ["request", "notification", "response"],
    );
    assert.deepEqual(
      scanned.elements.map(({ bytes }) => fromUtf8(bytes)),
      [first, second, third],
    );
  }
});

Deno.test("scanLine() still finds id and method of a refused line when there is one of each", () => {
  const cases: [string, string | null, string | null][] = [
    ['{"jsonrpc":"2.0","id":7,\r"method":"a"}', "n:7", "a"],
    ['{"method":"a","params":{"x":1,"x":2},"jsonrpc":"2.0","id":"q"}', "s:q", "a"],
    ['{"jsonrpc":"2.0","id":7,"id":8,"method":"a"}', null, "a"],
    ['{"jsonrpc":"2.0","method":"a","params":5}', null, "a"],
    ['{"jsonrpc":"2.0","id":3,"result":{},"error":{}}', "n:3", null],
    ['\ufeff{"jsonrpc":"2.0","id":1,"method":"initialize"}', "n:1", "initialize"],
    ["Server running on stdio", null, null],
    ['[{"jsonrpc":"2.0","id":7}]', null, null],
  ];
  for (const [line, id, method] of cases) {
    const scanned = refused(line, "towards_server");
    assert.deepEqual([scanned.id?.key ?? null, scanned.method], [id, method], line);
  }
});

Deno.test("scanLine() returns views into the line when it returns bytes", () => {
  const buffer = utf8('xx{"jsonrpc":"2.0","id":17,"method":"ping"}yy');
  const line = buffer.subarray(2, buffer.length - 2);
  const scanned = scanLine(line, "towards_server");
  assert.ok(scanned.kind === "request");
  assert.equal(scanned.id.token.buffer, buffer.buffer);
});

Deno.test("scanLine() checks every byte of a long string when it goes on by words, at any alignment", () => {
  const head = '{"jsonrpc":"2.0","id":1,"method":"m","params":{"x":"';
  const tail = '"}}';
  for (let shift = 0; shift < 4; shift++) {
    for (let length = 60; length < 80; length++) {
      const buffer = new Uint8Array(shift + head.length + length + tail.length + 3).fill(0x22);
      const line = buffer.subarray(shift, shift + head.length + length + tail.length);
      line.set(utf8(head));
      line.fill(0x61, head.length, head.length + length);
      line.set(utf8(tail), head.length + length);
      assert.equal(scan(line).kind, "request", `shift ${shift} length ${length}`);
      for (let at = head.length; at < head.length + length; at++) {
        for (const [byte, reason] of [[0x1f, "control_character"], [0x0d, "carriage_return"]]) {
          line[at] = Number(byte);
          const scanned = refused(line, "towards_server");
          assert.deepEqual([scanned.reason, scanned.offset], [reason, at]);
        }
        line[at] = 0x22;
        assert.equal(refused(line, "towards_server").offset, at + 1);
        line[at] = 0x5c;
        assert.equal(refused(line, "towards_server").reason, "not_json");
        line[at] = 0x61;
      }
    }
  }
});

Deno.test("scanLine() takes linear time when a line is built to be slow", () => {
  const size = 2 << 20;
  const call = (params: string) =>
    `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":${params}}`;
  const keys = Array.from({ length: size / 16 }, (_, i) => `"${i.toString(36)}":0`).join(",");
  const escapedKeys = keys.replaceAll('":', '\\u0061":');
  const lines: [string, string | Bytes][] = [
    ["keys", call(`{"arguments":{${keys}}}`)],
    ["keys in params", call(`{${keys}}`)],
    ["escaped keys", call(`{"arguments":{${escapedKeys}}}`)],
    ["keys of the envelope", `{${keys},"jsonrpc":"2.0","id":1,"method":"x"}`],
    ["backslashes", call(`{"a":"${"\\\\".repeat(size / 2)}"}`)],
    ["escaped quotes", call(`{"a":"${'\\"'.repeat(size / 2)}"}`)],
    ["brackets", call("[" + "[],".repeat(size / 3) + "[]]")],
    ["an open string", '{"id":1,"method":"' + '\\"'.repeat(size / 2)],
    ["open brackets", "[".repeat(size)],
    ["a long number", call(`[${"1".repeat(size)}]`)],
    ["a long id", `{"jsonrpc":"2.0","id":1e${"9".repeat(size)},"method":"x"}`],
    ["white space", " ".repeat(size)],
    ["bad UTF-8", fromHex("80".repeat(1024)).slice()],
  ];
  for (const [name, line] of lines) {
    const bytes = bytesOf(line);
    const start = performance.now();
    scanLine(bytes, "towards_server");
    scanLine(bytes, "towards_agent");
    const elapsed = performance.now() - start;
    // Quadratic time would be minutes; the bound leaves room for a machine that is busy.
    assert.ok(elapsed < 10_000, `${name} took ${elapsed} ms`);
  }
});
