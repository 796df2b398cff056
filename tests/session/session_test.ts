import assert from "node:assert/strict";
import { type Bytes, concat, equalBytes, fromUtf8, utf8 } from "../../lib/bytes.ts";
import { systemClock } from "../../lib/clock.ts";
import { encodeOpen, encodeOpened, encodeReason } from "../../lib/session/bodies.ts";
import { SessionError } from "../../lib/session/errors.ts";
import { ReplayBudget } from "../../lib/session/replay_budget.ts";
import { NORMAL_CLOSE, Session } from "../../lib/session/session.ts";
import { memoryPair } from "../../lib/transport/memory.ts";
import { connectTcp, listenTcp } from "../../lib/transport/tcp.ts";
import type { Transport } from "../../lib/transport/transport.ts";
import { encodeAck, encodeControl, encodePing } from "../../lib/wire/frames.ts";
import { SeededRandom } from "../../scripts/seeded_random.ts";
import { FaultyTransport } from "../transport/faulty.ts";
import { FakeClock, turn } from "./fake_clock.ts";
import {
  channelsOver,
  connectionOver,
  dataFrame,
  failure,
  framesSoFar,
  framesToEnd,
  HOST,
  isSettled,
  nextFrame,
  openBody,
  openedBody,
  rawHost,
  rawInitiator,
  receiveTexts,
  sessionPair,
} from "./peers.ts";

const KIB = 1024;
const MIB = 1024 * KIB;

async function closeBoth(sessions: readonly Session[]): Promise<void> {
  await Promise.all(sessions.map((session) => session.close()));
}

/** Returns what a raw peer gets next that is DATA. */
async function nextData(channel: Parameters<typeof nextFrame>[0]) {
  for (;;) {
    const frame = await nextFrame(channel);
    if (frame.type === "data") return frame;
  }
}

/** Two transports that are connected by TCP. */
async function tcpPair(): Promise<readonly [Transport, Transport]> {
  using listener = listenTcp({ host: "127.0.0.1", port: 0 });
  const accepting = listener[Symbol.asyncIterator]().next();
  const near = await connectTcp(listener.address);
  const { value: far } = await accepting;
  assert.ok(far !== undefined);
  return [near, far];
}

// Messages.

Deno.test("messages of both directions arrive whole and in order, whatever their sizes", async () => {
  const random = new SeededRandom("session");
  const pair = await sessionPair({
    open: { maxMessage: 300_000 },
    opened: { maxMessage: 300_000 },
  });
  const sizes = [0, 1, 1023, 1024, 2816, 65_497, 65_498, 131_000, 300_000];
  const messages = Array.from({ length: 120 }, () => random.bytes(random.pick(sizes)));
  const send = async (session: Session) => {
    for (const message of messages) await session.send(message);
  };
  const receive = async (session: Session) => {
    for (const message of messages) {
      const received = await session.receive();
      assert.ok(received !== null && equalBytes(received, message));
    }
  };
  await Promise.all([send(pair[0]), send(pair[1]), receive(pair[0]), receive(pair[1])]);
  const bytes = messages.reduce((sum, { length }) => sum + length, 0);
  for (const session of pair) {
    assert.deepEqual(session.counts, {
      messagesSent: 120,
      messagesReceived: 120,
      bytesSent: bytes,
      bytesReceived: bytes,
      resumptions: 0,
    });
  }
  await closeBoth(pair);
});

Deno.test("messages leave in the order of the calls when nobody awaits them", async () => {
  const pair = await sessionPair();
  const sent = Array.from({ length: 2000 }, (_, i) => `${i} ${"x".repeat((i * 37) % 3000)}`);
  const sending = Promise.all(sent.map((text) => pair[0].send(utf8(text))));
  assert.deepEqual(await receiveTexts(pair[1], sent.length), sent);
  await sending;
  await closeBoth(pair);
});

Deno.test("a message of 64 MiB arrives over TCP while small ones go the other way", async () => {
  const limit = { maxMessage: 64 * MIB };
  const transports = await tcpPair();
  const pair = await sessionPair({ clock: systemClock, transports, open: limit, opened: limit });
  const large = new Uint8Array(64 * MIB);
  for (let at = 0; at < large.length; at += 4093) large[at] = at;
  const [received] = await Promise.all([
    pair[1].receive(),
    pair[0].send(large),
    (async () => {
      for (let i = 0; i < 100; i++) {
        await pair[1].send(utf8(String(i)));
        assert.equal(fromUtf8((await pair[0].receive())!), String(i));
      }
    })(),
  ]);
  assert.ok(received !== null && equalBytes(received, large));
  await closeBoth(pair);
});

Deno.test("sessions go on for thousands of records when keys last for few", async () => {
  const variant = { recordsPerKey: 5 };
  const pair = await sessionPair({ channels: [variant, variant] });
  for (const [from, to] of [[pair[0], pair[1]], [pair[1], pair[0]]] as const) {
    const sending = (async () => {
      for (let i = 0; i < 3000; i++) await from.send(utf8(String(i)));
    })();
    assert.equal((await receiveTexts(to, 3000)).at(-1), "2999");
    await sending;
  }
  await closeBoth(pair);
});

Deno.test("sessions work when every byte travels alone", async () => {
  const [a, b] = memoryPair();
  const chunkBytes = 1;
  const transports = [
    new FaultyTransport(a, { chunkBytes }),
    new FaultyTransport(b, { chunkBytes }),
  ];
  const pair = await sessionPair({ transports: [transports[0]!, transports[1]!] });
  await pair[0].send(utf8("ping"));
  assert.deepEqual(await receiveTexts(pair[1], 1), ["ping"]);
  await pair[1].send(utf8("pong"));
  assert.deepEqual(await receiveTexts(pair[0], 1), ["pong"]);
  await closeBoth(pair);
});

Deno.test("a message beyond the peer's limit fails alone, and the session lives", async () => {
  const pair = await sessionPair({ opened: { maxMessage: 5000 } });
  const error = await failure(pair[0].send(new Uint8Array(5001)), "message_too_large");
  assert.equal(error.message, "Cannot send message: it has 5001 bytes, the peer takes 5000");
  assert.equal(pair[0].counts.messagesSent, 0);
  await pair[0].send(new Uint8Array(5000));
  assert.equal((await pair[1].receive())?.length, 5000);
  await closeBoth(pair);
});

Deno.test("an announced limit must be one that every peer accepts", async () => {
  const [near, far] = channelsOver(memoryPair());
  const clock = new FakeClock();
  for (const maxMessage of [0, 3071, 2 ** 31 + 1, NaN]) {
    assert.throws(
      () => Session.open(connectionOver(near, HOST), openBody({ maxMessage }), clock),
      RangeError,
    );
    const opened = openedBody({ maxMessage });
    assert.throws(
      () => Session.accept(connectionOver(far, HOST), openBody(), opened, clock),
      RangeError,
    );
  }
  assert.equal(clock.timers, 0);
  const pair = await sessionPair({ open: { maxMessage: 3072 }, opened: { maxMessage: 2 ** 31 } });
  await closeBoth(pair);
});

// Before the session is granted.

Deno.test("short messages leave behind OPEN at once, and no more than 3 KiB with their costs", async () => {
  const { channel, session } = await rawHost();
  for (let i = 0; i < 20; i++) await session.send(new Uint8Array(100).fill(i));
  const frames = await framesSoFar(channel);
  assert.equal(frames.length, Math.floor(3072 / 356));
  assert.ok(frames.every((frame) => frame.type === "data" && !frame.more));
  channel.enqueue(encodeOpened(openedBody()));
  channel.enqueue(encodeAck(0, 65_536));
  for (let i = frames.length; i < 20; i++) {
    const frame = await nextData(channel);
    assert.deepEqual([frame.seq, frame.bytes[0]], [i + 1, i]);
  }
  session.abort(new Error("enough"));
});

Deno.test("a message too long for early data waits until the session is granted, and keeps its place", async () => {
  const { channel, session } = await rawHost();
  const sends = [
    session.send(utf8("first")),
    session.send(new Uint8Array(2817)), // with its cost of 256 one byte beyond 3,072
    session.send(utf8("last")),
  ];
  assert.equal((await nextData(channel)).seq, 1);
  assert.deepEqual(await Promise.all(sends.map(isSettled)), [true, false, false]);
  channel.enqueue(encodeOpened(openedBody()));
  channel.enqueue(encodeAck(1, 65_536));
  const [large, small] = [await nextData(channel), await nextData(channel)];
  assert.deepEqual([large.seq, large.more, large.bytes.length], [2, false, 2817]);
  assert.deepEqual([small.seq, fromUtf8(small.bytes)], [3, "last"]);
  await Promise.all(sends);
  session.abort(new Error("enough"));
});

Deno.test("a message beyond the limit fails alone when the limit becomes known, and those behind it leave", async () => {
  const { channel, session } = await rawHost();
  const large = session.send(new Uint8Array(10_000));
  const small = session.send(utf8("small"));
  channel.enqueue(encodeOpened(openedBody({ maxMessage: 5000 })));
  channel.enqueue(encodeAck(0, 65_536));
  await failure(large, "message_too_large");
  await small;
  assert.equal(fromUtf8((await nextData(channel)).bytes), "small");
  session.abort(new Error("enough"));
});

Deno.test("opened, send() and receive() fail with the reason when the session is refused", async () => {
  for (
    const [code, expected] of [
      ["unauthorized", "unauthorized"],
      ["unknown_service", "unknown_service"],
      ["service_failed", "service_failed"],
      ["busy", "busy"],
      ["surprise", "protocol"],
    ] as const
  ) {
    const { channel, session } = await rawHost();
    const waits = [session.opened, session.send(new Uint8Array(10_000)), session.receive()];
    const failures = Promise.all(waits.map((wait) => failure(wait, expected)));
    channel.enqueue(encodeReason("refused", { code, reason: "because\u0007 of\nthis" }));
    for (const error of await failures) {
      assert.match(error.message, /: because\ufffd of\ufffdthis$/);
    }
    await failure(session.send(utf8("x")), expected);
    await failure(session.receive(), expected);
    await session.ended;
    await session.close();
  }
});

Deno.test("opened rejects when the connection is lost before any answer", async () => {
  const { session, transports } = await rawHost();
  transports[1].close();
  await failure(session.opened, "connection_lost");
  await failure(session.receive(), "connection_lost");
});

Deno.test("a session that cannot dial ends with its connection, however long the host would keep it", async () => {
  const clock = new FakeClock();
  const { channel, session, transports } = await rawHost({ clock });
  channel.enqueue(encodeOpened(openedBody({ detachTimeoutMs: 60_000 })));
  await session.opened;
  transports[1].close();
  await failure(session.receive(), "connection_lost");
  assert.equal(session.state, "ended");
  assert.equal(clock.timers, 0);
});

Deno.test("reopen(), resume() and moveTo() throw TypeError at the end that cannot do them", async () => {
  const [near, far] = await sessionPair();
  const [channel] = channelsOver(memoryPair());
  const connection = connectionOver(channel, HOST);
  const resume = { id: new Uint8Array(16), instance: new Uint8Array(16), attempt: 1, next: 1 };
  assert.throws(() => near.resume(connection, resume), TypeError);
  assert.throws(() => near.reopen(connection, openBody(), openedBody()), TypeError);
  assert.throws(() => far.moveTo(connection), TypeError);
  assert.deepEqual([near.state, far.state], ["live", "live"]);
  await Promise.all([near.close(), far.close()]);
});

// Closing.

Deno.test("CLOSE ends one direction: the other goes on until it is closed too", async () => {
  const [near, far] = await sessionPair();
  await near.send(utf8("last words"));
  const closing = near.close({ code: "done", reason: "bye" });
  assert.deepEqual(await receiveTexts(far, 1), ["last words"]);
  assert.equal(await far.receive(), null);
  assert.deepEqual(far.closeReason, { code: "done", reason: "bye" });
  for (let i = 0; i < 100; i++) await far.send(utf8(String(i)));
  assert.deepEqual((await receiveTexts(near, 100)).at(-1), "99");
  assert.equal(await isSettled(closing), false);
  await far.close();
  await closing;
  assert.equal(await near.receive(), null);
  assert.deepEqual(near.closeReason, NORMAL_CLOSE);
  await Promise.all([near.ended, far.ended]);
});

Deno.test("close() sends what was sent before, however long that takes, and the empty message too", async () => {
  const limit = { maxMessage: 3072 };
  const [near, far] = await sessionPair({ open: limit, opened: limit });
  // More than the window takes while nobody reads.
  const count = 6000;
  const sends = Array.from(
    { length: count },
    (_, i) => near.send(new Uint8Array(i % 2 === 0 ? 0 : 500)),
  );
  const closing = near.close();
  for (let i = 0; i < count; i++) {
    assert.equal((await far.receive())?.length, i % 2 === 0 ? 0 : 500);
  }
  assert.equal(await far.receive(), null);
  await Promise.all(sends);
  await far.close();
  await closing;
});

Deno.test("close() still sends everything when the other end has closed before", async () => {
  const limit = { maxMessage: 3072 };
  const [near, far] = await sessionPair({ open: limit, opened: limit });
  const count = 6000;
  const sends = Array.from({ length: count }, () => near.send(new Uint8Array(500)));
  const farClosing = far.close();
  assert.equal(await near.receive(), null);
  const nearClosing = near.close();
  for (let i = 0; i < count; i++) assert.equal((await far.receive())?.length, 500);
  assert.equal(await far.receive(), null);
  await Promise.all([...sends, nearClosing, farClosing]);
});

Deno.test("close() on both ends at once loses nothing over TCP", async () => {
  for (let round = 0; round < 20; round++) {
    const transports = await tcpPair();
    const pair = await sessionPair({ clock: systemClock, transports });
    const receiveAll = async (session: Session) => {
      let count = 0;
      while (await session.receive() !== null) count++;
      return count;
    };
    const send = async (session: Session) => {
      for (let i = 0; i < 50; i++) await session.send(new Uint8Array(3000));
      await session.close();
    };
    const [near, far] = await Promise.all([
      receiveAll(pair[0]),
      receiveAll(pair[1]),
      send(pair[0]),
      send(pair[1]),
    ]);
    assert.deepEqual([near, far], [50, 50]);
    await Promise.all(pair.map(({ ended }) => ended));
  }
});

Deno.test("close() ends the stream in order, and hangs up only when the other end has too", async () => {
  const [a, b] = memoryPair();
  const near = new FaultyTransport(a);
  const { channel, session } = await rawInitiator({ transports: [near, b] });
  const closing = session.close();
  assert.equal((await nextFrame(channel)).type, "close");
  await turn();
  assert.deepEqual(near.ends, []); // acknowledgements may have to go
  channel.enqueue(encodeReason("close", NORMAL_CLOSE));
  assert.equal(await channel.fill(), false);
  assert.deepEqual(near.ends, ["closeWrite"]); // what is on its way here must still be read
  await channel.closeWrite();
  await closing;
  assert.deepEqual(near.ends, ["closeWrite", "close"]);
});

Deno.test("close() sends what was accepted before CLOSE, when the window has no room for it", async () => {
  const limit = { maxMessage: 3072 };
  const [near, far] = await sessionPair({ open: limit, opened: limit });
  let accepted = 0;
  while (await isSettled(near.send(new Uint8Array(3000)).then(() => accepted++))); // until one waits
  const count = accepted + 1;
  const closing = near.close();
  await turn();
  for (let i = 0; i < count; i++) assert.equal((await far.receive())?.length, 3000);
  assert.equal(await far.receive(), null);
  await far.close();
  await closing;
});

Deno.test("close() waits 2 s for the other end, and no longer", async () => {
  const clock = new FakeClock();
  const { session, channel } = await rawInitiator({ clock });
  const closing = session.close();
  const frame = await nextFrame(channel);
  assert.equal(frame.type, "close");
  await clock.advance(1_999);
  assert.equal(await isSettled(closing), false);
  await clock.advance(1);
  await closing;
  await session.ended;
  assert.equal(clock.timers, 0);
  assert.equal(await channel.fill(), false);
});

Deno.test("conclude() drops what was not received and what still comes, and grants nothing more for it", async () => {
  const clock = new FakeClock();
  const { channel, session } = await rawInitiator({ clock });
  channel.enqueue(dataFrame(1, "nobody takes it"));
  channel.enqueue(dataFrame(2, new Uint8Array(2000), { more: true }));
  await turn();
  const concluded = session.conclude();
  assert.equal(session.tryReceive(), null);
  for (let seq = 3; seq <= 7; seq++) channel.enqueue(dataFrame(seq, new Uint8Array(60_000)));
  await clock.advance(200);
  const acks = (await framesSoFar(channel)).filter((each) => each.type === "ack");
  // Of the window that was granted at first, less what came.
  const credit = 65_536 + 2 ** 20 - (15 + 2000 + 5 * 60_000 + 7 * 256);
  assert.deepEqual(acks.at(-1), { type: "ack", ack: 7, credit });
  assert.equal(session.tryReceive(), null);
  channel.enqueue(encodeReason("close", NORMAL_CLOSE));
  await channel.closeWrite();
  await concluded;
  assert.equal(session.counts.messagesReceived, 0);
});

Deno.test("close() waits as long as it is told to, and is done when it is called again", async () => {
  const clock = new FakeClock();
  const { session } = await rawInitiator({ clock });
  const closing = session.close(NORMAL_CLOSE, 10_000);
  const impatient = session.close(NORMAL_CLOSE, 500);
  await clock.advance(500);
  await Promise.all([impatient, closing]);
  await session.close();
  assert.equal(clock.timers, 0);
});

Deno.test("send() fails once close() was called, and receive() goes on", async () => {
  const [near, far] = await sessionPair();
  const closing = near.close();
  await failure(near.send(utf8("late")), "closed");
  await far.send(utf8("still"));
  assert.deepEqual(await receiveTexts(near, 1), ["still"]);
  await far.close();
  await closing;
  await failure(near.send(utf8("later")), "closed");
  assert.equal(await near.receive(), null);
});

Deno.test("close() before the session is granted says CLOSE and waits", async () => {
  const { channel, session } = await rawHost();
  const closing = session.close();
  assert.equal((await nextFrame(channel)).type, "close");
  channel.enqueue(encodeOpened(openedBody()));
  channel.enqueue(encodeReason("close", NORMAL_CLOSE));
  await channel.closeWrite();
  await closing;
});

Deno.test("a peer that closes and hangs up without waiting has closed in order", async () => {
  const { channel, session } = await rawInitiator();
  channel.enqueue(dataFrame(1, "last"));
  channel.enqueue(encodeReason("close", { code: "done", reason: "" }));
  await channel.flush();
  channel.close();
  await session.ended;
  assert.deepEqual(await receiveTexts(session, 1), ["last"]);
  assert.equal(await session.receive(), null);
  await failure(session.send(utf8("x")), "connection_lost");
});

Deno.test("a peer that hangs up without CLOSE has lost the connection, what arrived is delivered", async () => {
  const { channel, session } = await rawInitiator();
  channel.enqueue(dataFrame(1, "one"));
  channel.enqueue(dataFrame(2, new Uint8Array(2000), { more: true }));
  await channel.flush();
  channel.close();
  await session.ended;
  assert.deepEqual(await receiveTexts(session, 1), ["one"]);
  await failure(session.receive(), "connection_lost");
  await session.close();
});

Deno.test("abort() ends the session at once and fails whatever waits, with its error", async () => {
  const clock = new FakeClock();
  const { channel, session } = await rawHost({ clock });
  const error = new SessionError("closed", "enough");
  const waits = [session.receive(), session.send(new Uint8Array(10_000)), session.opened];
  session.abort(error);
  session.abort(new Error("again"));
  for (const wait of waits) assert.equal(await failure(wait, "closed"), error);
  await session.ended;
  assert.equal(await channel.fill(), false);
  assert.equal(clock.timers, 0);
});

Deno.test("leaving the scope of a session closes it", async () => {
  const [near, far] = await sessionPair();
  const closing = far.receive().then(async (message) => {
    assert.equal(message, null);
    await far.close();
  });
  {
    await using _scoped = near;
  }
  await closing;
  await near.ended;
});

Deno.test("receive() throws when another call is waiting", async () => {
  const { session } = await rawHost();
  const first = session.receive();
  await assert.rejects(session.receive(), TypeError);
  session.abort(new SessionError("closed", "enough"));
  await failure(first, "closed");
});

Deno.test("trySend() and tryReceive() move messages that nothing is in the way of, in order", async () => {
  const [near, far] = await sessionPair();
  assert.equal(far.tryReceive(), null);
  assert.equal(near.trySend(utf8("one")), true);
  const second = near.send(utf8("two"));
  assert.equal(near.trySend(utf8("three")), true);
  await second;
  assert.deepEqual(await receiveTexts(far, 1), ["one"]);
  assert.deepEqual(["two", "three"].map(() => fromUtf8(far.tryReceive()!)), ["two", "three"]);
  assert.equal(far.tryReceive(), null);
  assert.equal(near.counts.messagesSent, 3);
  assert.equal(far.counts.messagesReceived, 3);
  await closeBoth([near, far]);
});

Deno.test("tryReceive() leaves a message to the receive() that waits for it", async () => {
  const [near, far] = await sessionPair();
  const waiting = far.receive();
  near.trySend(utf8("one"));
  near.trySend(utf8("two"));
  assert.equal(far.tryReceive(), null);
  assert.equal(fromUtf8((await waiting)!), "one");
  assert.equal(fromUtf8(far.tryReceive()!), "two");
  await closeBoth([near, far]);
});

Deno.test("trySend() sends nothing where send() would wait, and nothing once the session is closed", async () => {
  const clock = new FakeClock();
  const { channel, session } = await rawHost({ clock });
  const large = new Uint8Array(10_000);
  assert.equal(session.trySend(large), false); // not granted yet
  const waiting = session.send(large);
  assert.equal(session.trySend(utf8("x")), false); // would overtake
  channel.enqueue(encodeOpened(openedBody({ maxMessage: 10_000 })));
  await waiting;
  assert.throws(() => session.trySend(new Uint8Array(10_001)), { code: "message_too_large" });
  assert.equal(session.trySend(utf8("x")), true);
  const closing = session.close();
  assert.equal(session.trySend(utf8("late")), false);
  session.abort(new SessionError("closed", "enough"));
  await clock.advance(1);
  await closing;
  assert.equal(session.trySend(utf8("later")), false);
  assert.equal(session.counts.messagesSent, 2);
});

// Flow control.

Deno.test("a consumer that does not read stops the sender at the window, and nothing is lost", async () => {
  const limit = { maxMessage: 3072 };
  const [near, far] = await sessionPair({ open: limit, opened: limit });
  let accepted = 0;
  let sending = true;
  const sender = (async () => {
    for (let i = 0; i < 10_000; i++) {
      await near.send(utf8(String(i).padStart(100, " ")));
      accepted++;
    }
    sending = false;
  })();
  for (let i = 0; i < 50; i++) await turn();
  assert.equal(sending, true);
  // One window is held here, another there, each message at its bytes and 256 more.
  const most = 2 * Math.ceil((3072 + MIB) / 356) + 2;
  assert.ok(accepted <= most, `${accepted} of at most ${most}`);
  assert.ok(accepted > most / 2);
  const texts = await receiveTexts(far, 10_000);
  assert.ok(texts.every((text, i) => Number(text) === i));
  await sender;
  await closeBoth([near, far]);
});

Deno.test("a flood of empty messages is bounded by credit", async () => {
  const limit = { maxMessage: 3072 };
  const [near, far] = await sessionPair({ open: limit, opened: limit });
  const count = 50_000;
  let accepted = 0;
  const sender = (async () => {
    for (let i = 0; i < count; i++) {
      await near.send(new Uint8Array(0));
      accepted++;
    }
  })();
  for (let i = 0; i < 50; i++) await turn();
  assert.ok(accepted <= 2 * Math.ceil((3072 + MIB) / 256) + 2, `${accepted}`);
  for (let i = 0; i < count; i++) assert.equal((await far.receive())?.length, 0);
  await sender;
  await closeBoth([near, far]);
});

Deno.test("two ends that only send stop, and go on once both read", async () => {
  const pair = await sessionPair();
  const send = async (session: Session) => {
    for (let i = 0; i < 100; i++) await session.send(new Uint8Array(60_000));
  };
  const sending = [send(pair[0]), send(pair[1])];
  for (let i = 0; i < 50; i++) await turn();
  assert.equal(await isSettled(Promise.any(sending)), false);
  for (let i = 0; i < 100; i++) {
    assert.equal((await pair[0].receive())?.length, 60_000);
    assert.equal((await pair[1].receive())?.length, 60_000);
  }
  await Promise.all(sending);
  await closeBoth(pair);
});

Deno.test("a peer that grants nothing gets nothing beyond early credit, however often it acknowledges", async () => {
  const { channel, session } = await rawInitiator();
  for (let i = 0; i < 100; i++) await session.send(new Uint8Array(744));
  assert.equal((await nextData(channel)).seq, 1);
  assert.equal((await nextData(channel)).seq, 2);
  assert.equal((await nextData(channel)).seq, 3);
  channel.enqueue(encodeAck(3, 0));
  channel.enqueue(encodePing("ping", 1));
  assert.deepEqual(await nextFrame(channel), { type: "pong", token: 1 });
  channel.enqueue(encodeAck(3, 1000));
  assert.equal((await nextData(channel)).seq, 4);
  session.abort(new Error("enough"));
});

Deno.test("a message leaves whole when its credit is granted, though nothing is acknowledged", async () => {
  const { channel, session } = await rawInitiator({ open: { maxMessage: 2 * MIB } });
  channel.enqueue(encodeAck(0, 2 * MIB));
  const sending = session.send(new Uint8Array(MIB));
  let bytes = 0;
  for (let more = true; more;) {
    const frame = await nextData(channel);
    bytes += frame.bytes.length;
    more = frame.more;
  }
  assert.equal(bytes, MIB);
  await sending;
  session.abort(new Error("enough"));
});

Deno.test("no peer makes us keep more by taking longer messages than we do", async () => {
  for (
    const { channel, session } of [
      await rawInitiator({ open: { maxMessage: 2 ** 31 }, opened: { maxMessage: 65_536 } }),
      await rawHost({ open: { maxMessage: 65_536 } }),
    ]
  ) {
    if (session.peerMaxMessage === undefined) {
      channel.enqueue(encodeOpened(openedBody({ maxMessage: 2 ** 31 })));
      await session.opened;
    }
    const cost = 60_000 + 256;
    const most = Math.floor((65_536 + MIB) / cost) + 1; // one begins as long as there is any room
    for (let i = 0; i < most; i++) await session.send(new Uint8Array(60_000));
    const waiting = session.send(new Uint8Array(0));
    assert.equal(await isSettled(waiting), false);
    session.abort(new SessionError("connection_lost", "enough"));
    await failure(waiting, "connection_lost");
  }
});

Deno.test("the sessions with one peer leave three quarters of the budget to others", async () => {
  const budget = new ReplayBudget(400_000, 100_000);
  const peers = [await rawInitiator({ budget }), await rawInitiator({ budget })];
  const host = await rawHost({ budget }); // who calls here is another than who is called there
  host.channel.enqueue(encodeOpened(openedBody()));
  await host.session.opened;
  for (const { session } of peers) await session.send(new Uint8Array(50_000));
  const waiting = peers[0]!.session.send(new Uint8Array(1));
  assert.equal(await isSettled(waiting), false);
  await host.session.send(new Uint8Array(50_000));
  await host.session.send(new Uint8Array(50_000));
  peers[1]!.session.abort(new Error("enough"));
  await waiting;
  for (const { session } of [host, ...peers]) session.abort(new Error("enough"));
});

Deno.test("the budget of a process makes senders wait, and gives back what an ended session held", async () => {
  const budget = new ReplayBudget(500_000);
  const greedy = await rawInitiator({ budget });
  const other = await rawInitiator({ budget });
  for (let i = 0; i < 8; i++) await greedy.session.send(new Uint8Array(60_000));
  assert.equal(budget.heldBytes, 480_000);
  await other.session.send(new Uint8Array(60_000)); // a first small message always passes
  const waiting = other.session.send(new Uint8Array(60_000));
  const behind = other.session.send(utf8("x"));
  assert.deepEqual([await isSettled(waiting), await isSettled(behind)], [false, false]);
  greedy.session.abort(new Error("enough"));
  await Promise.all([waiting, behind]);
  assert.equal(budget.heldBytes, 120_001);
  other.session.abort(new Error("enough"));
  assert.equal(budget.heldBytes, 0);
});

Deno.test("the budget gets back what the peer acknowledged", async () => {
  const budget = new ReplayBudget(500_000);
  const clock = new FakeClock();
  const pair = await sessionPair({ budget, clock });
  for (let i = 0; i < 50; i++) {
    await pair[0].send(new Uint8Array(50_000));
    assert.equal((await pair[1].receive())?.length, 50_000);
  }
  assert.ok(budget.heldBytes <= 500_000);
  await clock.advance(200); // what is left is acknowledged at leisure
  assert.equal(budget.heldBytes, 0);
  await closeBoth(pair);
});

Deno.test("a send that waits for the budget fails when its session ends", async () => {
  const budget = new ReplayBudget(100_000);
  const greedy = await rawInitiator({ budget });
  const other = await rawInitiator({ budget });
  await greedy.session.send(new Uint8Array(60_000));
  await other.session.send(new Uint8Array(40_000));
  const waiting = other.session.send(new Uint8Array(60_000));
  assert.equal(await isSettled(waiting), false);
  other.session.abort(new SessionError("connection_lost", "gone"));
  await failure(waiting, "connection_lost");
  assert.equal(budget.heldBytes, 60_000);
  greedy.session.abort(new Error("enough"));
});

Deno.test("an acknowledgement leaves after 200 ms when there is nothing to send it with", async () => {
  const clock = new FakeClock();
  const { channel, session } = await rawInitiator({ clock });
  channel.enqueue(dataFrame(1, "x"));
  channel.enqueue(encodePing("ping", 1));
  assert.equal((await nextFrame(channel)).type, "pong"); // no ACK before it
  const next = nextFrame(channel);
  await clock.advance(199);
  assert.equal(await isSettled(next), false);
  await clock.advance(1);
  assert.deepEqual(await next, { type: "ack", ack: 1, credit: 65_536 + MIB - 257 });
  session.abort(new Error("enough"));
  assert.equal(clock.timers, 0);
});

Deno.test("an acknowledgement travels with DATA when there is some", async () => {
  const clock = new FakeClock();
  const { channel, session } = await rawInitiator({ clock });
  channel.enqueue(dataFrame(1, "x", { credit: 10_000 }));
  assert.deepEqual(await receiveTexts(session, 1), ["x"]);
  await session.send(utf8("y"));
  const frame = await nextData(channel);
  assert.deepEqual([frame.ack, frame.credit], [1, 65_536 + MIB]);
  channel.enqueue(encodeAck(1, 10_000));
  const next = nextFrame(channel);
  await clock.advance(1000);
  assert.equal(await isSettled(next), false); // and no ACK follows
  session.abort(new Error("enough"));
  await assert.rejects(next);
});

Deno.test("an acknowledgement leaves at once when 256 KiB came since the last", async () => {
  const { channel, session } = await rawInitiator({ open: {}, opened: { maxMessage: 10 * MIB } });
  for (let seq = 1; seq <= 4; seq++) {
    channel.enqueue(dataFrame(seq, new Uint8Array(65_400), { more: true }));
  }
  assert.deepEqual(await nextFrame(channel), {
    type: "ack",
    ack: 4,
    credit: 11 * MIB - 4 * (65_400 + 256),
  });
  session.abort(new Error("enough"));
});

Deno.test("a peer that floods with PING and reads nothing gets no more than 256 KiB of answers", async () => {
  const [a, b] = memoryPair();
  const watched = new FaultyTransport(a);
  const { channel, session } = await rawInitiator({ transports: [watched, b] });
  for (let i = 0; i < 50_000; i++) {
    channel.enqueue(encodePing("ping", i));
    if (!channel.hasRoom) await channel.flush();
  }
  await channel.flush();
  await turn();
  const queued = session.connection.channel.queuedBytes;
  assert.ok(queued <= 256 * KIB + 23, `${queued}`);
  session.abort(new Error("enough"));
});

Deno.test("a channel that can write no more does not keep the session busy", async () => {
  const [a, b] = memoryPair();
  let broken = false;
  const failing = new FaultyTransport(a, { failWrite: () => broken });
  const { session, channel } = await rawInitiator({
    transports: [failing, b],
    open: { maxMessage: 10 * MIB },
    opened: { maxMessage: 10 * MIB },
  });
  channel.enqueue(encodeAck(0, 11 * MIB));
  await turn();
  broken = true;
  for (let i = 0; i < 100; i++) await session.send(new Uint8Array(60_000));
  await turn(); // comes back, which a loop of promise jobs would not
  channel.enqueue(dataFrame(1, "what the peer said last"));
  await channel.closeWrite();
  assert.deepEqual(await receiveTexts(session, 1), ["what the peer said last"]);
  await failure(session.receive(), "connection_lost");
});

// What a peer must not do.

const data = (seq: number, options = {}) => dataFrame(seq, "x", options);
const close = encodeReason("close", NORMAL_CLOSE);

for (
  const [what, frames] of [
    ["a gap in seq", [data(2)]],
    ["seq 0", [data(0)]],
    ["a fragment twice", [data(1), data(1)]],
    ["a fragment beyond the credit", [dataFrame(1, new Uint8Array(60_000)), ...flood(30)]],
    ["a message beyond the limit", [
      dataFrame(1, new Uint8Array(60_000), { more: true }),
      dataFrame(2, new Uint8Array(5_537)),
    ]],
    ["a short fragment that is not the last", [data(1, { more: true })]],
    ["an acknowledgement of what was not sent", [encodeAck(1, 0)]],
    ["such an acknowledgement with DATA", [data(1, { ack: 1 })]],
    ["OPEN in a running session", [encodeOpen(openBody())]],
    ["OPENED from an initiator", [encodeOpened(openedBody())]],
    ["REFUSED in a running session", [encodeReason("refused", NORMAL_CLOSE)]],
    ["RESUME in a running session", [encodeControl("resume", Uint8Array.of(0x80))]],
    ["RESUMED in a running session", [encodeControl("resumed", Uint8Array.of(0x80))]],
    ["DATA behind CLOSE", [close, data(1)]],
    ["a second CLOSE", [close, close]],
    ["a CLOSE without its fields", [encodeControl("close", Uint8Array.of(0x80))]],
    ["a CLOSE that is no MsgPack", [encodeControl("close", Uint8Array.of(0xc1))]],
    ["an unknown frame", [Uint8Array.of(0x20)]],
    ["an ACK of the wrong length", [Uint8Array.of(0x11, 0)]],
  ] as const
) {
  Deno.test(`a session ends with protocol when the peer sends ${what}`, async () => {
    const clock = new FakeClock();
    const { channel, session } = await rawInitiator({ clock });
    for (const frame of frames) channel.enqueue(frame);
    await session.ended;
    const error = await failure(session.send(utf8("x")), "protocol");
    assert.equal(error.name, "SessionError");
    assert.equal(clock.timers, 0);
    await framesToEnd(channel).catch(() => []); // the connection is closed
  });
}

function flood(count: number): Bytes[] {
  return Array.from({ length: count }, (_, i) => dataFrame(i + 2, new Uint8Array(60_000)));
}

for (
  const [what, frame] of [
    ["DATA", dataFrame(1, "x")],
    ["ACK", encodeAck(0, 1000)],
    ["CLOSE", close],
    ["RESUMED", encodeControl("resumed", Uint8Array.of(0x80))],
    ["OPEN", encodeOpen(openBody())],
  ] as const
) {
  Deno.test(`a session ends with protocol when the host sends ${what} before OPENED`, async () => {
    const { channel, session } = await rawHost();
    channel.enqueue(frame);
    await failure(session.opened, "protocol");
    await framesToEnd(channel).catch(() => []);
  });
}

Deno.test("a session ends with protocol when the host sends OPENED twice, or REFUSED after it", async () => {
  for (const second of [encodeOpened(openedBody()), encodeReason("refused", NORMAL_CLOSE)]) {
    const { channel, session } = await rawHost();
    channel.enqueue(encodeOpened(openedBody()));
    channel.enqueue(second);
    await session.opened;
    await failure(session.receive(), "protocol");
  }
});

Deno.test("a session ends with protocol when OPENED announces a limit below early data", async () => {
  const { channel, session } = await rawHost();
  const opened = encodeOpened(openedBody({ maxMessage: 3072 }));
  const at = opened.length - 2 - "\xaedetach_timeout\0\xa4next\x01".length; // uint16 3072 comes before
  assert.deepEqual([...opened.subarray(at, at + 2)], [0x0c, 0x00]);
  opened[at + 1] = 0;
  opened[at] = 0x0b;
  channel.enqueue(opened);
  await failure(session.opened, "protocol");
});

Deno.test("PING and PONG are in order at any time", async () => {
  const { channel, session } = await rawHost();
  channel.enqueue(encodePing("ping", 1));
  channel.enqueue(encodePing("pong", 99));
  assert.deepEqual(await nextFrame(channel), { type: "pong", token: 1 });
  channel.enqueue(encodeOpened(openedBody()));
  channel.enqueue(close);
  channel.enqueue(encodePing("ping", 2));
  assert.deepEqual(await nextFrame(channel), { type: "pong", token: 2 });
  session.abort(new Error("enough"));
});

Deno.test("a session ends with protocol when a record on its way was changed, repeated or left out", async () => {
  const cases: readonly ((bytes: Bytes, at: number) => Bytes)[] = [
    (bytes, at) => (at === 0 ? bytes : changed(bytes)),
    (bytes, at) => (at === 0 ? bytes : concat(bytes, bytes)),
    (bytes, at) => (at === 0 || at > 400 ? bytes : new Uint8Array(0)),
  ];
  for (const alter of cases) {
    const [a, b] = memoryPair();
    const pair = await sessionPair({ transports: [new FaultyTransport(a, { alter }), b] });
    for (let i = 0; i < 10; i++) {
      await pair[0].send(utf8("some message")).catch(() => {}); // the other end hangs up meanwhile
      await turn();
    }
    const received: string[] = [];
    const error = await failure(
      (async () => {
        for (;;) received.push(...await receiveTexts(pair[1], 1));
      })(),
      "protocol",
    );
    assert.match(error.message, /it was altered, repeated or reordered/);
    assert.ok(received.every((text) => text === "some message"));
    assert.ok(received.length < 10);
    await failure(pair[0].receive(), "connection_lost");
  }
});

function changed(bytes: Bytes): Bytes {
  bytes[bytes.length - 1]! ^= 1;
  return bytes;
}

Deno.test("a session loses its connection when the stream is cut, and delivers what was whole", async () => {
  const [a, b] = memoryPair();
  const pair = await sessionPair({
    transports: [new FaultyTransport(a, { cutAfterBytes: 5000 }), b],
  });
  for (let i = 0; i < 20; i++) await pair[0].send(new Uint8Array(500).fill(i)).catch(() => {});
  let count = 0;
  await failure(
    (async () => {
      for (let next = await pair[1].receive(); next !== null; next = await pair[1].receive()) {
        assert.equal(next[499], count++);
      }
    })(),
    "connection_lost",
  );
  assert.ok(count > 0 && count < 20);
  await pair[0].ended;
});
