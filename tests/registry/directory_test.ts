import assert from "node:assert/strict";
import type { Bytes } from "../../lib/bytes.ts";
import type { LocalIdentity } from "../../lib/identity/local_identity.ts";
import type { ServiceName } from "../../lib/identity/names.ts";
import type { PeerId } from "../../lib/identity/peer_id.ts";
import {
  type EndpointRecord,
  openEndpointRecord,
  type SignedEndpointRecord,
} from "../../lib/wire/endpoint_record.ts";
import { encode } from "../../lib/wire/msgpack.ts";
import {
  encodeResponse,
  foundPeerFields,
  type ListedPeer,
  MAX_LIST_PAGE,
  peerPageFields,
  type RegistryErrorCode,
} from "../../lib/wire/registry_messages.ts";
import { type Caller, Directory, listedBytes } from "../../registry/directory.ts";
import { RequestRefused } from "../../registry/errors.ts";
import { REGISTRY_LIMITS, type RegistryLimits } from "../../registry/limits.ts";
import { Presence } from "../../registry/presence.ts";
import { Quotas } from "../../registry/quotas.ts";
import { SqliteStore } from "../../registry/sqlite_store.ts";
import { seededIdentity } from "../../scripts/seeded_identity.ts";
import { FakeClock } from "../session/fake_clock.ts";
import { ALICE, MALLORY } from "../session/peers.ts";
import { signedEndpoint } from "./raw_client.ts";
import { registration, service, storedRecord } from "./store_contract.ts";

const NOW = 1_750_000_000_000;

/** A directory whose memory goes with it. */
class TestDirectory extends Directory implements AsyncDisposable {
  readonly store: SqliteStore;
  readonly clock: FakeClock;

  constructor(limits: Partial<RegistryLimits> = {}) {
    const all = { ...REGISTRY_LIMITS, ...limits };
    const clock = new FakeClock(NOW);
    const store = new SqliteStore(":memory:");
    super({
      store: store.directory,
      presence: new Presence(all),
      quotas: new Quotas(clock, all),
      limits: all,
      clock,
    });
    this.store = store;
    this.clock = clock;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.store[Symbol.asyncDispose]();
  }
}

/** Returns the caller that `identity` is, from another machine unless told otherwise. */
function callerOf({ peerId }: LocalIdentity, changes: Partial<Caller> = {}): Caller {
  return { peer: peerId, source: "192.0.2.1", isLocal: false, ...changes };
}

/** Returns a directory in which ALICE is registered. */
async function withAlice(limits: Partial<RegistryLimits> = {}): Promise<TestDirectory> {
  const directory = new TestDirectory(limits);
  await directory.register(callerOf(ALICE), "Alice", false);
  return directory;
}

async function refusal(work: Promise<unknown>, code: RegistryErrorCode): Promise<RequestRefused> {
  try {
    await work;
  } catch (error) {
    assert.ok(error instanceof RequestRefused, String(error));
    assert.equal(error.code, code, error.message);
    return error;
  }
  assert.fail(`it was not refused with ${code}`);
}

function flipped(bytes: Bytes, at: number): Bytes {
  const copy = bytes.slice();
  copy[at]! ^= 1;
  return copy;
}

Deno.test("Directory.register() takes a peer's name as people read it, and refuses others", async () => {
  await using directory = await withAlice();
  await directory.register(callerOf(ALICE), "Zoe\u0308", true);
  assert.equal((await directory.lookup(ALICE.peerId))?.name, "Zo\u00eb");
  for (const name of ["", " ", "a\nb", "\u202eevil", "x".repeat(65)]) {
    await refusal(directory.register(callerOf(ALICE), name, false), "request_invalid");
  }
});

Deno.test("Directory.register() tells whether a peer is new", async () => {
  await using directory = new TestDirectory();
  assert.equal(await directory.register(callerOf(ALICE), "Alice", false), true);
  assert.equal(await directory.register(callerOf(ALICE), "Alice", false), false);
});

Deno.test("Directory.register() writes nothing when nothing changes", async () => {
  await using directory = await withAlice();
  await directory.clock.advance(1_000);
  const stored = () => directory.store.directory.registration(ALICE.peerId);
  assert.equal(await directory.register(callerOf(ALICE), "Alice", false), false);
  assert.equal((await stored())?.lastSeen, NOW);
  assert.equal(await directory.register(callerOf(ALICE), "Alice", true), false);
  assert.deepEqual(await stored(), {
    peer: ALICE.peerId,
    name: "Alice",
    unlisted: true,
    lastSeen: NOW + 1_000,
  });
});

Deno.test("Directory.register() bounds new peers of an address when it is not their first time", async () => {
  const registrationsPerSource = { burst: 2, perMinute: 1 };
  await using directory = new TestDirectory({ registrationsPerSource });
  const register = (seed: string, source = "192.0.2.1", name = "x") =>
    directory.register(callerOf(seededIdentity(seed), { source }), name, false);
  await register("a");
  await register("b");
  const { message } = await refusal(register("c"), "quota");
  assert.equal(message, "too many requests: try again in 60 s");
  await register("a", "192.0.2.1", "another name");
  await register("c", "192.0.2.2");
  await directory.clock.advance(60_000);
  await register("d");
});

Deno.test("Directory.register() refuses new peers when the registry is full of peers that serve", async () => {
  await using directory = await withAlice({ registrations: 1 });
  await directory.publish(callerOf(ALICE), signedEndpoint(ALICE));
  const { message } = await refusal(
    directory.register(callerOf(MALLORY), "M", false),
    "quota",
  );
  assert.equal(message, "the registry has 1 peers and takes no more");
  await directory.register(callerOf(ALICE), "Alice", false);
});

Deno.test("Directory.register() takes a new peer in place of one that serves nothing any more", async () => {
  await using directory = await withAlice({ registrations: 1 });
  await directory.publish(callerOf(ALICE), signedEndpoint(ALICE));
  await directory.clock.advance(600_000);
  assert.equal(await directory.register(callerOf(MALLORY), "M", false), true);
  assert.equal(await directory.lookup(ALICE.peerId), null);
});

Deno.test("Directory.register() bounds new peers of an IPv6 /48 at 8 times the bound of a /64", async () => {
  const registrationsPerSource = { burst: 2, perMinute: 1 };
  await using directory = new TestDirectory({ registrationsPerSource });
  const register = (seed: number, source: string) =>
    directory.register(callerOf(seededIdentity(`peer ${seed}`), { source }), "x", false);
  for (let i = 0; i < 16; i++) await register(i, `2001:db8:1:${i.toString(16)}::/64`);
  await refusal(register(16, "2001:db8:1:ffff::/64"), "quota");
  await register(16, "2001:db8:2:ffff::/64");
});

Deno.test("Directory.publish() hands out the exact bytes that were signed", async () => {
  await using directory = await withAlice();
  const signed = signedEndpoint(ALICE);
  const published = await directory.publish(callerOf(ALICE), signed);
  assert.equal(published.seq, 1);
  assert.equal(published.service, "mcp/default");
  assert.deepEqual((await directory.lookup(ALICE.peerId))?.records, [signed]);
});

Deno.test("Directory.publish() refuses a record when any byte of it or its signature is altered", async () => {
  await using directory = await withAlice();
  const { record, signature } = signedEndpoint(ALICE);
  const altered: SignedEndpointRecord[] = [
    ...Array.from(record, (_, at) => ({ record: flipped(record, at), signature })),
    ...Array.from(signature, (_, at) => ({ record, signature: flipped(signature, at) })),
  ];
  for (const signed of altered) {
    try {
      await directory.publish(callerOf(ALICE), signed);
      assert.fail("an altered record was taken");
    } catch (error) {
      assert.ok(error instanceof RequestRefused, String(error));
      assert.match(error.code, /^(?:record_invalid|not_yours)$/);
    }
  }
  assert.deepEqual((await directory.lookup(ALICE.peerId))?.records, []);
});

Deno.test("Directory.publish() refuses a record when it is another peer's, though it is authentic", async () => {
  await using directory = await withAlice();
  await directory.register(callerOf(MALLORY), "Mallory", false);
  const { message } = await refusal(
    directory.publish(callerOf(MALLORY), signedEndpoint(ALICE)),
    "not_yours",
  );
  assert.equal(
    message,
    `the record is of ${ALICE.peerId}, the caller is ${MALLORY.peerId}`,
  );
  // Signed by the caller, and said to be of somebody else.
  const lying = signedEndpoint(ALICE);
  const forged = { ...lying, signature: signedEndpoint(MALLORY).signature };
  await refusal(directory.publish(callerOf(MALLORY), forged), "not_yours");
  assert.deepEqual((await directory.lookup(ALICE.peerId))?.records, []);
  assert.deepEqual((await directory.lookup(MALLORY.peerId))?.records, []);
});

Deno.test("Directory.publish() refuses a record when it has more than 2,048 bytes", async () => {
  await using directory = await withAlice();
  const signed = { record: new Uint8Array(2049), signature: new Uint8Array(64) };
  const { message } = await refusal(directory.publish(callerOf(ALICE), signed), "record_invalid");
  assert.match(message, /2049 bytes, the limit is 2048/);
});

Deno.test("Directory.publish() refuses an older record and says how new its own is", async () => {
  await using directory = await withAlice();
  await directory.publish(callerOf(ALICE), signedEndpoint(ALICE, { seq: 1_750_000_000_000 }));
  for (const seq of [1, 1_749_999_999_999, 1_750_000_000_000]) {
    const replayed = directory.publish(callerOf(ALICE), signedEndpoint(ALICE, { seq }));
    const { message, seq: known } = await refusal(replayed, "stale");
    assert.equal(known, 1_750_000_000_000);
    assert.equal(message, `the record's seq is ${seq}, the registry has 1750000000000`);
  }
  await directory.publish(callerOf(ALICE), signedEndpoint(ALICE, { seq: 1_750_000_000_001 }));
});

Deno.test("Directory.publish() takes any record that is newer when clocks differ by years", async () => {
  await using directory = await withAlice();
  const old = { seq: 7, issuedAt: 0 };
  await directory.publish(callerOf(ALICE), signedEndpoint(ALICE, old));
  assert.deepEqual((await directory.list(undefined, 10)).peers[0]?.services, ["mcp/default"]);
  const ahead = { seq: 8_640_000_000_000_000, issuedAt: 8_640_000_000_000_000 };
  await directory.publish(callerOf(ALICE), signedEndpoint(ALICE, ahead));
});

Deno.test("Directory.publish() wants a registration first", async () => {
  await using directory = new TestDirectory();
  await refusal(
    directory.publish(callerOf(ALICE), signedEndpoint(ALICE)),
    "not_registered",
  );
});

for (const host of ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"]) {
  Deno.test(`Directory.publish() takes ${host} when its peer is on the registry's own machine alone`, async () => {
    await using directory = await withAlice();
    const addresses = [{ host: "192.0.2.7", port: 8766 }, { host, port: 8766 }];
    const signed = signedEndpoint(ALICE, { addresses });
    await refusal(directory.publish(callerOf(ALICE), signed), "record_invalid");
    await directory.publish(callerOf(ALICE, { isLocal: true }), signed);
  });
}

Deno.test("Directory.publish() takes private and no addresses when they come from anywhere", async () => {
  await using directory = await withAlice();
  const addresses = ["10.0.0.7", "fe80::1", "fd00::7", "2001:db8::7", "100.64.0.1"]
    .map((host) => ({ host, port: 8766 }));
  await directory.publish(callerOf(ALICE), signedEndpoint(ALICE, { addresses }));
  await directory.publish(callerOf(ALICE), signedEndpoint(ALICE, { addresses: [], seq: 2 }));
});

Deno.test("Directory.publish() bounds live services of a peer and lets expired ones go", async () => {
  await using directory = await withAlice();
  const publish = (name: string, changes: Partial<EndpointRecord> = {}) =>
    directory.publish(
      callerOf(ALICE),
      signedEndpoint(ALICE, { service: service(name), ...changes }),
    );
  for (let i = 0; i < 16; i++) await publish(`s${i}`);
  const { message } = await refusal(publish("s16"), "quota");
  assert.equal(message, "a peer may have 16 services");
  await publish("s3", { seq: 2, ttlSeconds: 0 });
  await publish("s16");
  await refusal(publish("s17"), "quota");
  await directory.clock.advance(600_000);
  await publish("s17");
});

Deno.test("Directory.lookup() tells of a withdrawn and of an expired service what it said", async () => {
  await using directory = await withAlice();
  const withdrawn = signedEndpoint(ALICE, { service: service("gone"), seq: 2, ttlSeconds: 0 });
  const expired = signedEndpoint(ALICE, { service: service("old"), ttlSeconds: 5 });
  for (const signed of [signedEndpoint(ALICE, { service: service("gone") }), withdrawn, expired]) {
    await directory.publish(callerOf(ALICE), signed);
  }
  assert.deepEqual((await directory.list(undefined, 10)).peers[0]?.services, ["mcp/old"]);
  await directory.clock.advance(5_000);
  assert.deepEqual((await directory.list(undefined, 10)).peers[0]?.services, []);
  assert.deepEqual(await directory.lookup(ALICE.peerId), {
    name: "Alice",
    online: false,
    lastSeen: NOW,
    records: [withdrawn, expired],
  });
  assert.deepEqual((await directory.lookup(ALICE.peerId, "mcp/old"))?.records, [expired]);
  assert.equal(openEndpointRecord(ALICE.peerId, withdrawn).ttlSeconds, 0);
});

Deno.test("Directory.lookup() finds nobody when the peer is not registered", async () => {
  await using directory = await withAlice();
  assert.equal(await directory.lookup(MALLORY.peerId), null);
  assert.deepEqual((await directory.lookup(ALICE.peerId, "mcp/other"))?.records, []);
  await refusal(directory.lookup(ALICE.peerId, "no service"), "request_invalid");
});

Deno.test("Directory.list() leaves unlisted peers out, which lookup() finds", async () => {
  await using directory = await withAlice();
  await directory.register(callerOf(MALLORY), "Mallory", true);
  const { peers } = await directory.list(undefined, 10);
  assert.deepEqual(peers.map(({ peer }) => peer), [ALICE.peerId]);
  assert.equal((await directory.lookup(MALLORY.peerId))?.name, "Mallory");
  await directory.register(callerOf(ALICE), "Alice", true);
  assert.deepEqual(await directory.list(undefined, 10), { peers: [] });
});

Deno.test("Directory.list() gives no addresses", async () => {
  await using directory = await withAlice();
  await directory.publish(callerOf(ALICE), signedEndpoint(ALICE));
  assert.deepEqual(await directory.list(undefined, 10), {
    peers: [{
      peer: ALICE.peerId,
      name: "Alice",
      online: false,
      lastSeen: NOW,
      services: ["mcp/default"],
    }],
  });
});

/** Returns all that are listed, and in how many pages. */
async function everybody(directory: Directory, limit: number) {
  const peers: PeerId[] = [];
  let pages = 0;
  let largest = 0;
  let after: PeerId | undefined;
  for (;;) {
    const page = await directory.list(after, limit);
    pages++;
    largest = Math.max(largest, encodeResponse(2 ** 31, peerPageFields(page)).length);
    peers.push(...page.peers.map(({ peer }) => peer));
    if (page.next === undefined) return { peers, pages, largest };
    after = page.next;
  }
}

Deno.test("Directory.list() gives each of 1,000 peers once, a page at a time", async () => {
  await using directory = new TestDirectory();
  const expected: PeerId[] = [];
  for (let i = 0; i < 1_000; i++) {
    const { peerId } = seededIdentity(`listed ${i}`);
    await directory.store.directory.register(registration(peerId, { name: `peer ${i}` }), 10_000);
    expected.push(peerId);
  }
  const { peers, pages, largest } = await everybody(directory, MAX_LIST_PAGE);
  assert.deepEqual(peers, expected.sort());
  assert.equal(pages, 10);
  assert.ok(largest < 48 * 1024, `a page has ${largest} bytes`);
  assert.equal((await everybody(directory, 7)).peers.length, 1_000);
});

Deno.test("Directory.list() ends a page early when its peers have long names and many services", async () => {
  await using directory = new TestDirectory();
  const long = (text: string, i: number) => text.repeat(60) + String(i).padStart(2, "0");
  for (let i = 0; i < 80; i++) {
    const { peerId } = seededIdentity(`large ${i}`);
    const { directory: store } = directory.store;
    await store.register(registration(peerId, { name: "😀".repeat(16) }), 10_000);
    for (let k = 0; k < 16; k++) {
      const record = storedRecord(1, { service: service(long("s", k)), expiresAt: NOW + 1 });
      await store.putRecord(peerId, record, { services: 16, now: NOW });
    }
  }
  const { peers, pages, largest } = await everybody(directory, MAX_LIST_PAGE);
  assert.equal(new Set(peers).size, 80);
  assert.equal(pages, 3);
  assert.ok(largest > 30 * 1024 && largest <= 48 * 1024, `a page has ${largest} bytes`);
});

Deno.test("listedBytes() is never less, and little more, than what a peer takes up in a page", () => {
  const { peerId: peer } = ALICE;
  const names = ["x", "Änne 😀", "😀".repeat(16)];
  for (const name of names) {
    for (const count of [0, 1, 15, 16]) {
      for (const length of [1, 27, 28, 64]) {
        const services = Array<ServiceName>(count).fill(service("s".repeat(length)));
        const listed = { peer, name, online: true, lastSeen: 8_640_000_000_000_000, services };
        const page = (peers: number) =>
          encode(peerPageFields({ peers: Array<ListedPeer>(peers).fill(listed) })).length;
        const slack = listedBytes(listed) - (page(2) - page(1));
        assert.ok(slack >= 0 && slack < 40, `${name}, ${count} services of ${length}: ${slack}`);
      }
    }
  }
});

Deno.test("Directory.lookup() fits in one frame when a peer has 16 records of the largest size", async () => {
  await using directory = await withAlice();
  for (let i = 0; i < 16; i++) {
    const record = storedRecord(1, { service: service(`s${i}`), record: new Uint8Array(2048) });
    await directory.store.directory.putRecord(ALICE.peerId, record, { services: 16, now: NOW });
  }
  const found = await directory.lookup(ALICE.peerId);
  const { length } = encodeResponse(2 ** 31, foundPeerFields(found));
  assert.ok(length > 32 * 1024 && length <= 48 * 1024, `it has ${length} bytes`);
});

Deno.test("Directory.flush() writes down who was seen last, once", async () => {
  await using directory = await withAlice();
  await directory.clock.advance(5_000);
  directory.seen(ALICE.peerId);
  directory.seen(MALLORY.peerId);
  const stored = async () => (await directory.store.directory.registration(ALICE.peerId))?.lastSeen;
  assert.equal((await directory.lookup(ALICE.peerId))?.lastSeen, NOW + 5_000);
  assert.equal(await stored(), NOW);
  await directory.flush();
  assert.equal(await stored(), NOW + 5_000);
  await directory.store.directory.touch(new Map([[ALICE.peerId, NOW + 9_000]]));
  await directory.flush();
  assert.equal(await stored(), NOW + 9_000);
});
