import assert from "node:assert/strict";

import { runRestarts } from "../../scripts/soak/restarts.ts";
import { fixture, RawAgent, tunnel } from "./mcp_tunnel.ts";

const SEED = "restart test";
const KILLS = 40;

Deno.test(
  `an agent goes on while server and host are killed ${KILLS} times: every call is answered once, none that was *not run* was executed (seed "${SEED}")`,
  {
    ignore: Deno.build.os !== "linux",
    sanitizeOps: false, // the SDK's transport leaves a timer of 2 s behind when it closes
    sanitizeResources: false,
  },
  async () => {
    const found = await runRestarts({ seed: SEED, kills: KILLS, timeMs: 120_000 });
    assert.deepEqual(found.failures, []);
    assert.ok(found.killed.server >= 20, `the server was killed ${found.killed.server} times`);
    assert.ok(found.killed.host >= 2, `the host was killed ${found.killed.host} times`);
    assert.ok(found.outcomes.answered > 100, `${found.outcomes.answered} calls were answered`);
    assert.ok(found.outcomes.unknown > 10, `${found.outcomes.unknown} calls have no known outcome`);
    assert.ok(found.stateChecks >= 10, `the state was looked at ${found.stateChecks} times`);
    assert.ok(found.listChanges >= 10, `${found.listChanges} lists changed`);
  },
);

Deno.test("mcp-connect --verbose tells what it does when its server dies", async () => {
  await using there = await tunnel({ command: () => fixture("puppet_server") });
  await using agent = RawAgent.start(there.agent, there.target, "--verbose");
  await agent.ask(1, "initialize", { protocolVersion: "2025-11-25" });
  await agent.send({ id: 2, method: "puppet/exit", params: { code: 3 } });
  const { error } = await agent.message();
  assert.equal(error?.data.run, "unknown");
  assert.deepEqual(error?.data.hint.slice(-1), [
    "a new server is being started: make the call again if twice does no harm",
  ]);
  assert.deepEqual((await agent.ask(3, "ping")).result, {});
  assert.match(agent.stderr, /talos: dialling attempt=1/);
  assert.match(agent.stderr, /The MCP server ended \(exit status 3\); starting anew calls_told=1/);
  assert.match(
    agent.stderr,
    /talos: a new MCP server has taken over after_ms=\d+ calls_made_again=0/,
  );
  assert.equal((await agent.finish()).code, 0);
});
