import assert from "node:assert/strict";

import { utf8 } from "../../../lib/bytes.ts";
import { call, CALLER, FORGETFUL, policyOf, PolicySession, request } from "./scene.ts";
import { SILENT } from "../../../lib/log.ts";
import { UsageBook } from "../../../lib/mcp/policy/usage_book.ts";
import { FakeClock } from "../../session/fake_clock.ts";

const EVERYTHING = { allow: ["*"] };
const TOOLS = policyOf({ name: "readers", peer: "*", tools: { allow: ["read_*"] } });

Deno.test("PolicyEnforcement passes a permitted call as the bytes it came as, and answers another", () => {
  using session = new PolicySession({ policy: TOOLS });
  const odd =
    '{ "id":7, "params" : {"arguments":{"n":1e400,"x":9007199254740993},"name":"read_file"},"method":"tools/call","jsonrpc":"2.0"}';
  session.agent(odd);
  assert.deepEqual(session.atServer, [odd]);
  session.answer(7, { content: [] });
  assert.deepEqual(session.last, { jsonrpc: "2.0", id: 7, result: { content: [] } });
  session.agent(call("write_file", {}, "w"));
  assert.equal(session.atServer.length, 1);
  const { id, error } = session.atAgent[1];
  assert.equal(id, "w");
  assert.equal(error.code, -32017);
  assert.equal(
    error.message,
    'The host\'s policy does not permit this: no rule allows the tool "write_file"',
  );
  const { hint, ...data } = error.data;
  assert.deepEqual(data, { talos: "not_permitted", rule: "default", run: "no" });
  assert.match(hint[0], /talos policy explain FILE z6Mk\w+ tools\/call write_file$/);
  assert.equal(session.pipeline.pending.to_server.size, 0);
});

Deno.test("PolicyEnforcement drops what has no id and would be a call", () => {
  using session = new PolicySession({ policy: policyOf({ peer: "*", tools: EVERYTHING }) });
  session.agent('{"jsonrpc":"2.0","method":"tools/call","params":{"name":"read"}}');
  session.agent('{"jsonrpc":"2.0","method":"x/custom"}');
  assert.deepEqual([session.atServer, session.atAgent], [[], []]);
});

Deno.test("PolicyEnforcement takes what is denied out of lists, and leaves the rest as it came", () => {
  using session = new PolicySession({
    policy: policyOf({
      peer: "*",
      tools: { allow: ["*"], deny: ["write"] },
      prompts: { allow: ["p"] },
      resources: { allow: ["test://a*"] },
    }),
  });
  const ask = (id: number, method: string, reply: string, expected: string) => {
    session.agent(request(id, method));
    session.server(reply);
    assert.equal(session.linesAtAgent.at(-1), expected);
  };
  ask(
    1,
    "tools/list",
    '{"result": {"x":[{"name":"write"}], "tools" :[ {"name":"read", "n":1.0} ,{"name":"write"},{ "n\\u0061me":"WRITE"}, {"name":"\\u0061"},{"title":"nameless"},7],"nextCursor":"c"},"id":1,"jsonrpc":"2.0"}',
    '{"result": {"x":[{"name":"write"}], "tools" :[{"name":"read", "n":1.0},{"name":"\\u0061"}],"nextCursor":"c"},"id":1,"jsonrpc":"2.0"}',
  );
  ask(
    2,
    "prompts/list",
    '{"jsonrpc":"2.0","id":2,"result":{"prompts":[{"name":"q"}]}}',
    '{"jsonrpc":"2.0","id":2,"result":{"prompts":[]}}',
  );
  ask(
    3,
    "resources/list",
    '{"jsonrpc":"2.0","id":3,"result":{"resources":[{"uri":"test://a"},{"uri":"test://b"}]}}',
    '{"jsonrpc":"2.0","id":3,"result":{"resources":[{"uri":"test://a"}]}}',
  );
  ask(
    4,
    "resources/templates/list",
    '{"jsonrpc":"2.0","id":4,"result":{"resourceTemplates":[{"uriTemplate":"test://a/{x}"},{"uriTemplate":"test://b/{x}"}]}}',
    '{"jsonrpc":"2.0","id":4,"result":{"resourceTemplates":[{"uriTemplate":"test://a/{x}"}]}}',
  );
  const whole = '{"jsonrpc":"2.0","id":5,"result":{"tools":[ {"name":"read"} ]}}';
  ask(5, "tools/list", whole, whole);
});

Deno.test("PolicyEnforcement passes no list that two readers could take differently", () => {
  using session = new PolicySession({ policy: TOOLS });
  for (
    const result of [
      '{"tools":[],"tools":[{"name":"write"}]}',
      '{"tools":[{"name":"read_x","name":"write"}]}',
      '{"tools":{"name":"write"}}',
    ]
  ) {
    session.agent(request(1, "tools/list"));
    session.server(`{"jsonrpc":"2.0","id":1,"result":${result}}`);
    assert.equal(session.last.error.data.talos, "refused_line", result);
  }
});

Deno.test("PolicyEnforcement filters the list of a call that was cancelled long ago by not passing it", async () => {
  using session = new PolicySession({ policy: TOOLS });
  session.agent(request(1, "tools/list"));
  session.agent('{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}');
  session.server('{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"write"}]}}');
  assert.deepEqual(session.last, { jsonrpc: "2.0", id: 1, result: { tools: [] } });
  session.agent(request(2, "tools/list"));
  session.agent('{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":2}}');
  await session.clock.advance(10_000);
  session.server('{"jsonrpc":"2.0","id":2,"result":{"tools":[{"name":"write"}]}}');
  assert.equal(session.atAgent.length, 1);
});

Deno.test("PolicyEnforcement decides about each element of a batch", () => {
  using session = new PolicySession({ policy: TOOLS });
  session.agent(request(0, "initialize"));
  session.answer(0, { protocolVersion: "2025-03-26" });
  const [good, bad] = [call("read_a", {}, 1), call("write_a", {}, 2)];
  session.agent(
    `[${good}, ${bad},{"jsonrpc":"2.0","method":"tools/call","params":{"name":"read_a"}}, ${
      request(3, "tools/list")
    }]`,
  );
  assert.equal(session.atServer.at(-1), `[${good},${request(3, "tools/list")}]`);
  assert.deepEqual([session.last.id, session.last.error.data.talos], [2, "not_permitted"]);
  session.server(
    '[{"jsonrpc":"2.0","id":1,"result":{}}, {"jsonrpc":"2.0","id":3,"result":{"tools":[{"name":"write_a"}]}}]',
  );
  assert.equal(
    session.linesAtAgent.at(-1),
    '[{"jsonrpc":"2.0","id":1,"result":{}},{"jsonrpc":"2.0","id":3,"result":{"tools":[]}}]',
  );
});

Deno.test("PolicyEnforcement fetches the server's own list where only read-only tools are permitted", async () => {
  using session = new PolicySession({
    policy: policyOf({ peer: "*", tools: EVERYTHING, read_only: true }),
  });
  session.agent(call("peek", {}, 1));
  session.agent(call("poke", {}, 2));
  session.agent(call("unknown", {}, 3));
  assert.equal(session.atServer.length, 1, "nothing but our own question");
  const own = JSON.parse(session.atServer[0]!);
  assert.deepEqual([own.method, own.params], ["tools/list", {}]);
  const page = [{ name: "peek", annotations: { readOnlyHint: true } }, {
    name: "twice",
    annotations: { readOnlyHint: true },
  }];
  session.answer(own.id, { tools: page, nextCursor: "2" });
  await session.clock.advance(0);
  const next = JSON.parse(session.atServer[1]!);
  assert.deepEqual(next.params, { cursor: "2" });
  session.answer(next.id, {
    tools: [{ name: "poke", annotations: { readOnlyHint: "true" } }, {
      name: "poke",
      annotations: { readOnlyHint: true },
    }, { name: "twice" }],
  });
  await session.settled();
  assert.deepEqual(session.atServer.slice(2), [call("peek", {}, 1)]);
  assert.deepEqual(session.atAgent.map(({ id, error }) => [id, error.data.rule]), [[
    2,
    "rules[0]: read_only",
  ], [3, "rules[0]: read_only"]]);
  session.agent(call("twice", {}, 4));
  assert.equal(session.last.id, 4);
  session.agent(request(5, "tools/list"));
  session.answer(5, { tools: [...page, { name: "poke", annotations: { readOnlyHint: true } }] });
  assert.deepEqual(session.last.result.tools.map(({ name }: { name: string }) => name), ["peek"]);
  const asked = session.atServer.length;
  session.server('{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}');
  session.agent(call("peek", {}, 6));
  assert.equal(
    JSON.parse(session.atServer[asked]!).method,
    "tools/list",
    "an announced list is fetched",
  );
});

Deno.test("PolicyEnforcement asks for the list in the words of the agent's era, and permits nothing without one", async () => {
  using session = new PolicySession({
    policy: policyOf({ peer: "*", tools: EVERYTHING, read_only: true }),
  });
  const _meta = {
    progressToken: 1,
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
  };
  session.agent(request(1, "tools/call", { name: "peek", _meta }));
  const { id, params } = JSON.parse(session.atServer[0]!);
  const { progressToken: _, ...own } = _meta;
  assert.deepEqual(params, { _meta: own });
  session.server(JSON.stringify({ jsonrpc: "2.0", id, error: { code: -1, message: "no" } }));
  await session.settled();
  assert.equal(session.last.error.data.rule, "rules[0]: read_only");
  session.agent(call("peek", {}, 2));
  await session.clock.advance(30_000);
  await session.settled();
  assert.equal(session.last.id, 2, "a server that does not answer");
});

Deno.test("PolicyEnforcement cancels a call that takes too long, and answers it", async () => {
  using session = new PolicySession({
    policy: policyOf({
      name: "r",
      peer: "*",
      tools: EVERYTHING,
      limits: { seconds_per_call: 5, concurrent_calls: 1 },
    }),
  });
  session.agent(call("slow", {}, "a"));
  await session.clock.advance(4_999);
  assert.deepEqual(session.atAgent, []);
  session.agent(call("other", {}, "b"));
  assert.equal(session.last.error.data.rule, "r: limits.concurrent_calls");
  await session.clock.advance(1);
  assert.deepEqual(JSON.parse(session.atServer.at(-1)!), {
    jsonrpc: "2.0",
    method: "notifications/cancelled",
    params: { requestId: "a", reason: "it took longer than 5 s" },
  });
  const { id, error } = session.last;
  assert.deepEqual([id, error.code, error.data.talos, error.data.rule, error.data.run], [
    "a",
    -32019,
    "limit_reached",
    "r: limits.seconds_per_call",
    "unknown",
  ]);
  session.agent(call("other", {}, "c"));
  assert.equal(
    session.last.error.data.rule,
    "r: limits.concurrent_calls",
    "the server may go on with it",
  );
  const heard = session.atAgent.length;
  session.answer("a", { late: true });
  assert.equal(session.atAgent.length, heard, "a late answer goes nowhere");
  session.agent(call("other", {}, "d"));
  assert.equal(JSON.parse(session.atServer.at(-1)!).id, "d");
});

Deno.test("PolicyEnforcement counts a cancelled call as running for ten seconds", async () => {
  using session = new PolicySession({
    policy: policyOf({ peer: "*", tools: EVERYTHING, limits: { concurrent_calls: 1 } }),
  });
  session.agent(call("slow", {}, 1));
  session.agent('{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}');
  session.agent(call("slow", {}, 2));
  assert.equal(session.last.error.data.talos, "limit_reached");
  await session.clock.advance(10_000);
  session.agent(call("slow", {}, 3));
  assert.equal(JSON.parse(session.atServer.at(-1)!).id, 3);
});

Deno.test("PolicyEnforcement counts requests of a minute, retries of a question once", async () => {
  using session = new PolicySession({
    policy: policyOf({ peer: "*", tools: EVERYTHING, limits: { requests_per_minute: 2 } }),
  });
  const retry = (id: number) =>
    request(id, "tools/call", { name: "t", inputResponses: {}, requestState: "s" });
  const passes = (line: string) => {
    const before = session.atServer.length;
    session.agent(line);
    return session.atServer.length > before;
  };
  assert.ok(passes(call("t", {}, 1)));
  session.answer(1, { resultType: "input_required", requestState: "s" });
  assert.ok(passes(retry(2)));
  session.answer(2, { resultType: "complete" });
  assert.ok(passes(retry(3)), "no question is open: a request like any other");
  assert.ok(!passes(call("t", {}, 4)));
  assert.equal(session.last.error.data.retry_after_s, 61);
  assert.ok(passes(request(5, "ping")));
  await session.clock.advance(60_999);
  assert.ok(!passes(call("t", {}, 6)));
  await session.clock.advance(1);
  assert.ok(passes(call("t", {}, 7)));
});

Deno.test("PolicyEnforcement counts bytes of a day in both directions", async () => {
  const clock = new FakeClock(Date.parse("2026-01-01T00:00:00Z"));
  using session = new PolicySession({
    clock,
    policy: policyOf({ peer: "*", tools: EVERYTHING, limits: { bytes_per_day: 1000 } }),
  });
  session.agent(call("t", {}, 1));
  session.answer(1, { text: "x".repeat(1000) });
  session.agent(call("t", {}, 2));
  assert.equal(session.last.error.data.rule, "rules[0]: limits.bytes_per_day");
  await clock.advance(24 * 3600 * 1000);
  session.agent(call("t", {}, 3));
  assert.equal(JSON.parse(session.atServer.at(-1)!).id, 3);
});

Deno.test("PolicyEnforcement counts together what one peer does in several sessions", () => {
  const clock = new FakeClock();
  const usage = new UsageBook({ database: FORGETFUL, clock, log: SILENT });
  const policy = policyOf({ peer: "*", tools: EVERYTHING, limits: { concurrent_calls: 1 } });
  using one = new PolicySession({ policy, usage, clock });
  using other = new PolicySession({ policy, usage, clock });
  one.agent(call("t", {}, 1));
  other.agent(call("t", {}, 1));
  assert.equal(other.last.error.data.talos, "limit_reached");
  one.enforcement.ended();
  other.agent(call("t", {}, 2));
  assert.equal(other.atServer.length, 1, "what a session leaves behind runs no more");
});

Deno.test("PolicyEnforcement.policyChanged() holds for the next call, and for those that run", () => {
  using session = new PolicySession({ policy: policyOf({ peer: "*", tools: EVERYTHING }) });
  session.agent(call("read_a", {}, 1));
  session.agent(call("write_a", {}, 2));
  session.enforcement.policyChanged(TOOLS);
  assert.equal(session.atServer.length, 3);
  assert.equal(JSON.parse(session.atServer[2]!).params.requestId, 2);
  assert.deepEqual(session.atAgent.map(({ id, error }) => [id, error.data.talos]), [[
    2,
    "not_permitted",
  ]]);
  session.answer(2, {});
  session.agent(call("write_a", {}, 3));
  assert.equal(session.last.id, 3);
  session.answer(1, {});
  assert.equal(session.last.id, 1);
});

Deno.test("PolicyEnforcement lets a session see its own tasks alone, as far as their tool is permitted", () => {
  using session = new PolicySession({ policy: TOOLS });
  session.agent(request(1, "tools/call", { name: "read_a", task: {} }));
  session.answer(1, { task: { taskId: "T", status: "working" } });
  session.agent(request(2, "tools/call", { name: "read_b" }));
  session.answer(2, { resultType: "task", taskId: "U" });
  const passes = (taskId: unknown, method = "tasks/get") => {
    const before = session.atServer.length;
    session.agent(request("x", method, { taskId }));
    if (session.atServer.length === before) return false;
    session.answer("x", {});
    return true;
  };
  assert.deepEqual(["T", "U", "V", 1, undefined].map((id) => passes(id)), [
    true,
    true,
    false,
    false,
    false,
  ]);
  assert.ok(
    passes("T", "tasks/cancel") && passes("U", "tasks/update") && passes("T", "tasks/result"),
  );
  session.agent(request(3, "tasks/list"));
  session.answer(3, { tasks: [{ taskId: "T" }, { taskId: "V" }] });
  assert.deepEqual(session.last.result.tasks, [{ taskId: "T" }]);
  session.enforcement.policyChanged(policyOf({ peer: "*", tools: { allow: ["read_b"] } }));
  assert.deepEqual([passes("T"), passes("U")], [false, true]);
});

Deno.test("PolicyEnforcement passes no news of a resource that is not permitted", () => {
  using session = new PolicySession({
    policy: policyOf({ peer: "*", resources: { allow: ["test://a"] } }),
  });
  for (const uri of ["test://a", "test://b"]) {
    session.server(
      JSON.stringify({
        jsonrpc: "2.0",
        method: "notifications/resources/updated",
        params: { uri },
      }),
    );
  }
  assert.deepEqual(session.atAgent.map(({ params }) => params.uri), ["test://a"]);
});

Deno.test("PolicyEnforcement asks a person, and decides once more when the answer comes", async () => {
  const asked: {
    names: readonly string[];
    rule: string;
    signal: AbortSignal;
    answer: (allowed: boolean) => void;
  }[] = [];
  using session = new PolicySession({
    policy: policyOf({ peer: "*", tools: { allow: ["*"], ask: ["delete"] } }),
    ask: ({ names, rule, signal }) =>
      new Promise((answer) => asked.push({ names, rule, signal, answer })),
  });
  for (const id of [1, 2, 3, 4]) session.agent(call("delete", {}, id));
  session.agent(call("read", {}, 5));
  assert.deepEqual(session.atServer, [call("read", {}, 5)], "others pass meanwhile");
  assert.deepEqual([asked[0]!.names, asked[0]!.rule], [["delete"], 'rules[0]: tools.ask "delete"']);
  asked[0]!.answer(true);
  asked[1]!.answer(false);
  session.agent('{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":3}}');
  assert.ok(asked[2]!.signal.aborted && !asked[3]!.signal.aborted);
  asked[2]!.answer(true);
  await session.clock.advance(0);
  assert.deepEqual(session.atServer.filter((line) => line.includes("delete")), [
    call("delete", {}, 1),
  ]);
  assert.equal(session.last.id, 2);
  session.enforcement.policyChanged(
    policyOf({ peer: "*", tools: { allow: ["*"], deny: ["delete"] } }),
  );
  asked[3]!.answer(true);
  await session.settled();
  assert.equal(
    session.atServer.filter((line) => line.includes('"delete"')).length,
    1,
    "the policy has changed",
  );
});

Deno.test("PolicyEnforcement denies where nobody can be asked", () => {
  using session = new PolicySession({ policy: policyOf({ peer: "*", tools: { ask: ["*"] } }) });
  session.agent(call("x"));
  assert.match(session.last.error.message, /nobody can be asked/);
  session.agent(utf8(request(2, "ping")));
  assert.equal(session.atServer.length, 1);
});

Deno.test("PolicyEnforcement takes no plain call for a retry, and no second one", () => {
  const limits = { requests_per_minute: 2 };
  using session = new PolicySession({
    policy: policyOf({ peer: "*", tools: EVERYTHING, limits }),
  });
  session.agent(call("t", {}, 1));
  session.answer(1, { resultType: "input_required", requestState: "s" });
  session.agent(call("t", {}, 2));
  session.agent(call("t", {}, 3));
  assert.deepEqual([session.atServer.length, session.last.id], [2, 3]);
  const retry = (id: number) => request(id, "tools/call", { name: "t", requestState: "s" });
  session.agent(retry(4));
  session.agent(retry(5));
  assert.deepEqual([session.atServer.length, session.last.id], [3, 5]);
  session.agent(request(6, "tools/call", { name: "other", requestState: "s" }));
  assert.equal(session.last.id, 6);
});

Deno.test("PolicyEnforcement counts nothing for a call whose caller no longer waits", async () => {
  const answers: ((allowed: boolean) => void)[] = [];
  using session = new PolicySession({
    policy: policyOf({ peer: "*", tools: { ask: ["*"] }, limits: { concurrent_calls: 1 } }),
    ask: () => new Promise((answer) => answers.push(answer)),
  });
  session.agent(call("t", {}, 1));
  session.agent('{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}');
  answers[0]!(true);
  await session.settled();
  assert.equal(session.usage.of(CALLER).calls, 0);
});

Deno.test("PolicyEnforcement counts calls right when ids are used again, and answers nobody twice", async () => {
  using session = new PolicySession({ policy: policyOf({ peer: "*", tools: EVERYTHING }) });
  const cancel = '{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}';
  session.agent(call("t", {}, 1));
  session.agent(cancel);
  session.agent(call("t", {}, 1));
  assert.equal(session.usage.of(CALLER).calls, 1);
  session.agent(cancel);
  session.enforcement.policyChanged(policyOf());
  assert.deepEqual(session.atAgent, [], "who cancelled waits for no answer");
  await session.clock.advance(10_000);
  assert.equal(session.usage.of(CALLER).calls, 0);
});

Deno.test("PolicyEnforcement lists nothing whose name no request could have", () => {
  using session = new PolicySession({ policy: policyOf({ peer: "*", tools: EVERYTHING }) });
  session.agent(request(1, "tools/list"));
  const tools = `[{"name":"\\ud800"},{"name":"a\\u0000b"},{"name":"${
    "x".repeat(2000)
  }"},{"name":"ok"}]`;
  session.server(`{"jsonrpc":"2.0","id":1,"result":{"tools":${tools}}}`);
  assert.deepEqual(session.last.result.tools, [{ name: "ok" }]);
});

Deno.test("PolicyEnforcement counts no call whose answer was refused or too long", () => {
  const usage = new UsageBook({ database: FORGETFUL, clock: new FakeClock(), log: SILENT });
  const policy = policyOf({ peer: "*", tools: EVERYTHING, limits: { concurrent_calls: 1 } });
  using session = new PolicySession({ policy, usage });
  using other = new PolicySession({ policy, usage });
  session.agent(call("t", {}, 1));
  session.server('{"jsonrpc":"2.0","id":1,"result":{},}');
  assert.equal(session.last.error.data.talos, "refused_line");
  other.agent(call("t", {}, 1));
  assert.equal(other.atServer.length, 1);
  other.pipeline.pending.to_server.settle("n:1");
  session.agent(call("t", {}, 2));
  assert.equal(session.atServer.length, 2);
  session.agent(call("t", {}, 3));
  assert.equal(session.last.id, 3, "one that runs is one");
  const unlimited = new PolicySession({
    policy: policyOf({ peer: "*", tools: EVERYTHING }),
    usage,
  });
  for (let id = 0; id < 500; id++) {
    unlimited.agent(call("t", {}, id));
    unlimited.server(`{"jsonrpc":"2.0","id":${id},"result":{},}`);
  }
  assert.ok(unlimited.usage.of(CALLER).calls < 100, "nothing heaps up");
  unlimited.enforcement.ended();
});
