import assert from "node:assert/strict";
import { type Bytes, fromUtf8, utf8 } from "../../lib/bytes.ts";
import type { LocalIdentity } from "../../lib/identity/local_identity.ts";
import { SILENT } from "../../lib/log.ts";
import { memoryPair } from "../../lib/transport/memory.ts";
import type { Transport } from "../../lib/transport/transport.ts";
import type { CircuitLeg, Invitation } from "../../lib/wire/circuit.ts";
import { RequestRefused } from "../../registry/errors.ts";
import { REGISTRY_LIMITS, type RegistryLimits } from "../../registry/limits.ts";
import { type Client, Presence } from "../../registry/presence.ts";
import { Relay } from "../../registry/relay.ts";
import { SeededRandom } from "../../scripts/seeded_random.ts";
import { FakeClock, turn } from "../session/fake_clock.ts";
import { ALICE, HOST, isSettled, MALLORY } from "../session/peers.ts";
import { service } from "./store_contract.ts";

/** A relay, and peers with control connections. */
class Scene {
  readonly clock = new FakeClock();
  readonly counted: string[] = [];
  readonly presence: Presence;
  readonly relay: Relay;
  relayed = 0;

  constructor(limits: Partial<RegistryLimits> = {}) {
    const all = { ...REGISTRY_LIMITS, ...limits };
    this.presence = new Presence(all);
    this.relay = new Relay({
      presence: this.presence,
      limits: all,
      random: new SeededRandom("relay").bytes,
      clock: this.clock,
      log: SILENT,
      meter: {
        refused: (why) => this.counted.push(why),
        ended: (how) => this.counted.push(how),
        relayed: (count) => {
          this.relayed += count;
        },
      },
    });
  }

  /** A process of a peer that serves something. */
  client({ peerId: peer }: LocalIdentity, instance = "1", publishedAt = 0, reads = true) {
    const invitations: Invitation[] = [];
    const client: Client = {
      peer,
      instance,
      source: "192.0.2.9",
      isServing: true,
      serves: () => true,
      publishedAt: () => publishedAt,
      invite(invitation) {
        if (reads) invitations.push(invitation);
        return reads;
      },
      end: () => Promise.resolve(),
    };
    this.presence.enter(client);
    return invitations;
  }

  /** Asks for a circuit to HOST. */
  open({ peerId: peer }: LocalIdentity = ALICE, source = "192.0.2.1"): CircuitLeg {
    return this.relay.open({ peer, source }, HOST.peerId);
  }

  /** Comes to the relay with a token. */
  leg(token: Bytes): Leg {
    const [near, far] = memoryPair();
    let admitted = false;
    const over = this.relay.join(far, () => {
      admitted = true;
    }).finally(() => far.close());
    void near.write(token).catch(() => {});
    return new Leg(near, over, () => admitted);
  }

  /** A circuit whose legs are both there. */
  async circuit(): Promise<readonly [Leg, Leg]> {
    const invitations = this.client(HOST);
    const { token } = this.open();
    const [caller, callee] = [this.leg(token), this.leg(invitations[0]!.token)];
    assert.deepEqual([await caller.status(), await callee.status()], [0, 0]);
    return [caller, callee];
  }
}

/** One end of a circuit. */
class Leg {
  constructor(
    readonly transport: Transport,
    readonly over: Promise<void>,
    readonly isAdmitted: () => boolean,
  ) {}

  /** The status byte, or null when the relay hangs up. */
  async status(): Promise<number | null> {
    const byte: Bytes = new Uint8Array(1);
    const count = await this.transport.read(byte);
    return count === null ? null : byte[0] ?? null;
  }

  async read(): Promise<string | null> {
    const buffer: Bytes = new Uint8Array(65_536);
    const count = await this.transport.read(buffer);
    return count === null ? null : fromUtf8(buffer.slice(0, count));
  }
}

function refused(work: () => unknown, code: string): string {
  try {
    work();
  } catch (error) {
    assert.ok(error instanceof RequestRefused, String(error));
    assert.equal(error.code, code);
    return error.message;
  }
  assert.fail("it was taken");
}

Deno.test("Relay.open() invites the callee, with a token of its own, to the registry's own node", () => {
  const scene = new Scene();
  const invitations = scene.client(HOST);
  const { token, node } = scene.open();
  assert.equal(node, "registry");
  assert.equal(token.length, 32);
  const [invitation] = invitations;
  assert.equal(invitation?.caller, ALICE.peerId);
  assert.equal(invitation?.node, "registry");
  assert.notDeepEqual(invitation?.token, token);
  assert.equal(scene.relay.waiting, 1);
});

Deno.test("Relay.open() invites the process that published last", () => {
  const scene = new Scene();
  const older = scene.client(HOST, "1", 5);
  const newer = scene.client(HOST, "2", 9);
  const oldest = scene.client(HOST, "3", 1);
  scene.open();
  assert.deepEqual([older.length, newer.length, oldest.length], [0, 1, 0]);
});

Deno.test("Relay.open() says that the peer is away when no process of it serves, or reads", () => {
  const scene = new Scene();
  refused(() => scene.open(), "peer_away");
  scene.client(HOST, "1", 0, false);
  refused(() => scene.open(), "peer_away");
  assert.equal(scene.relay.waiting, 0);
  assert.deepEqual(scene.counted, ["peer_away", "peer_away"]);
});

Deno.test("Relay.join() passes bytes both ways when both legs have come, whoever comes first", async () => {
  for (const callerFirst of [true, false]) {
    const scene = new Scene();
    const invitations = scene.client(HOST);
    const tokens = [scene.open().token, invitations[0]!.token];
    const [first, second] = callerFirst ? tokens : tokens.toReversed();
    const one = scene.leg(first!);
    await turn();
    assert.equal(one.isAdmitted(), true);
    const other = scene.leg(second!);
    assert.deepEqual([await one.status(), await other.status()], [0, 0]);
    assert.equal(scene.relay.joined, 1);
    assert.equal(scene.relay.waiting, 0);
    const writing = one.transport.write(utf8("sealed"));
    assert.equal(await other.read(), "sealed");
    await writing;
    one.transport.close();
    assert.equal(await other.read(), null);
    other.transport.close();
    await Promise.all([one.over, other.over]);
    assert.equal(scene.relay.joined, 0);
    assert.equal(scene.relayed, 6);
    assert.deepEqual(scene.counted, ["done"]);
    assert.equal(scene.clock.timers, 0);
  }
});

Deno.test("Relay.join() takes each token once, while the circuit waits and when it is joined", async () => {
  const scene = new Scene();
  const invitations = scene.client(HOST);
  const { token } = scene.open();
  const caller = scene.leg(token);
  await turn();
  const again = scene.leg(token);
  assert.equal(await again.status(), 1);
  assert.equal(again.isAdmitted(), false);
  const callee = scene.leg(invitations[0]!.token);
  assert.deepEqual([await caller.status(), await callee.status()], [0, 0]);
  for (const used of [token, invitations[0]!.token]) {
    assert.equal(await scene.leg(used).status(), 1);
  }
  assert.equal(scene.relay.joined, 1);
});

Deno.test("Relay.join() refuses a token that it never gave", async () => {
  const scene = new Scene();
  scene.client(HOST);
  scene.open();
  const leg = scene.leg(new Uint8Array(32));
  assert.equal(await leg.status(), 1);
  assert.equal(await leg.status(), null);
  leg.transport.close();
  await leg.over;
  assert.deepEqual(scene.counted, ["unknown"]);
});

Deno.test("Relay.join() refuses both tokens when 30 s have passed", async () => {
  const scene = new Scene();
  const invitations = scene.client(HOST);
  const { token } = scene.open();
  await scene.clock.advance(29_999);
  assert.equal(scene.relay.waiting, 1);
  await scene.clock.advance(1);
  assert.equal(scene.relay.waiting, 0);
  for (const late of [token, invitations[0]!.token]) {
    assert.equal(await scene.leg(late).status(), 1);
  }
});

Deno.test("Relay.join() tells a caller after 10 s that the callee does not come", async () => {
  const scene = new Scene();
  const invitations = scene.client(HOST);
  const caller = scene.leg(scene.open().token);
  await scene.clock.advance(9_999);
  assert.equal(await isSettled(caller.over), false);
  await scene.clock.advance(1);
  assert.equal(await caller.status(), 2);
  assert.equal(await scene.leg(invitations[0]!.token).status(), 1);
  caller.transport.close();
  await caller.over;
  assert.equal(scene.relay.waiting, 0);
});

Deno.test("Relay.join() tells a caller that the callee has left before it came", async () => {
  const scene = new Scene();
  const invitations = scene.client(HOST);
  const { token } = scene.open();
  const callee = scene.leg(invitations[0]!.token);
  await turn();
  callee.transport.close();
  await callee.over;
  assert.equal(await scene.leg(token).status(), 2);
  assert.equal(scene.relay.waiting, 0);
});

Deno.test("Relay.decline() tells the caller, whether it waits or comes later", async () => {
  const scene = new Scene();
  const invitations = scene.client(HOST);
  const waiting = scene.leg(scene.open().token);
  await turn();
  scene.relay.decline(HOST.peerId, invitations[0]!.token, "declined");
  assert.equal(await waiting.status(), 3);
  const { token } = scene.open();
  scene.relay.decline(HOST.peerId, invitations[1]!.token, "busy");
  assert.equal(await scene.leg(token).status(), 4);
  assert.equal(scene.relay.waiting, 0);
});

Deno.test("Relay.decline() does nothing when the token is the caller's, or the invitation another's", async () => {
  const scene = new Scene();
  const invitations = scene.client(HOST);
  const { token } = scene.open();
  scene.relay.decline(MALLORY.peerId, invitations[0]!.token, "declined");
  scene.relay.decline(ALICE.peerId, token, "declined");
  scene.relay.decline(HOST.peerId, token, "declined");
  scene.relay.decline(HOST.peerId, new Uint8Array(32), "declined");
  const [caller, callee] = [scene.leg(token), scene.leg(invitations[0]!.token)];
  assert.deepEqual([await caller.status(), await callee.status()], [0, 0]);
});

Deno.test("Relay.open() bounds the circuits of a peer, of an address and in all, and frees their places", async () => {
  const perPeer = new Scene({ circuitsPerPeer: 2 });
  const invitations = perPeer.client(HOST);
  const first = perPeer.open();
  perPeer.open();
  assert.match(refused(() => perPeer.open(), "quota"), /this peer has 2 circuits/);
  assert.match(refused(() => perPeer.open(MALLORY), "quota"), /the peer called has 2 circuits/);
  perPeer.relay.decline(HOST.peerId, invitations[0]!.token, "busy");
  assert.equal(await perPeer.leg(first.token).status(), 4);
  perPeer.open(MALLORY);

  const perSource = new Scene({ circuitsPerSource: 1 });
  perSource.client(HOST);
  perSource.open(ALICE, "2001:db8:1:2::/64");
  refused(() => perSource.open(MALLORY, "2001:db8:1:2::/64"), "quota");
  perSource.open(MALLORY, "2001:db8:1:3::/64");

  const inAll = new Scene({ circuits: 1 });
  inAll.client(HOST);
  inAll.open();
  assert.match(refused(() => inAll.open(MALLORY, "192.0.2.2"), "quota"), /carries 1 circuits/);
  assert.deepEqual(inAll.counted, ["quota"]);
});

Deno.test("Relay.open() bounds how often a peer calls, is called, and an address calls", async () => {
  const once = { burst: 1, perMinute: 1 };
  const byCaller = new Scene({ invitationsByCaller: once });
  byCaller.client(HOST);
  byCaller.open();
  assert.match(refused(() => byCaller.open(), "quota"), /60 s/);
  byCaller.open(MALLORY);
  await byCaller.clock.advance(60_000);
  byCaller.open();

  const ofCallee = new Scene({ invitationsOfCallee: once });
  ofCallee.client(HOST);
  ofCallee.open();
  refused(() => ofCallee.open(MALLORY), "quota");

  const perSource = new Scene({ invitationsPerSource: once });
  perSource.client(HOST);
  perSource.open();
  refused(() => perSource.open(MALLORY), "quota");
  perSource.open(MALLORY, "192.0.2.2");
  for (let i = 0; i < 3; i++) perSource.open(MALLORY, "127.0.0.1"); // whoever a proxy stands for
});

Deno.test("Relay slows a peer down that sends more than it may, and loses nothing", async () => {
  const scene = new Scene({ relayedPerPeer: { burst: 100, perMinute: 6_000 } });
  const [caller, callee] = await scene.circuit();
  const first = caller.transport.write(new Uint8Array(100));
  assert.equal((await callee.read())?.length, 100);
  await first;
  const second = caller.transport.write(new Uint8Array(50));
  const reading = callee.read();
  await scene.clock.advance(499);
  assert.equal(await isSettled(reading), false);
  await scene.clock.advance(1);
  assert.equal((await reading)?.length, 50);
  await second;
});

Deno.test("Relay ends a circuit in which nothing was said for a minute", async () => {
  const scene = new Scene();
  const [caller, callee] = await scene.circuit();
  await scene.clock.advance(60_000);
  assert.equal(await caller.read(), null);
  assert.equal(await callee.read(), null);
  await Promise.all([caller.over, callee.over]);
  assert.deepEqual(scene.counted, ["idle"]);
  assert.equal(scene.relay.joined, 0);
});

Deno.test("Relay tells who waits that it is being stopped, and cuts who talks", async () => {
  const scene = new Scene();
  const [caller, callee] = await scene.circuit();
  const waiting = scene.leg(scene.open().token);
  await turn();
  const ending = scene.relay[Symbol.asyncDispose]();
  assert.equal(await waiting.status(), 5);
  waiting.transport.close();
  assert.equal(await caller.read(), null);
  assert.equal(await callee.read(), null);
  await ending;
  refused(() => scene.open(), "peer_away");
  await scene.clock.advance(1_000);
  assert.equal(scene.clock.timers, 0);
});

Deno.test("Presence.serving() chooses among those that serve what is asked for", () => {
  const presence = new Presence(REGISTRY_LIMITS);
  const [files, notes] = [service("files"), service("notes")];
  const process = (instance: string, served: string, at: number): Client => ({
    peer: HOST.peerId,
    instance,
    source: "192.0.2.9",
    isServing: true,
    serves: (name) => name === served,
    publishedAt: (name) => name === undefined || name === served ? at : null,
    invite: () => true,
    end: () => Promise.resolve(),
  });
  const [one, two] = [process("1", files, 1), process("2", notes, 2)];
  presence.enter(one);
  presence.enter(two);
  assert.equal(presence.serving(HOST.peerId, files), one);
  assert.equal(presence.serving(HOST.peerId, notes), two);
  assert.equal(presence.serving(HOST.peerId), two);
  assert.equal(presence.serving(HOST.peerId, service("mail")), null);
  assert.equal(presence.serving(ALICE.peerId), null);
});
