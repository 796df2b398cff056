import assert from "node:assert/strict";

import { fromUtf8, utf8 } from "../../lib/bytes.ts";
import { systemClock } from "../../lib/clock.ts";
import { createLog } from "../../lib/log.ts";
import { McpError } from "../../lib/mcp/errors.ts";
import { type Caller, Launcher, type LaunchPlan } from "../../lib/mcp/launcher.ts";
import type { Interceptor, Verdict } from "../../lib/mcp/pipeline.ts";
import { McpService, type McpServiceOptions } from "../../lib/mcp/serve.ts";
import type { Session } from "../../lib/session/session.ts";
import { gone, soon } from "../process/mcp_tunnel.ts";
import { FakeClock, turn } from "../session/fake_clock.ts";
import { ALICE, sessionPair } from "../session/peers.ts";
import { puppetPlan } from "./puppet.ts";

const MAX_MESSAGE = 65_536;
const CALLER: Caller = { peer: ALICE.peerId, service: "mcp/default", name: "alice" };

/** A session with a service, as its peer has it. */
interface Served extends AsyncDisposable {
  readonly service: McpService;
  readonly peer: Session;
  /** Resolves with what the service threw, or undefined; the session is closed as a host closes it. */
  readonly done: Promise<unknown>;
  /** Withdraws the permission. */
  readonly cut: AbortController;
  readonly log: string[];
}

async function serve(options: Partial<McpServiceOptions> = {}): Promise<Served> {
  const log: string[] = [];
  const service = new McpService({
    service: "mcp/default",
    plan: () => puppetPlan(),
    limits: {},
    launcher: new Launcher(Deno.build.os),
    interceptors: () => [],
    maxMessage: MAX_MESSAGE,
    clock: systemClock,
    log: createLog({ write: (line) => log.push(line), level: "info", json: false, now: () => 0 }),
    ...options,
  });
  return { ...await open(service), service, log };
}

async function open(service: McpService): Promise<Omit<Served, "service" | "log">> {
  const [peer, hosted] = await sessionPair({ clock: systemClock });
  const cut = new AbortController();
  const done = service.run(hosted, CALLER, cut.signal).then(
    async () => await hosted.close(),
    async (error: unknown) => {
      const code = error instanceof McpError ? error.code : "internal";
      await hosted.close({ code, reason: String(error) });
      return error;
    },
  );
  return {
    peer,
    done,
    cut,
    async [Symbol.asyncDispose]() {
      await peer.close();
      await done;
    },
  };
}

async function send(
  peer: Session,
  id: number | string | null,
  method: string,
  params: unknown = {},
) {
  const message = { jsonrpc: "2.0", ...(id === null ? {} : { id }), method, params };
  await peer.send(utf8(JSON.stringify(message)));
}

/** Waits until the host closes the session, closes it too, and returns what the service threw. */
async function ended({ peer, done }: Served): Promise<unknown> {
  while (await soon(peer.receive(), "the end of the session") !== null);
  await peer.close();
  return await soon(done, "the end of the service");
}

async function hear(peer: Session) {
  const message = await soon(peer.receive(), "a message");
  assert.ok(message !== null, "the session was closed");
  return JSON.parse(fromUtf8(message));
}

Deno.test("McpService.run() gives each session a child of its own, and ends it with the session", async () => {
  await using first = await serve();
  await using second = await open(first.service);
  await send(first.peer, 1, "puppet/facts");
  await send(second.peer, 1, "puppet/facts");
  const [one, two] = [(await hear(first.peer)).result.pid, (await hear(second.peer)).result.pid];
  assert.notEqual(one, two);
  await first.peer.close();
  assert.equal(await first.done, undefined);
  await gone(one, "the first child");
  await send(second.peer, 2, "puppet/facts");
  assert.equal((await hear(second.peer)).result.pid, two, "the other one lives on");
});

Deno.test("McpService.run() asks its interceptors about both directions", async () => {
  const seen: string[] = [];
  const callers: Caller[] = [];
  const interceptor: Interceptor = {
    name: "audit",
    intercept({ direction, message }): Verdict {
      const what = message.kind === "response" ? "response" : message.method;
      seen.push(`${direction} ${what}`);
      if (what !== "puppet/echo") return { action: "forward" };
      const bytes = utf8('{"jsonrpc":"2.0","id":2,"error":{"code":1,"message":"not permitted"}}');
      return { action: "answer", bytes };
    },
  };
  await using there = await serve({
    interceptors: (caller) => {
      callers.push(caller);
      return [interceptor];
    },
  });
  await send(there.peer, 1, "ping");
  assert.deepEqual((await hear(there.peer)).result, {});
  await send(there.peer, 2, "puppet/echo");
  assert.equal((await hear(there.peer)).error.message, "not permitted");
  await send(there.peer, 3, "puppet/ask", {
    line: '{"jsonrpc":"2.0","id":"r","method":"roots/list"}',
  });
  assert.equal((await hear(there.peer)).method, "roots/list");
  assert.deepEqual(seen, [
    "to_server ping",
    "to_agent response",
    "to_server puppet/echo",
    "to_server puppet/ask",
    "to_agent roots/list",
  ]);
  assert.deepEqual(callers, [CALLER], "made anew for each session");
});

Deno.test("McpService.run() lets others pass while an interceptor holds a call, in both directions", async () => {
  const request = Promise.withResolvers<Verdict>();
  const response = Promise.withResolvers<Verdict>();
  const interceptor: Interceptor = {
    name: "ask",
    intercept({ message, call }): Verdict {
      if (message.kind === "request" && message.method === "puppet/echo") {
        return { action: "hold", until: request.promise };
      }
      if (call?.method === "puppet/size") return { action: "hold", until: response.promise };
      return { action: "forward" };
    },
  };
  await using there = await serve({ interceptors: () => [interceptor] });
  await send(there.peer, 1, "puppet/echo", { a: 1 });
  await send(there.peer, 2, "puppet/size");
  await send(there.peer, 3, "ping");
  assert.equal((await hear(there.peer)).id, 3);
  response.resolve({ action: "forward" });
  assert.equal((await hear(there.peer)).id, 2);
  request.resolve({ action: "forward" });
  assert.deepEqual(await hear(there.peer), { jsonrpc: "2.0", id: 1, result: { a: 1 } });
});

Deno.test("McpService.run() ends the session when an interceptor fails", async () => {
  for (const held of [false, true]) {
    const interceptor: Interceptor = {
      name: "policy",
      intercept() {
        const fault = new Error("the policy file is gone");
        if (!held) throw fault;
        return { action: "hold", until: Promise.reject(fault) };
      },
    };
    await using there = await serve({ interceptors: () => [interceptor] });
    await send(there.peer, 1, "ping");
    assert.match(String(await ended(there)), /the policy file is gone/);
    assert.equal(there.peer.closeReason?.code, "internal");
  }
});

Deno.test("McpService.run() ends the session and the child when it is cut", async () => {
  await using there = await serve();
  await send(there.peer, 1, "puppet/facts");
  const { pid } = (await hear(there.peer)).result;
  there.cut.abort();
  assert.equal(await ended(there), undefined, "and not only once the peer says something");
  await gone(pid, "the child");
});

Deno.test("McpService.run() reports the child's last words when it dies, and logs them", async () => {
  await using there = await serve();
  const stderr = `${"noise\n".repeat(30)}\x1b[31mError: no such table\x1b[0m\n  at line 7\n\n`;
  await send(there.peer, 1, "puppet/exit", { code: 3, stderr });
  const error = await ended(there);
  assert.ok(error instanceof McpError);
  assert.equal(error.code, "child_exited");
  assert.match(
    error.message,
    /^The MCP server ended \(exit status 3\); it said: noise \| .*noise \| Error: no such table \| {3}at line 7$/,
  );
  assert.ok(error.message.length < 500, "it has room in a CLOSE");
  assert.ok(there.log.includes("talos: [mcp/default] Error: no such table"));
  assert.ok(
    there.log.some((line) => line.startsWith("talos: error: The MCP server ended (exit status 3)")),
  );
});

Deno.test("McpService.run() keeps the end of the child's last words when they are long", async () => {
  await using there = await serve();
  const stderr = `first ${"x".repeat(390)}\nlast ${"y".repeat(1000)}\n`;
  await send(there.peer, 1, "puppet/exit", { code: 1, stderr });
  const { message } = await ended(there) as McpError;
  assert.equal(message, `The MCP server ended (exit status 1); it said: last ${"y".repeat(395)}…`);
});

Deno.test("McpService.run() reports a signal when the child died of one", {
  ignore: Deno.build.os === "windows",
}, async () => {
  await using there = await serve();
  await send(there.peer, 1, "puppet/facts");
  const { pid } = (await hear(there.peer)).result;
  Deno.kill(pid, "SIGKILL");
  assert.match(String(await ended(there)), /The MCP server ended \(signal SIGKILL\)$/);
});

Deno.test("McpService.run() throws and logs when the child cannot be started", async () => {
  const plan: LaunchPlan = { argv: ["/no/such/server"], env: {} };
  await using there = await serve({ plan: () => plan });
  const error = await ended(there);
  assert.ok(error instanceof McpError);
  assert.equal(error.code, "command_not_found");
  assert.deepEqual(there.peer.closeReason?.code, "command_not_found");
  assert.match(
    there.log[0] ?? "",
    /^talos: error: the MCP server cannot be started peer=\S+ service=mcp\/default why=/,
  );
});

Deno.test("McpService.run() applies the launcher's rewriters to the plan for the caller", async () => {
  const launcher = new Launcher(Deno.build.os, [
    (plan, limits, caller) => ({
      ...plan,
      argv: [...plan.argv, "--seen", JSON.stringify({ limits, caller })],
    }),
  ]);
  await using there = await serve({ launcher, limits: { read: ["/data"] } });
  await send(there.peer, 1, "puppet/facts");
  const { args } = (await hear(there.peer)).result;
  assert.deepEqual(args, [
    "--seen",
    JSON.stringify({ limits: { read: ["/data"] }, caller: CALLER }),
  ]);
});

Deno.test("McpService.run() lets nothing but messages reach the peer, and logs the rest", async () => {
  await using there = await serve();
  const noise = [
    "Server listening on stdio\n",
    "\n",
    "  \n",
    '{"level":30,"msg":"not a message"}\n',
    '{"jsonrpc":"2.0","method":"notifications/message","params":{"n":1}}\r\n',
    "\x1b[32mgreen\x1b[0m\n",
    "[1,2]\n",
    '{"jsonrpc":"2.0","id":99,"result":{}}\n',
    '{"jsonrpc":"2.0","method":"notifications/message","params":{"n":2}}\n',
  ];
  await send(there.peer, null, "puppet/print", { text: noise.join("") });
  await send(there.peer, null, "puppet/print", { hex: "fffe0a" });
  await send(there.peer, 1, "ping");
  assert.deepEqual((await hear(there.peer)).params, { n: 1 });
  assert.deepEqual((await hear(there.peer)).params, { n: 2 });
  assert.equal((await hear(there.peer)).id, 1);
  const logged = there.log.filter((line) => line.startsWith("talos: warning: "));
  assert.equal(logged.length, 6, logged.join("\n"));
  assert.ok(logged[0]?.includes("refused a line: not_json"));
  assert.ok(logged[0]?.endsWith('service=mcp/default line="Server listening on stdio"'));
  assert.ok(logged.every((line) => !/\p{Cc}/u.test(line)), "nothing that writes to a terminal");
});

Deno.test("McpService.run() takes the last line without a line feed when it is whole, and no other", async () => {
  for (
    const [last, passes] of [
      ['{"jsonrpc":"2.0","id":1,"result":{"whole":true}}', true],
      ['{"jsonrpc":"2.0","id":1,"result":{"whole":tr', false],
    ] as const
  ) {
    await using there = await serve();
    await send(there.peer, 1, "puppet/later");
    await send(there.peer, null, "puppet/print", { text: last });
    await send(there.peer, 2, "puppet/exit", { code: 5 });
    if (passes) assert.deepEqual((await hear(there.peer)).result, { whole: true });
    assert.equal(await there.peer.receive(), null, "its call learns why the child died");
    assert.equal((await ended(there) as McpError).code, "child_exited");
    assert.equal(there.log.some((line) => line.includes("which has no end")), !passes);
  }
});

Deno.test("McpService.run() answers the caller when the child's reply is too long, and goes on", async () => {
  await using there = await serve();
  await send(there.peer, 1, "puppet/fill", { bytes: MAX_MESSAGE });
  assert.equal((await hear(there.peer)).id, 1);
  await send(there.peer, 2, "puppet/fill", { bytes: MAX_MESSAGE + 1 });
  const { id, error } = await hear(there.peer);
  assert.deepEqual([id, error.data], [2, {
    talos: "message_too_large",
    bytes: MAX_MESSAGE + 1,
    limit: MAX_MESSAGE,
  }]);
  await send(there.peer, 3, "puppet/ask", {
    line: JSON.stringify({
      jsonrpc: "2.0",
      id: "s",
      method: "m",
      params: { x: "x".repeat(50_000) },
    }),
  });
  assert.equal((await hear(there.peer)).id, "s");
});

Deno.test("McpService.run() tells the server when its own request is too long", async () => {
  await using there = await serve();
  const big = `{"jsonrpc":"2.0","id":"s","method":"sampling/createMessage","params":{"x":"`;
  await send(there.peer, null, "puppet/print", { text: big + "x".repeat(40_000) });
  await send(there.peer, null, "puppet/print", { text: "x".repeat(40_000) });
  await send(there.peer, 1, "puppet/ask", { line: '"}}' });
  const { id, result } = await hear(there.peer);
  assert.equal(id, 1);
  assert.equal(JSON.parse(result.line).error.data.talos, "message_too_large");
});

Deno.test("McpService.run() refuses what readers could take differently, and the child never sees it", async () => {
  const record = await Deno.makeTempFile();
  await using recorded = await serve({ plan: () => puppetPlan("--record", record) });
  const good = '{"jsonrpc":"2.0","id":1,"method":"ping"}';
  await recorded.peer.send(utf8(`{"jsonrpc":"2.0","id":2,"method":"ping"}\r${good}`));
  await recorded.peer.send(utf8('{"jsonrpc":"2.0","id":3,"method":"ping","params":{"a":1,"a":2}}'));
  await recorded.peer.send(
    utf8('{"jsonrpc":"2.0","id":4,"method":"ping","params":{"a":{"b":1,"b":2}}}'),
  );
  await recorded.peer.send(utf8(good));
  assert.equal((await hear(recorded.peer)).error.data.reason, "carriage_return");
  assert.equal((await hear(recorded.peer)).error.data.reason, "duplicate_key");
  assert.equal((await hear(recorded.peer)).error.data.reason, "duplicate_key", "at any depth");
  assert.deepEqual((await hear(recorded.peer)).result, {});
  assert.equal(await Deno.readTextFile(record), good + "\n");
  await Deno.remove(record);
});

Deno.test("McpService says once, after 20 s, that its child leaves the first request unanswered", async () => {
  const clock = new FakeClock();
  await using there = await serve({ clock });
  await using other = await open(there.service);
  await send(there.peer, 1, "puppet/later");
  await send(other.peer, 1, "puppet/later");
  const before = clock.timers;
  while (clock.timers < before + 2) await turn();
  const told = () => there.log.filter((line) => line.includes("has not answered")).length;
  await clock.advance(19_999);
  assert.equal(told(), 0);
  await clock.advance(1);
  assert.equal(told(), 1);
  assert.ok(there.log.some((line) => line.includes("keep one ready: mcp-serve --prewarm 1")));
});
