import assert from "node:assert/strict";

import { runTalosProcess, startHost } from "../../scripts/talos_process.ts";
import {
  fixture,
  gone,
  type Party,
  puppetOf,
  RawAgent,
  Sandbox,
  soon,
  tunnel,
} from "./mcp_tunnel.ts";

/** Returns the process id of an agent's child. */
async function childOf(agent: RawAgent): Promise<number> {
  return (await puppetOf(agent)).pid;
}

Deno.test("each agent has a child of its own, four at most for one peer, and the fifth is told so", async () => {
  await using there = await tunnel();
  const agents: RawAgent[] = [];
  for (let number = 1; number <= 4; number++) {
    agents.push(RawAgent.start(there.agent, there.target));
  }
  const children = await Promise.all(agents.map(childOf));
  assert.equal(new Set(children).size, 4);
  await using fifth = RawAgent.start(there.agent, there.target);
  const { error } = await fifth.ask(1, "initialize", {});
  assert.deepEqual([error?.code, error?.data.talos, error?.data.run], [-32016, "busy", "no"]);
  assert.match(error?.message ?? "", /this peer runs as many of its children as it may/);
  assert.equal((await fifth.finish()).code, 4);
  assert.match(fifth.stderr, /^talos: The host .* refused/m);
  await agents[1]?.finish();
  await gone(children[1] ?? 0, "the second child");
  await there.logged("session closed");
  await using sixth = RawAgent.start(there.agent, there.target);
  assert.ok(!children.includes(await childOf(sixth)));
  for (const agent of agents) await agent.finish();
});

Deno.test("children share nothing: what one agent does is not seen by another", async () => {
  await using there = await tunnel();
  await using one = RawAgent.start(there.agent, there.target);
  await using two = RawAgent.start(there.agent, there.target);
  const line = '{"jsonrpc":"2.0","id":1,"method":"roots/list"}';
  await one.send({ id: 1, method: "puppet/ask", params: { line } });
  await two.send({ id: 1, method: "puppet/echo", params: { mine: 2 } });
  assert.equal((await one.message()).method, "roots/list");
  assert.deepEqual((await two.message()).result, { mine: 2 });
  await one.send({ id: 1, result: { roots: [] } });
  assert.match((await one.message()).result.line, /"roots":\[\]/);
  await one.send({ id: 2, method: "puppet/exit", params: { code: 9 } });
  assert.equal((await one.message()).error?.data.talos, "child_exited");
  assert.deepEqual((await two.ask(2, "ping")).result, {}, "the other one's child lives");
});

Deno.test("every authorised peer gets in, with children of its own, and a stranger does not", async () => {
  await using sandbox = await Sandbox.make();
  const [hosting, anna, ben, stranger] = await Promise.all(
    ["host", "anna", "ben", "stranger"].map((name) => sandbox.party(name)),
  ) as [Party, Party, Party, Party];
  await using host = await startHost(hosting.home, [
    "--authorized-peer",
    anna.id,
    "--authorized-peer",
    `did:key:${ben.id}`,
    "--env",
    "GREETING=hello",
    "--",
    ...fixture("puppet_server"),
  ]);
  const target = `${hosting.id}@127.0.0.1:${host.port}`;
  for (const party of [anna, ben]) {
    await using agent = RawAgent.start(party, target);
    const { env } = (await agent.ask(1, "puppet/facts")).result;
    assert.equal(env.TALOS_PEER_ID, party.id);
    assert.equal(env.GREETING, "hello");
    assert.deepEqual(Object.keys(env).filter((name) => name.startsWith("TALOS_")), [
      "TALOS_PEER_ID",
    ]);
  }
  await using refused = RawAgent.start(stranger, target);
  const { error } = await refused.ask(1, "initialize", {});
  assert.equal(error?.data.talos, "unauthorized");
  assert.ok(error?.data.hint.some((hint: string) => hint.includes(stranger.id)));
  assert.equal((await refused.finish()).code, 6);
});

Deno.test("one process shares several servers, each under its name", async () => {
  await using sandbox = await Sandbox.make();
  const hosting = await sandbox.party("host");
  const agent = await sandbox.party("agent");
  const [command, ...args] = fixture("puppet_server");
  const config = `${sandbox.folder}/servers.json`;
  const servers = Object.fromEntries(
    ["files", "mail"].map((name) => [name, { command, args: [...args, "--called", name] }]),
  );
  await Deno.writeTextFile(config, JSON.stringify({ mcpServers: servers }));
  await using host = await startHost(hosting.home, [
    "--authorized-peer",
    agent.id,
    "--config",
    config,
  ]);
  assert.deepEqual(host.ready.services, ["files", "mail"]);
  const target = (service: string) => `${hosting.id}${service}@127.0.0.1:${host.port}`;
  await using files = RawAgent.start(agent, target("/files"));
  await using mail = RawAgent.start(agent, target("/mail"));
  assert.deepEqual((await files.ask(1, "puppet/facts")).result.args, ["--called", "files"]);
  assert.deepEqual((await mail.ask(1, "puppet/facts")).result.args, ["--called", "mail"]);
  for (const [service, said] of [["", "files, mail"], ["/none", "files, mail"]] as const) {
    await using lost = RawAgent.start(agent, target(service));
    const { error } = await lost.ask(1, "initialize", {});
    assert.equal(error?.data.talos, "unknown_service");
    assert.ok(error?.message.includes(said), error?.message);
    assert.equal((await lost.finish()).code, 3);
  }
});

Deno.test("two mcp-serve and five mcp-connect share one home while status is asked", async () => {
  await using sandbox = await Sandbox.make();
  const one = await sandbox.party("one");
  const command = ["--authorized-peer", one.id, "--", ...fixture("puppet_server")];
  await using files = await startHost(one.home, ["--service", "files", ...command]);
  await using mail = await startHost(one.home, ["--service", "mail", ...command]);
  const agents = [files, files, files, mail, mail].map((host, at) => {
    const service = at < 3 ? "files" : "mail";
    return RawAgent.start(one, `${one.id}/${service}@127.0.0.1:${host.port}`, "--verbose");
  });
  const status = async () => {
    const { code, stdout, stderr } = await runTalosProcess([
      "--home",
      one.home,
      "--json",
      "status",
    ]);
    assert.equal(code, 0, stderr);
    return JSON.parse(stdout);
  };
  const early = Promise.all([status(), status()]);
  const calls = Promise.all(agents.map(async (agent) => {
    for (let id = 0; id < 200; id++) assert.equal((await agent.ask(id, "ping")).id, id);
    return await childOf(agent);
  }));
  await early;
  assert.equal(new Set(await calls).size, 5);
  const { processes } = await status();
  const shown = processes.map((
    process: { pid: number; services: string[]; sessions: unknown[] },
  ) => [
    process.pid,
    process.services,
    process.sessions?.length,
  ]);
  assert.deepEqual(shown, [[files.pid, ["files"], 3], [mail.pid, ["mail"], 2]]);
  const { code, stderr } = await runTalosProcess(
    ["--home", one.home, "mcp-serve", "--port", "0", "--service", "mail", ...command],
  );
  assert.notEqual(code, 0);
  assert.ok(stderr.includes(`process ${mail.pid}`), stderr);
  for (const agent of agents) assert.equal((await agent.finish()).code, 0);
  mail.signal("SIGTERM");
  await soon(mail.exited, "the end of the second mcp-serve");
  const after = await status();
  assert.deepEqual(after.processes.map(({ pid }: { pid: number }) => pid), [files.pid]);
});
