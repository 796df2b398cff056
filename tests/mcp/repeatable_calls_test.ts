import assert from "node:assert/strict";

import { fromUtf8, utf8 } from "../../lib/bytes.ts";
import { Pipeline } from "../../lib/mcp/pipeline.ts";
import { RepeatableCalls } from "../../lib/mcp/repeatable_calls.ts";
import { FakeClock } from "../session/fake_clock.ts";

function talk(tools: readonly string[]) {
  const calls = new RepeatableCalls(tools);
  const pipeline = new Pipeline({
    strictness: { to_server: "towards_agent", to_agent: "towards_agent" },
    interceptors: [calls],
    clock: new FakeClock(),
  });
  const say = (message: object) =>
    pipeline.pass("to_server", utf8(JSON.stringify({ jsonrpc: "2.0", ...message })));
  return {
    calls,
    pipeline,
    say,
    call: (id: number | string, name: string, method = "tools/call", pad = "") =>
      say({ id, method, params: { name, pad } }),
  };
}

Deno.test("RepeatableCalls.take() returns calls of named tools, once", () => {
  const { calls, call, pipeline } = talk(["read"]);
  call(1, "read");
  call(2, "write");
  call(3, "read", "prompts/get");
  assert.equal(calls.take("n:2"), null);
  assert.equal(calls.take("n:3"), null);
  const line = calls.take("n:1")!;
  assert.match(fromUtf8(line), /"id":1,.*"name":"read"/);
  pipeline.pending.to_server.settle("n:1");
  pipeline.pass("to_server", line); // made again
  assert.equal(calls.take("n:1"), null);
});

Deno.test("RepeatableCalls keeps nothing that was answered or cancelled, nor what was settled otherwise", () => {
  const { calls, call, say, pipeline } = talk(["read"]);
  for (const id of [1, 2, 3]) call(id, "read");
  pipeline.pass("to_agent", utf8('{"jsonrpc":"2.0","id":1,"result":{}}'));
  say({ method: "notifications/cancelled", params: { requestId: 2 } });
  pipeline.pending.to_server.settle("n:3");
  calls.retain((key) => pipeline.pending.to_server.get(key) !== null);
  for (const key of ["n:1", "n:2", "n:3"]) assert.equal(calls.take(key), null);
  call(1, "read"); // an id used again
  assert.ok(calls.take("n:1") !== null);
});

Deno.test("RepeatableCalls keeps 16 MiB of calls and no more", () => {
  const { calls, call } = talk(["read"]);
  for (let id = 1; id <= 20; id++) call(`${id}`, "read", "tools/call", "x".repeat(1024 * 1024));
  const kept = Array.from({ length: 20 }, (_, at) => calls.take(`s:${at + 1}`) !== null);
  assert.equal(kept.filter((one) => one).length, 15);
  call(21, "read", "tools/call", "x".repeat(1024 * 1024));
  assert.ok(calls.take("n:21") !== null, "there is room again");
});
