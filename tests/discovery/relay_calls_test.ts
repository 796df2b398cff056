import assert from "node:assert/strict";
import { type Bytes, fromUtf8, utf8 } from "../../lib/bytes.ts";
import { DiscoveryError, type DiscoveryErrorCode } from "../../lib/discovery/errors.ts";
import { joinCircuit, nodeAddress } from "../../lib/discovery/join_circuit.ts";
import { RegistryClient } from "../../lib/discovery/registry_client.ts";
import { RelayCalls } from "../../lib/discovery/relay_calls.ts";
import { TransportError } from "../../lib/transport/errors.ts";
import { memoryPair } from "../../lib/transport/memory.ts";
import type { Transport } from "../../lib/transport/transport.ts";
import { encodeInvitation, encodeLegOpening } from "../../lib/wire/circuit.ts";
import { encodeRegistryFrame } from "../../lib/wire/registry_frames.ts";
import { FakeClock, turn } from "../session/fake_clock.ts";
import { ALICE, isSettled, MALLORY } from "../session/peers.ts";
import { ADDRESS, scene } from "./fake_registry.ts";

const TOKEN: Bytes = new Uint8Array(32).fill(5);
const LEG = { token: TOKEN, node: "registry" };

/** Joins a circuit at a node that does what a test wants once it has read the opening. */
function join(node: (transport: Transport) => Promise<void>) {
  const clock = new FakeClock();
  const [near, far] = memoryPair();
  const opening: Bytes = new Uint8Array(40);
  const serving = far.read(opening).then(() => node(far));
  const joining = joinCircuit(LEG, {
    registry: ADDRESS,
    source: "relayed somebody",
    connect: () => Promise.resolve(near),
    clock,
  });
  joining.catch(() => {}); // looked at later
  return { clock, joining, opening, serving, far };
}

async function failure(work: Promise<unknown>, code: DiscoveryErrorCode): Promise<string> {
  try {
    await work;
  } catch (error) {
    assert.ok(error instanceof DiscoveryError, String(error));
    assert.equal(error.code, code, error.message);
    return error.message;
  }
  assert.fail("it succeeded");
}

Deno.test("joinCircuit() is a relayed transport when the node says that the peer is there", async () => {
  const { joining, opening, serving, far, clock } = join((far) => far.write(Uint8Array.of(0)));
  const transport = await joining;
  await serving;
  assert.deepEqual(opening, encodeLegOpening(TOKEN));
  assert.deepEqual(transport.path, {
    kind: "relay",
    remote: "registry.test:8765",
    source: "relayed somebody",
  });
  const writing = transport.write(utf8("hello"));
  const buffer: Bytes = new Uint8Array(10);
  assert.equal(await far.read(buffer), 5);
  await writing;
  assert.equal(fromUtf8(buffer.slice(0, 5)), "hello");
  assert.equal(clock.timers, 0);
});

for (
  const [status, code, text] of [
    [1, "relay_failed", /does not know this call/],
    [2, "peer_away", /did not come there in time/],
    [3, "peer_declined", /does not take calls/],
    [4, "relay_failed", /no more calls now/],
    [5, "relay_failed", /being stopped/],
    [99, "relay_failed", /does not say that the peer is there/],
  ] as const
) {
  Deno.test(`joinCircuit() fails with ${code} when the node answers ${status}`, async () => {
    const { joining, far } = join((far) => far.write(Uint8Array.of(status)));
    assert.match(await failure(joining, code), text);
    assert.equal(await far.read(new Uint8Array(1)), null);
  });
}

Deno.test("joinCircuit() fails when the node hangs up, is silent, or is not reached", async () => {
  const gone = join((far) => Promise.resolve(far.close()));
  await failure(gone.joining, "relay_failed");
  const silent = join(() => Promise.resolve());
  await silent.clock.advance(11_999);
  assert.equal(await isSettled(silent.joining), false);
  await silent.clock.advance(1);
  assert.match(await failure(silent.joining, "relay_failed"), /no answer in time/);
  const refused = joinCircuit(LEG, {
    registry: ADDRESS,
    source: "",
    connect: () =>
      Promise.reject(new TransportError("refused", "Cannot connect to a:1: nothing listens there")),
    clock: new FakeClock(),
  });
  assert.equal(
    await failure(refused, "relay_failed"),
    "Cannot use the relay registry.test:8765: nothing listens there",
  );
});

Deno.test("nodeAddress() is the registry's own, and nothing that somebody names", () => {
  assert.equal(nodeAddress(ADDRESS, "registry"), ADDRESS);
  for (const node of ["127.0.0.1:22", "10.0.0.1:8765", "registry.test:8765", ""]) {
    assert.throws(() => nodeAddress(ADDRESS, node), DiscoveryError);
  }
});

/** A callee that knows ALICE alone, and its control connection. */
async function callee() {
  const stage = await scene();
  const taken: Transport[] = [];
  const calls = new RelayCalls({
    expects: (peer) => peer === ALICE.peerId,
    take: (transport) => taken.push(transport),
    registry: ADDRESS,
    connect: stage.registry.connect,
    clock: stage.clock,
    log: stage.log,
  });
  const client = await RegistryClient.connect({
    ...stage.options,
    onInvitation: (invitation, client) => calls.invited(invitation, client),
  });
  const invite = async (caller = ALICE.peerId, node = "registry") => {
    const body = encodeInvitation({ caller, token: TOKEN, node });
    await stage.registry.send(encodeRegistryFrame("event", body));
    for (let i = 0; i < 10; i++) await turn();
  };
  return {
    ...{ stage, taken, calls, client, invite },
    async [Symbol.asyncDispose]() {
      calls[Symbol.dispose]();
      await client[Symbol.asyncDispose]();
      await stage[Symbol.asyncDispose]();
    },
  };
}

Deno.test("RelayCalls takes the call of a peer that it expects", async () => {
  await using there = await callee();
  const over = Promise.withResolvers<void>();
  there.stage.registry.leg = async (token, transport) => {
    assert.deepEqual(token, TOKEN);
    await transport.write(Uint8Array.of(0));
    await over.promise;
  };
  await there.invite();
  const [transport] = there.taken;
  assert.deepEqual(transport?.path, {
    kind: "relay",
    remote: "registry.test:8765",
    source: `relayed ${ALICE.peerId}`,
  });
  assert.deepEqual(there.stage.registry.of("decline"), []);
  transport?.close();
  over.resolve();
});

Deno.test("RelayCalls declines a caller that would be refused, and dials nothing for it", async () => {
  await using there = await callee();
  const connects = there.stage.registry.connects;
  await there.invite(MALLORY.peerId);
  assert.deepEqual(there.stage.registry.of("decline"), [
    { op: "decline", token: TOKEN, reason: "declined" },
  ]);
  assert.equal(there.stage.registry.connects, connects);
});

Deno.test("RelayCalls dials no node that is not in the registry's list", async () => {
  await using there = await callee();
  const connects = there.stage.registry.connects;
  await there.invite(ALICE.peerId, "10.0.0.1:22");
  assert.equal(there.stage.registry.connects, connects);
  assert.deepEqual(there.taken, []);
});

Deno.test("RelayCalls says that it is busy when one caller calls more than 60 times a minute", async () => {
  await using there = await callee();
  for (let i = 0; i < 60; i++) await there.invite();
  assert.equal(there.stage.registry.of("decline").length, 0);
  await there.invite();
  assert.deepEqual(there.stage.registry.of("decline").map(({ reason }) => reason), ["busy"]);
  await there.stage.clock.advance(1_000);
  await there.invite();
  assert.equal(there.stage.registry.of("decline").length, 1);
});

Deno.test("RelayCalls follows nothing any more when it is disposed", async () => {
  await using there = await callee();
  there.stage.registry.leg = () => new Promise(() => {});
  await there.invite();
  there.calls[Symbol.dispose]();
  const connects = there.stage.registry.connects;
  await there.invite();
  assert.equal(there.stage.registry.connects, connects);
  assert.deepEqual(there.taken, []);
});
