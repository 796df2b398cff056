import assert from "node:assert/strict";
import { type Bytes, utf8 } from "../../lib/bytes.ts";
import { hex4, keyHash, KeyTable } from "../../lib/mcp/key_table.ts";
import { Violation } from "../../lib/mcp/refusals.ts";

const STOPS = new Uint8Array(256);
STOPS[0x22] = STOPS[0x5c] = 1;

/** With this factor every two keys of one length have one hash. */
const COLLIDING = { start: 0, factor: 0 };
const SEEDED = keyHash(Uint32Array.of(0x12345678, 0x9abcdef0));

/** Adds the keys of a JSON array of strings to one object, and closes it. */
function addAll(table: KeyTable, keys: readonly string[]): void {
  const line = utf8(keys.map((key) => `"${key}"`).join(","));
  table.open(line);
  table.enter();
  let at = 1;
  for (const key of keys) {
    const length = utf8(key).length;
    if (key.includes("\\")) table.addEscaped(at, at + length);
    else assert.equal(table.addPlain(at, STOPS, 0x22), at + length);
    at += length + 3;
  }
  table.leave();
}

function violation(call: () => void): Violation | null {
  try {
    call();
    return null;
  } catch (thrown) {
    assert.ok(thrown instanceof Violation);
    return thrown;
  }
}

const distinct = (count: number) => Array.from({ length: count }, (_, i) => `k${i}`);

Deno.test("KeyTable accepts any number of different keys, even when all hashes collide", () => {
  for (const hash of [SEEDED, COLLIDING]) {
    const table = new KeyTable(hash);
    for (const count of [0, 1, 2, 31, 32, 33, 34, 100, 5000]) addAll(table, distinct(count));
  }
});

Deno.test("KeyTable names the second key when two are equal, wherever they stand", () => {
  for (const hash of [SEEDED, COLLIDING]) {
    const table = new KeyTable(hash);
    for (const count of [2, 31, 32, 33, 34, 100]) {
      for (const [first, second] of [[0, count - 1], [count - 2, count - 1], [0, 1]]) {
        const keys = distinct(count);
        keys[second!] = keys[first!]!;
        const offset = utf8(keys.slice(0, second).map((key) => `"${key}",`).join("")).length;
        const found = violation(() => addAll(table, keys));
        assert.deepEqual([found?.reason, found?.offset], ["duplicate_key", offset], `${count}`);
      }
    }
  }
});

Deno.test("KeyTable compares what keys stand for when they hold escapes", () => {
  const equal: [string, string][] = [
    ["a", "\\u0061"],
    ["\\u0061", "\\u0061"],
    ["\\n", "\\u000a"],
    ["\\b\\f\\r\\t", "\\u0008\\u000C\\u000d\\u0009"],
    ["/", "\\/"],
    ["ä€", "\\u00e4\\u20AC"],
    ["😀", "\\ud83d\\ude00"],
    ["x😀", "x\\uD83D\\uDE00"],
    ["\\ud83d\\u0061", "\\uD83Da"],
    ["\\ud83d\\ud83d\\ude00", "\\ud83d😀"],
  ];
  for (const hash of [SEEDED, COLLIDING]) {
    const table = new KeyTable(hash);
    for (const padding of [0, 40]) {
      for (const pair of equal) {
        const keys = [...distinct(padding), ...pair];
        assert.equal(violation(() => addAll(table, keys))?.reason, "duplicate_key", `${pair}`);
      }
      addAll(table, [...distinct(padding), "a", "\\\\u0061", "\\u0062", "\\ud83d", "\\ude00"]);
      addAll(table, [...distinct(padding), "\\ud83d\\u0061", "\\ud83d\\u0062", "\\ud83d\\n"]);
    }
  }
});

Deno.test("KeyTable still knows the first escaped key when many long ones follow", () => {
  for (const hash of [SEEDED, COLLIDING]) {
    for (const count of [20, 60]) {
      const keys = Array.from({ length: count }, (_, i) => `\\n${"x".repeat(40)}${i}`);
      addAll(new KeyTable(hash), keys);
      keys.push(keys[0]!);
      const found = violation(() => addAll(new KeyTable(hash), keys));
      assert.equal(found?.reason, "duplicate_key", `${count}`);
    }
  }
});

Deno.test("KeyTable.addEscaped() refuses NUL when an escape makes one", () => {
  const table = new KeyTable(SEEDED);
  assert.equal(violation(() => addAll(table, ["a\\u0000"]))?.reason, "escaped_nul");
  addAll(table, ["a\\\\u0000"]);
});

Deno.test("KeyTable keeps objects apart when they are nested or follow each other", () => {
  const line: Bytes = utf8('"a","b","a","b","a"');
  const table = new KeyTable(SEEDED);
  table.open(line);
  table.enter();
  table.addPlain(1, STOPS, 0x22);
  for (let i = 0; i < 3; i++) {
    table.enter();
    table.addPlain(1, STOPS, 0x22);
    table.addPlain(5, STOPS, 0x22);
    table.leave();
  }
  table.addPlain(5, STOPS, 0x22);
  assert.equal(violation(() => table.addPlain(9, STOPS, 0x22))?.offset, 8);
});

Deno.test("KeyTable.addPlain() adds nothing when the key ends otherwise than in its quote", () => {
  const table = new KeyTable(SEEDED);
  table.open(utf8('"ab\\n","ab'));
  table.enter();
  assert.equal(table.addPlain(1, STOPS, 0x22), 3);
  assert.equal(table.addPlain(1, STOPS, 0x22), 3);
  assert.equal(table.addPlain(8, STOPS, 0x22), 10);
  table.leave();
});

Deno.test("hex4() returns −1 when there are no four hexadecimal digits", () => {
  assert.equal(hex4(utf8("x00fFz"), 1), 0x00ff);
  assert.equal(hex4(utf8("ABCD"), 0), 0xabcd);
  for (const text of ["00f", "00g0", "0x00", "-001", " 001", "００００"]) {
    assert.equal(hex4(utf8(text), 0), -1, text);
  }
});
