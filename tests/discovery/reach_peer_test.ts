import assert from "node:assert/strict";
import { reachPeer } from "../../lib/discovery/reach_peer.ts";
import type { Connection } from "../../lib/session/connection.ts";
import { SessionError } from "../../lib/session/errors.ts";
import { TransportError } from "../../lib/transport/errors.ts";
import { memoryPair } from "../../lib/transport/memory.ts";
import { channelsOver, connectionOver, HOST, isSettled, MALLORY } from "../session/peers.ts";
import { endpointRecord, failure, find, knows, NOW } from "./endpoint_records.ts";
import { agreeable, type Scene, scene } from "./fake_registry.ts";

const SHORT = `${HOST.peerId.slice(0, 12)}…`;

/** Fails as an address does where nothing listens. */
function refused(host: string): TransportError {
  return new TransportError(
    "refused",
    `Cannot connect to ${host}:8766: nothing listens there (connection refused)`,
  );
}

/** Reaches HOST, whose addresses do what `at` says: nothing listens where it says nothing. */
function reach(stage: Scene, at: Readonly<Record<string, () => Promise<Connection>>> = {}) {
  const dialled: string[] = [];
  const reached = reachPeer({
    ...stage.options,
    peer: HOST.peerId,
    dialOne: ({ host }) => {
      dialled.push(host);
      return at[host]?.() ?? Promise.reject(refused(host));
    },
  });
  reached.catch(() => {}); // looked at later
  return { reached, dialled };
}

function connection(): Connection {
  return connectionOver(channelsOver(memoryPair())[0], HOST);
}

Deno.test("reachPeer() returns the connection when one of the addresses answers", async () => {
  await using stage = await scene();
  const addresses = ["10.0.0.1", "10.0.0.2"].map((host) => ({ host, port: 8766 }));
  knows(stage.registry, [endpointRecord({ addresses })]);
  const made = connection();
  const { reached, dialled } = reach(stage, { "10.0.0.2": () => Promise.resolve(made) });
  assert.equal(await reached, made);
  assert.deepEqual(dialled, ["10.0.0.1", "10.0.0.2"]);
  assert.equal(stage.clock.timers, 0);
  made.channel.close();
});

Deno.test("reachPeer() says that something lies between when the peer is online and nothing answers", async () => {
  await using stage = await scene();
  const addresses = ["10.0.0.1", "10.0.0.2", "10.0.0.3"].map((host) => ({ host, port: 8766 }));
  knows(stage.registry, [endpointRecord({ addresses })]);
  const strange = () =>
    Promise.reject(new SessionError("handshake_failed", "The handshake is for another key"));
  const error = await failure(
    reach(stage, { "10.0.0.2": strange }).reached,
    "peer_unreachable",
  );
  assert.equal(
    error.message,
    `Cannot reach "host" (${SHORT}): it is online, but not from here: ` +
      "10.0.0.1:8766, 10.0.0.3:8766: nothing listens there (connection refused); " +
      "10.0.0.2:8766: The handshake is for another key",
  );
  assert.deepEqual(error.hints, [
    "on the host, let TCP port 8766 through its firewall, and through its router",
    "otherwise the two machines need a network in common, such as a VPN",
  ]);
});

Deno.test("reachPeer() says that the service may have ended when the peer is online and every address refuses", async () => {
  await using stage = await scene();
  const addresses = ["10.0.0.1", "10.0.0.2"].map((host) => ({ host, port: 8766 }));
  knows(stage.registry, [endpointRecord({ addresses })]);
  const error = await failure(reach(stage).reached, "peer_unreachable");
  assert.equal(
    error.message,
    `Cannot reach "host" (${SHORT}): it is online, but what served this may have ended: ` +
      "10.0.0.1:8766, 10.0.0.2:8766: nothing listens there (connection refused)",
  );
  assert.deepEqual(error.hints, [
    "on the host, see what runs, and share it again: talos status",
    "if it runs there, a firewall may refuse: let TCP port 8766 through",
  ]);
});

Deno.test("reachPeer() says that the peer is away when it is, with what it published when", async () => {
  await using stage = await scene();
  const issuedAt = NOW - 3 * 3_600_000;
  knows(stage.registry, [endpointRecord({ issuedAt })], {
    online: false,
    lastSeen: NOW - 2 * 3_600_000,
  });
  const error = await failure(reach(stage).reached, "peer_away");
  assert.equal(
    error.message,
    `Cannot reach "host" (${SHORT}): it is registered but away, last seen 2 h ago; what it ` +
      "published 3 h ago leads nowhere: 192.0.2.1:8766: nothing listens there (connection refused)",
  );
  assert.deepEqual(error.hints, [
    "on the host, see what runs and whether it reaches the registry: talos status",
    "on the host, publish its address anew: talos register (mcp-serve does so by itself)",
  ]);
});

Deno.test("reachPeer() says that the peer is online but unreachable when it published no address", async () => {
  await using stage = await scene();
  knows(stage.registry, [endpointRecord({ addresses: [] })]);
  const error = await failure(reach(stage).reached, "peer_unreachable");
  assert.match(error.message, /not from here: it published no address$/);
});

Deno.test("reachPeer() throws what the peer itself answered when it answered", async () => {
  await using stage = await scene();
  const addresses = ["10.0.0.1", "10.0.0.2"].map((host) => ({ host, port: 8766 }));
  knows(stage.registry, [endpointRecord({ addresses })]);
  const busy = new SessionError("busy", "The host takes no more connections now");
  const { reached } = reach(stage, { "10.0.0.2": () => Promise.reject(busy) });
  await assert.rejects(reached, busy);
});

Deno.test("reachPeer() tries where the peer was last seen when the registry is down, and says so", async () => {
  await using stage = await scene();
  knows(stage.registry, [endpointRecord()]);
  await find(stage);
  stage.registry.isDown = true;
  const made = connection();
  const { reached } = reach(stage, { "192.0.2.1": () => Promise.resolve(made) });
  assert.equal(await reached, made);
  assert.equal(
    stage.lines.at(-1),
    "talos: warning: the registry does not answer; trying the peer where it was last seen " +
      `peer=${HOST.peerId} published=2025-06-15T15:06:40.000Z`,
  );
  made.channel.close();
});

Deno.test("reachPeer() does not warn of a registry that nobody chose", async () => {
  await using stage = await scene();
  knows(stage.registry, [endpointRecord()]);
  await find(stage);
  stage.registry.isDown = true;
  const made = connection();
  const reached = reachPeer({
    ...stage.options,
    peer: HOST.peerId,
    isChosen: false,
    dialOne: () => Promise.resolve(made),
  });
  assert.equal(await reached, made);
  assert.equal(
    stage.lines.at(-1),
    "talos: no registry was chosen; trying the peer where it was last seen " +
      `peer=${HOST.peerId} published=2025-06-15T15:06:40.000Z`,
  );
  made.channel.close();
});

Deno.test("reachPeer() tries where the peer was last seen when the registry has another key, loudly", async () => {
  await using stage = await scene();
  knows(stage.registry, [endpointRecord()]);
  await find(stage);
  const before = stage.registry.identity.peerId;
  stage.registry.identity = MALLORY;
  const made = connection();
  const { reached } = reach(stage, { "192.0.2.1": () => Promise.resolve(made) });
  assert.equal(await reached, made);
  assert.equal(
    stage.lines.at(-1),
    "talos: error: The registry registry.test:8765 has another key than before: it was " +
      `${before}, it is ${MALLORY.peerId}; trying the peer where it was last seen, which proves ` +
      `its own key peer=${HOST.peerId} published=2025-06-15T15:06:40.000Z cure="somebody may be ` +
      "in between: ask whoever runs the registry which key it has; if it has a new one, forget " +
      'the old one: talos forget-registry registry.test:8765"',
  );
  made.channel.close();
  // Where that leads nowhere, the key is what is wrong.
  await failure(reach(stage).reached, "registry_key_changed");
});

Deno.test("reachPeer() tries where the peer was last seen when the registry has no room", async () => {
  await using stage = await scene();
  knows(stage.registry, [endpointRecord()]);
  await find(stage);
  stage.registry.answer = () => ({ refusal: { code: "quota", reason: "too many requests" } });
  const made = connection();
  const { reached } = reach(stage, { "192.0.2.1": () => Promise.resolve(made) });
  assert.equal(await reached, made);
  made.channel.close();
});

Deno.test("reachPeer() says where the peer is not when nobody chose the registry that is down", async () => {
  await using stage = await scene();
  knows(stage.registry, [endpointRecord()]);
  await find(stage);
  stage.registry.isDown = true;
  const reached = reachPeer({
    ...stage.options,
    peer: HOST.peerId,
    isChosen: false,
    dialOne: () => Promise.reject(new SessionError("handshake_failed", "Nobody is there")),
  });
  const error = await failure(reached, "peer_away");
  assert.equal(
    error.message,
    `Cannot reach ${HOST.peerId}: it is not where it was last seen: ` +
      "192.0.2.1:8766: Nobody is there",
  );
  assert.deepEqual(error.hints, [
    "on the host, see whether its service runs: talos status",
    "where its address changes, find it by a registry that both use: talos register --server REGISTRY",
  ]);
});

Deno.test("reachPeer() says both when the registry is down and the peer is not where it was", async () => {
  await using stage = await scene();
  knows(stage.registry, [endpointRecord()]);
  await find(stage);
  stage.registry.isDown = true;
  const error = await failure(reach(stage).reached, "registry_unreachable");
  assert.equal(
    error.message,
    "Cannot reach the registry registry.test:8765: nothing listens there (connection refused); " +
      "and the peer is not where it was last seen: " +
      "192.0.2.1:8766: nothing listens there (connection refused)",
  );
  assert.equal(error.hints.length, 3);
});

Deno.test("reachPeer() says that the registry is down when nothing is remembered", async () => {
  await using stage = await scene();
  stage.registry.isDown = true;
  const { reached, dialled } = reach(stage);
  const error = await failure(reached, "registry_unreachable");
  assert.equal(
    error.message,
    "Cannot reach the registry registry.test:8765: nothing listens there (connection refused)",
  );
  assert.deepEqual(dialled, []);
});

Deno.test("reachPeer() does not wait for a silent registry for more than 1.5 s when it remembers", async () => {
  await using stage = await scene();
  knows(stage.registry, [endpointRecord()]);
  await find(stage);
  stage.registry.isMute = true;
  const made = connection();
  const { reached } = reach(stage, { "192.0.2.1": () => Promise.resolve(made) });
  await stage.clock.advance(1_499);
  assert.equal(await isSettled(reached), false);
  await stage.clock.advance(1);
  assert.equal(await reached, made);
  made.channel.close();
  await stage.clock.advance(20_000); // the lookup ends in its own time
});

Deno.test("reachPeer() goes on with the late answer when the peer moved and the registry is slow", async () => {
  await using stage = await scene();
  knows(stage.registry, [endpointRecord()]);
  await find(stage);
  const moved = [{ host: "192.0.2.99", port: 8766 }];
  knows(stage.registry, [endpointRecord({ addresses: moved, seq: NOW + 1 })]);
  const made = connection();
  const slowly: Scene["options"]["connect"] = async (...args) => {
    await new Promise<void>((resolve) => stage.clock.after(3_000, resolve));
    return await stage.options.connect(...args);
  };
  const dialled: string[] = [];
  const reached = reachPeer({
    ...stage.options,
    connect: slowly,
    peer: HOST.peerId,
    dialOne: ({ host }) => {
      dialled.push(host);
      return host === "192.0.2.99" ? Promise.resolve(made) : Promise.reject(refused(host));
    },
  });
  await stage.clock.advance(3_000);
  assert.equal(await reached, made);
  assert.deepEqual(dialled, ["192.0.2.1", "192.0.2.99"]);
  made.channel.close();
});

Deno.test("reachPeer() says that it is not registered when the registry forgot it and memory leads nowhere", async () => {
  await using stage = await scene();
  knows(stage.registry, [endpointRecord()]);
  await find(stage);
  stage.registry.answer = agreeable;
  const error = await failure(reach(stage).reached, "peer_not_found");
  assert.equal(
    error.message,
    `Cannot find the peer: ${HOST.peerId} is not registered at registry.test:8765, nor where it ` +
      "was last seen: 192.0.2.1:8766: nothing listens there (connection refused)",
  );
});
