import assert from "node:assert/strict";
import { concat, EMPTY, fromHex, hex } from "../../lib/bytes.ts";
import { parsePeerId, publicKeyOf } from "../../lib/identity/peer_id.ts";
import { connectTcp } from "../../lib/transport/tcp.ts";
import { seededIdentity } from "../../scripts/seeded_identity.ts";
import { runTalosProcess, startServer, TALOS_SERVER } from "../../scripts/talos_process.ts";
import { RawClient } from "../registry/raw_client.ts";

/** Runs `talos-server` with `args` to its end. */
function runServer(args: readonly string[], env: Record<string, string> = {}) {
  return runTalosProcess(args, { command: TALOS_SERVER, env });
}

/** A folder that is gone when the test ends. */
async function temporaryFolder(): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await Deno.realPath(await Deno.makeTempDir({ prefix: "talos-test-" }));
  return {
    path,
    [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }),
  };
}

/** Sends `bytes` to a port of this machine and returns what comes back until the end. */
async function exchange(port: number, bytes: Uint8Array<ArrayBuffer>) {
  using transport = await connectTcp({ host: "localhost", port });
  await transport.write(bytes);
  await transport.closeWrite();
  let all = EMPTY;
  const buffer = new Uint8Array(256);
  for (;;) {
    const count = await transport.read(buffer);
    if (count === null) return all;
    all = concat(all, buffer.subarray(0, count));
  }
}

Deno.test("talos-server says who it is, shakes hands and ends with 0 when SIGTERM comes", async () => {
  await using folder = await temporaryFolder();
  await using server = await startServer(`${folder.path}/data`);
  const peer = parsePeerId(String(server.ready["peer_id"]));
  assert.equal(server.ready["event"], "ready");
  assert.equal(server.ready["pid"], server.pid);
  assert.equal(server.ready["data_dir"], `${folder.path}/data`);

  const whoAreYou = "54414c4f53010200";
  const answer = await exchange(server.port, fromHex(whoAreYou));
  assert.equal(hex(answer), whoAreYou + hex(publicKeyOf(peer)));
  assert.equal(
    hex(await exchange(server.port, fromHex("54414c4f53070000"))),
    "54414c4f53010100",
  );
  assert.deepEqual(await exchange(server.port, fromHex("54414c4f53010000")), EMPTY);
  assert.deepEqual(
    await exchange(server.port, new TextEncoder().encode("GET / HTTP/1.0\r\n\r\n")),
    EMPTY,
  );

  using client = await RawClient.enter({ port: server.port, peer }, seededIdentity("caller"));
  server.signal("SIGTERM");
  assert.equal(await client.closed(), "draining");
  client[Symbol.dispose]();
  assert.equal(await server.exited, 0);
});

Deno.test("talos-server keeps its key, and tells of a new one alone, when it starts again", async () => {
  await using folder = await temporaryFolder();
  const started: string[] = [];
  for (const isNew of [true, false]) {
    await using server = await startServer(folder.path, ["--host", "127.0.0.1"]);
    started.push(String(server.ready["peer_id"]));
    assert.deepEqual(server.ready["hosts"], ["127.0.0.1"]);
    server.signal("SIGTERM");
    await server.exited;
    assert.equal(server.log().includes("this registry is new"), isNew);
    assert.ok(!server.log().includes("a new key was made"));
  }
  assert.equal(started[0], started[1]);
  const { mode } = await Deno.stat(`${folder.path}/wallet.json`);
  if (mode !== null) assert.equal(mode & 0o777, 0o600);
});

Deno.test("talos-server says in one sentence what holds it when its port is taken", async () => {
  await using folder = await temporaryFolder();
  using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = taken.addr;
  const { code, stdout, stderr } = await runServer([
    "--host",
    "127.0.0.1",
    "--port",
    String(port),
    "--data-dir",
    folder.path,
  ]);
  assert.equal(code, 1);
  assert.equal(stdout, "");
  assert.equal(
    stderr,
    `talos: Cannot listen on 127.0.0.1:${port}: the port is in use
hint: another registry may run here already; what holds the port: ss -ltnp on Linux
hint: choose another port with --port; who uses it must then name it
`,
  );
});

Deno.test("talos-server refuses a damaged wallet with 7 and a wrong option with 2", async () => {
  await using folder = await temporaryFolder();
  await Deno.writeTextFile(`${folder.path}/wallet.json`, "{}", { mode: 0o600 });
  const damaged = await runServer(["--data-dir", folder.path, "--port", "0", "--json"]);
  assert.equal(damaged.code, 7);
  assert.equal(JSON.parse(damaged.stderr).error, "wallet_corrupted");
  assert.equal(JSON.parse(damaged.stderr).exit_status, 7);

  const wrong = await runServer(["--http-prot", "1"]);
  assert.equal(wrong.code, 2);
  assert.equal(
    wrong.stderr,
    "talos: Unknown option '--http-prot'\nhint: talos-server --help lists the options\n",
  );
});

Deno.test("talos-server prints its help and its version on stdout when asked", async () => {
  const help = await runServer(["--help"]);
  assert.equal(help.code, 0);
  assert.match(help.stdout, /^Usage: talos-server \[options\]\n/);
  assert.equal(help.stderr, "");
  const version = await runServer(["--version"]);
  assert.match(version.stdout, /^\d+\.\d+\.\d+\n$/);
});

Deno.test("talos-server warns when its key is gone and its database is there", async () => {
  await using folder = await temporaryFolder();
  for (const isLost of [false, true]) {
    await using server = await startServer(folder.path, ["--host", "127.0.0.1"]);
    server.signal("SIGTERM");
    await server.exited;
    assert.equal(server.log().includes("a new key was made; peers that knew this"), isLost);
    await Deno.remove(`${folder.path}/wallet.json`);
  }
});

Deno.test("talos-server refuses a data directory that another one uses, and names that", async () => {
  await using folder = await temporaryFolder();
  await using server = await startServer(folder.path, ["--host", "127.0.0.1"]);
  const { code, stderr } = await runTalosProcess(["--data-dir", folder.path, "--port", "0"], {
    command: TALOS_SERVER,
  });
  assert.equal(code, 1);
  if (Deno.build.os === "windows") return; // nobody else can read a locked file
  assert.equal(
    stderr,
    `talos: Cannot use the data directory ${folder.path}: process ${server.ready["pid"]} uses it
hint: stop it first: kill ${server.ready["pid"]}
hint: or run another registry, with a key of its own: --data-dir DIR
`,
  );
});

Deno.test("talos-server names the addresses there are when it cannot listen on the one given", async () => {
  await using folder = await temporaryFolder();
  const { code, stderr } = await runTalosProcess(
    ["--data-dir", folder.path, "--port", "0", "--host", "192.0.2.77"],
    { command: TALOS_SERVER },
  );
  assert.equal(code, 1);
  assert.match(stderr, /^hint: name an address of this machine with --host: .*127\.0\.0\.1/m);
  assert.match(stderr, /^hint: or leave --host out, to listen on all of them$/m);
});
