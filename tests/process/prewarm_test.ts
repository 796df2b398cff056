import assert from "node:assert/strict";

import { revoke } from "../../lib/identity/access.ts";
import { updateAccess } from "../../lib/identity/access_file.ts";
import { homePaths } from "../../lib/identity/home.ts";
import { processesMarked, whatIsLeft } from "../../scripts/soak/processes.ts";
import { runTalosProcess } from "../../scripts/talos_process.ts";
import { fixture, gone, RawAgent, soon, type Tunnel, tunnel } from "./mcp_tunnel.ts";

const PATIENCE_MS = 15_000;
const LINUX_ONLY = { ignore: Deno.build.os !== "linux" };

async function prewarmed(...command: readonly string[]): Promise<Tunnel & { marker: string }> {
  const marker = `talos-test-${crypto.randomUUID()}`;
  const there = await tunnel({
    args: ["--prewarm", "2", "--env", `PREWARM_MARKER=${marker}`],
    command: () => command.length > 0 ? command : fixture("puppet_server", "--say-first", ""),
  });
  return { ...there, marker };
}

/** Returns the ids in the log of lines about `event`. */
function pids({ host }: Tunnel, event: string): number[] {
  return host.log().trim().split("\n").map((line) => JSON.parse(line))
    .filter((entry) => entry.event === event).map(({ pid }) => pid);
}

Deno.test("mcp-serve --prewarm keeps children ready that know their peer, and hands them over untouched", async () => {
  await using there = await prewarmed();
  await soon(there.host.logged('"prewarmed"', 2), "two prewarmed children");
  const ready = pids(there, "prewarmed");
  const status = await runTalosProcess(["--home", there.hosting.home, "--json", "status"]);
  const [process] = JSON.parse(status.stdout).processes;
  assert.deepEqual([process.prewarmed, process.sessions], [2, []]);

  await using agent = RawAgent.start(there.agent, there.target);
  const { env } = (await agent.ask(1, "puppet/facts")).result;
  assert.equal(env.TALOS_PEER_ID, there.agent.id);
  assert.deepEqual(pids(there, "session opened"), ready.slice(0, 1), "the oldest one is taken");
  await soon(there.host.logged('"prewarmed"', 3), "a third child in its place");
  await agent.finish();
});

Deno.test(
  "mcp-serve --prewarm ends ready children when their peer may not use them any more",
  LINUX_ONLY,
  async () => {
    await using there = await prewarmed();
    await soon(there.host.logged('"prewarmed"', 2), "two prewarmed children");
    const paths = homePaths(Deno.build.os, () => undefined, there.hosting.home, "/");
    const revocation = { peer: there.agent.id, service: "*" as const, revokedAt: Date.now() };
    await updateAccess(paths, (access) => revoke(access, revocation));
    assert.deepEqual(await whatIsLeft(there.marker, () => [there.host.pid], PATIENCE_MS), []);
    assert.equal(pids(there, "prewarmed").length, 2, "none is started in their place");
  },
);

Deno.test(
  "mcp-serve --prewarm replaces a ready child that dies, and ends all when it is stopped",
  LINUX_ONLY,
  async () => {
    await using there = await prewarmed();
    await soon(there.host.logged('"prewarmed"', 2), "two prewarmed children");
    const [first = 0] = pids(there, "prewarmed");
    Deno.kill(first, "SIGKILL");
    await there.logged("a prewarmed MCP server ended before anybody used it");
    await soon(there.host.logged('"prewarmed"', 3), "a third child in its place");
    await gone(first, "the killed child");
    there.host.signal("SIGTERM");
    assert.equal(await soon(there.host.exited, "the end of mcp-serve"), 0);
    assert.deepEqual(await processesMarked(there.marker), []);
  },
);

Deno.test("mcp-serve --prewarm waits before it starts a command again that ends at once", async () => {
  await using there = await prewarmed(...fixture("puppet_server", "--exit-first", "3"));
  await there.logged('"retry":"in 1 s"');
  await there.logged('"retry":"in 2 s"');
  assert.ok(pids(there, "prewarmed").length <= 4, "two at first, two a second later");
  await using agent = RawAgent.start(there.agent, there.target);
  assert.equal((await agent.ask(1, "ping")).error?.data.talos, "child_exited");
  await agent.finish();
});

Deno.test("mcp-serve --prewarm takes 0 to 4", async () => {
  const { code, stderr } = await runTalosProcess(["mcp-serve", "--prewarm", "5", "--", "cat"]);
  assert.equal(code, 2);
  assert.match(stderr, /--prewarm is "5", it must be 0 to 4/);
});
