import assert from "node:assert/strict";

import { type Bytes, fromUtf8, utf8 } from "../../lib/bytes.ts";
import { systemClock } from "../../lib/clock.ts";
import { MAX_PENDING_CALLS } from "../../lib/limits.ts";
import {
  type Direction,
  type Interceptor,
  type Passage,
  type Passing,
  Pipeline,
  type Verdict,
} from "../../lib/mcp/pipeline.ts";

const STRICT = { to_server: "towards_server", to_agent: "towards_agent" } as const;
const FORWARD: Verdict = { action: "forward" };

function pipeline(...interceptors: readonly Interceptor[]): Pipeline {
  return new Pipeline({ strictness: STRICT, interceptors, clock: systemClock });
}

/** An interceptor that decides by method, or by `response` for responses; everything else passes. */
function deciding(
  decisions: Readonly<Record<string, Verdict | ((passing: Passing) => Verdict)>>,
  seen: string[] = [],
  name = "fake",
): Interceptor {
  return {
    name,
    intercept(passing) {
      const { message, direction } = passing;
      const what = message.kind === "response" ? "response" : message.method;
      seen.push(`${name} ${direction} ${what}`);
      const decision = decisions[what] ?? FORWARD;
      return typeof decision === "function" ? decision(passing) : decision;
    },
  };
}

interface Shown {
  forward: string[];
  back: unknown[];
  held: number;
  notes: string[];
}

function shown({ forward, back, held, notes }: Passage): Shown {
  return {
    forward: forward.map((line) => fromUtf8(line)),
    back: back.map((line) => JSON.parse(fromUtf8(line))),
    held: held.length,
    notes: [...notes],
  };
}

function pass(into: Pipeline, direction: Direction, line: string): Shown {
  return shown(into.pass(direction, utf8(line)));
}

function errorOf(line: string | undefined): { id: unknown; talos: string; message: string } {
  const { id, error } = JSON.parse(line ?? "null");
  return { id, talos: error.data.talos, message: error.message };
}

const CALL = '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t"}}';
const REPLY = '{"jsonrpc":"2.0","id":1,"result":{}}';

function request(id: number | string, method = "m"): string {
  return JSON.stringify({ jsonrpc: "2.0", id, method });
}

function response(id: number | string): string {
  return JSON.stringify({ jsonrpc: "2.0", id, result: {} });
}

/** Lets a server answer `initialize` with `version`. */
function negotiate(into: Pipeline, version: string): void {
  pass(into, "to_server", request("init", "initialize"));
  pass(
    into,
    "to_agent",
    JSON.stringify({ jsonrpc: "2.0", id: "init", result: { protocolVersion: version } }),
  );
}

Deno.test("Pipeline.pass() forwards the very bytes when a line is valid, whatever its form", () => {
  const odd =
    ' \t{ "params" : {"x":1.50e+3,"y":"\\u00e9\u00e9\\/"} ,"method":"m","id":1.0 , "jsonrpc":"2.0"}  ';
  const line = utf8(odd);
  const passage = pipeline().pass("to_server", line);
  assert.equal(passage.forward[0], line);
  assert.equal(passage.forward.length, 1);
  assert.deepEqual([passage.back, passage.held, passage.notes], [[], [], []]);
});

Deno.test("Pipeline.pass() notes a request per direction and settles it when its response comes", () => {
  const line = pipeline();
  pass(line, "to_server", CALL);
  pass(line, "to_agent", request(1, "sampling/createMessage"));
  assert.equal(line.pending.to_server.get("n:1")?.name, "t");
  assert.equal(line.pending.to_agent.get("n:1")?.method, "sampling/createMessage");
  assert.deepEqual(pass(line, "to_agent", REPLY).forward, [REPLY]);
  assert.equal(line.pending.to_server.size, 0);
  assert.equal(line.pending.to_agent.size, 1);
  assert.deepEqual(pass(line, "to_server", REPLY).forward, [REPLY]);
  assert.equal(line.pending.to_agent.size, 0);
});

Deno.test("Pipeline.pass() drops a response when no call waits for it", () => {
  const line = pipeline();
  const nothing = {
    forward: [],
    back: [],
    held: 0,
    notes: ["dropped a response to no pending call"],
  };
  assert.deepEqual(pass(line, "to_agent", REPLY), nothing);
  pass(line, "to_server", CALL);
  // A response by the agent to its own call answers nothing.
  assert.deepEqual(pass(line, "to_server", REPLY), nothing);
  assert.equal(line.pending.to_server.size, 1);
  pass(line, "to_agent", REPLY);
  assert.deepEqual(pass(line, "to_agent", REPLY), nothing);
});

Deno.test("Pipeline.pass() refuses a request when its id still waits, however it is written", () => {
  const line = pipeline();
  pass(line, "to_server", request(1));
  const refused = pass(line, "to_server", '{"jsonrpc":"2.0","id":1.0,"method":"other"}');
  assert.deepEqual(refused.forward, []);
  assert.equal(
    JSON.stringify(refused.back),
    JSON.stringify([{
      jsonrpc: "2.0",
      id: 1,
      error: {
        code: -32013,
        message: "The request was not passed on: its id belongs to a call that is still pending",
        data: { talos: "refused_line", reason: "duplicate" },
      },
    }]),
  );
  assert.equal(line.pending.to_server.get("n:1")?.method, "m");
  assert.deepEqual(pass(line, "to_agent", response(1)).forward.length, 1);
  assert.deepEqual(pass(line, "to_server", request(1)).forward.length, 1, "the id is free again");
});

Deno.test("Pipeline.pass() answers busy when as many calls wait as may", () => {
  const line = pipeline();
  for (let id = 0; id < MAX_PENDING_CALLS; id++) pass(line, "to_server", request(id));
  const refused = pass(line, "to_server", request("one more"));
  assert.equal(errorOf(JSON.stringify(refused.back[0])).talos, "busy");
  assert.deepEqual(refused.forward, []);
  assert.equal(
    pass(line, "to_agent", request(1)).forward.length,
    1,
    "the other direction has room",
  );
});

Deno.test("Pipeline.pass() lets a late response pass when its call was cancelled, once", () => {
  const line = pipeline();
  pass(line, "to_server", request(7));
  const cancel = '{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":7}}';
  assert.deepEqual(pass(line, "to_server", cancel).forward, [cancel]);
  assert.equal(line.pending.to_server.size, 0);
  assert.equal(pass(line, "to_agent", response(7)).forward.length, 1);
  assert.equal(pass(line, "to_agent", response(7)).forward.length, 0);
});

Deno.test("Pipeline.pass() cancels nothing of the other direction when ids are the same", () => {
  const line = pipeline();
  pass(line, "to_server", request(7));
  pass(
    line,
    "to_agent",
    '{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":7}}',
  );
  assert.equal(line.pending.to_server.size, 1);
});

Deno.test("Pipeline.pass() passes an error without id on when a side could not read a message", () => {
  const line = '{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"Parse error"}}';
  assert.deepEqual(pass(pipeline(), "to_agent", line).forward, [line]);
});

Deno.test("Pipeline.protocolVersion is what the server answered, and undefined when it failed", () => {
  const line = pipeline();
  assert.equal(line.protocolVersion, undefined);
  pass(line, "to_server", request(1, "initialize"));
  pass(line, "to_agent", '{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"no"}}');
  assert.equal(line.protocolVersion, undefined);
  pass(line, "to_server", request(1, "other"));
  pass(line, "to_agent", '{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-03-26"}}');
  assert.equal(line.protocolVersion, undefined, "another method's result says nothing");
  negotiate(line, "2025-11-25");
  assert.equal(line.protocolVersion, "2025-11-25");
});

// Interceptors

Deno.test("Pipeline.pass() asks the interceptors in order, in both directions, about all messages", () => {
  const seen: string[] = [];
  const line = pipeline(deciding({}, seen, "a"), deciding({}, seen, "b"));
  pass(line, "to_server", request(1, "tools/list"));
  pass(line, "to_agent", response(1));
  pass(line, "to_agent", '{"jsonrpc":"2.0","method":"notifications/message"}');
  assert.deepEqual(seen, [
    "a to_server tools/list",
    "b to_server tools/list",
    "a to_agent response",
    "b to_agent response",
    "a to_agent notifications/message",
    "b to_agent notifications/message",
  ]);
});

Deno.test("Interceptor.intercept() gets the call when it is asked about a response", () => {
  let call: unknown;
  const line = pipeline(deciding({
    response: (passing) => {
      call = [passing.call?.method, passing.call?.name, passing.call?.cancelled];
      return FORWARD;
    },
  }));
  pass(line, "to_server", CALL);
  pass(line, "to_agent", REPLY);
  assert.deepEqual(call, ["tools/call", "t", false]);
});

Deno.test("Interceptor.intercept() is not asked when a line is refused or answers nothing", () => {
  const seen: string[] = [];
  const line = pipeline(deciding({}, seen));
  pass(line, "to_server", '{"jsonrpc":"2.0","id":1,"method":"m","method":"n"}');
  pass(line, "to_agent", REPLY);
  pass(line, "to_agent", "noise");
  assert.deepEqual(seen, []);
});

Deno.test("Pipeline.pass() answers in place of the server when an interceptor answers", () => {
  const seen: string[] = [];
  const reply = utf8(REPLY);
  const line = pipeline(
    deciding({ "tools/call": { action: "answer", bytes: reply } }, seen, "a"),
    deciding({}, seen, "b"),
  );
  const passage = line.pass("to_server", utf8(CALL));
  assert.deepEqual(passage.forward, []);
  assert.equal(passage.back[0], reply);
  assert.equal(line.pending.to_server.size, 0, "nobody waits for the server");
  assert.deepEqual(seen, ["a to_server tools/call"]);
});

Deno.test("Pipeline.pass() answers the server when an interceptor answers its request", () => {
  const line = pipeline(deciding({ "roots/list": { action: "answer", bytes: utf8(REPLY) } }));
  const passage = pass(line, "to_agent", request(1, "roots/list"));
  assert.deepEqual([passage.forward, passage.back.length], [[], 1]);
  assert.equal(line.pending.to_agent.size, 0);
});

Deno.test("Pipeline.pass() throws when an interceptor answers what is no request", () => {
  const answer: Verdict = { action: "answer", bytes: utf8(REPLY) };
  const line = pipeline(deciding({ response: answer, "notifications/x": answer }, [], "policy"));
  pass(line, "to_server", CALL);
  assert.throws(() => pass(line, "to_agent", REPLY), {
    name: "TypeError",
    message: "Cannot pass message: interceptor policy answers no request",
  });
  assert.throws(
    () => pass(line, "to_server", '{"jsonrpc":"2.0","method":"notifications/x"}'),
    TypeError,
  );
});

Deno.test("Pipeline.pass() withholds without a word when an interceptor drops", () => {
  const line = pipeline(deciding({ "tools/call": { action: "drop", why: "by policy" } }));
  assert.deepEqual(pass(line, "to_server", CALL), {
    forward: [],
    back: [],
    held: 0,
    notes: ["dropped by policy"],
  });
  assert.equal(line.pending.to_server.size, 0);
});

Deno.test("Pipeline.pass() asks the rest about the replacement when an interceptor replaces", () => {
  const names: (string | null)[] = [];
  const replacement = utf8(
    '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"other"}}',
  );
  const line = pipeline(
    deciding({ "tools/call": { action: "replace", bytes: replacement } }, [], "a"),
    deciding(
      {
        "tools/call": ({ message, bytes }) => {
          names.push(message.kind === "request" ? message.name : null, fromUtf8(bytes));
          return FORWARD;
        },
      },
      [],
      "b",
    ),
  );
  const passage = line.pass("to_server", utf8(CALL));
  assert.equal(passage.forward[0], replacement);
  assert.deepEqual(names, ["other", fromUtf8(replacement)]);
});

Deno.test("Pipeline.pass() replaces a response when an interceptor does", () => {
  const bytes = utf8('{"jsonrpc":"2.0","id":1,"result":{"tools":[]}}');
  const line = pipeline(deciding({ response: { action: "replace", bytes } }));
  pass(line, "to_server", CALL);
  assert.equal(line.pass("to_agent", utf8(REPLY)).forward[0], bytes);
});

Deno.test("Pipeline.pass() throws when a replacement is not what it stands for", () => {
  for (
    const bad of [
      request(2, "tools/call"),
      response(1),
      '{"jsonrpc":"2.0","method":"tools/call"}',
      '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"a":1,"a":2}}',
      `[${CALL}]`,
      "",
    ]
  ) {
    const line = pipeline(
      deciding({ "tools/call": { action: "replace", bytes: utf8(bad) } }, [], "p"),
    );
    assert.throws(() => pass(line, "to_server", CALL), {
      name: "TypeError",
      message: "Cannot pass message: interceptor p replaces a message by one of another kind or id",
    }, bad);
  }
});

/** An interceptor that holds `tools/call` until it is told. */
function holding(seen: string[] = []) {
  const decision = Promise.withResolvers<Verdict>();
  const verdict: Verdict = { action: "hold", until: decision.promise };
  return {
    ...decision,
    interceptor: deciding({ "tools/call": verdict, response: FORWARD }, seen, "hold"),
  };
}

Deno.test("Pipeline.pass() lets others pass when it holds a message, and forwards it when told", async () => {
  const hold = holding();
  const seen: string[] = [];
  const line = pipeline(hold.interceptor, deciding({}, seen, "next"));
  const held = line.pass("to_server", utf8(CALL));
  assert.deepEqual(shown(held), { forward: [], back: [], held: 1, notes: [] });
  const call = line.pending.to_server.get("n:1");
  assert.ok(call !== null && line.holds(call));
  assert.equal(pass(line, "to_server", request(2)).forward.length, 1);
  assert.equal(pass(line, "to_agent", response(2)).forward.length, 1);
  hold.resolve(FORWARD);
  assert.deepEqual(shown(await held.held[0]!).forward, [CALL]);
  assert.ok(!line.holds(call));
  assert.deepEqual(seen, [
    "next to_server m",
    "next to_agent response",
    "next to_server tools/call",
  ], "those behind the one that held are asked too");
  assert.deepEqual(pass(line, "to_agent", REPLY).forward, [REPLY]);
});

Deno.test("Pipeline.pass() carries out any verdict when a held message is decided", async () => {
  const replacement = utf8('{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"u"}}');
  const cases: [Verdict, Partial<Shown>, number][] = [
    [{ action: "answer", bytes: utf8(REPLY) }, { back: [JSON.parse(REPLY)] }, 0],
    [{ action: "drop", why: "denied" }, { notes: ["dropped denied"] }, 0],
    [{ action: "replace", bytes: replacement }, { forward: [fromUtf8(replacement)] }, 1],
  ];
  for (const [verdict, expected, pending] of cases) {
    const hold = holding();
    const line = pipeline(hold.interceptor);
    const [later] = line.pass("to_server", utf8(CALL)).held;
    hold.resolve(verdict);
    assert.deepEqual(shown(await later!), {
      forward: [],
      back: [],
      held: 0,
      notes: [],
      ...expected,
    });
    assert.equal(line.pending.to_server.size, pending);
  }
});

Deno.test("Pipeline.pass() holds again when the decision is to wait longer", async () => {
  const first = holding();
  const second = Promise.withResolvers<Verdict>();
  const line = pipeline(first.interceptor);
  const [later] = line.pass("to_server", utf8(CALL)).held;
  first.resolve({ action: "hold", until: second.promise });
  const [again] = (await later!).held;
  const call = line.pending.to_server.get("n:1");
  assert.ok(call !== null && line.holds(call));
  second.resolve(FORWARD);
  assert.deepEqual(shown(await again!).forward, [CALL]);
});

Deno.test("Pipeline.pass() drops a held request when its caller cancelled it meanwhile", async () => {
  const hold = holding();
  const line = pipeline(hold.interceptor);
  const [later] = line.pass("to_server", utf8(CALL)).held;
  pass(
    line,
    "to_server",
    '{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}',
  );
  pass(line, "to_server", request(1));
  hold.resolve(FORWARD);
  assert.deepEqual(shown(await later!), {
    forward: [],
    back: [],
    held: 0,
    notes: ["dropped tools/call: its caller no longer waits"],
  });
  assert.equal(
    line.pending.to_server.get("n:1")?.method,
    "m",
    "the next call with this id waits on",
  );
});

Deno.test("Pipeline.pass() holds a response when an interceptor does", async () => {
  const decision = Promise.withResolvers<Verdict>();
  const line = pipeline(deciding({ response: { action: "hold", until: decision.promise } }));
  pass(line, "to_server", CALL);
  const [later] = line.pass("to_agent", utf8(REPLY)).held;
  decision.resolve(FORWARD);
  assert.deepEqual(shown(await later!).forward, [REPLY]);
});

Deno.test("Pipeline.pass() rejects the held promise when the interceptor fails", async () => {
  const hold = holding();
  const line = pipeline(hold.interceptor);
  const [later] = line.pass("to_server", utf8(CALL)).held;
  hold.reject(new Error("the policy file is gone"));
  await assert.rejects(later!, /the policy file is gone/);
});

// Batches

const BATCH = `[${request(1, "a")}, ${request(2, "b")} ,{"jsonrpc":"2.0","method":"n"}]`;

Deno.test("Pipeline.pass() refuses a batch when 2025-03-26 was not negotiated", () => {
  for (const version of [null, "2024-11-05", "2025-06-18", "2025-11-25"]) {
    const line = pipeline();
    if (version !== null) negotiate(line, version);
    const refused = pass(line, "to_server", BATCH);
    assert.deepEqual(refused.forward, []);
    assert.deepEqual(refused.notes, ["refused a batch of 3: batches exist in MCP 2025-03-26 only"]);
    assert.deepEqual(
      refused.back.map((reply) => errorOf(JSON.stringify(reply))),
      [1, 2].map((id) => ({
        id,
        talos: "refused_line",
        message: "The message was not passed on: batches exist in MCP 2025-03-26 only",
      })),
    );
    assert.equal(line.pending.to_server.size, 0);
  }
});

Deno.test("Pipeline.pass() answers the callers when a server's batch is refused", () => {
  const line = pipeline();
  pass(line, "to_server", request(1));
  pass(line, "to_server", request(2));
  const passage = pass(
    line,
    "to_agent",
    `[${response(1)},${response(9)},${request(3)},${response(2)}]`,
  );
  assert.deepEqual(passage.forward.map((reply) => errorOf(reply).id), [1, 2]);
  assert.deepEqual(passage.back.map((reply) => errorOf(JSON.stringify(reply)).id), [3]);
  assert.equal(line.pending.to_server.size, 0);
});

Deno.test("Pipeline.pass() forwards the very bytes of a batch when nothing in it is withheld", () => {
  const line = pipeline(deciding({}));
  negotiate(line, "2025-03-26");
  const bytes = utf8(BATCH);
  const passage = line.pass("to_server", bytes);
  assert.equal(passage.forward[0], bytes);
  assert.equal(line.pending.to_server.size, 2);
  const answers = utf8(` [ ${response(2)} , ${response(1)} ] `);
  assert.equal(line.pass("to_agent", answers).forward[0], answers);
  assert.equal(line.pending.to_server.size, 0);
});

Deno.test("Pipeline.pass() decides per element when a batch is permitted", async () => {
  const hold = Promise.withResolvers<Verdict>();
  const line = pipeline(deciding({
    denied: ({ message }) => ({
      action: "answer",
      bytes: utf8(
        `{"jsonrpc":"2.0","id":${
          message.kind === "request" ? fromUtf8(message.id!.token) : 0
        },"result":"no"}`,
      ),
    }),
    dropped: { action: "drop", why: "for a reason" },
    held: { action: "hold", until: hold.promise },
    replaced: {
      action: "replace",
      bytes: utf8('{"jsonrpc":"2.0","method":"replaced","params":{}}'),
    },
  }));
  negotiate(line, "2025-03-26");
  const passed = '{ "jsonrpc":"2.0","id":5 ,"method":"passed"}';
  const passage = line.pass(
    "to_server",
    utf8(
      `[ ${request(1, "denied")},${request(2, "dropped")} ,${request(3, "held")},` +
        `{"jsonrpc":"2.0","method":"replaced"}, ${passed}]`,
    ),
  );
  assert.deepEqual(shown(passage), {
    forward: [`[{"jsonrpc":"2.0","method":"replaced","params":{}},${passed}]`],
    back: [{ jsonrpc: "2.0", id: 1, result: "no" }],
    held: 1,
    notes: ["dropped for a reason"],
  });
  hold.resolve(FORWARD);
  assert.deepEqual(shown(await passage.held[0]!).forward, [request(3, "held")]);
  assert.equal(line.pending.to_server.size, 2);
});

Deno.test("Pipeline.pass() forwards nothing when all of a batch is withheld", () => {
  const line = pipeline(deciding({ a: { action: "drop", why: "x" } }));
  negotiate(line, "2025-03-26");
  assert.deepEqual(pass(line, "to_server", `[${request(1, "a")},${response(4)}]`).forward, []);
});

Deno.test("Pipeline.pass() refuses the second when a batch names an id twice", () => {
  const line = pipeline();
  negotiate(line, "2025-03-26");
  const passage = pass(line, "to_server", `[${request(1, "a")},${request(1, "b")}]`);
  assert.deepEqual(passage.forward, [`[${request(1, "a")}]`]);
  assert.equal(errorOf(JSON.stringify(passage.back[0])).id, 1);
});

// Refused lines: who is told

Deno.test("Pipeline.pass() answers the agent when its line is refused, under its id if it has one", () => {
  const cases: [string, unknown, string][] = [
    ['{"jsonrpc":"2.0","id":"x","method":"m","params":{"a":1,"a":2}}', "x", "duplicate_key"],
    ['{"jsonrpc":"2.0","id":1,"Method":"n","method":"m"}', 1, "folded_key"],
    ['{"jsonrpc":"2.0","id":1,"method":"m","params":{"a":"\\ud800"}}', 1, "lone_surrogate"],
    [
      '{"jsonrpc":"2.0","id":1,"method":"m"}\r{"jsonrpc":"2.0","id":2,"method":"m"}',
      1,
      "carriage_return",
    ],
    ['{"jsonrpc":"2.0","id":1,"method":5}', 1, "method_type"],
    ['{"id":1,"method":"m"}', 1, "jsonrpc_version"],
    ['{"jsonrpc":"2.0","id":1,"id":2,"method":"m"}', undefined, "duplicate_key"],
    ['{"jsonrpc":"2.0","id":null,"method":"m"}', undefined, "id_type"],
    ['{"jsonrpc":"2.0","id":{},"method":"m"}', undefined, "id_type"],
    ["\ufeff{}", undefined, "byte_order_mark"],
    ["hello", undefined, "not_json"],
    ["17", undefined, "not_an_object"],
    ["[]", undefined, "empty_batch"],
    ['{"jsonrpc":"2.0","id":1}', 1, "not_a_message"],
  ];
  for (const [text, id, reason] of cases) {
    const line = pipeline();
    const passage = pass(line, "to_server", text);
    assert.deepEqual(passage.forward, [], text);
    assert.equal(passage.back.length, 1, text);
    const { error, ...rest } = passage.back[0] as {
      error: { data: { talos: string; reason: string } };
    };
    assert.deepEqual(rest, id === undefined ? { jsonrpc: "2.0" } : { jsonrpc: "2.0", id }, text);
    assert.deepEqual([error.data.talos, error.data.reason], ["refused_line", reason], text);
    assert.equal(passage.notes.length, 1, text);
    assert.equal(line.pending.to_server.size, 0, text);
  }
});

Deno.test("Pipeline.pass() answers nobody when a notification is refused or a line is empty", () => {
  const refused = pass(pipeline(), "to_server", '{"jsonrpc":"2.0","method":"m","Params":{}}');
  assert.deepEqual([refused.forward, refused.back], [[], []]);
  assert.equal(refused.notes.length, 1);
  for (const blank of ["", "  ", "\t"]) {
    assert.deepEqual(pass(pipeline(), "to_server", blank), {
      forward: [],
      back: [],
      held: 0,
      notes: [],
    });
  }
});

Deno.test("Pipeline.pass() never answers under an id by which the agent waits for something else", () => {
  const line = pipeline();
  pass(line, "to_server", request(1));
  const refused = pass(line, "to_server", '{"jsonrpc":"2.0","id":1,"result":{"a":"\\ud800"}}');
  assert.equal("id" in (refused.back[0] as object), false);
  assert.equal(line.pending.to_server.size, 1);
});

Deno.test("Pipeline.pass() tells the server when the agent's answer to it is refused", () => {
  const line = pipeline();
  pass(line, "to_server", request(1));
  pass(line, "to_agent", request(1, "sampling/createMessage"));
  const refused = pass(line, "to_server", '{"jsonrpc":"2.0","id":1,"result":{"text":"\\ud800"}}');
  assert.deepEqual(refused.back, [], "the agent's own call 1 is another one");
  assert.deepEqual(errorOf(refused.forward[0]), {
    id: 1,
    talos: "refused_line",
    message: "The reply was not passed on: the line holds one half of a surrogate pair (byte 42)",
  });
  assert.equal(line.pending.to_agent.size, 0);
  assert.equal(line.pending.to_server.size, 1);
});

Deno.test("Pipeline.pass() tells the agent when the server's answer to it is refused", () => {
  for (
    const bad of [
      '{"jsonrpc":"2.0","id":1,"result":{},"result":{}}',
      '{"jsonrpc":"2.0","id":1,"result":{"a":NaN}}',
      '{"jsonrpc":"2.0","id":1,"result":{"a":"\u0001"}}',
      '{"jsonrpc":"2.0","id":1,"error":"no"}',
    ]
  ) {
    const line = pipeline();
    pass(line, "to_server", request(1));
    const refused = pass(line, "to_agent", bad);
    assert.equal(errorOf(refused.forward[0]).talos, "refused_line", bad);
    assert.deepEqual(refused.back, [], bad);
    assert.equal(line.pending.to_server.size, 0, bad);
  }
});

Deno.test("Pipeline.pass() tells the server when its request is refused", () => {
  for (const rest of ['"method":"m","params":7', '"method":["m"]']) {
    const refused = pass(pipeline(), "to_agent", `{"jsonrpc":"2.0","id":3,${rest}}`);
    assert.equal(errorOf(JSON.stringify(refused.back[0])).id, 3, rest);
    assert.deepEqual(refused.forward, [], rest);
  }
});

Deno.test("Pipeline.pass() takes nothing for a message when a server prints something else", () => {
  for (
    const noise of [
      "Server started",
      '{"level":30,"id":1,"msg":"request done"}',
      '{"id":1,"result":{"jsonrpc":"2.0"}}',
      'sent {"jsonrpc":"2.0","id":1,"result":{}}',
      '{"level":30,"id":1,"msg":"sent {\\"jsonrpc\\":\\"2.0\\"}",,}',
      '["jsonrpc", 1]',
      '"jsonrpc"',
      '{"jsonrpc":"2.0","id":2,"result":{},"result":{}}',
    ]
  ) {
    const line = pipeline();
    pass(line, "to_server", request(1));
    const passage = pass(line, "to_agent", noise);
    assert.deepEqual([passage.forward, passage.back], [[], []], noise);
    assert.equal(passage.notes.length, 1, noise);
    assert.equal(line.pending.to_server.size, 1, noise);
  }
});

Deno.test("Pipeline.pass() forwards a smuggled line nowhere when it holds a carriage return", () => {
  const line = pipeline();
  const smuggled: Bytes = utf8(
    `{"jsonrpc":"2.0","id":1,"method":"m","params":{}}\r${request(2, "evil")}`,
  );
  const passage = line.pass("to_server", smuggled);
  assert.deepEqual([passage.forward.length, passage.held.length], [0, 0]);
});
