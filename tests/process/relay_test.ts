/** Calls through the relay of a registry, on real processes: hosts that open no port at all. */

import assert from "node:assert/strict";
import { runTalosProcess, startReady, TALOS } from "../../scripts/talos_process.ts";
import { DiscoveryScene, works } from "./discovery_scene.ts";
import { fixture, type Party, type RawAgent } from "./mcp_tunnel.ts";

/** Starts a `mcp-serve` of the puppet that listens nowhere, and waits until it is registered. */
async function unreachableHost(hosting: Party, ...args: readonly string[]) {
  const host = await startReady([
    ...TALOS,
    ...["--home", hosting.home, "--json", "--verbose", "mcp-serve", "--no-listen", ...args],
    ...["--", ...fixture("puppet_server")],
  ]);
  await host.logged('"registered"');
  return host;
}

/** The ports that a process and its children listen on, as Linux tells it. */
async function listeningPorts(pid: number): Promise<string[]> {
  const { stdout } = await new Deno.Command("ss", { args: ["-Hltnp"] }).output();
  const lines = new TextDecoder().decode(stdout).split("\n");
  return lines.filter((line) => line.includes(`pid=${pid},`));
}

/** Sends `count` calls and returns the ids of their answers, all of which must be results. */
async function call(agent: RawAgent, first: number, count: number): Promise<unknown[]> {
  for (let id = first; id < first + count; id++) {
    await agent.send({ id, method: "puppet/echo", params: { text: "x".repeat(id % 500) } });
  }
  const answered: unknown[] = [];
  for (let i = 0; i < count; i++) {
    const { id, error } = await agent.message();
    assert.equal(error, undefined, JSON.stringify(error));
    answered.push(id);
  }
  return answered;
}

Deno.test("mcp-connect uses a host that opens no port, through the registry", async () => {
  await using scene = await DiscoveryScene.make();
  const hosting = await scene.party("host");
  const agent = await scene.party("agent");
  await using host = await unreachableHost(hosting, "--authorized-peer", agent.id);
  assert.equal(host.port, 0);
  if (Deno.build.os === "linux") assert.deepEqual(await listeningPorts(host.pid), []);

  const talking = scene.agent(agent, hosting.id, "--verbose");
  await works(talking);
  assert.match(talking.stderr, new RegExp(`connected .*path="relay ${scene.server}"`));
  assert.match(talking.stderr, new RegExp(`session open .*path="relay ${scene.server}, \\d+ ms"`));

  const { processes: [process] } = await scene.json(hosting, "status");
  assert.equal(process.port, 0);
  const { stdout } = await scene.run(hosting, "status");
  assert.match(stdout, /default on no port of its own/);
});

Deno.test("mcp-connect goes through the relay when it is told to, and status names the path", async () => {
  await using scene = await DiscoveryScene.make();
  const hosting = await scene.party("host");
  const agent = await scene.party("agent");
  await scene.host(hosting, ["--authorized-peer", agent.id]);
  const direct = scene.agent(agent, hosting.id, "--verbose");
  await works(direct);
  assert.match(direct.stderr, /connected .*path="direct \S+:\d+"/);
  const relayed = scene.agent(agent, hosting.id, "--via", "relay");
  await works(relayed);
  const { processes: [process] } = await scene.json(hosting, "status");
  const paths: { readonly path: string; readonly round_trip_ms: number }[] = process.sessions;
  assert.deepEqual(paths.map(({ path }) => path.split(" ")[0]), ["direct", "relay"]);
  assert.equal(paths[1]?.path, `relay ${scene.server}`);
  assert.ok(paths.every(({ round_trip_ms: ms }) => ms >= 0 && ms < 1_000));
  const { stdout } = await scene.run(hosting, "status");
  assert.match(stdout, new RegExp(`\\(relay ${scene.server}, \\d+ ms\\)`));
});

Deno.test("nothing is lost when the relay is killed and started again under calls", async () => {
  await using scene = await DiscoveryScene.make();
  const hosting = await scene.party("host");
  const agent = await scene.party("agent");
  await using host = await unreachableHost(hosting, "--authorized-peer", agent.id);
  const talking = scene.agent(agent, hosting.id, "--verbose");
  const before = (await talking.ask("facts", "puppet/facts")).result;
  for (let round = 0; round < 3; round++) {
    const ids = Array.from({ length: 200 }, (_, i) => round * 200 + i);
    const answering = call(talking, round * 200, 200);
    await scene.killRegistry();
    await scene.startRegistry();
    assert.deepEqual(await answering, ids);
  }
  assert.equal((await talking.ask("facts", "puppet/facts")).result.pid, before.pid);
  assert.match(talking.stderr, /resumed after/);
  assert.match(host.log(), /session resumed/);
});

Deno.test("mcp-connect says why it cannot come: no way, not let in, no peer, no sense", async (t) => {
  await using scene = await DiscoveryScene.make();
  const hosting = await scene.party("host");
  const agent = await scene.party("agent");
  const stranger = await scene.party("stranger");
  const asks = (party: Party, ...words: string[]) =>
    scene.agent(party, ...words).ask(1, "initialize", {});
  const oneShot = async (party: Party, ...words: string[]) => {
    const { code, stderr } = await scene.run(party, "mcp-connect", ...words);
    return { code, stderr };
  };
  await using host = await unreachableHost(hosting, "--authorized-peer", agent.id);

  await t.step("--via direct where the host opens no port", async () => {
    const talking = scene.agent(agent, hosting.id, "--via", "direct");
    void talking.send({ id: 1, method: "initialize", params: {} });
    await talking.says(
      `Cannot reach "host" (${hosting.id.slice(0, 12)}…): it is online, but not from here: ` +
        "it published no address",
    );
  });
  await t.step("a stranger", async () => {
    const { error } = await asks(stranger, hosting.id);
    assert.equal(error?.data.talos, "unauthorized");
    assert.equal(error?.data.code, "peer_declined");
    assert.match(error.message, /it takes no calls from this peer/);
    const hints: readonly string[] = error.data.hint;
    assert.ok(hints.some((hint) => hint.includes(`talos access grant ${stranger.id}/default`)));
    await host.logged("call declined");
  });
  await t.step("--via relay with an address", async () => {
    const { code, stderr } = await oneShot(agent, `${hosting.id}@127.0.0.1:1`, "--via", "relay");
    assert.equal(code, 2);
    assert.match(stderr, /Cannot use --via relay with an address/);
  });
  await t.step("--via somewhere", async () => {
    assert.equal((await oneShot(agent, hosting.id, "--via", "somewhere")).code, 2);
  });
  await t.step("a host that is gone", async () => {
    host.signal("SIGKILL");
    await host.exited;
    const talking = scene.agent(agent, hosting.id, "--via", "relay");
    void talking.send({ id: 1, method: "initialize", params: {} });
    await talking.says("it is registered but away");
  });
});

Deno.test("mcp-serve refuses to share where nobody could call, or options contradict", async () => {
  await using scene = await DiscoveryScene.make();
  const alone = await scene.party("alone", false);
  const serve = (...words: string[]) =>
    runTalosProcess(["--home", alone.home, "mcp-serve", ...words, "--", "true"]);
  const noRegistry = await serve("--no-listen");
  assert.equal(noRegistry.code, 2);
  assert.match(noRegistry.stderr, /--no-listen and without a registry: nobody could call/);
  for (
    const words of [["--no-listen", "--port", "0"], ["--listen", "127.0.0.1:0", "--host", "::1"]]
  ) {
    const { code, stderr } = await serve(...words);
    assert.equal(code, 2);
    assert.match(stderr, /they contradict/);
  }
  for (const place of ["8766", "127.0.0.1:x", "127.0.0.1:70000", "a b:1"]) {
    assert.equal((await serve("--listen", place)).code, 2, place);
  }
});

Deno.test("mcp-serve listens where --listen says", async () => {
  await using scene = await DiscoveryScene.make();
  const hosting = await scene.party("host");
  await using host = await startReady([
    ...TALOS,
    ...["--home", hosting.home, "--json", "mcp-serve", "--listen", "127.0.0.1:0"],
    ...["--", ...fixture("puppet_server")],
  ]);
  assert.equal(host.ready["host"], "127.0.0.1");
  assert.ok(host.port > 0);
});
