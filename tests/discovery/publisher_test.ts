import assert from "node:assert/strict";
import { Publisher, type PublisherOptions } from "../../lib/discovery/publisher.ts";
import type { ServiceName } from "../../lib/identity/names.ts";
import { forgetKey, pinKey } from "../../lib/discovery/registry_keys.ts";
import {
  type EndpointRecord,
  openEndpointRecord,
  type SignedEndpointRecord,
  signEndpointRecord,
} from "../../lib/wire/endpoint_record.ts";
import { foundPeerFields } from "../../lib/wire/registry_messages.ts";
import { seededIdentity } from "../../scripts/seeded_identity.ts";
import { ALICE, isSettled, MALLORY } from "../session/peers.ts";
import { endpointRecord, FILES, NOTES, NOW } from "./endpoint_records.ts";
import {
  ADDRESS,
  agreeable,
  type Answer,
  type FakeRegistry,
  type Scene,
  scene,
} from "./fake_registry.ts";

function publisher(stage: Scene, changes: Partial<PublisherOptions> = {}): Publisher {
  return new Publisher({
    ...stage.options,
    name: "alice",
    unlisted: () => false,
    services: [FILES],
    port: 8766,
    interfaces: () => ["127.0.0.1", "192.168.1.5"],
    ...changes,
  });
}

/** The records that the registry got, in order. */
function published(registry: FakeRegistry) {
  return registry.of("publish").map((request) => openEndpointRecord(ALICE.peerId, request));
}

/** A record of ALICE's service `files` that she signed before. */
function signedBefore(seq: number, changes: Partial<EndpointRecord> = {}): SignedEndpointRecord {
  return signEndpointRecord(ALICE, endpointRecord({ peer: ALICE.peerId, seq, ...changes }));
}

/** Keeps the newest record of each service and refuses what is not newer, as a registry does. */
function withMemory(memory: Map<string, SignedEndpointRecord>): FakeRegistry["answer"] {
  return (request): Answer => {
    if (request.op === "lookup") return handsOut([...memory.values()]);
    if (request.op !== "publish") return agreeable(request);
    const { service, seq } = openEndpointRecord(ALICE.peerId, request);
    const there = seqIn(memory, service);
    if (seq <= there) return { refusal: { code: "stale", reason: "older", seq: there } };
    memory.set(service, { record: request.record, signature: request.signature });
    return { result: { seq } };
  };
}

function handsOut(records: readonly SignedEndpointRecord[]): Answer {
  return { result: foundPeerFields({ name: "alice", online: true, lastSeen: NOW, records }) };
}

function seqIn(memory: ReadonlyMap<string, SignedEndpointRecord>, service: string): number {
  const signed = memory.get(service);
  return signed === undefined ? 0 : openEndpointRecord(ALICE.peerId, signed).seq;
}

Deno.test("Publisher registers and publishes every service when it begins", async () => {
  await using stage = await scene();
  await using publishing = publisher(stage, { services: [FILES, NOTES] });
  await publishing.published;
  const { registry } = stage;
  assert.deepEqual(registry.requests.map(({ op }) => op), [
    "hello",
    "register",
    "publish",
    "publish",
  ]);
  assert.deepEqual(registry.of("register"), [{ op: "register", name: "alice", unlisted: false }]);
  assert.deepEqual(
    published(registry),
    [FILES, NOTES].map((service) => ({
      peer: ALICE.peerId,
      service,
      name: "alice",
      instance: new Uint8Array(16).fill(3),
      addresses: [{ host: "203.0.113.7", port: 8766 }, { host: "192.168.1.5", port: 8766 }],
      relays: [],
      min: 1,
      max: 1,
      seq: NOW,
      issuedAt: NOW,
      ttlSeconds: 600,
    })),
  );
  assert.deepEqual(publishing.state, { state: "published", observed: "203.0.113.7", skewMs: 0 });
});

Deno.test("Publisher publishes anew every 5 min, with what holds then, when nothing happens", async () => {
  await using stage = await scene();
  let unlisted = false;
  await using publishing = publisher(stage, { unlisted: () => unlisted });
  await publishing.published;
  unlisted = true;
  await stage.clock.advance(299_999);
  assert.equal(stage.registry.of("publish").length, 1);
  await stage.clock.advance(1);
  const [first, second] = published(stage.registry);
  assert.equal(second?.issuedAt, NOW + 300_000);
  assert.equal(second?.seq, NOW + 300_000);
  assert.deepEqual(first?.addresses, second?.addresses);
  assert.deepEqual(stage.registry.of("register").map((request) => request.unlisted), [false, true]);
  await stage.clock.advance(3_000_000);
  assert.equal(stage.registry.of("publish").length, 12);
  assert.equal(stage.registry.of("hello").length, 1);
});

Deno.test("Publisher connects anew and publishes when this machine has other addresses", async () => {
  await using stage = await scene();
  let interfaces = ["192.168.1.5"];
  await using publishing = publisher(stage, { interfaces: () => interfaces });
  await publishing.published;
  await stage.clock.advance(10_000);
  assert.equal(stage.registry.of("publish").length, 1);
  interfaces = ["10.0.0.9"];
  await stage.clock.advance(2_500); // 2 s until it looks, and the pause before it dials
  const [first, second] = published(stage.registry);
  assert.deepEqual(first?.addresses.at(-1), { host: "192.168.1.5", port: 8766 });
  assert.deepEqual(second?.addresses.at(-1), { host: "10.0.0.9", port: 8766 });
  assert.equal(stage.registry.of("hello").length, 2);
  await stage.clock.advance(10_000);
  assert.equal(stage.registry.of("publish").length, 2);
});

Deno.test("Publisher publishes at once when it is told to refresh", async () => {
  await using stage = await scene();
  await using publishing = publisher(stage);
  await publishing.published;
  await stage.clock.advance(1);
  publishing.refresh();
  await stage.clock.advance(0);
  assert.deepEqual(published(stage.registry).map(({ seq }) => seq), [NOW, NOW + 1]);
});

Deno.test("Publisher.refresh() resolves when its attempt has ended, well or not", async () => {
  await using stage = await scene();
  await using publishing = publisher(stage);
  await publishing.published;
  await publishing.refresh();
  assert.equal(stage.registry.of("publish").length, 2);
  stage.registry.isDown = true;
  await stage.registry.dropAll();
  const refreshed = publishing.refresh();
  await stage.clock.advance(0);
  await refreshed;
  assert.equal(publishing.state.state, "connecting");
});

Deno.test("Publisher goes on at the registry's seq + 1 when its own clock went back", async () => {
  await using stage = await scene();
  const memory = new Map([[FILES, signedBefore(NOW + 5_000)]]);
  stage.registry.answer = withMemory(memory);
  await using publishing = publisher(stage);
  await publishing.published;
  assert.deepEqual(published(stage.registry).map(({ seq }) => seq), [NOW, NOW + 5_001]);
  publishing.refresh();
  await stage.clock.advance(0);
  assert.equal(seqIn(memory, FILES), NOW + 5_002);
});

const YEAR_MS = 365 * 24 * 3600 * 1000;

Deno.test("Publisher goes on from a record that it signed when its clock was two years ahead", async () => {
  await using stage = await scene();
  const ahead = NOW + 2 * YEAR_MS;
  const memory = new Map<ServiceName, SignedEndpointRecord>([[
    FILES,
    signedBefore(ahead, { issuedAt: ahead }),
  ]]);
  stage.registry.answer = withMemory(memory);
  await using publishing = publisher(stage, { services: [NOTES, FILES] });
  await publishing.published;
  const newest = (service: ServiceName) => {
    const { seq, issuedAt } = openEndpointRecord(ALICE.peerId, memory.get(service)!);
    return { seq, issuedAt };
  };
  assert.deepEqual(newest(FILES), { seq: ahead + 2, issuedAt: NOW + YEAR_MS + 2 });
  // That of the other service is not outlived by it: callers still choose between the two.
  assert.deepEqual(newest(NOTES), { seq: NOW + 1, issuedAt: NOW + YEAR_MS + 1 });
  publishing.refresh();
  await stage.clock.advance(0);
  assert.equal(newest(FILES).seq, ahead + 3);
});

const GREATEST_LIE = Number.MAX_SAFE_INTEGER - 1;

for (
  const [what, records] of [
    ["has none", []],
    ["has an older one", [signedBefore(NOW - 1)]],
    ["has one of another service", [signedBefore(GREATEST_LIE, { service: NOTES })]],
    ["has one that somebody else signed", [
      signEndpointRecord(MALLORY, endpointRecord({ peer: MALLORY.peerId, seq: NOW + 9 })),
    ]],
    ["has one whose seq is no time", [signedBefore(GREATEST_LIE)]],
    ["has a forged one", [{ ...signedBefore(NOW + 9), signature: new Uint8Array(64) }]],
  ] as const
) {
  Deno.test(`Publisher signs no greater seq when a registry says stale and ${what}`, async () => {
    await using stage = await scene();
    stage.registry.answer = (request) => {
      if (request.op === "lookup") return handsOut(records);
      return request.op === "publish"
        ? { refusal: { code: "stale", reason: "it is older", seq: GREATEST_LIE } }
        : agreeable(request);
    };
    await using publishing = publisher(stage);
    await stage.clock.advance(0);
    assert.deepEqual(published(stage.registry).map(({ seq }) => seq), [NOW]);
    assert.deepEqual(publishing.state, {
      state: "connecting",
      why: 'The registry refused: it has a newer record; it says: "it is older"',
    });
    assert.deepEqual(stage.lines.slice(1), [ // behind that the registry was pinned
      "talos: error: not registered: The registry refused: it has a newer record; it says: " +
      '"it is older" registry=registry.test:8765',
    ]);
  });
}

Deno.test("Publisher is not locked out when the registry lost its database", async () => {
  await using stage = await scene();
  stage.registry.answer = withMemory(new Map([[FILES, signedBefore(NOW + 5_000)]]));
  await using publishing = publisher(stage);
  await publishing.published;
  const memory = new Map<string, SignedEndpointRecord>();
  stage.registry.answer = withMemory(memory);
  await stage.registry.dropAll();
  await stage.clock.advance(1_000);
  assert.equal(publishing.state.state, "published");
  assert.equal(stage.registry.of("register").length, 2);
  assert.equal(seqIn(memory, FILES), NOW + 5_002);
});

Deno.test("Publisher connects again with growing pauses when the registry is gone, and says so once", async () => {
  await using stage = await scene();
  const { registry, clock, lines } = stage;
  // The pauses as they are without jitter: half of them and 128/256 more.
  await using publishing = publisher(stage, { random: halves(stage) });
  await publishing.published;
  lines.length = 0;
  registry.isDown = true;
  await registry.dropAll();
  assert.deepEqual(publishing.state, {
    state: "connecting",
    why: "Lost the registry: it closed the connection",
  });
  const times: number[] = [];
  const before = clock.monotonic();
  for (let seen = registry.connects, at = 0; at < 120_000; at += 50) {
    await clock.advance(50);
    if (registry.connects > seen) times.push(clock.monotonic() - before);
    seen = registry.connects;
  }
  assert.deepEqual(times.slice(0, 9), [250, 750, 1750, 3750, 7750, 15750, 30750, 45750, 60750]);
  assert.deepEqual(lines, [
    "talos: warning: not registered: Lost the registry: it closed the connection registry=registry.test:8765",
  ]);
  registry.isDown = false;
  await clock.advance(15_000);
  assert.equal(publishing.state.state, "published");
  assert.deepEqual(lines.slice(1), [
    "talos: registered registry=registry.test:8765 as=203.0.113.7",
  ]);
});

Deno.test("Publisher begins with short pauses again, and says so again, when the registry was back in between", async () => {
  await using stage = await scene();
  const { registry, clock, lines } = stage;
  await using publishing = publisher(stage, { random: halves(stage) });
  await publishing.published;
  for (let outage = 0; outage < 2; outage++) {
    lines.length = 0;
    registry.isDown = true;
    await registry.dropAll();
    await clock.advance(60_000);
    registry.isDown = false;
    await clock.advance(15_000);
    assert.equal(publishing.state.state, "published");
    assert.equal(lines.length, 2, lines.join("\n")); // lost, and registered
  }
  await registry.dropAll();
  await clock.advance(249);
  assert.equal(publishing.state.state, "connecting");
  await clock.advance(1);
  assert.equal(publishing.state.state, "published");
});

Deno.test("Publisher is calm when a registry ends each connection: long pauses, and few lines", async () => {
  await using stage = await scene();
  const { registry, clock, lines } = stage;
  await using publishing = publisher(stage, { random: halves(stage) });
  await publishing.published;
  lines.length = 0;
  const endsEach = async (ms: number) => {
    for (let at = 0; at < ms; at += 250) {
      if (publishing.state.state === "published") await registry.dropAll();
      await clock.advance(250);
    }
  };
  await endsEach(120_000);
  const hellos = registry.of("hello").length;
  assert.ok(hellos < 20, `it connected ${hellos} times in 2 min`);
  const lost =
    "talos: warning: not registered: Lost the registry: it closed the connection registry=registry.test:8765";
  const registered = "talos: registered registry=registry.test:8765 as=203.0.113.7";
  assert.deepEqual(lines, [lost, registered, lost, registered, lost]);

  await clock.advance(15_000);
  assert.equal(publishing.state.state, "published");
  assert.equal(lines.length, 5);
  await clock.advance(60_000);
  assert.deepEqual(lines.slice(5), [registered]);
  await registry.dropAll();
  await clock.advance(250);
  assert.equal(publishing.state.state, "published");
  assert.deepEqual(lines.slice(6), [lost, registered]);
});

/** Randomness whose single bytes are 128, so that pauses have their middle length. */
function halves({ options }: Scene): (length: number) => Uint8Array<ArrayBuffer> {
  return (length) => length === 1 ? Uint8Array.of(128) : options.random(length);
}

Deno.test("Publisher tries again at once when it is told to refresh while the registry is gone", async () => {
  await using stage = await scene();
  stage.registry.isDown = true;
  await using publishing = publisher(stage);
  await stage.clock.advance(60_000);
  stage.registry.isDown = false;
  publishing.refresh();
  await stage.clock.advance(0);
  assert.equal(publishing.state.state, "published");
});

Deno.test("Publisher says loudly, with the cure, that the registry has another key, and recovers when it is forgotten", async () => {
  await using stage = await scene();
  const before = seededIdentity("old registry").peerId;
  pinKey(stage.database, ADDRESS, before, 1);
  await using publishing = publisher(stage);
  await stage.clock.advance(100_000);
  const now = stage.registry.identity.peerId;
  assert.deepEqual(stage.lines, [
    `talos: error: not registered: The registry registry.test:8765 has another key than before: it was ${before}, it is ${now} registry=registry.test:8765`,
    "talos: hint: somebody may be in between: ask whoever runs the registry which key it has",
    "talos: hint: if it has a new one, forget the old one: talos forget-registry registry.test:8765",
  ]);
  assert.deepEqual(stage.registry.requests, []);
  forgetKey(stage.database, ADDRESS);
  await stage.clock.advance(30_000);
  assert.equal(publishing.state.state, "published");
});

Deno.test("Publisher withdraws every service when it is disposed of", async () => {
  await using stage = await scene();
  {
    await using publishing = publisher(stage, { services: [FILES, NOTES] });
    await publishing.published;
    await stage.clock.advance(1);
  }
  assert.deepEqual(
    published(stage.registry).slice(2).map(({ service, ttlSeconds, seq, addresses }) => ({
      service,
      ttlSeconds,
      seq,
      addresses,
    })),
    [FILES, NOTES].map((service) => ({ service, ttlSeconds: 0, seq: NOW + 1, addresses: [] })),
  );
  assert.equal(stage.clock.timers, 0);
});

Deno.test("Publisher ends within a second when the registry does not answer its farewell", async () => {
  await using stage = await scene();
  const publishing = publisher(stage);
  await publishing.published;
  stage.registry.answer = () => null;
  const ended = publishing[Symbol.asyncDispose]();
  await stage.clock.advance(999);
  assert.equal(await isSettled(ended), false);
  await stage.clock.advance(1);
  await ended;
  assert.equal(stage.clock.timers, 0);
});

Deno.test("Publisher ends at once when it is disposed of while it connects or waits", async () => {
  for (const state of ["isMute", "isDown"] as const) {
    await using stage = await scene();
    stage.registry[state] = true;
    const publishing = publisher(stage);
    await stage.clock.advance(100);
    await publishing[Symbol.asyncDispose]();
    assert.equal(stage.clock.timers, 0);
    assert.ok(!stage.lines.some((line) => line.includes("error")), stage.lines.join("\n"));
  }
});

Deno.test("Publisher publishes the one address that is listened on when there is one", async () => {
  await using stage = await scene();
  await using publishing = publisher(stage, { listenHost: "10.1.2.3" });
  await publishing.published;
  assert.deepEqual(published(stage.registry)[0]?.addresses, [{ host: "10.1.2.3", port: 8766 }]);
});
