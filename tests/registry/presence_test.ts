import assert from "node:assert/strict";
import type { LocalIdentity } from "../../lib/identity/local_identity.ts";
import { REGISTRY_LIMITS } from "../../registry/limits.ts";
import { type Client, Presence } from "../../registry/presence.ts";
import { ALICE, MALLORY } from "../session/peers.ts";
import { service } from "./store_contract.ts";

function client(
  { peerId }: LocalIdentity,
  instance: string,
  { isServing = false, source = "192.0.2.1", publishedAt = 0 } = {},
): Client {
  return {
    peer: peerId,
    instance,
    source,
    isServing,
    serves: () => isServing,
    publishedAt: () => isServing ? publishedAt : null,
    invite: () => true,
    end: () => Promise.resolve(),
  };
}

function presence(limits = {}): Presence {
  return new Presence({ ...REGISTRY_LIMITS, ...limits });
}

Deno.test("Presence.enter() replaces the same process and no other", () => {
  const here = presence();
  const [first, second, other] = [
    client(ALICE, "1"),
    client(ALICE, "1"),
    client(ALICE, "2"),
  ];
  assert.deepEqual(here.enter(first), { entered: true, replaced: null });
  assert.deepEqual(here.enter(other), { entered: true, replaced: null });
  assert.deepEqual(here.enter(client(MALLORY, "1")), { entered: true, replaced: null });
  assert.deepEqual(here.enter(second), { entered: true, replaced: first });
  assert.equal(here.count, 3);
  assert.deepEqual(new Set(here.of(ALICE.peerId)), new Set([second, other]));
});

Deno.test("Presence.leave() does nothing when the client was replaced", () => {
  const here = presence();
  const [first, second] = [client(ALICE, "1"), client(ALICE, "1")];
  here.enter(first);
  here.enter(second);
  here.leave(first);
  assert.deepEqual([...here.of(ALICE.peerId)], [second]);
  here.leave(second);
  here.leave(second);
  assert.equal(here.count, 0);
  assert.equal(here.isConnected(ALICE.peerId), false);
  assert.deepEqual([...here.peers], []);
});

Deno.test("Presence.isOnline() wants a process that serves", () => {
  const here = presence();
  const serving = client(ALICE, "2", { isServing: true });
  here.enter(client(ALICE, "1"));
  here.enter(client(MALLORY, "1"));
  assert.equal(here.isOnline(ALICE.peerId), false);
  here.enter(serving);
  assert.equal(here.isOnline(ALICE.peerId), true);
  assert.equal(here.online, 1);
  here.leave(serving);
  assert.equal(here.isOnline(ALICE.peerId), false);
  assert.equal(here.isConnected(ALICE.peerId), true);
});

Deno.test("Presence.enter() bounds processes of a peer, connections of an address and all together", () => {
  const here = presence({ connectionsPerPeer: 2, connectionsPerSource: 3, connections: 4 });
  const enter = (identity: LocalIdentity, instance: string, source: string) =>
    here.enter(client(identity, instance, { source })).entered;
  assert.equal(enter(ALICE, "1", "a"), true);
  assert.equal(enter(ALICE, "2", "b"), true);
  assert.equal(enter(ALICE, "3", "c"), false);
  assert.equal(enter(MALLORY, "1", "a"), true);
  assert.equal(here.hasRoom("a"), true);
  assert.equal(enter(MALLORY, "2", "a"), true);
  assert.equal(here.hasRoom("z"), false);
  assert.equal(enter(ALICE, "1", "z"), true, "in the place of another there is room");
  assert.equal(here.hasRoom("a"), false);
  here.leave([...here.of(MALLORY.peerId)][0] ?? client(ALICE, "1"));
  assert.equal(here.hasRoom("a"), true);
});

Deno.test("Presence bounds connections of an IPv6 /48 at 8 times the bound of a /64", () => {
  const here = presence({ connectionsPerSource: 2, connectionsPerPeer: 64 });
  const from = (net: number) => `2001:db8:1:${net.toString(16)}::/64`;
  const clients = Array.from(
    { length: 17 },
    (_, i) => client(ALICE, String(i), { source: from(i) }),
  );
  const entered = clients.map((each) => here.enter(each).entered);
  assert.deepEqual(entered, [...Array<boolean>(16).fill(true), false]);
  assert.equal(here.hasRoom(from(99)), false);
  assert.equal(here.hasRoom("2001:db8:2:0::/64"), true);
  assert.equal(here.hasRoom("192.0.2.1"), true);
  for (const each of clients) here.leave(each);
  assert.equal(here.count, 0);
  assert.equal(here.hasRoom(from(99)), true);
});

Deno.test("Presence leaves three quarters of all places to others, however many networks one /48 uses", () => {
  const here = presence({ connections: 40, connectionsPerSource: 5 });
  const enter = (i: number, source: string) =>
    here.enter(client(ALICE, String(i), { source })).entered;
  const entered = Array.from({ length: 20 }, (_, i) => enter(i, `2001:db8:1:${i}::/64`));
  assert.deepEqual(entered, [...Array<boolean>(10).fill(true), ...Array<boolean>(10).fill(false)]);
  assert.equal(enter(20, "2001:db8:2:0::/64"), true);
});

for (const source of ["127.0.0.1", "0:0:0:0::/64"]) {
  Deno.test(`Presence lets ${source} have a quarter of all places, as a proxy there needs`, () => {
    const here = presence({ connections: 40, connectionsPerSource: 5, connectionsPerPeer: 64 });
    const entered = Array.from(
      { length: 11 },
      (_, i) => here.enter(client(ALICE, String(i), { source })).entered,
    );
    assert.deepEqual(entered, [...Array<boolean>(10).fill(true), false]);
  });
}

Deno.test("Presence.serves() tells of the processes that are connected, not of others", () => {
  const here = presence();
  const [serving, other] = [client(ALICE, "1", { isServing: true }), client(ALICE, "2")];
  here.enter(serving);
  here.enter(other);
  assert.equal(here.serves(ALICE.peerId, service("files")), true);
  assert.equal(here.serves(MALLORY.peerId, service("files")), false);
  here.leave(serving);
  assert.equal(here.serves(ALICE.peerId, service("files")), false);
});

Deno.test("REGISTRY_LIMITS let no few addresses take all places", () => {
  const { connections, connectionsPerSource } = REGISTRY_LIMITS;
  assert.deepEqual([connections, connectionsPerSource], [10_000, 256]);
});
