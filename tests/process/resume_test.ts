/** Sessions between real processes whose connection goes through a proxy that fails on command. */

import assert from "node:assert/strict";

import { FaultyProxy } from "../../scripts/chaos/faulty_proxy.ts";
import { runTalosProcess } from "../../scripts/talos_process.ts";
import { RawAgent, type Tunnel, tunnel } from "./mcp_tunnel.ts";

/** A tunnel whose agent goes through `proxy`. */
async function throughProxy(bytesPerSecond?: number) {
  const there = await tunnel();
  const proxy = await FaultyProxy.start(there.host.port, bytesPerSecond);
  return { there, proxy, target: `${there.hosting.id}@127.0.0.1:${proxy.port}` };
}

async function statusOf({ hosting }: Tunnel) {
  const { stdout } = await runTalosProcess(["--home", hosting.home, "--json", "status"]);
  const [process] = JSON.parse(stdout).processes;
  return process.sessions;
}

Deno.test("20 cuts under calls: every call is answered once, in order, by one child", async () => {
  const { there, proxy, target } = await throughProxy();
  await using _there = there;
  await using _proxy = proxy;
  await using agent = RawAgent.start(there.agent, target, "--verbose");
  const { pid } = (await agent.ask("facts", "puppet/facts")).result;
  let asked = 0;
  const answered: (number | string | undefined)[] = [];
  for (let cut = 0; cut < 20; cut++) {
    for (let i = 0; i < 10; i++) {
      await agent.send({
        id: asked++,
        method: "puppet/echo",
        params: { text: "x".repeat(50 * i) },
      });
    }
    // Some are cut at once, some after a few bytes of either direction.
    if (cut % 3 === 0) proxy.cut();
    else void proxy.cutAfter(cut % 3 === 1 ? "up" : "down", 97 * cut);
    for (let i = 0; i < 10; i++) {
      const { id, error, result } = await agent.message();
      assert.equal(error, undefined);
      assert.ok(result.text.length % 50 === 0);
      answered.push(id);
    }
  }
  assert.deepEqual(answered, Array.from({ length: 200 }, (_, i) => i));
  assert.equal((await agent.ask("facts", "puppet/facts")).result.pid, pid);
  await agent.said("path lost, reconnecting…");
  await agent.said(" replayed");
  assert.match(agent.stderr, /resumed after \d+\.\d s, \d+ messages? replayed/);
  const [session] = await statusOf(there);
  assert.ok(session.resumptions >= 10, `${session.resumptions}`);
  assert.equal(session.state, "live");
  assert.equal(session.messages_from_peer, 202);
  assert.match(there.host.log(), /session detached/);
  assert.match(there.host.log(), /session resumed/);
});

Deno.test("a connection that falls silent under calls costs latency only", async () => {
  const { there, proxy, target } = await throughProxy();
  await using _there = there;
  await using _proxy = proxy;
  await using agent = RawAgent.start(there.agent, target, "--verbose");
  await agent.ask("first", "puppet/echo", {});
  proxy.silence();
  for (let id = 0; id < 5; id++) await agent.send({ id, method: "puppet/echo", params: {} });
  await agent.said("path lost, reconnecting…");
  proxy.speak();
  const spoke = performance.now();
  for (let id = 0; id < 5; id++) assert.equal((await agent.message()).id, id);
  const ms = performance.now() - spoke;
  assert.ok(ms < 2_000, `answered ${ms.toFixed(0)} ms after the path's return`);
});

Deno.test("a child whose agent was killed ends after the detach timeout", async () => {
  await using there = await tunnel({ args: ["--detach-timeout", "1"] });
  await using agent = RawAgent.start(there.agent, there.target);
  await agent.ask("first", "puppet/echo", {});
  agent.signal("SIGKILL");
  await there.logged("session detached");
  await there.logged("session closed");
});

Deno.test("1 MiB each way over a link of 1 Mbit/s arrives without one reconnection", async () => {
  const { there, proxy, target } = await throughProxy(1_000_000 / 8);
  await using _there = there;
  await using _proxy = proxy;
  await using agent = RawAgent.start(there.agent, target, "--verbose");
  await agent.ask("first", "puppet/echo", {});
  const bytes = 1024 * 1024;
  await agent.send({ id: "down", method: "puppet/fill", params: { bytes } });
  await agent.send({ id: "up", method: "puppet/size", params: { text: "y".repeat(bytes) } });
  const replies = [await agent.message(), await agent.message()];
  assert.deepEqual(replies.map(({ id }) => id).toSorted(), ["down", "up"]);
  assert.ok(!agent.stderr.includes("path lost"), agent.stderr);
  assert.equal(proxy.accepted, 1);
});
