import assert from "node:assert/strict";
import { parsePeerId } from "../../lib/identity/peer_id.ts";
import { foundPeerOf } from "../../lib/wire/registry_messages.ts";
import { seededIdentity } from "../../scripts/seeded_identity.ts";
import {
  type RunningProcess,
  startReady,
  startServer,
  TALOS_SERVER,
} from "../../scripts/talos_process.ts";
import { instanceOf, RawClient, signedEndpoint } from "../registry/raw_client.ts";

const ALICE = seededIdentity("alice");

/** Runs `body` with a folder that is gone afterwards. */
async function withFolder(body: (path: string) => Promise<void>): Promise<void> {
  const path = await Deno.makeTempDir({ prefix: "talos-test-" });
  try {
    await body(path);
  } finally {
    await Deno.remove(path, { recursive: true });
  }
}

function addressOf({ port, ready }: RunningProcess) {
  return { port, peer: parsePeerId(String(ready["peer_id"])) };
}

/** Returns what an HTTP port of this machine answers. */
async function get(port: unknown, path: string): Promise<[number, string]> {
  const response = await fetch(`http://127.0.0.1:${port}${path}`);
  return [response.status, await response.text()];
}

Deno.test("talos-server tells its clients, is not ready and ends with 0 when SIGTERM comes", async () => {
  await withFolder(async (folder) => {
    await using server = await startServer(folder, ["--http-port", "0"]);
    const at = addressOf(server);
    const http = server.ready["http_port"];
    assert.deepEqual(await get(http, "/readyz"), [200, "ready\n"]);
    assert.deepEqual(await get(http, "/healthz"), [200, "ok\n"]);
    using client = await RawClient.enter(at, ALICE);
    using silent = await RawClient.enter(at, ALICE, { instance: instanceOf("silent") });
    assert.match((await get(http, "/metrics"))[1], /^talos_registry_connections 2$/m);
    const began = performance.now();
    server.signal("SIGTERM");
    assert.equal(await client.closed(), "draining");
    client[Symbol.dispose]();
    assert.equal(await silent.closed(), "draining"); // and stays
    assert.equal(await server.exited, 0);
    const ms = performance.now() - began;
    assert.ok(ms < 5_000, `it took ${ms} ms`);
    await assert.rejects(Deno.connect({ hostname: "127.0.0.1", port: server.port }));
  });
});

Deno.test("talos-server has registrations, records and its key when it starts again", async () => {
  await withFolder(async (folder) => {
    const signed = signedEndpoint(ALICE);
    const keys: string[] = [];
    for (const round of [1, 2]) {
      await using server = await startServer(folder);
      keys.push(String(server.ready["peer_id"]));
      using client = await RawClient.enter(addressOf(server), ALICE);
      if (round === 1) {
        await client.ask({ op: "register", name: "Alice", unlisted: false });
        await client.ask({ op: "publish", ...signed });
      }
      const found = foundPeerOf(await client.ask({ op: "lookup", peer: ALICE.peerId }));
      assert.equal(found?.name, "Alice");
      assert.equal(found?.online, round === 1);
      assert.deepEqual(found?.records, [signed]);
    }
    assert.equal(keys[0], keys[1]);
    for (const name of ["wallet.json", "registry.db"]) {
      const { mode } = await Deno.stat(`${folder}/${name}`);
      if (mode !== null) assert.equal(mode & 0o777, 0o600, name);
    }
    const { mode } = await Deno.stat(folder);
    if (mode !== null) assert.equal(mode & 0o777, 0o700);
  });
});

Deno.test("talos-server takes records again under its old key when its database was lost", async () => {
  await withFolder(async (folder) => {
    for (const seq of [1_750_000_000_000, 1_750_000_000_001]) {
      await using server = await startServer(folder);
      using client = await RawClient.enter(addressOf(server), ALICE);
      await client.ask({ op: "register", name: "Alice", unlisted: false });
      await client.ask({ op: "publish", ...signedEndpoint(ALICE, { seq }) });
      server.signal("SIGKILL");
      await server.exited;
      for (const suffix of ["", "-wal", "-shm"]) {
        await Deno.remove(`${folder}/registry.db${suffix}`).catch(() => {});
      }
    }
  });
});

Deno.test({
  name: "talos-server goes on when its terminal closes and nohup started it",
  ignore: Deno.build.os === "windows",
  fn: async () => {
    await withFolder(async (folder) => {
      const words = ["--data-dir", folder, "--json", "--port", "0"];
      await using server = await startReady(["nohup", ...TALOS_SERVER, ...words]);
      using client = await RawClient.enter(addressOf(server), ALICE);
      server.signal("SIGHUP");
      await client.ask({ op: "list", limit: 1 });
      using another = await RawClient.enter(addressOf(server), ALICE);
      await another.ask({ op: "list", limit: 1 });
      server.signal("SIGTERM");
      assert.equal(await server.exited, 0);
    });
  },
});
