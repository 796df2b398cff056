import assert from "node:assert/strict";
import { utf8 } from "../../lib/bytes.ts";
import { type MessageId, parseMessageId } from "../../lib/mcp/message_id.ts";
import { PendingCalls } from "../../lib/mcp/pending.ts";

function id(token: string): MessageId {
  const parsed = parseMessageId(utf8(token));
  assert.ok(parsed !== null);
  return parsed;
}

Deno.test("PendingCalls.add() refuses an id when a call with it waits, however it is written", () => {
  const calls = new PendingCalls(() => 0);
  assert.equal(calls.add(id("1"), "a", null), "added");
  assert.equal(calls.add(id("1.0"), "b", null), "duplicate");
  assert.equal(calls.add(id('"1"'), "c", null), "added");
  assert.equal(calls.size, 2);
  assert.equal(calls.get("n:1")?.method, "a");
});

Deno.test("PendingCalls.settle() returns a call once, with its own copy of the id", () => {
  let now = 5;
  const calls = new PendingCalls(() => now);
  const request = id('"\\u0061"');
  calls.add(request, "tools/call", "t");
  now = 9;
  const token = utf8('"\\u0061"');
  request.token.fill(0);
  assert.deepEqual(calls.settle("s:a"), {
    idToken: token,
    key: "s:a",
    method: "tools/call",
    name: "t",
    startedAt: 5,
    cancelled: false,
  });
  assert.equal(calls.settle("s:a"), null);
  assert.equal(calls.settle("s:other"), null);
  assert.equal(calls.size, 0);
});

Deno.test("PendingCalls.add() says busy when as many calls wait as may", () => {
  const calls = new PendingCalls(() => 0, 2);
  assert.equal(calls.add(id("1"), "a", null), "added");
  assert.equal(calls.add(id("2"), "a", null), "added");
  assert.equal(calls.add(id("3"), "a", null), "busy");
  assert.equal(calls.add(id("2"), "a", null), "duplicate");
  calls.settle("n:1");
  assert.equal(calls.add(id("3"), "a", null), "added");
});

Deno.test("PendingCalls waits for 16,384 calls and no more unless told otherwise", () => {
  const calls = new PendingCalls(() => 0);
  for (let i = 1; i <= 16_384; i++) assert.equal(calls.add(id(`${i}`), "a", null), "added");
  assert.equal(calls.add(id("16385"), "a", null), "busy");
});

Deno.test("PendingCalls.add() says busy when ids and names take 4 MiB together", () => {
  const calls = new PendingCalls(() => 0);
  const long = (i: number) => id(`"${String(i).padStart(1022, "x")}"`);
  const name = "n".repeat(1022);
  const cost = 1024 + 2 * (1024 + "tools/call".length + 1022); // token, key, method, name
  const most = Math.floor(4 * 1024 * 1024 / cost);
  for (let i = 0; i < most; i++) assert.equal(calls.add(long(i), "tools/call", name), "added");
  assert.equal(calls.add(long(most), "tools/call", name), "busy");
  assert.equal(calls.add(long(0), "tools/call", name), "duplicate");
  calls.settle(long(0).key);
  assert.equal(calls.add(long(most), "tools/call", name), "added");
  calls.cancelled(long(1).key);
  assert.equal(calls.add(long(most + 1), "tools/call", name), "added");
  assert.equal(calls.add(long(most + 2), "tools/call", name), "busy");
  assert.equal([...calls.drain()].length, most);
  for (let i = 0; i < most; i++) assert.equal(calls.add(long(i), "tools/call", name), "added");
});

Deno.test("PendingCalls forgets cancelled calls when their ids and names take 4 MiB together", () => {
  const calls = new PendingCalls(() => 0);
  const long = (i: number) => id(`"${String(i).padStart(1022, "x")}"`);
  const name = "n".repeat(1022);
  for (let i = 0; i < 1000; i++) {
    calls.add(long(i), "tools/call", name);
    calls.cancelled(long(i).key);
  }
  const most = Math.floor(4 * 1024 * 1024 / (1024 + 2 * (1024 + "tools/call".length + 1022)));
  assert.equal(calls.settle(long(999 - most).key), null);
  assert.equal(calls.settle(long(1000 - most).key)?.cancelled, true);
  assert.equal(calls.settle(long(999).key)?.cancelled, true);
});

Deno.test("PendingCalls.cancelled() frees the id and knows a late reply", () => {
  const calls = new PendingCalls(() => 0, 1);
  calls.add(id("1"), "a", null);
  assert.equal(calls.cancelled("n:1")?.method, "a");
  assert.equal(calls.cancelled("n:1"), null);
  assert.equal(calls.cancelled("n:2"), null);
  assert.equal(calls.size, 0);
  assert.equal(calls.settle("n:1")?.cancelled, true);
  assert.equal(calls.settle("n:1"), null);
});

Deno.test("PendingCalls.settle() returns the newer call when a cancelled call's id is used again", () => {
  const calls = new PendingCalls(() => 0);
  calls.add(id("1"), "old", null);
  calls.cancelled("n:1");
  assert.equal(calls.add(id("1"), "new", null), "added");
  const settled = calls.settle("n:1");
  assert.deepEqual([settled?.method, settled?.cancelled], ["new", false]);
  assert.equal(calls.settle("n:1"), null);
});

Deno.test("PendingCalls remembers the newest 1,024 cancelled calls", () => {
  const calls = new PendingCalls(() => 0);
  for (let i = 1; i <= 1025; i++) {
    calls.add(id(`${i}`), "a", null);
    calls.cancelled(id(`${i}`).key);
  }
  assert.equal(calls.settle("n:1"), null);
  assert.equal(calls.settle("n:2")?.cancelled, true);
  assert.equal(calls.settle("n:1025")?.cancelled, true);
});

Deno.test("PendingCalls.drain() yields every waiting call once, the oldest first", () => {
  const calls = new PendingCalls(() => 0);
  for (const token of ["2", "1", "3", "4"]) calls.add(id(token), "a", null);
  calls.cancelled("n:3");
  assert.deepEqual([...calls.drain()].map((call) => call.key), ["n:2", "n:1", "n:4"]);
  assert.equal(calls.size, 0);
  assert.deepEqual([...calls.drain()], []);
  assert.equal(calls.settle("n:3"), null);
});

Deno.test("PendingCalls.drain() leaves the calls that were not taken when it is stopped early", () => {
  const calls = new PendingCalls(() => 0);
  for (const token of ["1", "2"]) calls.add(id(token), "a", null);
  for (const call of calls.drain()) {
    assert.equal(call.key, "n:1");
    break;
  }
  assert.equal(calls.size, 1);
});
