import assert from "node:assert/strict";

import { type Access, type Grant, grant, revoke } from "../../lib/identity/access.ts";
import { updateAccess } from "../../lib/identity/access_file.ts";
import { homePaths } from "../../lib/identity/home.ts";
import { mcpService, parseServerName } from "../../lib/identity/names.ts";
import { startHost } from "../../scripts/talos_process.ts";
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

const DEFAULT = mcpService(parseServerName("default"));

function grantFor({ id }: Party, expires: number | null = null): Grant {
  return { peer: id, service: DEFAULT, origin: "command", grantedAt: Date.now(), expires };
}

/** Changes a home's `access.json` as the commands do. */
async function change({ home }: Party, to: (access: Access) => Access): Promise<void> {
  await updateAccess(homePaths(Deno.build.os, () => undefined, home, "/"), to);
}

/** Waits until `mcp-connect` ends by itself, and returns its exit status. */
async function ends(agent: RawAgent): Promise<number> {
  return await soon(agent.exited, "the end of mcp-connect");
}

async function isRefused(agent: RawAgent): Promise<void> {
  const { error } = await agent.ask(1, "initialize", {});
  assert.equal(error?.data.talos, "unauthorized");
  assert.equal(error?.data.run, "no");
  assert.equal((await agent.finish()).code, 6);
}

Deno.test("a revocation cuts the live session of a running host, and refuses the next", async () => {
  await using there = await tunnel();
  await using agent = RawAgent.start(there.agent, there.target);
  const { pid } = await puppetOf(agent);
  const line = '{"jsonrpc":"2.0","id":1,"method":"roots/list"}';
  await agent.send({ id: "pending", method: "puppet/ask", params: { line } });
  await agent.line();
  await change(
    there.hosting,
    (access) => revoke(access, { peer: there.agent.id, service: "*", revokedAt: Date.now() }),
  );
  const { id, error } = await agent.message();
  assert.equal(id, "pending");
  assert.equal(error?.data.talos, "unauthorized");
  assert.equal(error?.data.run, "unknown", "it was under way");
  assert.match(
    error?.message ?? "",
    /the permission was withdrawn or has expired; whether the call/,
  );
  assert.equal(await ends(agent), 6);
  assert.match(agent.stderr, /ended the session: the permission was withdrawn/);
  await gone(pid, "the child");
  await there.logged("session cut: its permission was withdrawn");
  await using next = RawAgent.start(there.agent, there.target);
  await isRefused(next);
});

Deno.test({
  name: "mcp-serve stops, and says why, when its home is replaced: revocations would go unnoticed",
  ignore: Deno.build.os !== "linux", // what is told of a directory that moves differs
  async fn() {
    await using sandbox = await Sandbox.make();
    const [hosting, agent] = [await sandbox.party("host"), await sandbox.party("agent")];
    const args = ["--authorized-peer", agent.id, "--", ...fixture("puppet_server")];
    await using host = await startHost(hosting.home, args);
    await using live = RawAgent.start(agent, `${hosting.id}@127.0.0.1:${host.port}`);
    const { pid } = await puppetOf(live);
    await Deno.rename(hosting.home, `${hosting.home}.old`);
    await Deno.mkdir(hosting.home, { mode: 0o700 });
    assert.equal(await soon(host.exited, "the end of mcp-serve"), 1);
    await gone(pid, "the child");
    assert.match(host.log(), /stopping, since revocations or the policy would go unnoticed/);
    assert.match(
      host.log(),
      /Cannot serve without news of revocations: changes of .*access\.json are no longer noticed, since the home was moved or removed/,
    );
    await Deno.remove(hosting.home, { recursive: true });
    await Deno.rename(`${hosting.home}.old`, hosting.home);
  },
});

Deno.test("a revocation in access.json beats --authorized-peer, loudly", async () => {
  await using sandbox = await Sandbox.make();
  const [hosting, agent] = [await sandbox.party("host"), await sandbox.party("agent")];
  await change(
    hosting,
    (access) => revoke(access, { peer: agent.id, service: DEFAULT, revokedAt: Date.now() }),
  );
  const args = ["--authorized-peer", agent.id, "--", ...fixture("puppet_server")];
  await using host = await startHost(hosting.home, args);
  assert.ok(host.log().includes("--authorized-peer has no effect"), host.log());
  await using refused = RawAgent.start(agent, `${hosting.id}@127.0.0.1:${host.port}`);
  await isRefused(refused);
});

Deno.test("a grant in access.json needs no flag, takes effect at once, and ends with the file", async () => {
  await using sandbox = await Sandbox.make();
  const [hosting, agent] = [await sandbox.party("host"), await sandbox.party("agent")];
  await using host = await startHost(hosting.home, ["--", ...fixture("puppet_server")]);
  const target = `${hosting.id}@127.0.0.1:${host.port}`;
  await using before = RawAgent.start(agent, target);
  await isRefused(before);
  await change(hosting, (access) => grant(access, grantFor(agent)));
  await using granted = RawAgent.start(agent, target);
  // Nothing tells when the host has noticed the file: whoever was refused asks again.
  let session = granted;
  for (;;) {
    const { error } = await session.ask(1, "ping");
    if (error === undefined) break;
    assert.equal(error.data.talos, "unauthorized");
    await session.finish();
    session = RawAgent.start(agent, target);
  }
  await Deno.remove(`${hosting.home}/access.json`);
  assert.equal(await ends(session), 6);
  await session.finish();
});

Deno.test("a broken access.json changes nothing and is said in the log", async () => {
  await using sandbox = await Sandbox.make();
  const [hosting, agent] = [await sandbox.party("host"), await sandbox.party("agent")];
  await change(hosting, (access) => grant(access, grantFor(agent)));
  await using host = await startHost(hosting.home, ["--", ...fixture("puppet_server")]);
  await using session = RawAgent.start(agent, `${hosting.id}@127.0.0.1:${host.port}`);
  await session.ask(1, "ping");
  await Deno.writeTextFile(`${hosting.home}/access.json`, '{"version":1,"grants":[');
  await soon(host.logged("access.json is not used, the last good one stays in force"), "the log");
  assert.deepEqual((await session.ask(2, "ping")).result, {});
  await session.finish();
});

Deno.test("an expired grant ends a live session, and refuses the next", async () => {
  await using sandbox = await Sandbox.make();
  const [hosting, agent] = [await sandbox.party("host"), await sandbox.party("agent")];
  const expires = Date.now() + 3_000;
  await change(hosting, (access) => grant(access, grantFor(agent, expires)));
  await using host = await startHost(hosting.home, ["--", ...fixture("puppet_server")]);
  const target = `${hosting.id}@127.0.0.1:${host.port}`;
  await using session = RawAgent.start(agent, target);
  await session.ask(1, "ping");
  assert.equal(await ends(session), 6);
  assert.ok(Date.now() >= expires, "not before");
  await session.finish();
  await using next = RawAgent.start(agent, target);
  await isRefused(next);
});
