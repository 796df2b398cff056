import assert from "node:assert/strict";

import { CHILD_GRACE_MS } from "../../lib/limits.ts";
import {
  fixture,
  gone,
  GONE_WITHIN_MS,
  lives,
  processesWith,
  puppetOf,
  RawAgent,
  REAPER,
  soon,
  type Tunnel,
  tunnel,
} from "./mcp_tunnel.ts";

/** There are no signals and no process groups on Windows. */
const POSIX_ONLY = { ignore: Deno.build.os === "windows" };

/** A server's own exit status 143: a reaper cannot tell it from the signal that it stands for. */
const SAID_143 = REAPER === null ? '"exit":143' : '"exit":"SIGTERM"';

/** A host whose server notes what happens to it. */
function watched(...flags: readonly string[]): Promise<Watched> {
  return watchedBy([], ...flags);
}

type Watched = Tunnel & { readonly events: () => Promise<string> };

async function watchedBy(
  args: readonly string[],
  ...flags: readonly string[]
): Promise<Watched> {
  const there = await tunnel({
    args,
    command: (folder) => fixture("puppet_server", "--events", `${folder}/events`, ...flags),
  });
  const events = () => Deno.readTextFile(`${there.sandbox.folder}/events`).catch(() => "");
  return { ...there, events };
}

/** Returns the ids of an agent's child and of something that the child started. */
async function family(agent: RawAgent): Promise<{ child: number; grandchild: number }> {
  const { pid: child, here } = await puppetOf(agent);
  const argv = ["sleep", "600"];
  const grandchild = here((await agent.ask("spawn", "puppet/spawn", { argv })).result.pid);
  assert.ok(lives(child) && lives(grandchild));
  return { child, grandchild };
}

Deno.test(
  "a child sees the end of its stdin when the agent closes its own, and all are gone",
  POSIX_ONLY,
  async () => {
    await using there = await watched();
    await using agent = RawAgent.start(there.agent, there.target, "--verbose");
    const { child, grandchild } = await family(agent);
    const { code, ms } = await agent.finish();
    assert.equal(code, 0);
    assert.ok(ms < GONE_WITHIN_MS, `mcp-connect took ${ms} ms`);
    await gone(child, "the child");
    await gone(grandchild, "the grandchild");
    assert.equal(await there.events(), "eof\n");
    await there.logged('"exit":0');
  },
);

Deno.test(
  "a child that ignores the end of its stdin is sent SIGTERM, and one that ignores that SIGKILL",
  POSIX_ONLY,
  async () => {
    const stubborn = async (flags: string[], events: string, leastMs: number, exit: string) => {
      await using there = await watched(...flags);
      await using agent = RawAgent.start(there.agent, there.target);
      const { child, grandchild } = await family(agent);
      const started = performance.now();
      const { code, ms } = await agent.finish();
      assert.equal(code, 0);
      assert.ok(ms < GONE_WITHIN_MS, `mcp-connect waits for nobody: ${ms} ms`);
      assert.ok(lives(child), "the child has its grace");
      await gone(child, "the child");
      const took = performance.now() - started;
      assert.ok(took >= leastMs, `the child was ended after ${took} ms`);
      await gone(grandchild, "the grandchild");
      assert.equal(await there.events(), events);
      await there.logged(exit);
    };
    await Promise.all([
      stubborn(["--ignore-eof"], "eof\nSIGTERM\n", CHILD_GRACE_MS, SAID_143),
      stubborn(
        ["--ignore-eof", "--ignore-sigterm"],
        "eof\nSIGTERM\n",
        2 * CHILD_GRACE_MS,
        '"exit":"SIGKILL"',
      ),
    ]);
  },
);

Deno.test(
  "a child ends when mcp-connect is killed in the middle of a call",
  POSIX_ONLY,
  async () => {
    await using there = await watchedBy(["--detach-timeout", "1"]);
    await using agent = RawAgent.start(there.agent, there.target);
    const { child, grandchild } = await family(agent);
    await agent.send({ id: 1, method: "puppet/later" });
    agent.signal("SIGKILL");
    await agent.exited;
    await gone(child, "the child");
    await gone(grandchild, "the grandchild");
    assert.equal(await there.events(), "eof\n");
    await using next = RawAgent.start(there.agent, there.target);
    await next.ask(1, "ping");
  },
);

Deno.test("what a killed child had started ends with it", POSIX_ONLY, async () => {
  await using there = await watched();
  await using agent = RawAgent.start(there.agent, there.target);
  const { child, grandchild } = await family(agent);
  Deno.kill(child, "SIGKILL");
  await gone(grandchild, "the grandchild");
  await agent.finish();
});

Deno.test(
  "SIGTERM ends mcp-serve in order: its agents are told, its children end, its status is 0",
  POSIX_ONLY,
  async () => {
    for (const signal of ["SIGTERM", "SIGINT"] as const) {
      await using there = await watched();
      await using agent = RawAgent.start(there.agent, there.target);
      await using idle = RawAgent.start(there.agent, there.target);
      const { child, grandchild } = await family(agent);
      await idle.ask(1, "ping");
      await agent.send({ id: "pending", method: "puppet/echo_never" });
      assert.equal((await agent.message()).id, "pending");
      const line = '{"jsonrpc":"2.0","id":1,"method":"roots/list"}';
      await agent.send({ id: "pending", method: "puppet/ask", params: { line } });
      await agent.line();
      there.host.signal(signal);
      const { id, error } = await agent.message();
      assert.equal(id, "pending");
      assert.equal(error?.data.talos, "connection_lost_outcome_unknown");
      assert.match(
        error?.message ?? "",
        /ended the session: the host was stopped; whether the call/,
      );
      assert.equal(await soon(there.host.exited, "the end of mcp-serve"), 0);
      assert.ok(!lives(child), "mcp-serve ends after its children");
      await gone(grandchild, "the grandchild");
      assert.equal(await there.events(), "eof\neof\n");
      await agent.finish();
      await idle.finish();
      assert.match(idle.stderr, /ended the session: the host was stopped/);
      if (Deno.build.os === "linux") assert.deepEqual(processesWith(there.sandbox.folder), []);
    }
  },
);

Deno.test(
  "SIGTERM ends mcp-serve when its children are stubborn, by force",
  POSIX_ONLY,
  async () => {
    await using there = await watched("--ignore-eof", "--ignore-sigterm");
    await using agent = RawAgent.start(there.agent, there.target);
    const { child, grandchild } = await family(agent);
    there.host.signal("SIGTERM");
    assert.equal(await soon(there.host.exited, "the end of mcp-serve"), 0);
    assert.ok(!lives(child));
    await gone(grandchild, "the grandchild");
    await agent.finish();
  },
);

Deno.test(
  "without a reaper, children end when mcp-serve is killed if they end when their stdin does",
  POSIX_ONLY,
  async () => {
    await using there = await watchedBy(["--no-reaper", "--detach-timeout", "1"]);
    await using agent = RawAgent.start(there.agent, there.target);
    const { child, grandchild } = await family(agent);
    await agent.send({ id: "pending", method: "puppet/later" });
    await agent.send({ method: "notifications/x" });
    await agent.ask("after", "ping");
    there.host.signal("SIGKILL");
    const { id, error } = await agent.message();
    assert.equal(id, "pending");
    assert.equal(error?.data.talos, "connection_lost_outcome_unknown");
    await agent.finish();
    await gone(child, "the child");
    assert.equal(await there.events(), "eof\n");
    // Nobody is left to end the group: what the child started and left behind lives on.
    assert.ok(lives(grandchild));
    Deno.kill(grandchild, "SIGKILL");
    await gone(grandchild, "the grandchild");
  },
);

Deno.test(
  "without a reaper, a child that ignores the end of its stdin outlives a killed mcp-serve",
  POSIX_ONLY,
  async () => {
    await using there = await watchedBy(["--no-reaper"], "--ignore-eof");
    await using agent = RawAgent.start(there.agent, there.target);
    const { pid } = await puppetOf(agent);
    there.host.signal("SIGKILL");
    await there.host.exited;
    await agent.finish();
    while (await there.events() !== "eof\n") {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    assert.ok(lives(pid), "SECURITY.md says so");
    Deno.kill(pid, "SIGKILL");
    await gone(pid, "the child");
  },
);
