import assert from "node:assert/strict";
import { type Bytes, fromHex } from "../../lib/bytes.ts";
import type { Clock } from "../../lib/clock.ts";
import { SILENT } from "../../lib/log.ts";
import type { RecordChannel } from "../../lib/session/record_channel.ts";
import { memoryPair } from "../../lib/transport/memory.ts";
import { encodePing } from "../../lib/wire/frames.ts";
import { encode } from "../../lib/wire/msgpack.ts";
import { encodeRegistryFrame } from "../../lib/wire/registry_frames.ts";
import {
  encodeRequest,
  foundPeerOf,
  helloResponseOf,
  peerPageOf,
} from "../../lib/wire/registry_messages.ts";
import { ControlConnection } from "../../registry/control_connection.ts";
import { Directory } from "../../registry/directory.ts";
import { JoinToken } from "../../registry/join_token.ts";
import { REGISTRY_LIMITS } from "../../registry/limits.ts";
import { Presence } from "../../registry/presence.ts";
import { Quotas } from "../../registry/quotas.ts";
import { Relay } from "../../registry/relay.ts";
import { SqliteStore } from "../../registry/sqlite_store.ts";
import { Turns } from "../../registry/turns.ts";
import { SeededRandom } from "../../scripts/seeded_random.ts";
import { FakeClock, turn } from "../session/fake_clock.ts";
import { ALICE, channelsOver, connectionOver, failure, MALLORY } from "../session/peers.ts";
import { instanceOf, type RawClient, signedEndpoint } from "./raw_client.ts";
import { service } from "./store_contract.ts";
import { registryAt } from "./test_registry.ts";

const HELLO = { op: "hello", instance: instanceOf("first") } as const;
const LIST = { op: "list", limit: 10 } as const;
const TOKEN = "correct-horse-battery-staple";

/** Returns what the registry says of ALICE to `client`. */
async function lookUpAlice(client: RawClient) {
  const found = foundPeerOf(await client.ask({ op: "lookup", peer: ALICE.peerId }));
  assert.ok(found !== null);
  return found;
}

Deno.test("ControlConnection says where it sees the caller and what time it is when HELLO comes", async () => {
  const clock = new FakeClock(1_750_000_000_000);
  await using registry = registryAt(clock);
  using client = await registry.connect(ALICE, "198.51.100.9");
  assert.deepEqual(helloResponseOf(await client.ask(HELLO)), {
    observed: "198.51.100.9",
    time: 1_750_000_000_000,
  });
});

Deno.test("ControlConnection refuses what is out of turn when HELLO is missing, or repeated", async () => {
  await using registry = registryAt(new FakeClock());
  using client = await registry.connect(ALICE);
  await client.refused(LIST, "out_of_turn");
  await client.refused({ op: "register", name: "Alice", unlisted: false }, "out_of_turn");
  await client.ask(HELLO);
  await client.refused(HELLO, "out_of_turn");
  await client.ask(LIST);
  assert.deepEqual(await registry.store.directory.counts(), { registrations: 0, records: 0 });
});

const MALFORMED: readonly (readonly [what: string, body: Bytes, code: string])[] = [
  ["an unknown op", encode({ id: 7, op: "steal" }), "unknown_op"],
  ["no op", encode({ id: 7 }), "unknown_op"],
  ["an op that is no text", encode({ id: 7, op: 1 }), "unknown_op"],
  ["a missing field", encode({ id: 7, op: "register", name: "x" }), "request_invalid"],
  ["a field of another type", encode({ id: 7, op: "list", limit: "10" }), "request_invalid"],
  ["a limit of 0", encode({ id: 7, op: "list", limit: 0 }), "request_invalid"],
  ["no Peer ID", encode({ id: 7, op: "lookup", peer: "z6Mk" }), "request_invalid"],
  [
    "a name of 65 bytes",
    encode({ id: 7, op: "register", name: "x".repeat(65), unlisted: false }),
    "request_invalid",
  ],
  [
    "a name with a control character",
    encode({ id: 7, op: "register", name: "a\u001b[2J", unlisted: false }),
    "request_invalid",
  ],
  [
    "a record of 2,049 bytes",
    encode({
      id: 7,
      op: "publish",
      record: new Uint8Array(2049),
      signature: new Uint8Array(64),
    }),
    "request_invalid",
  ],
  [
    "40 KiB of padding",
    encode({ id: 7, op: "list", limit: 0, padding: new Uint8Array(40 * 1024) }),
    "request_invalid",
  ],
];

Deno.test("ControlConnection answers with the reason and goes on when a request is malformed", async () => {
  await using registry = registryAt(new FakeClock());
  using client = await registry.enter(ALICE);
  for (const [what, body, code] of MALFORMED) {
    client.sendBody(body);
    const { id, refused } = await client.nextResponse();
    assert.equal(id, 7, what);
    assert.equal(refused?.code, code, `${what}: ${refused?.reason}`);
    assert.ok((refused?.reason ?? "").length > 10, what);
  }
  await client.ask(LIST);
});

const BROKEN: readonly (readonly [what: string, frame: Bytes])[] = [
  ["a body that is no MsgPack", encodeRegistryFrame("request", fromHex("c1"))],
  ["a body without an id", encodeRegistryFrame("request", encode({ op: "list", limit: 1 }))],
  ["an id that is negative", encodeRegistryFrame("request", encode({ id: -1, op: "list" }))],
  ["a RESPONSE", encodeRegistryFrame("response", encode({ id: 1 }))],
  ["an EVENT", encodeRegistryFrame("event", encode({ event: "x" }))],
  ["an OPEN", fromHex("0180")],
  ["a frame of unknown type", fromHex("2f80")],
  ["a PING that is too short", fromHex("12000000")],
];

for (const [what, frame] of BROKEN) {
  Deno.test(`ControlConnection closes with protocol when it gets ${what}`, async () => {
    await using registry = registryAt(new FakeClock());
    using client = await registry.enter(ALICE);
    client.channel.enqueue(frame);
    assert.equal(await client.closed(), "protocol");
  });
}

Deno.test("ControlConnection ends when the client says CLOSE, or leaves", async () => {
  await using registry = registryAt(new FakeClock());
  using client = await registry.enter(ALICE);
  client.channel.enqueue(fromHex("0880"));
  assert.equal(await client.nextFrame(), null);
  const gauge = /^talos_registry_connections 0$/m;
  assert.match(await registry.registry.metrics.all.text(), gauge);
});

Deno.test("ControlConnection answers PING at once, also between requests", async () => {
  await using registry = registryAt(new FakeClock());
  using client = await registry.enter(ALICE);
  client.send(LIST);
  client.ping(0xdeadbeef);
  client.send(LIST);
  await client.nextResponse();
  assert.deepEqual(await client.nextFrame(), { type: "pong", token: 0xdeadbeef });
  await client.nextResponse();
});

Deno.test("ControlConnection counts a PING as a request, and gives no PONG when there were too many", async () => {
  const clock = new FakeClock();
  const limits = { requestsPerPeer: { burst: 3, perMinute: 6 } };
  await using registry = registryAt(clock, { limits });
  using client = await registry.enter(ALICE); // the first request
  for (let token = 1; token < 5; token++) client.ping(token);
  assert.deepEqual(await client.nextFrame(), { type: "pong", token: 1 });
  assert.deepEqual(await client.nextFrame(), { type: "pong", token: 2 });
  await client.refused(LIST, "quota");
  await clock.advance(10_000);
  client.ping(5);
  assert.deepEqual(await client.nextFrame(), { type: "pong", token: 5 });
  const refused = /^talos_registry_requests_total\{op="unknown",outcome="quota"\} 3$/m;
  assert.match(await registry.registry.metrics.all.text(), refused);
});

Deno.test("ControlConnection closes with quota when a client goes on sending PING", async () => {
  const limits = { requestsPerPeer: { burst: 1, perMinute: 1 } };
  await using registry = registryAt(new FakeClock(), { limits });
  using client = await registry.enter(ALICE);
  for (let i = 0; i < 99; i++) client.ping(i);
  client.send(LIST);
  assert.equal((await client.nextResponse()).refused?.code, "quota");
  assert.equal(await client.closed(), "quota");
});

Deno.test("ControlConnection closes with quota when PINGs come instead of HELLO", async () => {
  const limits = { requestsPerPeer: { burst: 1, perMinute: 1 } };
  await using registry = registryAt(new FakeClock(), { limits });
  using client = await registry.connect(ALICE);
  client.ping(1);
  client.ping(2);
  assert.deepEqual(await client.nextFrame(), { type: "pong", token: 1 });
  assert.equal(await client.closed(), "quota");
});

Deno.test("ControlConnection takes 256 frames of all clients together, then all else has its turn", async () => {
  const clock = new FakeClock();
  let readings = 0;
  const monotonic = () => {
    readings++; // twice for each frame: when it came, and for the quota
    return clock.monotonic();
  };
  const counting = {
    now: () => clock.now(),
    monotonic,
    after: (ms: number, action: () => void) => clock.after(ms, action),
  };
  const turns = new Turns();
  const clients = await Promise.all(["one", "two", "three"].map(async () => {
    const [near, far] = channelsOver(memoryPair());
    const { connection } = alone(near, counting, turns);
    const running = connection.run();
    far.enqueue(encodeRegistryFrame("request", encodeRequest(1, HELLO)));
    while (far.nextFrame() === null) await far.fill();
    return { connection, running, far };
  }));
  for (const { far } of clients) for (let i = 0; i < 300; i++) far.enqueue(encodePing("pong", 0));
  readings = 2 * clients.length; // HELLO
  const takenByTurn: number[] = [];
  for (let i = 0; i < 3; i++) {
    await turn();
    takenByTurn.push(readings / 2);
  }
  assert.deepEqual(takenByTurn, [258, 516, 774]);
  for (const { connection, running } of clients) {
    connection.drop();
    await running;
  }
});

Deno.test("ControlConnection counts a PONG that nobody asked for as a request, and no other", async () => {
  const clock = new FakeClock();
  const limits = { requestsPerPeer: { burst: 2, perMinute: 1 } };
  await using registry = registryAt(clock, { limits });
  using client = await registry.enter(ALICE); // the first request
  await clock.advance(40_000);
  assert.deepEqual(await client.nextFrame(), { type: "ping", token: 0 });
  client.channel.enqueue(encodePing("pong", 0));
  await client.ask({ op: "lookup", peer: ALICE.peerId });
  for (let i = 0; i < 99; i++) client.channel.enqueue(encodePing("pong", 0));
  client.send(LIST);
  assert.equal((await client.nextResponse()).refused?.code, "quota");
  assert.equal(await client.closed(), "quota");
  const refused = /^talos_registry_requests_total\{op="unknown",outcome="quota"\} 100$/m;
  assert.match(await registry.registry.metrics.all.text(), refused);
});

Deno.test("ControlConnection counts what a list asks for, by address", async () => {
  const clock = new FakeClock();
  const limits = { listedPerSource: { burst: 150, perMinute: 60 } };
  await using registry = registryAt(clock, { limits });
  using client = await registry.enter(ALICE);
  using other = await registry.enter(MALLORY);
  using elsewhere = await registry.enter(MALLORY, {
    from: "192.0.2.2",
    instance: instanceOf("second"),
  });
  await client.ask({ op: "list", limit: 100 });
  const { reason } = await other.refused({ op: "list", limit: 100 }, "quota");
  assert.equal(reason, "too many requests: try again in 50 s");
  await other.ask({ op: "list", limit: 50 });
  await elsewhere.ask({ op: "list", limit: 100 });
  await client.ask({ op: "lookup", peer: ALICE.peerId });
  await clock.advance(10_000);
  await client.ask({ op: "list", limit: 10 });
});

Deno.test("ControlConnection is closed after 10 s when HELLO does not come", async () => {
  const clock = new FakeClock();
  await using registry = registryAt(clock);
  using client = await registry.connect(ALICE);
  await client.refused(LIST, "out_of_turn");
  await clock.advance(9_999);
  await client.refused(LIST, "out_of_turn");
  await clock.advance(1);
  assert.equal(await client.nextFrame().catch(() => null), null);
  await clock.advance(0);
  assert.match(
    await registry.registry.metrics.all.text(),
    /^talos_registry_half_open_connections 0$/m,
  );
});

Deno.test("ControlConnection is pinged after 40 s of silence and dropped 10 s later without an answer", async () => {
  const clock = new FakeClock();
  await using registry = registryAt(clock);
  using silent = await registry.enter(ALICE);
  using alive = await registry.enter(MALLORY);
  const pinged = silent.nextFrame();
  await clock.advance(35_000);
  alive.ping(1);
  await alive.nextFrame();
  await clock.advance(5_000);
  assert.deepEqual(await pinged, { type: "ping", token: 0 });
  await clock.advance(10_000);
  assert.equal(await silent.nextFrame(), null);
  alive.ping(2);
  assert.deepEqual(await alive.nextFrame(), { type: "pong", token: 2 });
});

Deno.test("ControlConnection stays when a silent client answers the ping", async () => {
  const clock = new FakeClock();
  await using registry = registryAt(clock);
  using client = await registry.enter(ALICE);
  for (let round = 0; round < 3; round++) {
    await clock.advance(45_000);
    assert.deepEqual(await client.nextFrame(), { type: "ping", token: 0 });
    client.channel.enqueue(encodePing("pong", 0));
    await turn();
  }
  await client.ask(LIST);
});

Deno.test("ControlConnection stays when the process stood still after a ping", async () => {
  const clock = new FakeClock();
  await using registry = registryAt(clock);
  using client = await registry.enter(ALICE);
  await clock.advance(40_000);
  await client.nextFrame();
  await clock.freeze(60_000);
  await client.ask(LIST);
});

Deno.test("ControlConnection takes the place of another when the same process comes again", async () => {
  await using registry = registryAt(new FakeClock());
  using first = await registry.enter(ALICE, { instance: instanceOf("one") });
  using other = await registry.enter(ALICE, { instance: instanceOf("two") });
  using second = await registry.enter(ALICE, { instance: instanceOf("one") });
  assert.equal(await first.closed(), "replaced");
  await other.ask(LIST);
  await second.ask(LIST);
  assert.match(await registry.registry.metrics.all.text(), /^talos_registry_connections 2$/m);
});

Deno.test("ControlConnection makes a peer online while a process of it serves something", async () => {
  const clock = new FakeClock(1_750_000_000_000);
  await using registry = registryAt(clock);
  using asking = await registry.enter(MALLORY);
  using command = await registry.enter(ALICE, { instance: instanceOf("command") });
  await command.ask({ op: "register", name: "Alice", unlisted: false });
  assert.equal((await lookUpAlice(asking)).online, false);

  using one = await registry.enter(ALICE, { instance: instanceOf("one") });
  using two = await registry.enter(ALICE, { instance: instanceOf("two") });
  await one.ask({ op: "publish", ...signedEndpoint(ALICE, { service: service("a") }) });
  await two.ask({ op: "publish", ...signedEndpoint(ALICE, { service: service("b") }) });
  assert.equal((await lookUpAlice(asking)).online, true);
  one[Symbol.dispose]();
  await turn();
  assert.equal((await lookUpAlice(asking)).online, true);
  const withdrawal = signedEndpoint(ALICE, { service: service("b"), seq: 2, ttlSeconds: 0 });
  await two.ask({ op: "publish", ...withdrawal });
  assert.equal((await lookUpAlice(asking)).online, false);

  await clock.advance(1_000);
  two[Symbol.dispose]();
  command[Symbol.dispose]();
  await turn();
  await clock.advance(5_000);
  const { online, lastSeen } = await lookUpAlice(asking);
  assert.deepEqual({ online, lastSeen }, { online: false, lastSeen: 1_750_000_001_000 });
});

Deno.test("ControlConnection lists no service of a process that left, while its peer is online", async () => {
  await using registry = registryAt(new FakeClock());
  using asking = await registry.enter(MALLORY);
  const services = async () =>
    peerPageOf(await asking.ask(LIST)).peers.map((listed) => [listed.online, ...listed.services]);
  using one = await registry.enter(ALICE, { instance: instanceOf("one") });
  using two = await registry.enter(ALICE, { instance: instanceOf("two") });
  await one.ask({ op: "register", name: "Alice", unlisted: false });
  await one.ask({ op: "publish", ...signedEndpoint(ALICE, { service: service("a") }) });
  await two.ask({ op: "publish", ...signedEndpoint(ALICE, { service: service("b") }) });
  assert.deepEqual(await services(), [[true, "mcp/a", "mcp/b"]]);
  one[Symbol.dispose]();
  await turn();
  assert.deepEqual(await services(), [[true, "mcp/b"]]);
  two[Symbol.dispose]();
  await turn();
  assert.deepEqual(await services(), [[false, "mcp/a", "mcp/b"]]);
});

Deno.test("ControlConnection lets nobody in when a registry is private and the token is not right", async () => {
  await using registry = registryAt(new FakeClock(), { joinToken: new JoinToken(TOKEN) });
  using without = await registry.connect(ALICE);
  await without.refused(LIST, "out_of_turn");
  await without.refused(HELLO, "token_required");
  assert.equal(await without.closed(), "token_required");
  for (const token of ["", "x", TOKEN + "x", TOKEN.slice(1), TOKEN.toUpperCase()]) {
    using wrong = await registry.connect(ALICE);
    const { reason } = await wrong.refused({ ...HELLO, token }, "token_wrong");
    assert.ok(!reason.includes(TOKEN));
    assert.equal(await wrong.closed(), "token_wrong");
  }
  using right = await registry.enter(ALICE, { token: TOKEN });
  await right.ask(LIST);
  assert.ok(!registry.logged.join().includes(TOKEN));
});

Deno.test("ControlConnection ignores a token when the registry is public", async () => {
  await using registry = registryAt(new FakeClock());
  using client = await registry.enter(ALICE, { token: "whatever" });
  await client.ask(LIST);
});

Deno.test("ControlConnection refuses with quota when a peer has too many connections", async () => {
  await using registry = registryAt(new FakeClock(), { limits: { connectionsPerPeer: 2 } });
  using one = await registry.enter(ALICE, { instance: instanceOf("one") });
  using _two = await registry.enter(ALICE, { instance: instanceOf("two") });
  using three = await registry.connect(ALICE);
  await three.refused({ ...HELLO, instance: instanceOf("three") }, "quota");
  assert.equal(await three.closed(), "quota");
  using again = await registry.enter(ALICE, { instance: instanceOf("one") });
  assert.equal(await one.closed(), "replaced");
  await again.ask(LIST);
  using other = await registry.enter(MALLORY);
  await other.ask(LIST);
});

Deno.test("Registry refuses a handshake with busy when an address, or all together, has too many connections", async () => {
  const limits = { connectionsPerSource: 1, connections: 2 };
  await using registry = registryAt(new FakeClock(), { limits });
  using _one = await registry.enter(ALICE, { from: "192.0.2.1" });
  await failure(registry.connect(MALLORY, "192.0.2.1"), "busy");
  using two = await registry.enter(MALLORY, { from: "192.0.2.2" });
  await failure(registry.connect(MALLORY, "192.0.2.3"), "busy");
  two[Symbol.dispose]();
  await turn();
  using three = await registry.enter(MALLORY, { from: "192.0.2.3" });
  await three.ask(LIST);
});

Deno.test("ControlConnection refuses with quota, and says when to come again, when a peer asks too much", async () => {
  const clock = new FakeClock();
  const limits = { requestsPerPeer: { burst: 3, perMinute: 6 } };
  await using registry = registryAt(clock, { limits });
  using client = await registry.enter(ALICE); // the first request
  await client.ask(LIST);
  await client.ask(LIST);
  const { reason } = await client.refused(LIST, "quota");
  assert.equal(reason, "too many requests: try again in 10 s");
  await client.refused({ op: "lookup", peer: ALICE.peerId }, "quota");
  await clock.advance(10_000);
  await client.ask(LIST);
  await client.refused(LIST, "quota");
  using other = await registry.enter(MALLORY);
  await other.ask(LIST);
});

Deno.test("ControlConnection refuses with quota when an address asks too much, whoever asks there", async () => {
  const limits = { requestsPerSource: { burst: 3, perMinute: 6 } };
  await using registry = registryAt(new FakeClock(), { limits });
  using one = await registry.enter(ALICE);
  using two = await registry.enter(MALLORY);
  await one.ask(LIST);
  await two.refused(LIST, "quota");
  using elsewhere = await registry.enter(MALLORY, {
    from: "192.0.2.2",
    instance: instanceOf("elsewhere"),
  });
  await elsewhere.ask(LIST);
});

Deno.test("ControlConnection closes with quota when a client goes on asking without a break", async () => {
  const limits = { requestsPerPeer: { burst: 1, perMinute: 1 } };
  await using registry = registryAt(new FakeClock(), { limits });
  using client = await registry.enter(ALICE);
  for (let i = 0; i < 1_000; i++) client.send(LIST);
  for (let i = 0; i < 100; i++) {
    assert.equal((await client.nextResponse()).refused?.code, "quota");
  }
  assert.equal(await client.closed(), "quota");
});

Deno.test("ControlConnection drops a client after 10 s when it leaves answers unread", async () => {
  const clock = new FakeClock();
  await using registry = registryAt(clock);
  using client = await registry.enter(ALICE);
  await client.ask({ op: "register", name: "Alice", unlisted: false });
  for (let i = 0; i < 16; i++) {
    const relays = Array.from({ length: 4 }, () => "r".repeat(250));
    const record = signedEndpoint(ALICE, { service: service(`s${i}`), relays });
    await client.ask({ op: "publish", ...record });
  }
  for (let i = 0; i < 100; i++) client.send({ op: "lookup", peer: ALICE.peerId });
  await clock.advance(9_000);
  assert.match(await registry.registry.metrics.all.text(), /^talos_registry_connections 1$/m);
  await clock.advance(2_000);
  assert.match(await registry.registry.metrics.all.text(), /^talos_registry_connections 0$/m);
  const answered = /^talos_registry_requests_total\{op="lookup",outcome="ok"\} (\d+)$/m;
  const count = Number(answered.exec(await registry.registry.metrics.all.text())?.[1]);
  assert.ok(count > 0 && count < 25, `${count} answers of 20 KB each were made`);
});

Deno.test("ControlConnection answers internal, logs why and goes on when the store fails", async () => {
  const store = new SqliteStore(":memory:");
  await using registry = registryAt(new FakeClock(), {
    store: {
      directory: {
        ...directoryOf(store),
        list: () => Promise.reject(new Error("disk I/O error at /secret/path")),
      },
      check: () => Promise.reject(new Error("disk I/O error")),
      [Symbol.asyncDispose]: () => store[Symbol.asyncDispose](),
    },
  });
  using client = await registry.enter(ALICE);
  const { reason } = await client.refused(LIST, "internal");
  assert.equal(reason, "the registry failed; its log says why");
  assert.match(registry.logged.join("\n"), /disk I\/O error at \/secret\/path/);
  assert.equal(await registry.registry.unready(), "the store cannot be read: disk I/O error");
  await client.ask({ op: "lookup", peer: ALICE.peerId });
});

function relayOf(presence: Presence, clock: Clock): Relay {
  return new Relay({
    presence,
    limits: REGISTRY_LIMITS,
    random: new SeededRandom("relay").bytes,
    clock,
    log: SILENT,
    meter: { refused() {}, ended() {}, relayed() {} },
  });
}

/** Returns a connection of ALICE over `channel`, without a registry around it. */
function alone(channel: RecordChannel, clock: Clock, turns = new Turns()) {
  const presence = new Presence(REGISTRY_LIMITS);
  const quotas = new Quotas(clock, REGISTRY_LIMITS);
  const { directory: store } = new SqliteStore(":memory:");
  const connection = new ControlConnection(
    connectionOver(channel, ALICE),
    { address: "192.0.2.1", isLocal: false },
    {
      directory: new Directory({ store, presence, quotas, limits: REGISTRY_LIMITS, clock }),
      presence,
      relay: relayOf(presence, clock),
      quotas,
      turns,
      joinToken: null,
      clock,
      log: SILENT,
      counted() {},
      greeted() {},
    },
  );
  return { connection, presence };
}

function directoryOf({ directory }: SqliteStore): SqliteStore["directory"] {
  return {
    register: (...args) => directory.register(...args),
    registration: (...args) => directory.registration(...args),
    touch: (...args) => directory.touch(...args),
    putRecord: (...args) => directory.putRecord(...args),
    records: (...args) => directory.records(...args),
    list: (...args) => directory.list(...args),
    counts: () => directory.counts(),
  };
}

Deno.test("Registry logs who registered and neither addresses nor tokens", async () => {
  await using registry = registryAt(new FakeClock(), { joinToken: new JoinToken(TOKEN) });
  using client = await registry.enter(ALICE, { from: "198.51.100.9", token: TOKEN });
  for (const name of ["Alice", "Alice Smith"]) {
    await client.ask({ op: "register", name, unlisted: false });
  }
  const lines = registry.logged.map((line) => JSON.parse(line));
  assert.deepEqual(lines, [{
    time: lines[0]?.time,
    level: "info",
    event: "peer registered",
    peer: ALICE.peerId,
    name: "Alice",
    unlisted: false,
  }]);
});

Deno.test("Registry tells every client and takes no more when it is stopped", async () => {
  const clock = new FakeClock();
  const registry = registryAt(clock);
  using client = await registry.enter(ALICE);
  using other = await registry.enter(MALLORY);
  using half = await registry.connect(ALICE);
  assert.equal(await registry.registry.unready(), null);
  const ended = registry[Symbol.asyncDispose]();
  assert.equal(await registry.registry.unready(), "draining");
  assert.equal(await client.closed(), "draining");
  client[Symbol.dispose]();
  assert.equal(await other.closed(), "draining");
  other[Symbol.dispose]();
  assert.equal(await half.nextFrame().catch(() => null), null);
  await ended;
  assert.equal(clock.timers, 0);
  const late = registry.reach();
  assert.equal(await late.read(new Uint8Array(1)), null);
});

Deno.test("Registry ends after a second when a client that is told so stays and is silent", async () => {
  const clock = new FakeClock();
  const registry = registryAt(clock);
  using client = await registry.enter(ALICE);
  const ended = registry[Symbol.asyncDispose]();
  assert.equal(await client.closed(), "draining");
  await clock.advance(1_000);
  await ended;
});

Deno.test("Registry ends after a second when a client leaves answers unread", async () => {
  const clock = new FakeClock();
  const registry = registryAt(clock, { limits: { requestsPerPeer: { burst: 5e4, perMinute: 1 } } });
  using client = await registry.enter(ALICE);
  for (let i = 0; i < 20_000; i++) client.ping(i); // each PONG has 23 bytes
  await turn();
  const ended = registry[Symbol.asyncDispose]();
  await clock.advance(1_000);
  await ended;
});

Deno.test("Registry writes down who was connected when it is stopped", async () => {
  const clock = new FakeClock(1_750_000_000_000);
  const store = new SqliteStore(":memory:");
  const registry = registryAt(clock, { store });
  {
    using client = await registry.enter(ALICE);
    await client.ask({ op: "register", name: "Alice", unlisted: false });
    await clock.advance(20_000);
  }
  await turn();
  await clock.advance(2_000);
  await registry.registry[Symbol.asyncDispose]();
  assert.equal((await store.directory.registration(ALICE.peerId))?.lastSeen, 1_750_000_020_000);
  await store[Symbol.asyncDispose]();
});

Deno.test("Registry writes down every 5 minutes who is connected", async () => {
  const clock = new FakeClock(1_750_000_000_000);
  await using registry = registryAt(clock);
  using client = await registry.enter(ALICE);
  await client.ask({ op: "register", name: "Alice", unlisted: false });
  const seen = async () => (await registry.store.directory.registration(ALICE.peerId))?.lastSeen;
  for (let minute = 0; minute < 10; minute++) {
    client.ping(0);
    await client.nextFrame();
    await clock.advance(30_000);
  }
  await turn();
  assert.equal(await seen(), 1_750_000_300_000);
});
