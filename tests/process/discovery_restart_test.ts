/** What a registry's end does to those who use it: it is killed, restarted, loses its memory or its key. */

import assert from "node:assert/strict";
import { DiscoveryScene, works } from "./discovery_scene.ts";
import type { Party } from "./mcp_tunnel.ts";

/** Tells whether the registry knows `party` as online. */
async function isOnline(scene: DiscoveryScene, asking: Party, party: Party): Promise<boolean> {
  const listed: { readonly peer_id: string; readonly online: boolean }[] = await scene.json(
    asking,
    "peers",
  );
  return listed.some(({ peer_id: id, online }) => id === party.id && online);
}

Deno.test("mcp-serve comes back by itself when the registry is killed and started again", async () => {
  await using scene = await DiscoveryScene.make();
  const hosting = await scene.party("host");
  const agent = await scene.party("agent");
  const host = await scene.host(hosting, ["--authorized-peer", agent.id]);
  const using = scene.agent(agent, hosting.id);
  await works(using);

  await scene.killRegistry();
  await host.logged("not registered");
  await works(using); // the session needs no registry

  // Whoever found the host before finds it without a registry.
  const meanwhile = scene.agent(agent, hosting.id);
  await works(meanwhile);
  assert.match(
    meanwhile.stderr,
    /registry does not answer; trying the peer where it was last seen/,
  );
  const { registry, processes } = await scene.json(hosting, "status");
  assert.equal(registry.registered, null);
  assert.match(registry.why, /^Cannot reach the registry /);
  assert.equal(processes[0].registration.state, "connecting");

  await scene.startRegistry();
  await host.logged('"event":"registered"', 2);
  assert.equal(await isOnline(scene, agent, hosting), true);
  await works(scene.agent(agent, hosting.id));
});

Deno.test("mcp-serve is not locked out when the registry has lost its database", async () => {
  await using scene = await DiscoveryScene.make();
  const hosting = await scene.party("host");
  const agent = await scene.party("agent");
  const host = await scene.host(hosting, ["--authorized-peer", agent.id]);
  await scene.killRegistry();
  for await (const { name } of Deno.readDir(scene.dataDirectory)) {
    if (name.startsWith("registry.db")) await Deno.remove(`${scene.dataDirectory}/${name}`);
  }
  await scene.startRegistry();
  await host.logged('"event":"registered"', 2);
  assert.equal(await isOnline(scene, agent, hosting), true);
  await works(scene.agent(agent, hosting.id));
});

Deno.test("everybody refuses a registry with another key, loudly, until the old one is forgotten", async () => {
  await using scene = await DiscoveryScene.make();
  const hosting = await scene.party("host");
  const agent = await scene.party("agent");
  const host = await scene.host(hosting, ["--authorized-peer", agent.id]);
  const before = scene.registryId;
  await scene.killRegistry();
  await Deno.remove(scene.dataDirectory, { recursive: true });
  await scene.startRegistry();
  const now = scene.registryId;
  assert.notEqual(now, before);

  const sentence =
    `The registry ${scene.server} has another key than before: it was ${before}, it is ${now}`;
  const cureIn = ({ home }: { readonly home: string }) =>
    `if it has a new one, forget the old one: talos --home ${home} forget-registry ${scene.server}`;
  await host.logged(`not registered: ${sentence}`);
  await host.logged(cureIn(hosting));
  for (const words of [["peers"], ["register"]]) {
    const refused = await scene.error(agent, ...words);
    assert.deepEqual([refused.error, refused.exit_status], ["registry_key_changed", 5]);
    assert.equal(refused.message, sentence);
    assert.equal(refused.hints.at(-1), cureIn(agent));
  }
  const told = await scene.agent(agent, hosting.id).ask(1, "initialize", {});
  assert.equal(told.error?.data.talos, "wrong_key");
  assert.equal(told.error?.data.code, "registry_key_changed");
  assert.equal(told.error?.message, `${sentence}; the call was not run`);

  // Both forget it; the host's `register` tells the service that runs, which follows at once.
  await scene.json(agent, "forget-registry", scene.server);
  assert.deepEqual(await scene.json(agent, "peers"), []);
  await scene.json(hosting, "forget-registry", scene.server);
  await scene.json(hosting, "register");
  await host.logged('"event":"registered"', 2);
  assert.equal(await isOnline(scene, agent, hosting), true);
  await works(scene.agent(agent, hosting.id));
});

Deno.test("a registry whose key is in its address is refused when it has another one, and pinned when not", async () => {
  await using scene = await DiscoveryScene.make();
  const agent = await scene.party("agent", false);
  const other = await scene.party("other", false);
  const wrong = await scene.error(agent, "peers", "--server", `${other.id}@${scene.server}`);
  assert.deepEqual([wrong.error, wrong.exit_status], ["registry_key_changed", 5]);
  await scene.json(agent, "register", "--server", `${scene.registryId}@${scene.server}`);
  const { stderr } = await scene.run(agent, "peers");
  assert.doesNotMatch(stderr, /pinned/);
});

Deno.test("mcp-connect waits for a host that is about to come, and for a registry, as long as its agent waits", async () => {
  await using scene = await DiscoveryScene.make();
  const hosting = await scene.party("host");
  const agent = await scene.party("agent");
  await scene.killRegistry();
  const waiting = scene.agent(agent, hosting.id);
  const answer = waiting.ask(1, "puppet/echo", { text: "at last" });
  await waiting.says("Cannot reach the registry");
  await scene.startRegistry();
  await waiting.says("it is registered but serves nothing now");
  await scene.host(hosting, ["--authorized-peer", agent.id]);
  assert.deepEqual((await answer).result, { text: "at last" });
});

Deno.test("mcp-serve withdraws in order when it is stopped, and not when it is killed", async () => {
  await using scene = await DiscoveryScene.make();
  const hosting = await scene.party("host");
  const agent = await scene.party("agent");
  const first = await scene.host(hosting, ["--authorized-peer", agent.id]);
  first.signal("SIGTERM");
  await first.exited;
  const stopped = await scene.json(agent, "peers");
  const second = await scene.host(hosting, ["--authorized-peer", agent.id]);
  second.signal("SIGKILL");
  await second.exited;
  // The registry sees the end of its connection at about the same time as we see that of the process.
  const killed = await scene.json(agent, "peers");
  const host = (listed: { readonly peer_id: string; readonly services: readonly string[] }[]) =>
    listed.find(({ peer_id: id }) => id === hosting.id);
  assert.deepEqual(host(stopped)?.services, []);
  assert.deepEqual(host(killed)?.services, ["default"]);
  // A third process takes its place at once.
  await scene.host(hosting, ["--authorized-peer", agent.id]);
  await works(scene.agent(agent, hosting.id));
});
