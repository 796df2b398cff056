import assert from "node:assert/strict";

import { fromUtf8, utf8 } from "../../lib/bytes.ts";
import { MAX_REMEMBERED_SUBSCRIPTIONS } from "../../lib/limits.ts";
import { AgentState } from "../../lib/mcp/agent_state.ts";
import { Pipeline } from "../../lib/mcp/pipeline.ts";
import { FakeClock } from "../session/fake_clock.ts";

/** An agent's messages and a server's, as they pass. */
class Talk {
  readonly state = new AgentState((key) => key.startsWith("s:own"));
  readonly #pipeline = new Pipeline({
    strictness: { to_server: "towards_agent", to_agent: "towards_agent" },
    interceptors: [this.state],
    clock: new FakeClock(),
  });

  asks(id: unknown, method: string, params: unknown = {}): void {
    this.#pipeline.pass("to_server", line({ id, method, params }));
  }

  notes(method: string, params?: unknown): void {
    this.#pipeline.pass("to_server", line({ method, params }));
  }

  answers(id: unknown, result: unknown = {}): void {
    this.#pipeline.pass("to_agent", line({ id, result }));
  }

  fails(id: unknown): void {
    this.#pipeline.pass("to_agent", line({ id, error: { code: 1, message: "no" } }));
  }

  call(id: unknown, method: string, params: unknown = {}): void {
    this.asks(id, method, params);
    this.answers(id);
  }

  get settings(): unknown[] {
    return this.state.serverLost().settings.map((request) => {
      const { id, params } = JSON.parse(fromUtf8(request.withId(utf8('"new"'))));
      assert.equal(id, "new");
      return params.uri ?? params.level;
    });
  }
}

function line(message: object) {
  return utf8(JSON.stringify({ jsonrpc: "2.0", ...message }));
}

Deno.test("AgentState remembers initialize once it is answered, and initialized", () => {
  const talk = new Talk();
  talk.asks(1, "initialize", { protocolVersion: "x" });
  assert.equal(talk.state.initializing?.key, "n:1");
  talk.answers(1, { protocolVersion: "x", capabilities: {} });
  assert.equal(talk.state.initializing, null);
  talk.notes("notifications/initialized");
  const { initialize, answer, initialized } = talk.state.serverLost();
  assert.deepEqual(JSON.parse(fromUtf8(initialize!.withId(utf8("2")))), {
    jsonrpc: "2.0",
    id: 2,
    method: "initialize",
    params: { protocolVersion: "x" },
  });
  assert.equal(answer?.protocolVersion, '"x"');
  assert.equal(fromUtf8(initialized!), '{"jsonrpc":"2.0","method":"notifications/initialized"}');
});

Deno.test("AgentState remembers no initialize that failed, or was not answered", () => {
  const talk = new Talk();
  talk.asks(1, "initialize");
  talk.fails(1);
  assert.equal(talk.state.serverLost().initialize, null);
  talk.asks(2, "initialize");
  assert.equal(talk.state.serverLost().initialize, null);
  assert.equal(talk.state.initializing, null);
});

Deno.test("AgentState says that an initialize was too long to be remembered", () => {
  const talk = new Talk();
  talk.call(1, "initialize", { x: "x".repeat(1024 * 1024) });
  assert.ok(talk.state.isInitializeLost);
  talk.asks(2, "initialize");
  talk.answers(2, { x: "x".repeat(1024 * 1024) });
  assert.ok(talk.state.isInitializeLost);
  talk.call(3, "initialize");
  assert.ok(!talk.state.isInitializeLost);
});

Deno.test("AgentState remembers the last level and the live subscriptions that were accepted", () => {
  const talk = new Talk();
  talk.call(1, "logging/setLevel", { level: "debug" });
  talk.call(2, "logging/setLevel", { level: "error" });
  talk.asks(3, "logging/setLevel", { level: "info" });
  talk.fails(3);
  talk.call(4, "resources/subscribe", { uri: "a" });
  talk.call(5, "resources/subscribe", { uri: "b" });
  talk.asks(6, "resources/unsubscribe", { uri: "b" });
  talk.fails(6);
  talk.call(7, "resources/unsubscribe", { uri: "a" });
  talk.asks(8, "resources/subscribe", { uri: "c" });
  talk.notes("notifications/cancelled", { requestId: 8 });
  talk.answers(8);
  talk.asks(9, "resources/subscribe", { uri: "d" });
  talk.call("own1", "resources/subscribe", { uri: "of Talos" });
  assert.deepEqual(talk.settings, ["error", "b"]);
  talk.answers(9); // comes from nobody any more
  assert.deepEqual(talk.settings, ["error", "b"]);
  assert.equal(talk.state.answers, 9);
});

Deno.test("AgentState remembers no more subscriptions than there is room for, and counts the rest", () => {
  const talk = new Talk();
  for (let id = 0; id < MAX_REMEMBERED_SUBSCRIPTIONS + 5; id++) {
    talk.call(id, "resources/subscribe", { uri: `file:///${id}` });
  }
  assert.equal(talk.state.forgotten, 5);
  assert.equal(talk.settings.length, MAX_REMEMBERED_SUBSCRIPTIONS);
  talk.call("last", "resources/unsubscribe", { uri: "file:///7" });
  assert.equal(talk.settings.length, MAX_REMEMBERED_SUBSCRIPTIONS - 1, "that is never forgotten");
  const loud = new Talk();
  loud.call("level", "logging/setLevel", { level: "debug" });
  for (let id = 0; id < MAX_REMEMBERED_SUBSCRIPTIONS; id++) {
    loud.call(id, "resources/subscribe", { uri: `file:///${id}` });
  }
  assert.equal(loud.settings[0], "debug");
  loud.call("another", "logging/setLevel", { level: "error" });
  assert.equal(loud.settings[0], "file:///0", "a level that was replaced is not restored");
  assert.equal(loud.state.forgotten, 2);
  const large = new Talk();
  for (let id = 0; id < 100; id++) {
    large.call(id, "resources/subscribe", { uri: "x".repeat(60_000) + id });
    large.call(`${id}-`, "resources/unsubscribe", { uri: "x".repeat(60_000) + id });
  }
  assert.equal(large.state.forgotten, 0, "what ends gives its room back");
  for (let id = 0; id < 20; id++) {
    large.call(id, "resources/subscribe", { uri: "y".repeat(60_000) + id });
  }
  assert.equal(large.state.forgotten, 3);
});
