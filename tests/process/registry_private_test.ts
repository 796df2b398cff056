import assert from "node:assert/strict";
import { parsePeerId } from "../../lib/identity/peer_id.ts";
import { seededIdentity } from "../../scripts/seeded_identity.ts";
import { runTalosProcess, startServer, TALOS_SERVER } from "../../scripts/talos_process.ts";
import { instanceOf, RawClient } from "../registry/raw_client.ts";

const ALICE = seededIdentity("alice");
const TOKEN = "correct-horse-battery-staple";
const HELLO = { op: "hello", instance: instanceOf("first") } as const;

/** Runs `body` with a folder in which `token` lies with the given mode. */
async function withToken(
  mode: number,
  body: (folder: string, file: string) => Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "talos-test-" });
  try {
    const file = `${folder}/token`;
    await Deno.writeTextFile(file, `${TOKEN}\n`, { mode });
    await body(folder, file);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("talos-server lets those in alone who have its join token, and never prints it", async () => {
  await withToken(0o600, async (folder, file) => {
    const args = ["--join-token-file", file, "--verbose"];
    await using server = await startServer(`${folder}/data`, args);
    const at = { port: server.port, peer: parsePeerId(String(server.ready["peer_id"])) };
    using without = await RawClient.connect(at, ALICE);
    await without.refused(HELLO, "token_required");
    assert.equal(await without.closed(), "token_required");
    using wrong = await RawClient.connect(at, ALICE);
    await wrong.refused({ ...HELLO, token: TOKEN + "." }, "token_wrong");
    assert.equal(await wrong.closed(), "token_wrong");
    using right = await RawClient.enter(at, ALICE, { token: TOKEN });
    await right.ask({ op: "list", limit: 1 });
    server.signal("SIGTERM");
    await server.exited;
    assert.ok(!server.log().includes(TOKEN));
    assert.ok(!server.log().includes("there is no join token"));
  });
});

Deno.test("talos-server warns when there is no join token", async () => {
  await withToken(0o600, async (folder) => {
    await using server = await startServer(`${folder}/data`);
    server.signal("SIGTERM");
    await server.exited;
    const warnings = server.log().trim().split("\n").map((line) => JSON.parse(line))
      .filter(({ level }) => level === "warn").map(({ event }) => event);
    assert.deepEqual(warnings, [
      "there is no join token: whoever reaches this port can register and see who else has " +
      "(make it private with --join-token-file FILE)",
    ]);
  });
});

Deno.test("talos-server ends with 2 when there is no file of its join token, and makes nothing", async () => {
  await withToken(0o600, async (folder, file) => {
    const { code, stdout, stderr } = await runTalosProcess(
      ["--data-dir", `${folder}/data`, "--port", "0", "--join-token-file", `${file}2`],
      { command: TALOS_SERVER },
    );
    assert.equal(code, 2);
    assert.equal(stdout, "");
    assert.equal(
      stderr,
      `talos: Cannot use the join token: there is no file ${file}2
hint: make one: (umask 077; head -c 24 /dev/urandom | base64 > FILE)
`,
    );
    await assert.rejects(Deno.stat(`${folder}/data`));
  });
});

Deno.test("talos-server ends with 7 and says what to do when its database is damaged", async () => {
  await withToken(0o600, async (folder) => {
    await Deno.writeTextFile(`${folder}/registry.db`, "x".repeat(9000), { mode: 0o600 });
    const { code, stderr } = await runTalosProcess(
      ["--data-dir", folder, "--port", "0", "--json"],
      { command: TALOS_SERVER },
    );
    assert.equal(code, 7);
    const error = JSON.parse(stderr.trim().split("\n").at(-1) ?? "");
    assert.equal(error.error, "store_corrupted");
    assert.match(error.hints[0], /^move it and its -wal and -shm files away/);
    assert.equal((await Deno.readTextFile(`${folder}/registry.db`)).length, 9000);
  });
});
