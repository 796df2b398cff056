import assert from "node:assert/strict";

import { utf8 } from "../../lib/bytes.ts";
import { startHost } from "../../scripts/talos_process.ts";
import {
  fixture,
  gone,
  GONE_WITHIN_MS,
  puppetOf,
  RawAgent,
  Sandbox,
  tunnel,
} from "./mcp_tunnel.ts";

const ON_WINDOWS = Deno.build.os === "windows";

/** The events in a host's log, which is JSON. */
function events(log: string): { event: string; line?: string }[] {
  return log.split("\n").filter((line) => line.startsWith("{")).map((line) => JSON.parse(line));
}

Deno.test("what a server prints besides messages never reaches the agent, and is in the host's log", async () => {
  const hello = "Secure MCP server running on stdio\n";
  await using there = await tunnel({
    command: () => fixture("puppet_server", "--say-first", hello),
  });
  await using agent = RawAgent.start(there.agent, there.target, "--verbose");
  const print = (params: unknown) => agent.send({ method: "puppet/print", params });
  await agent.ask(1, "ping");
  await print({ text: "\r\n\n   \nplain text\r\n" });
  await print({ text: '{"level":"info","message":"a log line in JSON","id":2}\n' });
  await print({ text: '{"jsonrpc":"2.0","id":77,"result":"nobody asked"}\n' });
  await print({ text: "\x1b]0;title\x07\x1b[2J\u202e\n" });
  await print({ hex: "ff00fe0a" });
  await print({ text: '{"jsonrpc":"2.0","method":"notifications/message","params":{}}\r\n' });
  assert.equal((await agent.message()).method, "notifications/message");
  // A message in two pieces is one message.
  await agent.send({ id: 2, method: "puppet/print", params: { text: '{"jsonrpc":"2.0","id":2,' } });
  await print({ text: '"result":7}\n' });
  assert.equal((await agent.message()).result, 7);
  await print({ text: "a partial last line" });
  await agent.send({ id: 3, method: "puppet/exit", params: { code: 0 } });
  await agent.message();
  await agent.finish();
  await there.logged("session closed");
  const lines = events(there.host.log()).map(({ line }) => line).filter((line) =>
    line !== undefined
  );
  assert.deepEqual(lines, [
    "Secure MCP server running on stdio",
    "plain text",
    '{"level":"info","message":"a log line in JSON","id":2}',
    '{"jsonrpc":"2.0","id":77,"result":"nobody asked"}',
    "\ufffd",
    "\ufffd\ufffd\ufffd",
    "a partial last line",
  ]);
});

Deno.test("what a server says on stderr is in the host's log, and nowhere else", async () => {
  await using there = await tunnel();
  await using agent = RawAgent.start(there.agent, there.target, "--verbose");
  const text = "warning: \x1b[33mlow disk\x1b[0m\r\nsecond line\nthird, unfinished";
  await agent.ask(1, "puppet/stderr", { text });
  await agent.finish();
  await there.logged("third, unfinished");
  const said = events(there.host.log()).map(({ event }) => event)
    .filter((event) => event.startsWith("[mcp/default]"));
  assert.deepEqual(said, [
    "[mcp/default] warning: low disk",
    "[mcp/default] second line",
    "[mcp/default] third, unfinished",
  ]);
  assert.ok(!agent.stderr.includes("low disk"));
});

Deno.test("a server that dies at once is told to the first request, with its last words", async () => {
  await using there = await tunnel({
    command: () => fixture("puppet_server", "--exit-first", "3"),
  });
  for (let attempt = 1; attempt <= 2; attempt++) {
    await using agent = RawAgent.start(there.agent, there.target);
    await there.logged("The MCP server ended (exit status 3)");
    const { error } = await agent.ask("first", "initialize", {});
    assert.equal(error?.code, -32011);
    assert.equal(error?.data.talos, "child_exited");
    assert.match(
      error?.message ?? "",
      /ended the session: The MCP server ended \(exit status 3\); it said: puppet: cannot start; (the call was not run|whether the call was run is unknown)$/,
    );
    assert.equal((await agent.finish()).code, 1);
  }
});

Deno.test("a server that dies in the middle of calls leaves none of them without an answer", async () => {
  await using there = await tunnel();
  await using agent = RawAgent.start(there.agent, there.target);
  await agent.ask(1, "ping");
  await agent.send({ id: "a", method: "puppet/later" });
  await agent.send({ id: "b", method: "puppet/later" });
  const stderr = "Traceback (most recent call last):\nOSError: the disk is gone\n";
  await agent.send({ id: "c", method: "puppet/exit", params: { code: 70, stderr } });
  const replies = [await agent.message(), await agent.message(), await agent.message()];
  assert.deepEqual(replies.map(({ id }) => id), ["a", "b", "c"]);
  for (const { error } of replies) {
    assert.equal(error?.data.talos, "child_exited");
    assert.equal(error?.data.run, "unknown");
    assert.match(
      error?.message ?? "",
      /exit status 70\); it said: Traceback .* \| OSError: the disk is gone;/,
    );
  }
  assert.deepEqual((await agent.ask(2, "ping")).result, {}, "this agent gets a new child, too");
  assert.equal((await agent.finish()).code, 0);
  assert.match(agent.stderr, /OSError: the disk is gone/);
  await using next = RawAgent.start(there.agent, there.target);
  assert.deepEqual((await next.ask(1, "ping")).result, {}, "the next agent gets a new child");
});

Deno.test("a server killed by a signal is told by its name", { ignore: ON_WINDOWS }, async () => {
  await using there = await tunnel();
  await using agent = RawAgent.start(there.agent, there.target);
  const { pid } = await puppetOf(agent);
  await agent.send({ id: 2, method: "puppet/later" });
  await agent.send({ method: "notifications/x" });
  Deno.kill(pid, "SIGKILL");
  const { error } = await agent.message();
  assert.match(error?.message ?? "", /The MCP server ended \(signal SIGKILL\); whether/);
  await agent.finish();
});

Deno.test(
  "without a reaper, a server that closes its stdout is ended, and told",
  { ignore: ON_WINDOWS },
  async () => {
    await using there = await tunnel({
      args: ["--no-reaper"], // the programs that wait for a reaped server hold its stdout too
      command: () => ["sh", "-c", "read line; echo $$ >&2; exec 1>&-; exec sleep 600"],
    });
    await using agent = RawAgent.start(there.agent, there.target);
    const { error } = await agent.ask(1, "ping");
    assert.equal(error?.data.talos, "child_exited");
    await agent.finish();
    const [pid] = events(there.host.log()).flatMap(({ event }) =>
      /^\[mcp\/default\] (\d+)$/.exec(event)?.slice(1) ?? []
    );
    await gone(Number(pid), "the child");
  },
);

Deno.test("a command that vanishes after the start is told to the agent and in the log", {
  ignore: ON_WINDOWS,
}, async () => {
  let program = "";
  await using there = await tunnel({
    command: (folder) => {
      program = `${folder}/server`;
      Deno.writeTextFileSync(program, `#!/bin/sh\nexec cat\n`, { mode: 0o755 });
      return [program];
    },
  });
  await Deno.remove(program);
  await using agent = RawAgent.start(there.agent, there.target);
  const { error } = await agent.ask(1, "ping");
  assert.equal(error?.data.talos, "child_exited");
  assert.ok(
    error?.message.includes(`Cannot run ${program}: there is no such program`),
    error?.message,
  );
  assert.equal((await agent.finish()).code, 1);
  assert.ok(there.host.log().includes("the MCP server cannot be started"));
});

Deno.test("an agent and a server that stop reading block each other's session alone", async () => {
  await using there = await tunnel({ args: ["--max-message", "65536", "--detach-timeout", "1"] });
  await using stuck = RawAgent.start(there.agent, there.target);
  const { pid } = await puppetOf(stuck);
  await stuck.ask(1, "puppet/deaf");
  // The server reads no more: what is sent fills every buffer on the way, and then waits.
  let sent = 0;
  const line = utf8(
    `{"jsonrpc":"2.0","method":"notifications/x","params":{"x":"${"x".repeat(60_000)}"}}\n`,
  );
  const flooding = (async () => {
    for (; sent < 1_000; sent++) await stuck.sendBytes(line);
  })().catch(() => {}); // mcp-connect is gone
  await using other = RawAgent.start(there.agent, there.target);
  for (let id = 0; id < 50; id++) await other.ask(id, "ping");
  await other.finish();
  stuck.signal("SIGKILL");
  await flooding;
  await stuck.exited;
  await gone(pid, "the child that is deaf");
});

Deno.test("mcp-connect waits for a host that starts later, and then answers", async () => {
  await using sandbox = await Sandbox.make();
  const [hosting, party] = [await sandbox.party("host"), await sandbox.party("agent")];
  const args = ["--authorized-peer", party.id, "--", ...fixture("puppet_server")];
  const first = await startHost(hosting.home, args);
  const port = String(first.port);
  await first[Symbol.asyncDispose]();
  await using agent = RawAgent.start(party, `${hosting.id}@127.0.0.1:${port}`);
  await agent.send({ id: 1, method: "ping" });
  await agent.said("trying again attempt=2");
  await using _second = await startHost(hosting.home, ["--port", port, ...args]);
  assert.deepEqual(await agent.message(), { jsonrpc: "2.0", id: 1, result: {} });
  assert.equal((await agent.finish()).code, 0);
});

Deno.test("mcp-connect is gone soon when its agent leaves and no host is there", async () => {
  await using sandbox = await Sandbox.make();
  const [hosting, party] = [await sandbox.party("host"), await sandbox.party("agent")];
  using free = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const target = `${hosting.id}@127.0.0.1:${free.addr.port}`;
  free.close();
  for (const asks of [true, false]) {
    await using agent = RawAgent.start(party, target);
    if (asks) await agent.send({ id: 1, method: "ping" });
    await agent.said("trying again");
    const { code, ms } = await agent.finish();
    assert.ok(ms < GONE_WITHIN_MS, `gone after ${ms} ms`);
    const codes = agent.unread.map((line) => JSON.parse(line).error.data.talos);
    assert.deepEqual([code, codes], asks ? [4, ["unreachable"]] : [0, []]);
  }
});
