import assert from "node:assert/strict";
import { type DialOver, reachPeer } from "../../lib/discovery/reach_peer.ts";
import type { Via } from "../../lib/discovery/via.ts";
import type { Connection } from "../../lib/session/connection.ts";
import { SessionError } from "../../lib/session/errors.ts";
import { TransportError } from "../../lib/transport/errors.ts";
import { memoryPair } from "../../lib/transport/memory.ts";
import type { RegistryRequest } from "../../lib/wire/registry_messages.ts";
import { ALICE, channelsOver, connectionOver, HOST } from "../session/peers.ts";
import { endpointRecord, failure, FILES, type Known, knows } from "./endpoint_records.ts";
import { type Answer, type Scene, scene } from "./fake_registry.ts";

const TOKEN = new Uint8Array(32).fill(5);
const SHORT = `${HOST.peerId.slice(0, 12)}…`;

/** Lets the registry know HOST at one address, and relay to it with `status`. */
function relays(
  { registry }: Scene,
  status: number,
  circuit: Answer = { result: { token: TOKEN, node: "registry" } },
  known: Known = {},
): void {
  knows(registry, [endpointRecord()], known);
  const { answer } = registry;
  registry.answer = (request: RegistryRequest) =>
    request.op === "circuit" ? circuit : answer(request);
  registry.leg = (_, transport) => transport.write(Uint8Array.of(status));
}

const unreachable = () =>
  Promise.reject(
    new TransportError("unreachable", "Cannot connect to 192.0.2.1:8766: no answer in time"),
  );

/** Reaches HOST, whose address does what `direct` says. */
function reach(
  stage: Scene,
  { via, direct = unreachable, over }: {
    readonly via?: Via;
    readonly direct?: () => Promise<Connection>;
    readonly over?: DialOver;
  } = {},
) {
  const dialled: string[] = [];
  const reached = reachPeer({
    ...stage.options,
    peer: HOST.peerId,
    dialOne: ({ host }) => {
      dialled.push(host);
      return direct();
    },
    dialOver: over ?? (async (connect, signal) => {
      const transport = await connect(signal);
      return {
        ...connectionOver(channelsOver([transport, transport])[0], HOST),
        path: transport.path,
      };
    }),
    ...(via === undefined ? {} : { via }),
  });
  reached.catch(() => {}); // looked at later
  return { reached, dialled };
}

Deno.test("reachPeer() goes through the relay when no address answers, over one connection to the registry", async () => {
  await using stage = await scene();
  relays(stage, 0);
  const { path, channel } = await reach(stage).reached;
  assert.deepEqual(path, {
    kind: "relay",
    remote: "registry.test:8765",
    source: `relayed ${HOST.peerId}`,
  });
  assert.deepEqual(stage.registry.of("circuit"), [
    { op: "circuit", peer: HOST.peerId, service: FILES },
  ]);
  assert.equal(stage.registry.of("hello").length, 1);
  channel.close();
});

Deno.test("reachPeer() asks for no circuit when the direct way is enough, or the only one wanted", async () => {
  await using stage = await scene();
  relays(stage, 0);
  const made = connectionOver(channelsOver(memoryPair())[0], HOST);
  assert.equal(await reach(stage, { direct: () => Promise.resolve(made) }).reached, made);
  made.channel.close();
  const error = await failure(reach(stage, { via: "direct" }).reached, "peer_unreachable");
  assert.equal(
    error.message,
    `Cannot reach "host" (${SHORT}): it is online, but not from here: 192.0.2.1:8766: no answer in time`,
  );
  assert.equal(
    error.hints.at(-1),
    `or let the registry relay: talos mcp-connect ${HOST.peerId} --via auto`,
  );
  assert.deepEqual(stage.registry.of("circuit"), []);
});

Deno.test("reachPeer() dials no address when the relay alone is wanted", async () => {
  await using stage = await scene();
  relays(stage, 0);
  const { reached, dialled } = reach(stage, { via: "relay" });
  assert.equal((await reached).path.kind, "relay");
  assert.deepEqual(dialled, []);
  (await reached).channel.close();
});

Deno.test("reachPeer() says what became of both ways when neither leads to the peer", async () => {
  await using stage = await scene();
  relays(stage, 0, { refusal: { code: "quota", reason: "this peer has 128 circuits" } });
  const error = await failure(reach(stage).reached, "peer_unreachable");
  assert.equal(
    error.message,
    `Cannot reach "host" (${SHORT}): it is online, but not from here: ` +
      "192.0.2.1:8766: no answer in time; nor through the relay: The registry refused: it has no " +
      'room for this now; it says: "this peer has 128 circuits"',
  );
  const alone = await failure(reach(stage, { via: "relay" }).reached, "registry_busy");
  assert.match(alone.message, /^The registry refused: it has no room for this now/);
});

Deno.test("reachPeer() says how to be let in when the peer declines", async () => {
  await using stage = await scene();
  relays(stage, 3);
  for (const via of ["auto", "relay"] as const) {
    const error = await failure(reach(stage, { via }).reached, "peer_declined");
    assert.equal(
      error.message,
      `Cannot use "host" (${SHORT}): it takes no calls from this peer, the registry says`,
    );
    assert.deepEqual(error.hints, [
      `on the host, let this peer in: talos access grant ${ALICE.peerId}/files`,
    ]);
  }
});

Deno.test("reachPeer() asks for no circuit when the peer is away", async () => {
  await using stage = await scene();
  relays(stage, 0, null, { online: false });
  await failure(reach(stage).reached, "peer_away");
  await failure(reach(stage, { via: "relay" }).reached, "peer_away");
  assert.deepEqual(stage.registry.of("circuit"), []);
});

Deno.test("reachPeer() throws what the peer itself answered through the relay", async () => {
  await using stage = await scene();
  relays(stage, 0);
  const over: DialOver = async (connect, signal) => {
    (await connect(signal)).close();
    throw new SessionError("blocked", "The host refuses connections from this peer");
  };
  await assert.rejects(reach(stage, { over }).reached, /refuses connections/);
});

Deno.test("reachPeer() says that the registry has no relay when it is of an older program", async () => {
  await using stage = await scene();
  relays(stage, 0, { refusal: { code: "unknown_op", reason: '"circuit" is unknown' } });
  const error = await failure(reach(stage).reached, "peer_unreachable");
  assert.match(error.message, /nor through the relay: The registry refused: it does not know this/);
});
