import assert from "node:assert/strict";
import {
  DEFAULT_SERVER,
  mcpService,
  MESSAGES_SERVICE,
  parseServerName,
} from "../../lib/identity/names.ts";
import { HOST, MALLORY } from "../session/peers.ts";
import { endpointRecord, failure, FILES, find, knows, NOTES, NOW } from "./endpoint_records.ts";
import { agreeable, scene } from "./fake_registry.ts";

const ANOTHER_PROCESS = new Uint8Array(16).fill(2);

Deno.test("findPeer() returns addresses and presence when the service is registered", async () => {
  await using stage = await scene();
  knows(stage.registry, [endpointRecord(), endpointRecord({ service: NOTES })]);
  assert.deepEqual(await find(stage, FILES), {
    addresses: [{ host: "192.0.2.1", port: 8766 }],
    service: FILES,
    presence: { name: "host", online: true, lastSeen: NOW },
    publishedAt: NOW,
  });
});

Deno.test("findPeer() says how to register when the peer is unknown", async () => {
  await using stage = await scene();
  const error = await failure(find(stage), "peer_not_found");
  assert.equal(
    error.message,
    `Cannot find the peer: ${HOST.peerId} is not registered at registry.test:8765`,
  );
  assert.deepEqual(error.hints, [
    "on the host, make it known there: talos register --server registry.test:8765",
    "see who is registered, and compare the Peer ID: talos peers",
  ]);
});

Deno.test("findPeer() says when the peer was last seen when it serves nothing", async () => {
  for (const records of [[], [endpointRecord({ ttlSeconds: 0, addresses: [] })]]) {
    await using stage = await scene();
    knows(stage.registry, records, { online: false, lastSeen: NOW - 300_000 });
    const error = await failure(find(stage), "peer_away");
    assert.equal(
      error.message,
      `Cannot use "host" (${HOST.peerId}): it is registered but serves nothing now; it was last seen 5 min ago`,
    );
  }
});

Deno.test("findPeer() lists what there is when the service is unknown", async () => {
  await using stage = await scene();
  knows(stage.registry, [endpointRecord(), endpointRecord({ service: NOTES })]);
  const error = await failure(find(stage, mcpService(parseServerName("mail"))), "unknown_service");
  assert.equal(error.message, `Cannot use "mail" of ${HOST.peerId}: it serves "files", "notes"`);
  assert.deepEqual(error.hints, [
    `name the service: talos mcp-connect ${HOST.peerId}/files`,
    `or another one: talos mcp-connect ${HOST.peerId}/notes`,
  ]);
});

Deno.test("findPeer() writes the peer into its hints as the user called it", async () => {
  await using stage = await scene();
  const notes = endpointRecord({ service: NOTES, instance: ANOTHER_PROCESS });
  knows(stage.registry, [endpointRecord(), notes]);
  const error = await failure(find(stage, undefined, "linux"), "unknown_service");
  assert.deepEqual(error.hints, [
    "name the service: talos mcp-connect linux/files",
    "or another one: talos mcp-connect linux/notes",
  ]);
});

Deno.test("findPeer() takes default when no service is named and several processes serve", async () => {
  await using stage = await scene();
  const usual = endpointRecord({
    service: mcpService(DEFAULT_SERVER),
    instance: ANOTHER_PROCESS,
    addresses: [{ host: "192.0.2.2", port: 8767 }],
  });
  knows(stage.registry, [endpointRecord(), usual, endpointRecord({ service: NOTES })]);
  assert.deepEqual((await find(stage)).addresses, [{ host: "192.0.2.2", port: 8767 }]);
});

Deno.test("findPeer() lets the host choose when one process serves several services", async () => {
  await using stage = await scene();
  knows(stage.registry, [endpointRecord(), endpointRecord({ service: NOTES })]);
  assert.deepEqual((await find(stage)).addresses, [{ host: "192.0.2.1", port: 8766 }]);
});

Deno.test("findPeer() refuses to choose when two processes serve", async () => {
  await using stage = await scene();
  const notes = endpointRecord({ service: NOTES, instance: ANOTHER_PROCESS });
  knows(stage.registry, [endpointRecord(), notes]);
  const error = await failure(find(stage), "unknown_service");
  assert.equal(
    error.message,
    `Cannot choose among the services of ${HOST.peerId}: it serves "files", "notes"`,
  );
});

Deno.test("findPeer() refuses to choose as well when one of two processes published a while before", async () => {
  await using stage = await scene();
  const notes = { service: NOTES, instance: ANOTHER_PROCESS, issuedAt: NOW - 600_000 };
  knows(stage.registry, [endpointRecord(), endpointRecord(notes)]);
  await failure(find(stage), "unknown_service");
});

Deno.test("findPeer() leaves a process aside when its record had expired before the peer's newest", async () => {
  await using stage = await scene();
  const dead = { service: NOTES, instance: ANOTHER_PROCESS, issuedAt: NOW - 600_001 };
  knows(stage.registry, [endpointRecord(), endpointRecord(dead)]);
  assert.equal((await find(stage)).publishedAt, NOW);
  // Who asks for it by name still gets it: time never causes a refusal.
  assert.equal((await find(stage, NOTES)).publishedAt, NOW - 600_001);
});

Deno.test("findPeer() does not count services that are no MCP servers when none is named", async () => {
  await using stage = await scene();
  const messages = endpointRecord({ service: MESSAGES_SERVICE, instance: ANOTHER_PROCESS });
  knows(stage.registry, [endpointRecord(), messages]);
  assert.deepEqual((await find(stage)).addresses, [{ host: "192.0.2.1", port: 8766 }]);
});

Deno.test("findPeer() finds a record when it expired days ago: time never causes a refusal", async () => {
  await using stage = await scene();
  knows(stage.registry, [endpointRecord({ issuedAt: NOW - 30 * 86_400_000 })], { online: false });
  assert.deepEqual((await find(stage)).addresses, [{ host: "192.0.2.1", port: 8766 }]);
});

Deno.test("findPeer() uses the newer record and says so when a registry hands out an older one", async () => {
  await using stage = await scene();
  knows(stage.registry, [endpointRecord({ seq: 20 })]);
  await find(stage);
  knows(stage.registry, [endpointRecord({ seq: 19, addresses: [{ host: "6.6.6.6", port: 1 }] })]);
  assert.deepEqual((await find(stage)).addresses, [{ host: "192.0.2.1", port: 8766 }]);
  assert.equal(
    stage.lines.at(-1),
    `talos: warning: the registry knows an older record than we do; using the newer one peer=${HOST.peerId} service=mcp/files`,
  );
});

Deno.test("findPeer() passes over a record and says so when somebody else signed it", async () => {
  await using stage = await scene();
  knows(stage.registry, [endpointRecord()], { signer: MALLORY });
  await failure(find(stage), "peer_away");
  assert.match(stage.lines.at(-1) ?? "", /handed out a record that does not count: .*signature/);
});

Deno.test("findPeer() goes on with what it remembers when the registry forgot the peer", async () => {
  await using stage = await scene();
  knows(stage.registry, [endpointRecord()]);
  await find(stage);
  stage.registry.answer = agreeable;
  const { addresses, presence } = await find(stage);
  assert.deepEqual(addresses, [{ host: "192.0.2.1", port: 8766 }]);
  assert.equal(presence, null);
  // But not once the peer itself has withdrawn.
  knows(stage.registry, [endpointRecord({ ttlSeconds: 0, addresses: [], seq: NOW + 1 })]);
  await failure(find(stage), "peer_away");
  stage.registry.answer = agreeable;
  await failure(find(stage), "peer_not_found");
});
