/** Finding each other through a registry: what people type, on real processes. */

import assert from "node:assert/strict";
import { homePaths } from "../../lib/identity/home.ts";
import { runTalosProcess, startHost } from "../../scripts/talos_process.ts";
import { DiscoveryScene, facts, works } from "./discovery_scene.ts";
import { fixture } from "./mcp_tunnel.ts";
import { publishOldRecord } from "./old_record.ts";

/** An `mcpServers` file with two puppets. */
function twoServers(): string {
  const [command, ...args] = fixture("puppet_server");
  return JSON.stringify({
    mcpServers: {
      files: { command, args: [...args, "files"], env: { WHICH: "files" } },
      notes: { command, args: [...args, "notes"], env: { WHICH: "notes" } },
    },
  });
}

Deno.test("mcp-connect finds a host by its Peer ID alone when both have registered", async () => {
  await using scene = await DiscoveryScene.make();
  const hosting = await scene.party("host");
  const agent = await scene.party("agent");
  assert.deepEqual(
    (await scene.json(agent, "peers")).map(({ peer_id: id, name, online, services }: {
      readonly peer_id: string;
      readonly name: string;
      readonly online: boolean;
      readonly services: string[];
    }) => ({ id, name, online, services })),
    [
      { id: agent.id, name: "agent", online: false, services: [] },
      { id: hosting.id, name: "host", online: false, services: [] },
    ].sort((a, b) => a.id < b.id ? -1 : 1),
  );
  const host = await scene.host(hosting, ["--authorized-peer", agent.id]);
  const listed = await scene.json(agent, "peers");
  const found = listed.find((peer: { readonly peer_id: string }) => peer.peer_id === hosting.id);
  assert.equal(found.online, true);
  assert.deepEqual(found.services, ["default"]);
  assert.equal(found.contact, null);

  await works(scene.agent(agent, hosting.id));

  const status = await scene.json(hosting, "status");
  assert.equal(status.registry.registry, scene.server);
  assert.equal(status.registry.chosen_by, "register");
  assert.equal(status.registry.key, scene.registryId);
  assert.equal(status.registry.registered, true);
  assert.equal(status.registry.observed, "127.0.0.1");
  assert.ok(Math.abs(status.registry.skew_ms) < 5_000);
  const [process] = status.processes;
  assert.equal(process.pid, host.pid);
  assert.equal(process.registration.state, "published");
  assert.equal(process.registration.registry, scene.server);
  assert.equal(process.registration.observed, "127.0.0.1");

  host.signal("SIGTERM");
  assert.equal(await host.exited, 0);
  const gone = await scene.json(agent, "peers");
  const away = gone.find((peer: { readonly peer_id: string }) => peer.peer_id === hosting.id);
  assert.equal(away.online, false);
  assert.deepEqual(away.services, []);
});

Deno.test("mcp-connect reaches a host at the last of its addresses when the others are dead", async () => {
  await using scene = await DiscoveryScene.make();
  const hosting = await scene.party("host", false);
  const agent = await scene.party("agent");
  // It chose no registry, so it does not publish by itself.
  await using host = await startHost(hosting.home, [
    ...["--authorized-peer", agent.id, "--host", "127.0.0.1", "--", ...fixture("puppet_server")],
  ]);
  using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  await publishOldRecord({
    paths: homePaths(Deno.build.os, () => undefined, hosting.home),
    registry: scene.server,
    service: "default",
    addresses: [
      "198.51.100.1:8766", // documentation: nobody answers, or there is no way
      "[2001:db8::1]:8766", // the same
      "127.0.0.1:1", // nothing listens
      `127.0.0.1:${taken.addr.port}`, // somebody else, who says nothing
      `127.0.0.1:${host.port}`,
    ],
    at: Date.now(),
  });
  const started = performance.now();
  await works(scene.agent(agent, hosting.id));
  const ms = Math.round(performance.now() - started);
  assert.ok(ms < 8_000, `no dead address was waited for: ${ms} ms`);
});

Deno.test("mcp-serve --config serves every entry from one process when a peer asks by name", async () => {
  await using scene = await DiscoveryScene.make();
  const hosting = await scene.party("host");
  const agent = await scene.party("agent");
  const guest = await scene.party("guest");
  const file = `${scene.sandbox.folder}/servers.json`;
  await Deno.writeTextFile(file, twoServers());
  const host = await scene.host(hosting, ["--authorized-peer", agent.id], ["--config", file]);
  assert.deepEqual(host.ready["services"], ["files", "notes"]);
  const { processes } = await scene.json(hosting, "status");
  assert.equal(processes.length, 1);

  for (const service of ["files", "notes"]) {
    const { args, env } = await facts(scene.agent(agent, `${hosting.id}/${service}`));
    assert.deepEqual(args, [service]);
    assert.equal(env.WHICH, service);
    assert.equal(env.TALOS_PEER_ID, agent.id);
  }
  const undecided = await scene.agent(agent, hosting.id).ask(1, "initialize", {});
  assert.equal(undecided.error?.data.talos, "unknown_service");
  assert.match(
    undecided.error?.message ?? "",
    /there are several services, name one: files, notes/,
  );
  const wrong = await scene.agent(agent, `${hosting.id}/mail`).ask(1, "initialize", {});
  assert.equal(wrong.error?.data.talos, "unknown_service");
  assert.match(wrong.error?.message ?? "", /it serves "files", "notes"/);

  // Who may use one alone need not name it.
  await scene.json(hosting, "access", "grant", `${guest.id}/notes`);
  assert.deepEqual((await facts(scene.agent(guest, hosting.id))).args, ["notes"]);
});

Deno.test("access grant and revoke take effect at once when mcp-serve runs", async () => {
  await using scene = await DiscoveryScene.make();
  const hosting = await scene.party("host");
  const agent = await scene.party("agent");
  const host = await scene.host(hosting, []);
  const refused = await scene.agent(agent, hosting.id).ask(1, "initialize", {});
  assert.equal(refused.error?.data.talos, "unauthorized");
  assert.deepEqual(refused.error?.data.hint, [
    `on the host, let this peer in: talos access grant ${agent.id}/default`,
    "on the host, see what it shares, if that is not default: talos status",
  ]);

  await scene.json(hosting, "access", "grant", agent.id);
  const using = scene.agent(agent, hosting.id);
  await works(using);

  await scene.json(hosting, "access", "revoke", agent.id);
  await host.logged("session cut");
  assert.equal(await using.exited, 6);
  const again = await scene.agent(agent, hosting.id).ask(1, "initialize", {});
  assert.equal(again.error?.data.talos, "unauthorized");
});

Deno.test("names and beginnings of Peer IDs stand for contacts alone when a registry knows more", async () => {
  await using scene = await DiscoveryScene.make();
  const hosting = await scene.party("host");
  const agent = await scene.party("agent");
  await scene.host(hosting, ["--authorized-peer", agent.id]);
  for (const unknown of ["host", hosting.id.slice(0, 14)]) {
    const { error } = await scene.agent(agent, unknown).ask(1, "initialize", {});
    assert.equal(error?.data.code, "contact_unknown", unknown);
  }
  await scene.json(agent, "contacts", "add", "office", hosting.id);
  await works(scene.agent(agent, "office"));
  await works(scene.agent(agent, hosting.id.slice(0, 14)));
  await works(scene.agent(agent, "office/default"));
  const [, listed] = (await scene.json(agent, "peers"))
    .sort((a: { name: string }, b: { name: string }) => a.name < b.name ? -1 : 1);
  assert.equal(listed.contact, "office");
  await scene.json(agent, "contacts", "rename", "office", "work");
  assert.deepEqual(
    (await scene.json(agent, "contacts", "list")).map(({ name }: { name: string }) => name),
    ["work"],
  );
  await works(scene.agent(agent, "work"));
  await scene.json(agent, "contacts", "remove", "work");
  const { error } = await scene.agent(agent, "work").ask(1, "initialize", {});
  assert.equal(error?.data.code, "contact_unknown");
});

Deno.test("register --unlisted hides from peers but not from who has the Peer ID, also when mcp-serve refreshes", async () => {
  await using scene = await DiscoveryScene.make();
  const hosting = await scene.party("host", false);
  const agent = await scene.party("agent");
  const registered = await scene.json(hosting, "register", "--server", scene.server, "--unlisted");
  assert.equal(registered.unlisted, true);
  const host = await scene.host(hosting, ["--authorized-peer", agent.id]);
  const names = async () =>
    (await scene.json(agent, "peers")).map(({ name }: { name: string }) => name);
  assert.deepEqual(await names(), ["agent"]);
  await works(scene.agent(agent, hosting.id));
  // And back, while it runs: the process is told.
  assert.deepEqual((await scene.json(hosting, "register")).told, [host.pid]);
  assert.deepEqual((await names()).sort(), ["agent", "host"]);
});

Deno.test("mcp-serve follows when register chooses a registry while it runs", async () => {
  await using scene = await DiscoveryScene.make();
  await using other = await DiscoveryScene.make();
  const hosting = await scene.party("host", false);
  const agent = await scene.party("agent");
  const elsewhere = await other.party("elsewhere");
  await using host = await startHost(hosting.home, [
    ...["--authorized-peer", agent.id, "--authorized-peer", elsewhere.id],
    "--",
    ...fixture("puppet_server"),
  ]);
  const { processes } = await scene.json(hosting, "status");
  assert.deepEqual(processes[0].registration, { state: "none" });

  await scene.json(hosting, "register", "--server", scene.server);
  await host.logged(`"registered","registry":"${scene.server}"`);
  await works(scene.agent(agent, hosting.id));

  await other.json(hosting, "register", "--server", other.server);
  await host.logged(`"registered","registry":"${other.server}"`);
  await works(other.agent(elsewhere, hosting.id));
  // It has left the first one in order.
  const left = await scene.json(agent, "peers");
  const old = left.find((peer: { readonly peer_id: string }) => peer.peer_id === hosting.id);
  assert.deepEqual([old.online, old.services], [false, []]);
});

Deno.test("a private registry lets in who has its token, which register remembers and shows to no other", async () => {
  await using open = await DiscoveryScene.make();
  const folder = open.sandbox.folder;
  const token = `${folder}/token`;
  await Deno.writeTextFile(token, "correct-horse-battery-staple\n", { mode: 0o600 });
  await Deno.writeTextFile(`${folder}/wrong`, "a-guess-that-is-long-enough\n", { mode: 0o600 });
  await using scene = await DiscoveryScene.make("--join-token-file", token);
  const hosting = await scene.party("host", false);
  const agent = await scene.party("agent", false);

  const missing = await scene.error(agent, "register", "--server", scene.server);
  assert.deepEqual([missing.error, missing.exit_status], ["token_required", 6]);
  const at = ["--server", scene.server, "--join-token-file"];
  const wrong = await scene.error(agent, "register", ...at, `${folder}/wrong`);
  assert.deepEqual([wrong.error, wrong.exit_status], ["token_wrong", 6]);
  const absent = await scene.error(agent, "register", ...at, `${folder}/nowhere`);
  assert.deepEqual([absent.error, absent.exit_status], ["usage", 2]);

  await scene.json(hosting, "register", ...at, token);
  await scene.json(agent, "register", ...at, token);
  await scene.host(hosting, ["--authorized-peer", agent.id]);
  assert.equal((await scene.json(agent, "peers")).length, 2);
  await works(scene.agent(agent, hosting.id));
  // The token is that registry's: another one never sees it, and needs none.
  await scene.json(agent, "peers", "--server", open.server);
});

Deno.test("the registry is chosen by flag, then TALOS_SERVER, then register, then localhost:8765", async () => {
  await using saved = await DiscoveryScene.make();
  await using other = await DiscoveryScene.make();
  const agent = await saved.party("agent", false);
  const place = async (env: Record<string, string>, ...flags: readonly string[]) => {
    const words = ["--home", agent.home, "--json", "peers", ...flags];
    const { stderr } = await runTalosProcess(words, { env });
    const pinned = /"registry pinned","registry":"([^"]+)"/.exec(stderr)?.[1];
    const failed = /(?:Cannot reach the registry|none was chosen, so) (\S+:\d+)/
      .exec(stderr)?.[1];
    await saved.run(agent, "forget-registry", pinned ?? "localhost");
    return failed ?? pinned ?? stderr; // chosen, even where it is somebody's private one
  };
  const dead = "127.0.0.1:1";
  assert.equal(await place({}), "localhost:8765");
  await saved.json(agent, "register", "--server", saved.server);
  await saved.run(agent, "forget-registry", saved.server);
  assert.equal(await place({}), saved.server);
  assert.equal(await place({ TALOS_SERVER: other.server }), other.server);
  assert.equal(await place({ TALOS_SERVER: "" }), saved.server);
  assert.equal(await place({ TALOS_SERVER: dead }, "--server", other.server), other.server);
  assert.equal(await place({ TALOS_SERVER: dead }, "--registry", other.server), other.server);
  assert.equal(await place({ TALOS_SERVER: dead }), dead);
  const both = await saved.error(agent, "peers", "--server", "a", "--registry", "b");
  assert.deepEqual([both.error, both.exit_status], ["usage", 2]);
});
