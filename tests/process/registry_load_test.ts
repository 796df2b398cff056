import assert from "node:assert/strict";
import { parsePeerId } from "../../lib/identity/peer_id.ts";
import { encodeRequest, peerPageOf } from "../../lib/wire/registry_messages.ts";
import { seededIdentity } from "../../scripts/seeded_identity.ts";
import { type RunningProcess, startServer } from "../../scripts/talos_process.ts";
import { instanceOf, RawClient, type RegistryAt } from "../registry/raw_client.ts";

const LIST = { op: "list", limit: 1 } as const;

/** Handshakes at a time: fewer than the registry takes from one address. */
const AT_ONCE = 16;

/** Runs `body` with a registry that has an HTTP port. */
async function withServer(
  body: (server: RunningProcess, at: RegistryAt) => Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "talos-test-" });
  try {
    await using server = await startServer(folder, ["--http-port", "0"]);
    await body(server, {
      port: server.port,
      peer: parsePeerId(String(server.ready["peer_id"])),
    });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Returns one metric of a registry. */
async function metric({ ready }: RunningProcess, name: string): Promise<number> {
  const response = await fetch(`http://127.0.0.1:${ready["http_port"]}/metrics`);
  const line = (await response.text()).split("\n").find((line) => line.startsWith(`${name} `));
  assert.ok(line !== undefined, name);
  return Number(line.slice(name.length + 1));
}

Deno.test("talos-server holds 1,000 control connections in little memory each", async () => {
  await withServer(async (server, at) => {
    const clients: RawClient[] = [];
    const enter = async (count: number) => {
      const until = clients.length + count;
      while (clients.length < until) {
        const first = clients.length;
        const many = Array.from(
          { length: Math.min(AT_ONCE, until - first) },
          (_, i) => RawClient.enter(at, seededIdentity(`client ${first + i}`)),
        );
        clients.push(...await Promise.all(many));
      }
    };
    try {
      await enter(100); // compiles what runs often
      const before = await metric(server, "process_resident_memory_bytes");
      await enter(1_000);
      assert.equal(await metric(server, "talos_registry_connections"), 1_100);
      const after = await metric(server, "process_resident_memory_bytes");
      const each = Math.round((after - before) / 1_000);
      const megabytes = Math.round(after / 1e6);
      // Some 26 kB are in use (measured after garbage collection), the rest is slack of the heap.
      // deno-lint-ignore no-console -- the number is what the test is for
      console.log(`${each} bytes a connection, ${megabytes} MB in all`);
      assert.ok(each < 200_000, `${each} bytes a connection`);
      await clients.at(-1)?.ask(LIST);
    } finally {
      for (const client of clients) client[Symbol.dispose]();
    }
  });
});

Deno.test("talos-server goes on serving others when one peer floods it", async () => {
  await withServer(async (server, at) => {
    const flooding = Promise.all(
      ["1", "2", "3"].map(async (instance) => {
        using flooder = await RawClient.enter(at, seededIdentity("flooder"), {
          instance: instanceOf(instance),
        });
        const request = encodeRequest(1, LIST);
        let answers = 0;
        for (;;) {
          for (let i = 0; i < 50; i++) flooder.sendBody(request);
          for (let i = 0; i < 50; i++) {
            const frame = await flooder.nextFrame();
            if (frame === null || frame.type === "close") return answers;
            answers++;
          }
        }
      }),
    );
    using client = await RawClient.enter(at, seededIdentity("calm"));
    await client.ask({ op: "register", name: "calm", unlisted: false });
    for (let i = 0; i < 50; i++) {
      const { peers } = peerPageOf(await client.ask({ op: "list", limit: 10 }));
      assert.deepEqual(peers.map(({ name }) => name), ["calm"]);
    }
    const answers = (await flooding).reduce((sum, count) => sum + count, 0);
    assert.ok(answers < 700, `the flood got ${answers} answers`); // a burst of 300, 100 refusals each
    assert.equal(await metric(server, "talos_registry_connections"), 1);
  });
});

Deno.test("talos-server goes on when callers send garbage, or leave in the middle of a handshake", async () => {
  await withServer(async (server, at) => {
    const garbage = [
      "",
      "T",
      "TALOS\x01\x01\x00",
      "TALOS\x01\x01\x00\x05\x00abc",
      "\x00".repeat(5000),
    ];
    await Promise.all(garbage.map(async (text) => {
      using conn = await Deno.connect({ hostname: "127.0.0.1", port: at.port });
      await conn.write(new TextEncoder().encode(text));
    }));
    using client = await RawClient.enter(at, seededIdentity("calm"));
    await client.ask(LIST);
    assert.equal(await metric(server, "talos_registry_connections"), 1);
  });
});
