import assert from "node:assert/strict";
import { type Bytes, fromUtf8, utf8 } from "../../lib/bytes.ts";
import { TransportError } from "../../lib/transport/errors.ts";
import { memoryPair } from "../../lib/transport/memory.ts";
import type { Transport } from "../../lib/transport/transport.ts";
import { splice, SpliceEnd } from "../../registry/splice.ts";
import { FakeClock, turn } from "../session/fake_clock.ts";
import { isSettled } from "../session/peers.ts";

const IDLE_MS = 60_000;

/** Two peers with a splice between them. */
function scene(admit: (count: number) => Promise<void> | null = () => null) {
  const clock = new FakeClock();
  const [one, near] = memoryPair();
  const [other, far] = memoryPair();
  let passed = 0;
  const ended = splice(new SpliceEnd(near), new SpliceEnd(far), {
    idleMs: IDLE_MS,
    clock,
    admit,
    passed: (count) => {
      passed += count;
    },
  });
  return { clock, one, other, ended, passed: () => passed };
}

async function read(transport: Transport): Promise<string | null> {
  const buffer: Bytes = new Uint8Array(100_000);
  const count = await transport.read(buffer);
  return count === null ? null : fromUtf8(buffer.slice(0, count));
}

Deno.test("splice() passes bytes both ways, and tells how many", async () => {
  const { one, other, ended, passed, clock } = scene();
  const writing = one.write(utf8("there"));
  assert.equal(await read(other), "there");
  await writing;
  const answering = other.write(utf8("and back"));
  assert.equal(await read(one), "and back");
  await answering;
  await turn();
  assert.equal(passed(), 13);
  one.close();
  other.close();
  await ended;
  assert.equal(clock.timers, 0);
});

Deno.test("splice() passes the end of one direction on, and the other direction goes on", async () => {
  const { one, other, ended } = scene();
  const writing = one.write(utf8("last words"));
  assert.equal(await read(other), "last words");
  await writing;
  await one.closeWrite();
  assert.equal(await read(other), null);
  const answering = other.write(utf8("an answer"));
  assert.equal(await read(one), "an answer");
  await answering;
  assert.equal(await isSettled(ended), false);
  await other.closeWrite();
  assert.equal(await read(one), null);
  assert.equal(await ended, "done");
});

Deno.test("splice() holds one buffer and no more when the other end does not read", async () => {
  const { one, other, ended } = scene();
  const sent: Bytes = new Uint8Array(10 * 32 * 1024).fill(7);
  const writing = one.write(sent);
  await turn();
  assert.equal(await isSettled(writing), false);
  // What is written is taken when somebody reads: a memory pair holds nothing, so the rest waits with us.
  let got = 0;
  while (got < 32 * 1024) got += (await read(other))?.length ?? 0;
  await turn();
  assert.equal(got, 32 * 1024);
  assert.equal(await isSettled(writing), false);
  while (got < sent.length) got += (await read(other))?.length ?? 0;
  await writing;
  one.close();
  other.close();
  await ended;
});

Deno.test("splice() reads nothing more while bytes are not admitted", async () => {
  const gate = Promise.withResolvers<void>();
  const { one, other, ended } = scene(() => gate.promise);
  const writing = one.write(utf8("slow"));
  const reading = read(other);
  await turn();
  assert.equal(await isSettled(reading), false);
  gate.resolve();
  assert.equal(await reading, "slow");
  await writing;
  one.close();
  other.close();
  await ended;
});

Deno.test("splice() ends both ends when nothing came for a minute, and not when one side speaks", async () => {
  const { one, other, ended, clock } = scene();
  await clock.advance(IDLE_MS - 1);
  const writing = one.write(utf8("."));
  assert.equal(await read(other), ".");
  await writing;
  await clock.advance(IDLE_MS - 1);
  assert.equal(await isSettled(ended), false);
  await clock.advance(1);
  assert.equal(await ended, "idle");
  assert.equal(await read(one), null);
  assert.equal(await read(other), null);
  assert.equal(clock.timers, 0);
});

Deno.test("splice() closes the other end when one breaks", async () => {
  const [one, near] = memoryPair();
  const [other, far] = memoryPair();
  const reset: Transport = {
    ...plain(near),
    read: () => Promise.reject(new TransportError("broken", "reset")),
  };
  const clock = new FakeClock();
  const ended = splice(new SpliceEnd(reset), new SpliceEnd(far), {
    idleMs: IDLE_MS,
    clock,
    admit: () => null,
    passed() {},
  });
  assert.equal(await read(other), null);
  assert.equal(await ended, "broken");
  assert.equal(await read(one), null);
  assert.equal(clock.timers, 0);
});

Deno.test("SpliceEnd.left resolves when its peer leaves, and not when it speaks", async () => {
  const [one, near] = memoryPair();
  const silent = new SpliceEnd(near);
  assert.equal(await isSettled(silent.left), false);
  one.close();
  assert.equal(await isSettled(silent.left), true);

  const [two, far] = memoryPair();
  const eager = new SpliceEnd(far);
  await two.write(utf8("early"));
  assert.equal(await isSettled(eager.left), false);
  assert.equal(fromUtf8(await eager.next() ?? utf8("")), "early");
});

function plain(transport: Transport): Transport {
  return {
    path: transport.path,
    read: (into) => transport.read(into),
    write: (bytes) => transport.write(bytes),
    closeWrite: () => transport.closeWrite(),
    close: () => transport.close(),
    [Symbol.dispose]: () => transport.close(),
  };
}
