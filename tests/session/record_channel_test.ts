import assert from "node:assert/strict";
import { type Bytes, concat, EMPTY, fromHex, hex } from "../../lib/bytes.ts";
import { CipherState } from "../../lib/noise/cipher_state.ts";
import { TALOS_SUITE } from "../../lib/noise/suite.ts";
import { RecordChannel } from "../../lib/session/record_channel.ts";
import { memoryPair } from "../../lib/transport/memory.ts";
import { connectTcp, listenTcp } from "../../lib/transport/tcp.ts";
import { encodeRekey, FrameType, MAX_FRAME_BYTES } from "../../lib/wire/frames.ts";
import { SeededRandom } from "../../scripts/seeded_random.ts";
import { FaultyTransport, ScriptedTransport } from "../transport/faulty.ts";
import { turn } from "./fake_clock.ts";
import { channelsOver, failure, isSettled } from "./peers.ts";

const KIB = 1024;

/** Frames that no two tests confuse; none is REKEY. */
function frame(fill: number, length = 100): Bytes {
  return new Uint8Array(length).fill(fill);
}

/** Returns the bytes that a channel writes for `frames`, a record for each. */
async function sealed(frames: readonly Bytes[], recordsPerKey = 1000): Promise<Bytes> {
  const transport = new ScriptedTransport(new Uint8Array(0));
  const [channel] = channelsOver([transport, transport], [{ recordsPerKey }, {}]);
  for (const each of frames) {
    channel.enqueue(each);
    await channel.flush();
  }
  return transport.written;
}

/** Returns the bytes that a channel writes for `frames`, which are enqueued in one turn. */
async function sealedTogether(frames: readonly Bytes[]): Promise<Bytes> {
  const transport = new ScriptedTransport(new Uint8Array(0));
  const [channel] = channelsOver([transport, transport]);
  for (const each of frames) channel.enqueue(each);
  await channel.flush();
  return transport.written;
}

/** Returns a channel that reads `stream`, which its peer sealed. */
function reading(stream: Bytes, recordsPerKey = 1000): RecordChannel {
  const transport = new ScriptedTransport(stream);
  return channelsOver([transport, transport], [{}, { recordsPerKey }])[1];
}

/** Returns all frames until the stream ends. */
async function readAll(channel: RecordChannel): Promise<Bytes[]> {
  const frames: Bytes[] = [];
  do {
    for (let next = channel.nextFrame(); next !== null; next = channel.nextFrame()) {
      frames.push(next);
    }
  } while (await channel.fill());
  return frames;
}

Deno.test("RecordChannel carries frames of every size in order when they are sent at random", async () => {
  const random = new SeededRandom("records");
  const [near, far] = channelsOver(memoryPair());
  const sizes = [1, 2, 15, 16, 17, 2047, 2048, 2049, 4094, 4096, MAX_FRAME_BYTES];
  const frames = Array.from(
    { length: 300 },
    (_, i) => frame(i & 0x0f, i < sizes.length ? sizes[i]! : random.pick(sizes)),
  );
  const received = readAll(far);
  for (const each of frames) {
    const cut = random.below(each.length + 1);
    near.enqueue(each.subarray(0, cut), each.subarray(cut));
    if (!near.hasRoom) await near.whenWritten();
  }
  await near.closeWrite();
  assert.deepEqual((await received).map(hex), frames.map(hex));
});

Deno.test("RecordChannel seals the same bytes when a frame comes in parts, short or long", async () => {
  for (const length of [100, 5000]) {
    const parts = [frame(1, 22), frame(2, 0), frame(3, length)];
    assert.equal(hex(await sealed([concat(...parts)])), hex(await sealedInParts(parts)));
  }
});

async function sealedInParts(parts: readonly Bytes[]): Promise<Bytes> {
  const transport = new ScriptedTransport(new Uint8Array(0));
  const [channel] = channelsOver([transport, transport]);
  channel.enqueue(...parts);
  await channel.flush();
  return transport.written;
}

Deno.test("RecordChannel writes length, ciphertext and tag as published", async () => {
  // ChaCha20-Poly1305 under 32 bytes 01, nonces 0 and 1, no associated data.
  assert.equal(
    hex(await sealed([Uint8Array.of(0x1e), Uint8Array.of(1, 2, 3)])),
    "0011" + "1f" + "255439eea7fa49591015f8ed639051da" +
      "0013" + "4c3828" + "cd37d6680644c54805a3187a4640e9a5",
  );
});

Deno.test("enqueue() throws when a frame does not fit into a record", () => {
  const [near] = channelsOver(memoryPair());
  assert.throws(() => near.enqueue(new Uint8Array(MAX_FRAME_BYTES), new Uint8Array(1)), RangeError);
});

Deno.test("frames that are enqueued in one turn leave in one write", async () => {
  const [a, b] = memoryPair();
  const transport = new FaultyTransport(a);
  const [near, far] = channelsOver([transport, b]);
  for (let i = 0; i < 10; i++) near.enqueue(frame(i));
  assert.equal(transport.writes.length, 0);
  const received = readAll(far);
  await turn();
  assert.equal(transport.writes.length, 1);
  await near.closeWrite();
  assert.equal((await received).length, 10);
});

Deno.test("frames that are enqueued while a write is under way leave together in the next", async () => {
  const [a, b] = memoryPair();
  const transport = new FaultyTransport(a);
  const [near, far] = channelsOver([transport, b]);
  near.enqueue(frame(0));
  await turn();
  for (let i = 1; i < 10; i++) {
    near.enqueue(frame(i));
    await turn();
  }
  assert.equal(transport.writes.length, 1); // nobody reads yet
  const received = readAll(far);
  await near.closeWrite();
  assert.equal((await received).length, 10);
  assert.equal(transport.writes.length, 2);
});

Deno.test("hasRoom is false from 256 KiB on, until the write has finished", async () => {
  const [near, far] = channelsOver(memoryPair());
  while (near.queuedBytes < 256 * KIB) {
    assert.equal(near.hasRoom, true);
    near.enqueue(frame(1, 60_000));
  }
  assert.equal(near.hasRoom, false);
  assert.ok(near.queuedBytes < 256 * KIB + 60_018);
  assert.equal(await isSettled(near.whenWritten()), false);
  const received = readAll(far);
  await near.whenWritten();
  assert.equal(near.hasRoom, true);
  assert.equal(near.queuedBytes, 0);
  await near.whenWritten(); // at once
  await near.closeWrite();
  assert.equal((await received).length, 5);
});

Deno.test("a peer that reads nothing counts as dead when 2 MiB wait for it", async () => {
  const [a, b] = memoryPair();
  const transport = new FaultyTransport(a);
  const [near] = channelsOver([transport, b]);
  const filling = near.fill();
  for (let i = 0; i < 40; i++) near.enqueue(frame(1, 60_000));
  assert.ok(near.queuedBytes <= 2 * KIB * KIB + 60_018, `${near.queuedBytes}`);
  assert.match((await failure(filling, "connection_lost")).message, /the peer does not read/);
  assert.equal(transport.closed, true);
  near.close();
});

for (const chunkBytes of [1, 7]) {
  Deno.test(`RecordChannel reads frames when they trickle in by ${chunkBytes}`, async () => {
    const [a, b] = memoryPair();
    const [near, far] = channelsOver([new FaultyTransport(a, { chunkBytes }), b]);
    for (let i = 1; i <= 50; i++) near.enqueue(frame(i & 0x0f, i * 20));
    const received = readAll(far);
    await near.closeWrite();
    const lengths = (await received).map(({ length }) => length);
    assert.deepEqual(lengths, Array.from({ length: 50 }, (_, i) => (i + 1) * 20));
  });
}

Deno.test("RecordChannel reads full records wherever they begin in its buffer", async () => {
  // A short record shifts the long ones through the buffer; reads of odd sizes split them anywhere.
  for (let shift = 1; shift <= 40; shift++) {
    const frames = [
      frame(1, shift * 997),
      ...Array.from({ length: 9 }, () => frame(2, MAX_FRAME_BYTES)),
    ];
    const stream = await sealed(frames);
    const chunked = new FaultyTransport(new ScriptedTransport(stream), {
      chunkBytes: 60_000 + shift * 137,
    });
    const [, far] = channelsOver([chunked, chunked]);
    assert.deepEqual(
      (await readAll(far)).map((each) => each.length),
      frames.map((each) => each.length),
    );
  }
});

Deno.test("RecordChannel uses what was read behind the handshake first", async () => {
  const stream = await sealed([frame(1), frame(2), frame(3, 8000)]);
  for (const cut of [0, 1, 2, 50, 117, 118, 119, 236, 237, 5000]) {
    const transport = new ScriptedTransport(stream.slice(cut));
    const state = (fill: number) =>
      new CipherState(TALOS_SUITE.cipher, new Uint8Array(32).fill(fill));
    const channel = new RecordChannel(transport, { send: state(2), receive: state(1) }, {
      readAhead: stream.slice(0, cut),
    });
    assert.deepEqual((await readAll(channel)).map(({ length }) => length), [100, 100, 8000]);
  }
});

Deno.test("a record is refused when any of its bytes is changed, and nothing behind it is read", async () => {
  const stream = await sealed([frame(1, 40), frame(2)]);
  const record = 2 + 40 + 16;
  for (let at = 0; at < record; at++) {
    const altered = stream.slice();
    altered[at]! ^= 1 << (at % 8);
    const channel = reading(altered);
    if (at < 2) await refusedOrCut(channel);
    else {
      const error = await failure(readAll(channel), "protocol");
      assert.match(error.message, /it was altered, repeated or reordered/);
    }
    // It stays refused.
    if (at >= 2) assert.throws(() => channel.nextFrame(), { code: "protocol" });
  }
});

/** A changed length makes a record of other bytes, or one that never ends: no frame comes of it. */
async function refusedOrCut(channel: RecordChannel): Promise<void> {
  try {
    assert.deepEqual(await readAll(channel), []);
  } catch (error) {
    assert.equal((error as { code?: string }).code, "protocol", String(error));
  }
}

Deno.test("a stream that is cut anywhere gives whole frames only, then its end", async () => {
  const stream = await sealed([frame(1, 40), frame(2, 50)]);
  for (let length = 0; length < stream.length; length++) {
    const frames = await readAll(reading(stream.slice(0, length)));
    assert.deepEqual(
      frames.map((each) => each.length),
      length < 58 ? [] : [40],
      `cut at ${length}`,
    );
  }
});

Deno.test("a record is refused when it is repeated, left out or out of order", async () => {
  const frames = [frame(1, 40), frame(2, 40), frame(3, 40)];
  const stream = await sealed(frames);
  const [a, b, c] = [0, 58, 116].map((at) => stream.slice(at, at + 58));
  for (
    const [order, accepted] of [
      [[a, a, b], 1],
      [[b, a, c], 0],
      [[a, c], 1],
      [[a, b, a], 2],
    ] as const
  ) {
    const channel = reading(concat(...order.map((record) => record!)));
    await channel.fill();
    for (let i = 0; i < accepted; i++) assert.ok(channel.nextFrame() !== null);
    assert.throws(() => channel.nextFrame(), { code: "protocol" });
  }
});

Deno.test("a record sealed for the other direction is refused", async () => {
  const stream = await sealed([frame(1)]);
  const transport = new ScriptedTransport(stream);
  const [near] = channelsOver([transport, transport]);
  await failure(readAll(near), "protocol");
});

Deno.test("nextFrame() throws before the record is here when its length cannot be", async () => {
  for (const length of [0, 1, 16]) {
    const channel = reading(Uint8Array.of(0, length));
    await channel.fill();
    assert.throws(() => channel.nextFrame(), {
      code: "protocol",
      message: `Cannot read record: length is ${length}, expected 17 to 65535`,
    });
  }
});

Deno.test("nextFrame() throws before the record is here when it is longer than asked for", async () => {
  const stream = await sealed([frame(1, 984), frame(2, 985)]);
  const channel = reading(stream.slice(0, 1002 + 2));
  await channel.fill();
  assert.equal(channel.nextFrame(1000)?.length, 984);
  assert.throws(() => channel.nextFrame(1000), { message: /length is 1001, expected 17 to 1000/ });
});

Deno.test("both ends go on for thousands of records when keys last for few", async () => {
  const variant = { recordsPerKey: 3 };
  const [near, far] = channelsOver(memoryPair(), [variant, variant]);
  const received = [readAll(near), readAll(far)];
  for (let i = 0; i < 5000; i++) {
    near.enqueue(frame(1, 20));
    far.enqueue(frame(2, 20));
    if (!near.hasRoom) await near.whenWritten();
    if (!far.hasRoom) await far.whenWritten();
  }
  await Promise.all([near.closeWrite(), far.closeWrite()]);
  const [back, there] = await Promise.all(received);
  assert.equal(there?.length, 5000);
  assert.equal(back?.length, 5000);
});

Deno.test("REKEY is the last record under the old key", async () => {
  const stream = await sealed([frame(1, 40), frame(2, 40), frame(3, 40)], 2);
  assert.equal(stream.length, 3 * 58 + 19);
  // Without it the third record, sealed under the next key, does not open.
  const channel = reading(concat(stream.slice(0, 2 * 58), stream.slice(2 * 58 + 19)), 2);
  await channel.fill();
  assert.ok(channel.nextFrame() !== null && channel.nextFrame() !== null);
  assert.throws(() => channel.nextFrame(), { code: "protocol" });
});

Deno.test("a sender that does not rekey in time is refused", async () => {
  const channel = reading(await sealed([1, 2, 3, 4].map((fill) => frame(fill)), 1000), 3);
  await channel.fill();
  for (let i = 0; i < 3; i++) assert.ok(channel.nextFrame() !== null);
  assert.throws(() => channel.nextFrame(), { message: /the sender did not rekey in time/ });
});

Deno.test("a REKEY with anything behind it is refused", async () => {
  const channel = reading(await sealed([concat(encodeRekey(), Uint8Array.of(0))]));
  await channel.fill();
  assert.throws(() => channel.nextFrame(), { message: /REKEY is longer than its type/ });
});

Deno.test("a REKEY is refused before its time, and so is a second one", async () => {
  const early = reading(await sealed([frame(1), encodeRekey()]), 2);
  await early.fill();
  assert.ok(early.nextFrame() !== null);
  assert.throws(() => early.nextFrame(), { message: /REKEY came after 1 records/ });

  const sender = new CipherState(TALOS_SUITE.cipher, new Uint8Array(32).fill(1));
  const records: Bytes[] = [];
  for (const each of [frame(1, 1), encodeRekey(), encodeRekey()]) {
    records.push(Uint8Array.of(0, 17), sender.encryptWithAd(EMPTY, each));
    if (each[0] === FrameType.rekey) sender.rekey();
  }
  const twice = reading(concat(...records), 1);
  await twice.fill();
  assert.ok(twice.nextFrame() !== null);
  assert.throws(() => twice.nextFrame(), { message: /REKEY came after 0 records/ });
});

Deno.test("fill() reads as many bytes as it is told and throws when more would be needed", async () => {
  const stream = await sealed([frame(1, 40), frame(2, 40)]);
  const transport = new FaultyTransport(new ScriptedTransport(stream));
  const [, channel] = channelsOver([transport, transport]);
  assert.equal(await channel.fill(57), true);
  assert.equal(channel.nextFrame(), null);
  assert.equal(await channel.fill(58), true);
  assert.equal(channel.nextFrame()?.length, 40);
  const error = await failure(channel.fill(58), "protocol");
  assert.equal(error.message, "Cannot read record: it is not whole after 58 bytes");
  assert.equal(transport.readBytes, 58);
  assert.equal(transport.closed, true);
});

Deno.test("short frames of one turn share a record, behind a first one that stands alone", async () => {
  const stream = await sealedTogether([frame(1, 40), frame(2, 10), frame(3, 20), frame(4, 3000)]);
  // u16 length, frame, tag; then BUNDLE, two lengths, two frames; then the long one.
  assert.equal(stream.length, (2 + 40 + 16) + (2 + 1 + 2 + 10 + 2 + 20 + 16) + (2 + 3000 + 16));
  const channel = reading(stream);
  assert.deepEqual(
    (await readAll(channel)).map((each) => [each[0], each.length]),
    [[1, 40], [2, 10], [3, 20], [4, 3000]],
  );
});

Deno.test("a short frame that is alone in its turn stands in its record as it is", async () => {
  assert.equal(hex(await sealed([frame(1, 40)])), hex(await sealedTogether([frame(1, 40)])));
  assert.equal((await sealed([frame(1, 40), frame(2, 10)])).length, 58 + 28);
});

Deno.test("a BUNDLE is refused whose frames do not fill it or must stand alone", async () => {
  for (
    const [bundle, accepted] of [
      ["1e", 0],
      ["1e0001", 0],
      ["1e00", 0],
      ["1e0000", 0],
      ["1e00021205" + "0003aabb", 1],
      ["1e0001" + "1f", 0],
      ["1e0004" + "1e000112", 0],
    ] as const
  ) {
    const channel = reading(await sealed([frame(1, 40), fromHex(bundle)]));
    await channel.fill();
    for (let i = 0; i < 1 + accepted; i++) assert.ok(channel.nextFrame() !== null, bundle);
    assert.throws(() => channel.nextFrame(), { message: /its frames do not fill it/ }, bundle);
  }
});

Deno.test("a BUNDLE is refused in the first record, and in no later one", async () => {
  const bundle = fromHex("1e" + "0005" + "1200000001" + "0005" + "1200000002");
  const channel = reading(await sealed([bundle]));
  await channel.fill();
  assert.throws(() => channel.nextFrame(), {
    code: "protocol",
    message: "Cannot read record: the first one is a BUNDLE",
  });
  const later = reading(await sealed([frame(1, 40), bundle]));
  assert.equal((await readAll(later)).length, 3);
});

Deno.test("a write that fails is reported once the stream has been read to its end", async () => {
  const [a, b] = memoryPair();
  const [near, far] = channelsOver([new FaultyTransport(a, { failWrite: () => true }), b]);
  const received = readAll(near);
  near.enqueue(frame(1));
  await turn();
  assert.equal(near.hasRoom, false);
  assert.equal(await isSettled(near.whenWritten()), false);
  near.enqueue(frame(2)); // nothing happens
  far.enqueue(frame(3));
  assert.equal(await isSettled(received), false);
  await far.closeWrite();
  const error = await failure(received, "connection_lost");
  assert.match(String(error.cause), /as the test says/);
});

Deno.test("what the other end said last is read when it is gone before our write", async () => {
  const [a, b] = memoryPair();
  const [near, far] = channelsOver([a, b]);
  far.enqueue(frame(1));
  const closing = far.closeWrite();
  await near.fill();
  await closing;
  far.close();
  near.enqueue(frame(2));
  await near.flush();
  assert.deepEqual(near.nextFrame(), frame(1));
  await failure(near.fill(), "connection_lost");
});

Deno.test("a read that fails ends the channel with connection_lost", async () => {
  const transport = new ScriptedTransport(new Uint8Array(0));
  transport.read = () => Promise.reject(new Error("no carrier"));
  const [near] = channelsOver([transport, transport]);
  await failure(near.fill(), "connection_lost");
  assert.equal(transport.closed, true);
  assert.throws(() => near.nextFrame(), { code: "connection_lost" });
});

Deno.test("closeWrite() ends our direction behind what was enqueued and leaves the other", async () => {
  const [near, far] = channelsOver(memoryPair());
  near.enqueue(frame(1));
  const there = readAll(far);
  await near.closeWrite();
  near.enqueue(frame(2)); // dropped
  assert.equal((await there).length, 1);
  const back = readAll(near);
  far.enqueue(frame(3));
  await far.closeWrite();
  assert.equal((await back).length, 1);
  await near.closeWrite();
});

Deno.test("close() drops what is queued, ends reading and is final", async () => {
  const [near, far] = channelsOver(memoryPair());
  const filling = near.fill();
  near.enqueue(frame(1));
  near.close();
  near.close();
  assert.equal(await filling, false);
  assert.equal(near.nextFrame(), null);
  assert.equal(await near.fill(), false);
  near.enqueue(frame(2));
  await near.flush();
  await near.closeWrite();
  assert.deepEqual(await readAll(far), []);
});

Deno.test("close() gives no frame any more when some were here already", async () => {
  const channel = reading(await sealed([frame(1), frame(2)]));
  await channel.fill();
  assert.ok(channel.nextFrame() !== null);
  channel.close();
  assert.equal(channel.nextFrame(), null);
});

Deno.test("drain() reads no more than it was told, and ends at the end of the stream", async () => {
  const much = new FaultyTransport(new ScriptedTransport(new Uint8Array(1_000_000)));
  const [near] = channelsOver([much, much]);
  await near.drain(4096);
  assert.equal(much.readBytes, 2 * 4096);
  const little = new FaultyTransport(new ScriptedTransport(new Uint8Array(10)));
  const [other] = channelsOver([little, little]);
  await other.drain(4096);
  assert.equal(little.readBytes, 10);
});

Deno.test("trim() gives buffers back and loses nothing, whatever is under way", async () => {
  const [a, b] = memoryPair();
  const [near, far] = channelsOver([new FaultyTransport(a, { chunkBytes: 1000 }), b]);
  const received = readAll(far);
  for (let i = 0; i < 40; i++) {
    near.enqueue(frame(3, 30_000));
    near.trim();
    far.trim();
    if (i % 3 === 0) await near.flush();
    near.trim();
    far.trim();
    await turn();
    far.trim();
  }
  await near.closeWrite();
  assert.deepEqual((await received).map(({ length }) => length), Array(40).fill(30_000));
});

Deno.test("a channel that is idle holds 12 KiB, and one that was trimmed as little again", async () => {
  using listener = listenTcp({ host: "127.0.0.1", port: 0 });
  const accepting = listener[Symbol.asyncIterator]().next();
  const a = await connectTcp(listener.address);
  const { value: b } = await accepting;
  assert.ok(b !== undefined);
  const sizes: number[] = [];
  const watched = new FaultyTransport(b);
  const read = watched.read.bind(watched);
  watched.read = (into) => {
    sizes.push(into.buffer.byteLength);
    return read(into);
  };
  const [near, far] = channelsOver([a, watched]);
  const received = readAll(far);
  near.enqueue(frame(1, 60_000));
  await near.flush();
  while (sizes.length < 3) await turn();
  far.trim();
  near.enqueue(frame(1, 10)); // ends the pending read
  await near.flush();
  const before = sizes.length;
  while (sizes.length === before) await turn();
  await near.closeWrite();
  await received;
  near.close();
  far.close();
  assert.equal(sizes[0], 4096);
  assert.equal(Math.max(...sizes), 4 * 65_537);
  assert.equal(sizes.at(-1), 4096);
});
