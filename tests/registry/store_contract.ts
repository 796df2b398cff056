/**
 * What every {@link Store} must do, whatever it keeps its data in. A new implementation is done when this
 * passes for it.
 */

import assert from "node:assert/strict";
import type { Bytes } from "../../lib/bytes.ts";
import {
  mcpService,
  MESSAGES_SERVICE,
  parseServerName,
  type ServiceName,
} from "../../lib/identity/names.ts";
import type { PeerId } from "../../lib/identity/peer_id.ts";
import type { Registration, Store, StoredRecord } from "../../registry/store.ts";
import { seededIdentity } from "../../scripts/seeded_identity.ts";
import { SeededRandom } from "../../scripts/seeded_random.ts";

/** Makes stores that begin empty; each is closed by who asked for it. */
export type MakeStore = () => Promise<Store>;

const PEERS: readonly PeerId[] = ["a", "b", "c", "d"].map((seed) => seededIdentity(seed).peerId);
const [ANNA, BEN, CARL, DORA] = [PEERS[0]!, PEERS[1]!, PEERS[2]!, PEERS[3]!];
const FILES = service("files");
const NOW = 1_750_000_000_000;
const LIMITS = { services: 16, now: NOW };

/** Returns the service of the MCP server `name`. */
export function service(name: string): ServiceName {
  return mcpService(parseServerName(name));
}

/** Returns what a peer registers, with `changes`. */
export function registration(peer: PeerId, changes: Partial<Registration> = {}): Registration {
  return { peer, name: "somebody", unlisted: false, lastSeen: NOW, ...changes };
}

/** Returns a record with content that follows from its number, with `changes`. */
export function storedRecord(seq: number, changes: Partial<StoredRecord> = {}): StoredRecord {
  return {
    service: FILES,
    seq,
    expiresAt: NOW + 600_000,
    record: content(`record ${seq}`, 300),
    signature: content(`signature ${seq}`, 64),
    ...changes,
  };
}

function content(seed: string, length: number): Bytes {
  return new SeededRandom(seed).bytes(length);
}

/** Adds the contract's tests for the implementation called `name`. */
export function testStoreContract(name: string, make: MakeStore): void {
  const test = (what: string, body: (store: Store) => Promise<void>) =>
    Deno.test(`${name}.${what}`, async () => {
      await using store = await make();
      await body(store);
    });

  test("check() succeeds when the store is open", async (store) => {
    await store.check();
  });

  test("register() adds a peer when it is unknown and updates it when it is known", async ({ directory }) => {
    assert.equal(await directory.registration(ANNA), null);
    assert.equal(await directory.register(registration(ANNA, { name: "Anna" }), 10), "added");
    assert.deepEqual(await directory.registration(ANNA), registration(ANNA, { name: "Anna" }));
    const changed = registration(ANNA, { name: "Änne 😀", unlisted: true, lastSeen: NOW + 5 });
    assert.equal(await directory.register(changed, 10), "updated");
    assert.deepEqual(await directory.registration(ANNA), changed);
    assert.deepEqual(await directory.counts(), { registrations: 1, records: 0 });
  });

  test("register() takes no new peer, and every known one, when it is full of peers that serve", async ({ directory }) => {
    for (const peer of [ANNA, BEN]) {
      assert.equal(await directory.register(registration(peer), 2), "added");
      await directory.putRecord(peer, storedRecord(1, { expiresAt: NOW + 1 }), LIMITS);
    }
    assert.equal(await directory.register(registration(CARL), 2), "full");
    assert.equal(await directory.registration(CARL), null);
    assert.equal(await directory.register(registration(ANNA), 2), "updated");
    assert.equal(await directory.register(registration(CARL), 3), "added");
  });

  test("register() replaces the peer unseen for longest that serves nothing when it is full", async ({ directory }) => {
    const serving = (peer: PeerId, lastSeen: number, expiresAt: number) =>
      directory.register(registration(peer, { lastSeen }), 3)
        .then(() => directory.putRecord(peer, storedRecord(1, { expiresAt }), LIMITS));
    await serving(ANNA, NOW - 9, NOW + 1);
    await serving(BEN, NOW - 7, NOW);
    await serving(CARL, NOW - 8, NOW);
    assert.equal(await directory.register(registration(DORA), 3), "added");
    assert.equal(await directory.registration(CARL), null);
    assert.deepEqual(await directory.records(CARL), []);
    await directory.putRecord(DORA, storedRecord(1), LIMITS);
    assert.equal(await directory.register(registration(CARL), 3), "added");
    assert.equal(await directory.registration(BEN), null);
    await directory.putRecord(CARL, storedRecord(1), LIMITS);
    assert.equal(await directory.register(registration(BEN), 3), "full");
    assert.deepEqual(await directory.counts(), { registrations: 3, records: 3 });
    const later = registration(BEN, { lastSeen: NOW + 1 });
    assert.equal(await directory.register(later, 3), "added");
    assert.equal(await directory.registration(ANNA), null);
  });

  test("register() stays within its limit when many come at once", async ({ directory }) => {
    const outcomes = await Promise.all(
      PEERS.map((peer) => directory.register(registration(peer), 2)),
    );
    assert.deepEqual(outcomes, ["added", "added", "added", "added"]);
    assert.equal((await directory.counts()).registrations, 2);
  });

  test("register() leaves records alone when a peer registers again", async ({ directory }) => {
    await directory.register(registration(ANNA), 10);
    await directory.putRecord(ANNA, storedRecord(1), LIMITS);
    await directory.register(registration(ANNA, { name: "new" }), 10);
    assert.deepEqual(await directory.records(ANNA), [storedRecord(1)]);
  });

  test("touch() notes times of known peers when it gets others too", async ({ directory }) => {
    await directory.register(registration(ANNA), 10);
    await directory.touch(new Map([[ANNA, NOW + 7], [BEN, NOW + 8]]));
    assert.equal((await directory.registration(ANNA))?.lastSeen, NOW + 7);
    assert.equal(await directory.registration(BEN), null);
  });

  test("putRecord() keeps exact bytes when a peer is registered", async ({ directory }) => {
    await directory.register(registration(ANNA), 10);
    const large = storedRecord(Number.MAX_SAFE_INTEGER, { record: content("large", 2048) });
    assert.deepEqual(await directory.putRecord(ANNA, large, LIMITS), { outcome: "stored" });
    assert.deepEqual(await directory.records(ANNA), [large]);
    assert.deepEqual(await directory.counts(), { registrations: 1, records: 1 });
  });

  test("putRecord() stores nothing when a peer is not registered", async ({ directory }) => {
    assert.deepEqual(await directory.putRecord(ANNA, storedRecord(1), LIMITS), {
      outcome: "unknown",
    });
    assert.deepEqual(await directory.records(ANNA), []);
  });

  test("putRecord() keeps the newer record when an older or equal one comes", async ({ directory }) => {
    await directory.register(registration(ANNA), 10);
    await directory.putRecord(ANNA, storedRecord(5), LIMITS);
    for (const seq of [4, 5]) {
      const late = storedRecord(seq, { record: content("late", 10) });
      assert.deepEqual(await directory.putRecord(ANNA, late, LIMITS), { outcome: "stale", seq: 5 });
    }
    assert.deepEqual(await directory.records(ANNA), [storedRecord(5)]);
    await directory.putRecord(ANNA, storedRecord(6), LIMITS);
    assert.deepEqual(await directory.records(ANNA), [storedRecord(6)]);
  });

  test("putRecord() lets exactly one of many win when they come at once", async ({ directory }) => {
    await directory.register(registration(ANNA), 10);
    const seqs = [3, 1, 8, 2, 8, 7, 5];
    const puts = await Promise.all(
      seqs.map((seq) => directory.putRecord(ANNA, storedRecord(seq), LIMITS)),
    );
    assert.deepEqual(await directory.records(ANNA), [storedRecord(8)]);
    const winners = puts.filter((put, i) => put.outcome === "stored" && seqs[i] === 8);
    assert.equal(winners.length, 1);
  });

  test("putRecord() counts services of each peer alone when they have the same name", async ({ directory }) => {
    await directory.register(registration(ANNA), 10);
    await directory.register(registration(BEN), 10);
    await directory.putRecord(ANNA, storedRecord(5), LIMITS);
    assert.deepEqual(await directory.putRecord(BEN, storedRecord(1), LIMITS), {
      outcome: "stored",
    });
    assert.deepEqual(await directory.records(ANNA), [storedRecord(5)]);
    assert.deepEqual(await directory.records(BEN), [storedRecord(1)]);
  });

  test("putRecord() refuses a new service when all places are taken by live ones", async ({ directory }) => {
    await directory.register(registration(ANNA), 10);
    const limits = { services: 2, now: NOW };
    for (const name of ["one", "two"]) {
      await directory.putRecord(ANNA, storedRecord(1, { service: service(name) }), limits);
    }
    const third = storedRecord(1, { service: service("three") });
    assert.deepEqual(await directory.putRecord(ANNA, third, limits), { outcome: "full" });
    const again = storedRecord(2, { service: service("two") });
    assert.deepEqual(await directory.putRecord(ANNA, again, limits), { outcome: "stored" });
    assert.equal((await directory.records(ANNA)).length, 2);
  });

  test("putRecord() replaces what expired first when there is no other place", async ({ directory }) => {
    await directory.register(registration(ANNA), 10);
    await directory.register(registration(BEN), 10);
    const limits = { services: 3, now: NOW };
    const expiring = (name: string, expiresAt: number) =>
      storedRecord(1, { service: service(name), expiresAt });
    await directory.putRecord(BEN, expiring("oldest", NOW - 9), limits);
    await directory.putRecord(ANNA, expiring("older", NOW - 2), limits);
    await directory.putRecord(ANNA, expiring("old", NOW), limits);
    await directory.putRecord(ANNA, expiring("live", NOW + 1), limits);
    const names = async () => (await directory.records(ANNA)).map((record) => record.service);
    await directory.putRecord(ANNA, expiring("new", NOW + 5), limits);
    assert.deepEqual(await names(), ["mcp/live", "mcp/new", "mcp/old"]);
    await directory.putRecord(ANNA, expiring("newer", NOW + 5), limits);
    assert.deepEqual(await names(), ["mcp/live", "mcp/new", "mcp/newer"]);
    const refused = await directory.putRecord(ANNA, expiring("newest", NOW + 5), limits);
    assert.deepEqual(refused, { outcome: "full" });
    assert.equal((await directory.records(BEN)).length, 1);
  });

  test("records() returns those asked for, expired ones included", async ({ directory }) => {
    await directory.register(registration(ANNA), 10);
    const expired = storedRecord(1, { expiresAt: NOW - 1 });
    const messages = storedRecord(2, { service: MESSAGES_SERVICE });
    await directory.putRecord(ANNA, messages, LIMITS);
    await directory.putRecord(ANNA, expired, LIMITS);
    assert.deepEqual(await directory.records(ANNA), [expired, messages]);
    assert.deepEqual(await directory.records(ANNA, MESSAGES_SERVICE), [messages]);
    assert.deepEqual(await directory.records(ANNA, service("other")), []);
    assert.deepEqual(await directory.records(BEN), []);
  });

  test("list() returns listed peers in the order of Peer IDs, with their live services", async ({ directory }) => {
    for (const peer of PEERS) {
      await directory.register(registration(peer, { unlisted: peer === BEN }), 10);
    }
    const listed = PEERS.filter((peer) => peer !== BEN).sort();
    const live = (name: string) => storedRecord(1, { service: service(name) });
    await directory.putRecord(ANNA, live("z"), LIMITS);
    await directory.putRecord(ANNA, live("b"), LIMITS);
    await directory.putRecord(ANNA, { ...live("gone"), expiresAt: NOW }, LIMITS);
    const all = await directory.list({ limit: 10, bytes: 1e6, now: NOW });
    assert.deepEqual(all.map(({ peer }) => peer), listed);
    assert.deepEqual(all.find(({ peer }) => peer === ANNA), {
      ...registration(ANNA),
      services: ["mcp/b", "mcp/z"],
    });
    const [first, second] = listed;
    const page = async (limit: number, after?: PeerId) => {
      const from = after === undefined ? {} : { after };
      return (await directory.list({ limit, bytes: 1e6, now: NOW, ...from })).map(({ peer }) =>
        peer
      );
    };
    assert.deepEqual(await page(1), [first]);
    assert.deepEqual(await page(1, first), [second]);
    assert.deepEqual(await page(10, second), listed.slice(2));
    assert.deepEqual(await page(10, listed[2]), []);
    assert.deepEqual(await page(10, BEN), listed.filter((peer) => peer > BEN));
  });

  test("list() ends with the peer whose names fill its bytes", async ({ directory }) => {
    for (const peer of PEERS) await directory.register(registration(peer, { name: "Änne" }), 10);
    await directory.putRecord(ANNA, storedRecord(1, { service: service("z") }), LIMITS);
    const count = async (bytes: number) =>
      (await directory.list({ limit: 10, bytes, now: NOW })).length;
    assert.equal(await count(25), 4); // four names of 5 bytes, and mcp/z
    assert.equal(await count(26), 4);
    assert.equal(await count(1), 1);
    await directory.register(registration(BEN, { name: "x".repeat(64) }), 10);
    assert.equal(await count(64), 1 + [...PEERS].sort().indexOf(BEN));
  });
}
