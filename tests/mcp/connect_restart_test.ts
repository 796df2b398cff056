import assert from "node:assert/strict";

import { fromUtf8, utf8 } from "../../lib/bytes.ts";
import { createLog, SILENT } from "../../lib/log.ts";
import { connectAgent, type ConnectOptions } from "../../lib/mcp/connect.ts";
import { McpError } from "../../lib/mcp/errors.ts";
import type { Interceptor, Verdict } from "../../lib/mcp/pipeline.ts";
import { encodeReason } from "../../lib/session/bodies.ts";
import type { RecordChannel } from "../../lib/session/record_channel.ts";
import { SessionError } from "../../lib/session/errors.ts";
import type { Session } from "../../lib/session/session.ts";
import { TransportError } from "../../lib/transport/errors.ts";
import { SeededRandom } from "../../scripts/seeded_random.ts";
import { FakeClock, turn } from "../session/fake_clock.ts";
import { isSettled, nextFrame, sessionPair } from "../session/peers.ts";
import { ResumeScene } from "../session/resume_scene.ts";
import { FakeAgent } from "./fake_agent.ts";

type Message = Record<string, unknown>;

/** A server at the host's end of one session. */
class FakeServer {
  readonly #session: Session;
  /** What it was told, parsed. */
  readonly heard: Message[] = [];

  constructor(session: Session) {
    this.#session = session;
    void this.#read();
  }

  async #read(): Promise<void> {
    for (;;) {
      const line = await this.#session.receive().catch(() => null);
      if (line === null) return;
      this.heard.push(JSON.parse(fromUtf8(line)));
    }
  }

  /** The methods that it was told, responses as `response`. */
  get methods(): unknown[] {
    return this.heard.map(({ method }) => method ?? "response");
  }

  async says(message: Message): Promise<void> {
    await this.#session.send(utf8(JSON.stringify({ jsonrpc: "2.0", ...message })));
    await turn();
  }

  /** Answers the request that it heard last. */
  async answers(result: unknown = {}): Promise<void> {
    await this.says({ id: this.heard.at(-1)?.["id"], result });
  }

  async dies(code = "child_exited"): Promise<void> {
    await this.#session.close({ code, reason: "it died" });
    await turn();
  }

  async closed(): Promise<void> {
    await this.#session.close();
  }

  /** The host restarts: the session cannot be resumed. */
  get session(): Session {
    return this.#session;
  }
}

const INITIALIZE = {
  protocolVersion: "2025-11-25",
  capabilities: { tools: { listChanged: true }, logging: {}, resources: { subscribe: true } },
  serverInfo: { name: "s", version: "1" },
};

const INITIALIZE_LINE = '{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}';

/** An agent whose servers come one after the other. */
class Scene {
  readonly agent = new FakeAgent();
  readonly clock = new FakeClock();
  readonly servers: FakeServer[] = [];
  readonly sessions: Session[] = [];
  readonly log: string[] = [];
  readonly done: Promise<unknown>;
  /** What dialling fails with, while that is set. */
  failure: Error | undefined;
  dials = 0;

  constructor(options: Partial<ConnectOptions> = {}) {
    this.done = connectAgent({
      agent: this.agent,
      clock: this.clock,
      random: new SeededRandom("agent").bytes,
      openSession: async () => {
        this.dials++;
        if (this.failure !== undefined) throw this.failure;
        const [session, host] = await sessionPair({ clock: this.clock });
        this.sessions.push(session);
        this.servers.push(new FakeServer(host));
        return session;
      },
      waitForRequest: true,
      interceptors: [],
      maxMessage: 65_536,
      log: createLog({
        write: (line) => this.log.push(line),
        level: "debug",
        json: false,
        now: () => 0,
      }),
      ...options,
    }).then(() => undefined, (error: unknown) => error);
  }

  /** The present server. */
  get server(): FakeServer {
    return this.servers.at(-1)!;
  }

  /** What the agent was told since this was asked last. */
  news(): Message[] {
    return this.agent.heard.splice(0).map((line) => JSON.parse(line));
  }

  async asks(id: unknown, method: string, params: unknown = {}): Promise<void> {
    await this.agent.say(JSON.stringify({ jsonrpc: "2.0", id, method, params }));
  }

  async notes(method: string, params?: unknown): Promise<void> {
    await this.agent.say(JSON.stringify({ jsonrpc: "2.0", method, params }));
  }

  /** The agent asks and is answered. */
  async call(id: unknown, method: string, params: unknown = {}, result: unknown = {}) {
    await this.asks(id, method, params);
    await this.server.answers(result);
  }

  async initialize(answer: unknown = INITIALIZE): Promise<void> {
    await turn();
    await this.call("init", "initialize", { protocolVersion: "2025-11-25" }, answer);
    await this.notes("notifications/initialized");
    this.news();
  }

  /** The present server is lost and another one comes. */
  async next(): Promise<FakeServer> {
    const before = this.servers.length;
    await this.server.dies();
    await this.clock.advance(10_000);
    assert.equal(this.servers.length, before + 1, "another server");
    return this.server;
  }

  async leave(): Promise<void> {
    await this.agent.close();
    await this.server.closed();
    assert.equal(await this.done, undefined);
    assert.equal(this.clock.timers, 0);
  }
}

function talosOf(message: Message | undefined): unknown {
  // deno-lint-ignore no-explicit-any -- what is not there fails the test
  return (message as any)?.error?.data?.talos;
}

Deno.test("connectAgent() dials before the agent has said anything", async () => {
  const scene = new Scene();
  await turn();
  assert.equal(scene.dials, 1);
  assert.equal(scene.agent.reads, 0);
  await scene.leave();
});

Deno.test("connectAgent() restores a new server before it passes anything of the agent on", async () => {
  const scene = new Scene();
  await scene.initialize();
  await scene.call(1, "logging/setLevel", { level: "debug" });
  await scene.call(2, "logging/setLevel", { level: "warning" });
  await scene.call(3, "resources/subscribe", { uri: "file:///a" });
  await scene.call(4, "resources/subscribe", { uri: "file:///b" });
  await scene.call(5, "resources/unsubscribe", { uri: "file:///a" });
  await scene.asks(6, "tools/call", { name: "t" });
  scene.news();
  const server = await scene.next();
  assert.deepEqual(scene.news().map((m) => [m["id"], talosOf(m)]), [[6, "child_exited"]]);
  await scene.asks(7, "tools/list");
  assert.deepEqual(server.methods, ["initialize"]);
  assert.deepEqual(server.heard[0]?.["params"], { protocolVersion: "2025-11-25" });
  assert.match(String(server.heard[0]?.["id"]), /^talos-[0-9a-f]{16}:own:1$/);
  await server.answers(INITIALIZE);
  assert.deepEqual(server.methods, [
    "initialize",
    "notifications/initialized",
    "logging/setLevel",
    "resources/subscribe",
  ]);
  assert.deepEqual(server.heard.slice(2).map(({ params }) => params), [
    { level: "warning" },
    { uri: "file:///b" },
  ]);
  assert.deepEqual(scene.news(), [], "the agent hears nothing of it");
  await server.says({ id: server.heard[2]?.["id"], result: {} });
  assert.deepEqual(scene.news(), []);
  await server.says({ id: server.heard[3]?.["id"], result: {} });
  assert.deepEqual(scene.news(), [
    { jsonrpc: "2.0", method: "notifications/tools/list_changed" },
  ], "resources announce no changes, prompts are not offered");
  assert.deepEqual(server.heard.slice(4), [
    { jsonrpc: "2.0", id: 7, method: "tools/list", params: {} },
  ]);
  await server.answers({ tools: [] });
  assert.deepEqual(scene.news(), [{ jsonrpc: "2.0", id: 7, result: { tools: [] } }]);
  await scene.leave();
});

Deno.test("connectAgent() goes on when a session cannot be resumed, and when a connection is lost", async () => {
  for (const code of ["session_lost", "connection_lost"] as const) {
    const scene = new Scene();
    await scene.initialize();
    await scene.asks(1, "tools/call", { name: "t" });
    scene.sessions[0]!.abort(new SessionError(code, "Lost it"));
    await scene.clock.advance(0);
    const [reply] = scene.news();
    assert.equal(talosOf(reply), "connection_lost_outcome_unknown");
    await scene.server.answers(INITIALIZE);
    await scene.call(2, "tools/list");
    assert.equal(scene.news().at(-1)?.["id"], 2);
    await scene.leave();
  }
});

Deno.test("connectAgent() starts anew without a word when its agent speaks the protocol without initialize", async () => {
  const scene = new Scene();
  await turn();
  await scene.call(1, "server/discover");
  scene.news();
  const server = await scene.next();
  assert.deepEqual(scene.news(), []);
  await scene.asks(2, "tools/list");
  assert.deepEqual(server.methods, ["tools/list"]);
  await server.answers();
  await scene.leave();
});

Deno.test("connectAgent() ends the agent's stream when the new server is another one", async () => {
  const scene = new Scene();
  await scene.initialize();
  const server = await scene.next();
  await scene.asks(1, "tools/list");
  await server.answers({ ...INITIALIZE, capabilities: { tools: {}, prompts: {}, logging: {} } });
  await server.closed();
  const error = await scene.done;
  assert.ok(error instanceof McpError);
  assert.equal(error.code, "server_changed");
  assert.match(error.message, /"tools" has changed, its capability "resources" is gone, its cap/);
  const [reply] = scene.news();
  assert.deepEqual([reply?.["id"], talosOf(reply)], [1, "child_exited"]);
  assert.match(JSON.stringify(reply), /"code":"server_changed","run":"no"/);
  assert.equal(scene.clock.timers, 0);
});

Deno.test("connectAgent() ends the agent's stream when the protocol version differs or initialize fails", async () => {
  for (
    const [answer, code] of [
      [{ result: { ...INITIALIZE, protocolVersion: "2024-11-05" } }, "server_changed"],
      [{ error: { code: -32000, message: "no licence" } }, "restoration_refused"],
    ] as const
  ) {
    const scene = new Scene();
    await scene.initialize();
    const server = await scene.next();
    await server.says({ id: server.heard[0]?.["id"], ...answer });
    await server.closed();
    const error = await scene.done;
    assert.ok(error instanceof McpError);
    assert.equal(error.code, code);
    assert.equal(scene.clock.timers, 0);
  }
});

Deno.test("connectAgent() only notes that the new server has another name, or refuses a setting", async () => {
  const scene = new Scene();
  await scene.initialize();
  await scene.call(1, "logging/setLevel", { level: "debug" });
  const server = await scene.next();
  const { protocolVersion, capabilities } = INITIALIZE;
  const reordered = Object.fromEntries(Object.entries(capabilities).toReversed());
  await server.answers({ protocolVersion, capabilities: reordered, serverInfo: { name: "other" } });
  await server.says({ id: server.heard.at(-1)?.["id"], error: { code: -1, message: "no\x1b[2J" } });
  await scene.call(2, "tools/list");
  assert.equal(scene.news().at(-1)?.["id"], 2);
  const warnings = scene.log.filter((line) => line.includes("new server"));
  assert.deepEqual(warnings, [
    "talos: warning: the new server describes itself otherwise than the one before",
    "talos: warning: the new server refuses logging/setLevel: no\ufffd[2J",
  ]);
  await scene.leave();
});

Deno.test("connectAgent() passes an initialize that was not answered on to the next server, under its own id", async () => {
  const scene = new Scene();
  await turn();
  await scene.asks("mine", "initialize", { protocolVersion: "2025-11-25" });
  const server = await scene.next();
  assert.deepEqual(server.heard, [{
    jsonrpc: "2.0",
    id: "mine",
    method: "initialize",
    params: { protocolVersion: "2025-11-25" },
  }]);
  await server.answers(INITIALIZE);
  assert.deepEqual(scene.news().map(({ id }) => id), ["mine"]);
  await scene.leave();
});

Deno.test("connectAgent() says initialized once when the agent says so while there is no server", async () => {
  const scene = new Scene();
  await turn();
  await scene.call("init", "initialize", {}, INITIALIZE);
  const server = await scene.next();
  await scene.notes("notifications/initialized");
  await server.answers(INITIALIZE);
  assert.deepEqual(server.methods, ["initialize", "notifications/initialized"]);
  const third = await scene.next();
  await third.answers(INITIALIZE);
  assert.deepEqual(third.methods, ["initialize", "notifications/initialized"]);
  await scene.leave();
});

Deno.test("connectAgent() never hands a reply to a server that did not ask, whatever the ids", async () => {
  const scene = new Scene();
  await scene.initialize();
  await scene.server.says({ id: 5, method: "roots/list" });
  await scene.server.says({ id: "x", method: "sampling/createMessage" });
  scene.news();
  const server = await scene.next();
  assert.deepEqual(
    scene.news(),
    [5, "x"].map((requestId) => ({
      jsonrpc: "2.0",
      method: "notifications/cancelled",
      params: { requestId, reason: "the MCP server that asked is gone" },
    })),
  );
  await server.answers(INITIALIZE);
  await server.says({ id: 5, method: "roots/list" });
  const asked = scene.news().at(-1)!;
  assert.equal(asked["method"], "roots/list");
  assert.notEqual(asked["id"], 5);
  await scene.agent.say('{"jsonrpc":"2.0","id":5,"result":{"of":"the old one"}}');
  await scene.agent.say('{"jsonrpc":"2.0","id":"x","result":{"of":"the old one"}}');
  await scene.agent.say('{"jsonrpc":"2.0","error":{"code":-32700,"message":"of what?"}}');
  await scene.agent.say(JSON.stringify({ jsonrpc: "2.0", id: asked["id"], result: "new" }));
  assert.deepEqual(server.heard.slice(2), [{ jsonrpc: "2.0", id: 5, result: "new" }]);
  assert.equal(scene.log.filter((line) => line.includes("to a server that is gone")).length, 3);
  await scene.leave();
});

Deno.test("connectAgent() gives a new server its own ids back in cancellations and progress", async () => {
  const scene = new Scene();
  await scene.initialize();
  const server = await scene.next();
  await server.answers(INITIALIZE);
  scene.news();
  const meta = { _meta: { progressToken: 9, other: 9 } };
  await server.says({ id: 1, method: "sampling/createMessage", params: meta });
  await server.says({ method: "notifications/cancelled", params: { requestId: 1 } });
  // deno-lint-ignore no-explicit-any -- what is not there fails the test
  const [request, cancelled] = scene.news() as any[];
  assert.equal(cancelled.params.requestId, request.id);
  assert.equal(request.params._meta.other, 9);
  const token = request.params._meta.progressToken;
  assert.notEqual(token, 9);
  await scene.notes("notifications/progress", { progressToken: token, progress: 1 });
  await scene.notes("notifications/progress", { progressToken: 9, progress: 1 });
  assert.deepEqual(server.heard.slice(2).map(({ params }) => params), [
    { progressToken: 9, progress: 1 },
  ]);
  await scene.leave();
});

Deno.test("connectAgent() passes replies on to a server that waits for them while it is restored", async () => {
  const scene = new Scene();
  await scene.initialize();
  await scene.call(1, "logging/setLevel", { level: "debug" });
  const server = await scene.next();
  await server.answers(INITIALIZE);
  await server.says({ id: 1, method: "ping" });
  await scene.asks(2, "tools/list");
  await scene.agent.say(
    JSON.stringify({ jsonrpc: "2.0", id: scene.news().at(-1)?.["id"], result: {} }),
  );
  assert.deepEqual(server.methods.slice(3), ["response"]);
  await server.says({ id: server.heard[2]?.["id"], result: {} });
  assert.deepEqual(server.methods.slice(3), ["response", "tools/list"]);
  await server.answers();
  await scene.leave();
});

Deno.test("connectAgent() answers what waits for a new server after 50 s, and goes on dialling", async () => {
  const scene = new Scene();
  await scene.initialize();
  scene.failure = new TransportError("refused", "Cannot connect: nothing listens there");
  await scene.server.dies("host_stopped");
  await scene.clock.advance(600_000);
  assert.deepEqual(scene.news(), []);
  await scene.asks(1, "tools/list");
  await scene.notes("notifications/roots/list_changed");
  await scene.clock.advance(49_999);
  assert.deepEqual(scene.news(), []);
  await scene.clock.advance(1);
  const replies = scene.news();
  assert.deepEqual(replies.map((m) => [m["id"], talosOf(m)]), [[1, "unreachable"]]);
  assert.match(JSON.stringify(replies), /"run":"no"/);
  await scene.clock.advance(30_000);
  await scene.asks(2, "tools/list");
  scene.failure = undefined;
  await scene.clock.advance(5_000);
  await scene.server.answers(INITIALIZE);
  assert.deepEqual(scene.server.methods.slice(2), [
    "notifications/roots/list_changed",
    "tools/list",
  ]);
  assert.equal(scene.log.filter((line) => line.includes("warning: Cannot connect")).length, 1);
  await scene.server.answers();
  await scene.leave();
});

Deno.test("connectAgent() answers what waits when the new server does not answer initialize", async () => {
  const scene = new Scene();
  await scene.initialize();
  await scene.next();
  await scene.asks(1, "tools/list");
  await scene.clock.advance(41_000);
  assert.equal(scene.servers.length, 3, "a third one is started");
  await scene.clock.advance(9_000);
  const replies = scene.news();
  assert.deepEqual(replies.map((m) => [m["id"], talosOf(m)]), [[1, "child_exited"]]);
  await scene.server.answers(INITIALIZE);
  await scene.call(2, "tools/list");
  assert.equal(scene.news().at(-1)?.["id"], 2);
  await scene.leave();
});

Deno.test("connectAgent() ends when waiting cannot cure that there is no server any more", async () => {
  const scene = new Scene();
  await scene.initialize();
  scene.failure = new SessionError("unauthorized", "Not you any more");
  await scene.server.dies("host_stopped");
  const error = await scene.done;
  assert.equal((error as SessionError).code, "unauthorized");
  assert.equal(scene.clock.timers, 0);
});

Deno.test("connectAgent() ends with the server's last words when three die early in a row", async () => {
  const scene = new Scene();
  await scene.initialize();
  await scene.server.dies();
  for (let early = 1; early <= 3; early++) {
    await scene.clock.advance(400);
    assert.equal(scene.servers.length, 1 + early);
    await scene.server.dies();
  }
  const error = await scene.done;
  assert.equal((error as SessionError).code, "service_failed");
  assert.match(String(error), /it died$/);
  assert.equal(scene.clock.timers, 0);
});

Deno.test("connectAgent() goes on for ever when each server was of use, or lived for a while", async () => {
  const scene = new Scene();
  await scene.initialize();
  for (let count = 0; count < 10; count++) {
    const server = await scene.next();
    await server.answers(INITIALIZE);
    if (count % 2 === 0) await scene.clock.advance(10_000);
    else await scene.call(count, "ping");
  }
  await scene.leave();
});

Deno.test("connectAgent() makes calls of repeatable tools again, once, under the same id", async () => {
  const scene = new Scene({ repeatableTools: ["read"] });
  await scene.initialize();
  await scene.asks(1, "tools/call", { name: "read", arguments: { n: 1 } });
  await scene.asks(2, "tools/call", { name: "write" });
  await scene.asks(3, "tools/call", { name: "read", arguments: { n: 3 } });
  const second = await scene.next();
  assert.deepEqual(scene.news().map(({ id }) => id), [2]);
  await second.answers(INITIALIZE);
  assert.deepEqual(
    second.heard.slice(2),
    [1, 3].map((n) => ({
      jsonrpc: "2.0",
      id: n,
      method: "tools/call",
      params: { name: "read", arguments: { n } },
    })),
  );
  scene.news();
  await second.answers("three");
  assert.deepEqual(scene.news(), [{ jsonrpc: "2.0", id: 3, result: "three" }]);
  const third = await scene.next();
  const [reply] = scene.news();
  assert.deepEqual([reply?.["id"], talosOf(reply)], [1, "child_exited"]);
  assert.match(JSON.stringify(reply), /"run":"unknown"/);
  await third.answers(INITIALIZE);
  assert.equal(third.heard.length, 2);
  await scene.leave();
});

Deno.test("connectAgent() makes no call again that its agent cancelled while there was no server", async () => {
  const scene = new Scene({ repeatableTools: ["read"] });
  await scene.initialize();
  await scene.asks(1, "tools/call", { name: "read" });
  const second = await scene.next();
  await scene.notes("notifications/cancelled", { requestId: 1 });
  await second.answers(INITIALIZE);
  assert.deepEqual(second.methods.slice(2), ["notifications/cancelled"]);
  await scene.leave();
});

Deno.test("connectAgent() passes a call that was held all the while on to the new server", async () => {
  const decision = Promise.withResolvers<Verdict>();
  const asking: Interceptor = {
    name: "asking",
    intercept: ({ message, direction }) =>
      direction === "to_server" && message.kind === "request" && message.method === "tools/call"
        ? { action: "hold", until: decision.promise }
        : { action: "forward" },
  };
  const scene = new Scene({ interceptors: [asking] });
  await scene.initialize();
  await scene.asks(1, "tools/call", { name: "t" });
  const server = await scene.next();
  await server.answers(INITIALIZE);
  scene.news();
  decision.resolve({ action: "forward" });
  await turn();
  assert.deepEqual(server.methods.slice(2), ["tools/call"]);
  await server.answers();
  assert.deepEqual(scene.news().map(({ id }) => id), [1]);
  await scene.leave();
});

Deno.test("connectAgent() tries again when the host still counts the server that died", async () => {
  const scene = new Scene();
  await scene.initialize();
  const { server } = scene;
  scene.failure = new SessionError("busy", "four run");
  await server.dies();
  await scene.clock.advance(3_000);
  scene.failure = undefined;
  await scene.clock.advance(5_000);
  await scene.server.answers(INITIALIZE);
  assert.ok(!await isSettled(scene.done));
  await scene.leave();
});

Deno.test("connectAgent() ends as the session does when a person types", async () => {
  const scene = new Scene({ waitForRequest: false });
  await scene.initialize();
  await scene.server.dies();
  assert.equal((await scene.done as SessionError).code, "service_failed");
});

Deno.test("connectAgent() does not say *not run* when the host refuses what it may have granted before", async () => {
  const agent = new FakeAgent();
  await using scene = new ResumeScene();
  const answers: ((far: RecordChannel) => Promise<void>)[] = [
    async (far) => {
      assert.equal((await nextFrame(far)).type, "open");
      far.close(); // granted, and the answer is lost
    },
    async (far) => {
      assert.equal((await nextFrame(far)).type, "open");
      far.enqueue(encodeReason("refused", { code: "unauthorized", reason: "not any more" }));
    },
  ];
  scene.answerInstead = (far) => answers.shift()!(far);
  await agent.say(INITIALIZE_LINE);
  const done = connectAgent({
    agent,
    clock: scene.clock,
    random: new SeededRandom("agent").bytes,
    openSession: () => Promise.resolve(scene.open()),
    waitForRequest: true,
    interceptors: [],
    maxMessage: 65_536,
    log: SILENT,
  }).catch((error: unknown) => error);
  assert.equal((await scene.until(done) as SessionError).code, "unauthorized");
  assert.equal(answers.length, 0);
  assert.match(agent.heard.join(), /"talos":"unauthorized".*"run":"unknown"/);
});

Deno.test("connectAgent() drops a reply to what it asked for the agent's sake when it comes too late", async () => {
  const scene = new Scene();
  await scene.initialize();
  await scene.call(3, "resources/subscribe", { uri: "file:///a" });
  const server = await scene.next();
  await server.answers(INITIALIZE);
  const own = server.heard.at(-1)?.["id"];
  await scene.clock.advance(10_000);
  scene.news();
  await server.says({ id: own, result: { late: true } });
  assert.deepEqual(scene.news(), []);
  await scene.leave();
});
