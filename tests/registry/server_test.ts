import assert from "node:assert/strict";
import { type Bytes, concat, EMPTY, fromHex, hex } from "../../lib/bytes.ts";
import { MAX_HALF_OPEN_PER_SOURCE } from "../../lib/limits.ts";
import { memoryPair } from "../../lib/transport/memory.ts";
import type { Transport } from "../../lib/transport/transport.ts";
import { FakeClock } from "../session/fake_clock.ts";
import { ALICE, HOST } from "../session/peers.ts";
import { instanceOf, RawClient } from "./raw_client.ts";
import { registryAt, type TestRegistry } from "./test_registry.ts";

const PREFACE = { peer: "54414c4f53010000", whoAreYou: "54414c4f53010200" };

/** Returns the caller's end of a connection to `registry`. */
function callerOf({ registry }: TestRegistry): Transport {
  const [caller, callee] = memoryPair();
  registry.accept(callee);
  return caller;
}

/** Returns everything that comes until the stream ends. */
async function readToEnd(transport: Transport): Promise<Bytes> {
  let all = EMPTY;
  const buffer = new Uint8Array(256);
  for (;;) {
    const count = await transport.read(buffer);
    if (count === null) return all;
    all = concat(all, buffer.subarray(0, count));
  }
}

Deno.test("Registry says who it is when its preface comes byte by byte", async () => {
  await using registry = registryAt(new FakeClock());
  using transport = callerOf(registry);
  for (const byte of fromHex(PREFACE.whoAreYou)) await transport.write(Uint8Array.of(byte));
  assert.equal(hex(await readToEnd(transport)), PREFACE.whoAreYou + hex(HOST.publicKey));
});

Deno.test("Registry says nothing when a caller wants a peer", async () => {
  await using registry = registryAt(new FakeClock());
  using transport = callerOf(registry);
  await transport.write(fromHex(PREFACE.peer));
  assert.deepEqual(await readToEnd(transport), EMPTY);
});

Deno.test("Registry says nothing when a handshake is for another key", async () => {
  const clock = new FakeClock();
  await using registry = registryAt(clock);
  using transport = callerOf(registry);
  await transport.write(concat(fromHex("54414c4f53010100"), Uint8Array.of(0, 200)));
  await transport.write(new Uint8Array(200));
  assert.deepEqual(await readToEnd(transport), EMPTY);
});

for (const sent of ["", "54414c", PREFACE.whoAreYou]) {
  Deno.test(`Registry ends a connection after 10 s when it got "${sent}" and no end`, async () => {
    const clock = new FakeClock();
    await using registry = registryAt(clock);
    using transport = callerOf(registry);
    if (sent !== "") await transport.write(fromHex(sent));
    const ended = readToEnd(transport);
    let over = false;
    ended.then(() => over = true);
    await clock.advance(9_999);
    // An answer ends our direction at once; the place is held until the caller leaves.
    assert.equal(over, sent === PREFACE.whoAreYou);
    await clock.advance(1);
    assert.equal(over, true);
    await assert.rejects(transport.write(Uint8Array.of(1)), { code: "broken" });
    assert.equal(clock.timers, 0);
  });
}

Deno.test("Registry bounds half-open connections when one source opens many", async () => {
  const clock = new FakeClock();
  await using registry = registryAt(clock);
  const callers = Array.from(
    { length: MAX_HALF_OPEN_PER_SOURCE },
    () => callerOf(registry),
  );
  using tooMany = callerOf(registry);
  assert.deepEqual(await readToEnd(tooMany), EMPTY);
  callers[0]?.close();
  await clock.advance(0);
  using next = callerOf(registry);
  await next.write(fromHex(PREFACE.whoAreYou));
  assert.equal((await readToEnd(next)).length, 40);
  for (const caller of callers) caller.close();
});

Deno.test("Registry ends what is under way when it is disposed of", async () => {
  const registry = registryAt(new FakeClock());
  using transport = callerOf(registry);
  await registry[Symbol.asyncDispose]();
  assert.deepEqual(await readToEnd(transport), EMPTY);
  using late = callerOf(registry);
  assert.deepEqual(await readToEnd(late), EMPTY);
});

Deno.test("Registry gives the place of a half-open connection back when HELLO was said", async () => {
  await using registry = registryAt(new FakeClock());
  const clients: RawClient[] = [];
  for (let i = 0; i <= MAX_HALF_OPEN_PER_SOURCE; i++) {
    clients.push(await registry.enter(ALICE, { instance: instanceOf(String(i)) }));
  }
  for (const client of clients) {
    await client.ask({ op: "list", limit: 1 });
    client[Symbol.dispose]();
  }
});

Deno.test("Registry drops connections unread when one address makes too many", async () => {
  const clock = new FakeClock();
  const limits = { connects: { burst: 2, perMinute: 6 } };
  await using registry = registryAt(clock, { limits });
  const reached = async (from: string): Promise<boolean> => {
    using caller = registry.reach(from);
    const asked = await caller.write(fromHex(PREFACE.whoAreYou)).then(() => true, () => false);
    await caller.closeWrite();
    return asked && (await readToEnd(caller)).length === 40;
  };
  assert.deepEqual(
    [await reached("192.0.2.1"), await reached("192.0.2.1"), await reached("192.0.2.1")],
    [true, true, false],
  );
  assert.equal(await reached("192.0.2.2"), true);
  await clock.advance(10_000);
  assert.equal(await reached("192.0.2.1"), true);
  assert.match(
    await registry.registry.metrics.all.text(),
    /^talos_registry_connections_total\{outcome="dropped"\} 1$/m,
  );
});

Deno.test("Registry says nothing when a handshake message is replayed", async () => {
  const clock = new FakeClock();
  await using registry = registryAt(clock);
  const transport = registry.reach();
  let message1: Bytes = EMPTY;
  const recording: Transport = {
    path: transport.path,
    read: (into) => transport.read(into),
    write(bytes) {
      if (message1.length === 0) message1 = bytes.slice();
      return transport.write(bytes);
    },
    closeWrite: () => transport.closeWrite(),
    close: () => transport.close(),
    [Symbol.dispose]: () => transport.close(),
  };
  const at = { port: 0, peer: HOST.peerId };
  using _client = await RawClient.enter(at, ALICE, { transport: recording, clock });
  assert.ok(message1.length > 1_184);
  using replaying = registry.reach("192.0.2.66");
  await replaying.write(message1);
  assert.deepEqual(await readToEnd(replaying), EMPTY);
});
