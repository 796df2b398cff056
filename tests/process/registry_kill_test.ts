import assert from "node:assert/strict";
import type { LocalIdentity } from "../../lib/identity/local_identity.ts";
import { parsePeerId, type PeerId } from "../../lib/identity/peer_id.ts";
import { SessionError } from "../../lib/session/errors.ts";
import { openEndpointRecord } from "../../lib/wire/endpoint_record.ts";
import { foundPeerOf } from "../../lib/wire/registry_messages.ts";
import { seededIdentity } from "../../scripts/seeded_identity.ts";
import { SeededRandom } from "../../scripts/seeded_random.ts";
import { startServer } from "../../scripts/talos_process.ts";
import { RawClient, type RegistryAt, signedEndpoint } from "../registry/raw_client.ts";
import { service } from "../registry/store_contract.ts";

const ROUNDS = 12;
const PUBLISHERS = 6;
const SERVICES = 3;
/** The rounds differ by when they are cut; another seed makes other rounds. */
const SEED = Deno.env.get("TALOS_TEST_SEED") ?? "kill";

/** What a peer asked of the registry in all rounds, and what it was told. */
class Publisher {
  readonly identity: LocalIdentity;
  readonly acknowledged = new Map<string, number>();
  readonly sent = new Map<string, number>();
  registered = false;
  #seq = 0;

  constructor(seed: string) {
    this.identity = seededIdentity(seed);
  }

  /** Registers and publishes until the connection is lost; `told` is called at each acknowledgement. */
  async run(at: RegistryAt, told: () => void): Promise<void> {
    try {
      using client = await RawClient.enter(at, this.identity);
      await client.ask({ op: "register", name: "publisher", unlisted: false });
      this.registered = true;
      for (;;) {
        const name = `s${this.#seq % SERVICES}`;
        const seq = ++this.#seq;
        this.sent.set(name, seq);
        const signed = signedEndpoint(this.identity, { service: service(name), seq });
        await client.ask({ op: "publish", ...signed });
        this.acknowledged.set(name, seq);
        told();
      }
    } catch (error) {
      if (!isEndOfConnection(error)) throw error;
    }
  }

  /** Fails unless the registry has everything that it acknowledged, and nothing that was never sent. */
  async verify(client: RawClient): Promise<void> {
    const { peerId } = this.identity;
    const found = foundPeerOf(await client.ask({ op: "lookup", peer: peerId }));
    assert.ok(found !== null || !this.registered, "a registration was lost");
    const stored = new Map((found?.records ?? []).map((signed) => {
      const { service, seq } = openEndpointRecord(peerId, signed); // it verifies
      return [service.replace("mcp/", ""), seq];
    }));
    for (const [name, seq] of this.acknowledged) {
      const kept = stored.get(name) ?? 0;
      assert.ok(kept >= seq, `seq ${seq} was acknowledged, the registry has ${kept}`);
    }
    for (const [name, seq] of stored) assert.ok(seq <= (this.sent.get(name) ?? 0));
  }
}

function isEndOfConnection(error: unknown): boolean {
  return error instanceof SessionError ||
    (error instanceof assert.AssertionError && error.message === "the connection ended");
}

Deno.test(`talos-server has all that it acknowledged when kill -9 ends it at any moment (seed ${SEED})`, async () => {
  const random = new SeededRandom(SEED);
  const dataDir = await Deno.makeTempDir({ prefix: "talos-test-" });
  const publishers = Array.from({ length: PUBLISHERS }, (_, i) => new Publisher(`publisher ${i}`));
  let registry: PeerId | undefined;
  let acknowledged = 0;
  try {
    for (let round = 0; round < ROUNDS; round++) {
      await using server = await startServer(dataDir);
      const peer = parsePeerId(String(server.ready["peer_id"]));
      assert.equal(peer, registry ?? peer, "the registry has another key");
      registry = peer;
      const at = { port: server.port, peer };
      {
        using client = await RawClient.enter(at, seededIdentity("verifier"));
        for (const publisher of publishers) await publisher.verify(client);
      }
      let left = random.between(1, 300);
      await Promise.all(publishers.map((publisher) =>
        publisher.run(at, () => {
          acknowledged++;
          if (--left === 0) server.signal("SIGKILL");
        })
      ));
      assert.ok(left <= 0, "the connections ended before the process did");
      await server.exited;
    }
    assert.ok(acknowledged > ROUNDS * 10, `only ${acknowledged} records were acknowledged`);
  } finally {
    await Deno.remove(dataDir, { recursive: true });
  }
});
