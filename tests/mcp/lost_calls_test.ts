import assert from "node:assert/strict";

import { type Bytes, fromUtf8, utf8 } from "../../lib/bytes.ts";
import { AgentState } from "../../lib/mcp/agent_state.ts";
import { LostCalls } from "../../lib/mcp/lost_calls.ts";
import { Pipeline } from "../../lib/mcp/pipeline.ts";
import { RepeatableCalls } from "../../lib/mcp/repeatable_calls.ts";
import { ServerIds } from "../../lib/mcp/server_ids.ts";
import { SessionError } from "../../lib/session/errors.ts";
import { SeededRandom } from "../../scripts/seeded_random.ts";
import { FakeClock } from "../session/fake_clock.ts";

function scene() {
  const serverIds = new ServerIds(new SeededRandom("ids").bytes);
  const state = new AgentState((key) => serverIds.isOwn(key));
  const repeatable = new RepeatableCalls(["read"]);
  const pipeline = new Pipeline({
    strictness: { to_server: "towards_agent", to_agent: "towards_agent" },
    interceptors: [state, repeatable],
    serverIds,
    clock: new FakeClock(),
  });
  const lost = new LostCalls({ pipeline, state, repeatable, serverIds });
  const pass = (line: Bytes) => void pipeline.pass("to_server", line);
  const call = (id: number, name: string) =>
    pass(utf8(JSON.stringify({ jsonrpc: "2.0", id, method: "tools/call", params: { name } })));
  const lose = (mayHaveRun: boolean) =>
    lost.serverLost({
      error: new SessionError("session_lost", "Lost it"),
      mayHaveRun: () => mayHaveRun,
    }).map((line) => JSON.parse(fromUtf8(line)));
  return { lost, pipeline, serverIds, pass, call, lose };
}

const outcome = (reply: { id: unknown; error: { data: { run: string } } }) => [
  reply.id,
  reply.error.data.run,
];

Deno.test("LostCalls.serverLost() answers each call as it stands, and only once", () => {
  const { call, lose } = scene();
  call(1, "write");
  assert.deepEqual(lose(true).map(outcome), [[1, "unknown"]]);
  call(2, "write");
  assert.deepEqual(lose(false).map(outcome), [[2, "no"]]);
  assert.deepEqual(lose(true), []);
});

Deno.test("LostCalls.serverLost() never says *not run* of a call that a server before may have run", () => {
  const { call, lose, lost, pass } = scene();
  call(1, "read");
  call(2, "read");
  assert.deepEqual(lose(true), []);
  assert.equal(lost.makeAgain(pass), 2);
  // The second server dies before anything has left for it.
  assert.deepEqual(lose(false).map(outcome), [[1, "unknown"], [2, "unknown"]]);
  call(1, "write"); // the id used again
  assert.deepEqual(lose(false).map(outcome), [[1, "no"]]);
});

Deno.test("LostCalls.serverLost() keeps a call that no server has seen through several losses", () => {
  const { call, lose, lost, pass } = scene();
  call(1, "read");
  assert.deepEqual(lose(false), []);
  assert.deepEqual(lose(false), []);
  assert.equal(lost.makeAgain(pass), 1);
  assert.deepEqual(lose(false).map(outcome), [[1, "no"]]);
});

Deno.test("LostCalls.answer() answers what waits for a server, as what is known of it", () => {
  const { call, lose, lost, pass } = scene();
  call(1, "read");
  assert.deepEqual(lose(true), []);
  call(2, "write");
  const replies = lost.answer(new SessionError("handshake_timeout", "No answer"));
  assert.deepEqual(replies.map((line) => outcome(JSON.parse(fromUtf8(line)))), [
    [1, "unknown"],
    [2, "no"],
  ]);
  assert.equal(lost.makeAgain(pass), 0);
});

Deno.test("LostCalls.serverLost() tells the agent that the server's requests are cancelled, under the ids it knows", () => {
  const { pipeline, lose } = scene();
  const ask = () => pipeline.pass("to_agent", utf8('{"jsonrpc":"2.0","id":1,"method":"ping"}'));
  ask();
  assert.equal(lose(true)[0].params.requestId, 1);
  const { id } = JSON.parse(fromUtf8(ask().forward[0]!));
  assert.equal(lose(true)[0].params.requestId, id);
  assert.deepEqual(lose(true), []);
});
