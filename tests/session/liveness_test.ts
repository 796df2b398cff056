import assert from "node:assert/strict";
import { utf8 } from "../../lib/bytes.ts";
import { type Liveness, livenessStep } from "../../lib/session/liveness.ts";
import { LivenessWatch } from "../../lib/session/liveness_watch.ts";
import { memoryPair } from "../../lib/transport/memory.ts";
import { encodeAck, encodePing } from "../../lib/wire/frames.ts";
import { FaultyTransport } from "../transport/faulty.ts";
import { FakeClock, turn } from "./fake_clock.ts";
import { dataFrame, failure, framesSoFar, isSettled, nextFrame, rawInitiator } from "./peers.ts";

const QUIET: Liveness = {
  heardAt: 1000,
  unackedSince: null,
  expectsAnswer: false,
  pingedAt: null,
  jumpedAt: null,
};
const wait = (ms: number) => ({ action: "wait", ms });
const PING = { action: "ping" };

Deno.test("livenessStep() pings after 15 s of silence", () => {
  assert.deepEqual(livenessStep(QUIET, 1000), wait(15_000));
  assert.deepEqual(livenessStep(QUIET, 15_999), wait(1));
  assert.deepEqual(livenessStep(QUIET, 16_000), PING);
});

Deno.test("livenessStep() pings after 2 s of unacknowledged DATA and silence", () => {
  const state = { ...QUIET, unackedSince: 5000 };
  assert.deepEqual(livenessStep(state, 5000), wait(2000));
  assert.deepEqual(livenessStep(state, 6999), wait(1));
  assert.deepEqual(livenessStep(state, 7000), PING);
  // A slow link is not a dead one: something came in since.
  assert.deepEqual(livenessStep({ ...state, heardAt: 6500 }, 7000), wait(1500));
  assert.deepEqual(livenessStep({ ...state, heardAt: 6500 }, 8500), PING);
});

Deno.test("livenessStep() pings after 2 s of silence when an answer is expected", () => {
  const state = { ...QUIET, expectsAnswer: true };
  assert.deepEqual(livenessStep(state, 1000), wait(2000));
  assert.deepEqual(livenessStep(state, 2999), wait(1));
  assert.deepEqual(livenessStep(state, 3000), PING);
});

Deno.test("livenessStep() pings at once when the wall clock jumped", () => {
  assert.deepEqual(livenessStep({ ...QUIET, jumpedAt: 1200 }, 1200), PING);
});

Deno.test("livenessStep() says dead 3 s after a ping that nothing followed", () => {
  const state = { ...QUIET, pingedAt: 16_000 };
  assert.deepEqual(livenessStep(state, 16_000), wait(3000));
  assert.deepEqual(livenessStep(state, 18_999), wait(1));
  assert.deepEqual(livenessStep(state, 19_000), { action: "dead", silentMs: 18_000 });
});

class Scene {
  readonly clock = new FakeClock();
  readonly events: string[] = [];
  readonly watch = new LivenessWatch(this.clock, {
    ping: () => this.events.push(`ping at ${this.clock.monotonic()}`),
    dead: (ms) => this.events.push(`dead at ${this.clock.monotonic()} after ${ms}`),
  });
}

Deno.test("LivenessWatch pings after 15 s of silence and gives up 3 s later", async () => {
  const { clock, events, watch } = new Scene();
  await clock.advance(60_000);
  assert.deepEqual(events, ["ping at 15000", "dead at 18000 after 18000"]);
  assert.equal(clock.timers, 0);
  watch[Symbol.dispose]();
});

Deno.test("LivenessWatch pings again and again when an answer is expected", async () => {
  const { clock, events, watch } = new Scene();
  await clock.advance(5_000);
  watch.expectAnswer(true);
  await clock.advance(100);
  assert.deepEqual(events, ["ping at 5000"]);
  watch.heard();
  await clock.advance(2_900); // its timer stands for the answer to the ping before
  assert.deepEqual(events, ["ping at 5000", "ping at 8000"]);
  watch.heard();
  watch.expectAnswer(false);
  await clock.advance(14_900);
  assert.equal(events.length, 2);
  await clock.advance(100);
  assert.equal(events.length, 3);
  watch[Symbol.dispose]();
});

Deno.test("LivenessWatch goes on when something is heard, at whatever moment", async () => {
  const { clock, events, watch } = new Scene();
  await clock.advance(14_000);
  watch.heard();
  await clock.advance(15_000); // pinged at 29 s
  await clock.advance(2_999);
  watch.heard();
  await clock.advance(15_000); // pinged at 46,999
  watch.heard();
  watch[Symbol.dispose]();
  assert.deepEqual(events, ["ping at 29000", "ping at 46999"]);
  assert.equal(clock.timers, 0);
});

Deno.test("LivenessWatch pings after 2 s when DATA is not acknowledged", async () => {
  const { clock, events, watch } = new Scene();
  await clock.advance(1_000);
  watch.sent();
  await clock.advance(500);
  watch.sent(); // counts from the first
  await clock.advance(60_000);
  assert.deepEqual(events, ["ping at 3000", "dead at 6000 after 6000"]);
});

Deno.test("LivenessWatch pings no more when DATA is acknowledged", async () => {
  const { clock, events, watch } = new Scene();
  watch.sent();
  await clock.advance(1_999);
  watch.heard();
  watch.acknowledged(false);
  await clock.advance(15_000);
  watch[Symbol.dispose]();
  assert.deepEqual(events, ["ping at 16999"]); // for silence alone
});

Deno.test("LivenessWatch counts anew when some DATA is acknowledged and some is not", async () => {
  const { clock, events, watch } = new Scene();
  watch.sent();
  await clock.advance(1_500);
  watch.heard();
  watch.acknowledged(true);
  await clock.advance(2_000);
  watch[Symbol.dispose]();
  assert.deepEqual(events, ["ping at 3500"]);
});

Deno.test("LivenessWatch pings at once when DATA leaves a machine that has slept", async () => {
  for (const jump of [3_600_000, -3_600_000]) {
    const { clock, events, watch } = new Scene();
    await clock.advance(5_000);
    clock.jump(jump);
    watch.sent();
    await clock.advance(60_000);
    assert.deepEqual(events, ["ping at 5000", "dead at 8000 after 8000"]);
  }
});

Deno.test("LivenessWatch finds at its next look that the machine has slept", async () => {
  const { clock, events, watch } = new Scene();
  watch.sent();
  watch.acknowledged(false); // the timer stays set for 2 s
  clock.jump(60_000);
  await clock.advance(2_000);
  watch.heard();
  await clock.advance(14_999);
  watch[Symbol.dispose]();
  assert.deepEqual(events, ["ping at 2000"]);
});

Deno.test("LivenessWatch takes no notice when the wall clock is set by a second or less", async () => {
  const { clock, events, watch } = new Scene();
  for (let i = 0; i < 10; i++) {
    clock.jump(1_000);
    watch.sent();
    watch.heard();
    watch.acknowledged(false);
    await clock.advance(100);
  }
  watch[Symbol.dispose]();
  assert.deepEqual(events, []);
});

Deno.test("LivenessWatch gives the answer its time once more when the process stood still", async () => {
  const { clock, events, watch } = new Scene();
  await clock.advance(15_000); // pinged
  await clock.freeze(30_000); // the answer may be here, unread
  await clock.advance(2_999);
  assert.deepEqual(events, ["ping at 15000", "ping at 45000"]);
  await clock.advance(1);
  watch[Symbol.dispose]();
  assert.deepEqual(events.slice(2), ["dead at 48000 after 48000"]);
});

Deno.test("LivenessWatch sets one timer, not one for each message", async () => {
  const { clock, watch } = new Scene();
  let set = 0;
  const after = clock.after.bind(clock);
  clock.after = (ms, action) => {
    set++;
    return after(ms, action);
  };
  for (let i = 0; i < 1000; i++) {
    watch.sent();
    watch.heard();
    watch.acknowledged(false);
    await clock.advance(1);
  }
  watch[Symbol.dispose]();
  assert.ok(set <= 2, `${set}`);
  assert.equal(clock.timers, 0);
});

Deno.test("a session pings a silent peer after 15 s and is lost 3 s later", async () => {
  const clock = new FakeClock();
  const { channel, session } = await rawInitiator({ clock });
  await clock.advance(15_000);
  assert.deepEqual(await nextFrame(channel), { type: "ping", token: 0 });
  await clock.advance(2_999);
  assert.equal(await isSettled(session.ended), false);
  await clock.advance(1);
  const error = await failure(session.receive(), "connection_lost");
  assert.equal(error.message, "Lost the connection: silent for 18.0 s");
  assert.equal(clock.timers, 0);
  channel.close();
});

for (
  const [what, frame] of [
    ["PONG", encodePing("pong", 0)],
    ["PING", encodePing("ping", 7)],
    ["ACK", encodeAck(0, 100_000)],
    ["DATA", dataFrame(1, "x")],
  ] as const
) {
  Deno.test(`a session takes ${what} as a sign of life`, async () => {
    const clock = new FakeClock();
    const { channel, session } = await rawInitiator({ clock });
    await clock.advance(15_000);
    channel.enqueue(frame);
    await clock.advance(14_999);
    assert.equal(await isSettled(session.ended), false);
    const pings = (await framesSoFar(channel)).filter(({ type }) => type === "ping");
    assert.equal(pings.length, 1);
    session.abort(new Error("enough"));
    assert.equal(clock.timers, 0);
  });
}

Deno.test("a session pings a peer that does not acknowledge after 2 s and is lost 3 s later", async () => {
  const clock = new FakeClock();
  const { channel, session } = await rawInitiator({ clock });
  await clock.advance(10_000);
  await session.send(utf8("hello?"));
  assert.equal((await nextFrame(channel)).type, "data");
  const next = nextFrame(channel);
  await clock.advance(1_999);
  assert.equal(await isSettled(next), false);
  await clock.advance(1);
  assert.equal((await next).type, "ping");
  await clock.advance(3_000);
  await failure(session.send(utf8("x")), "connection_lost");
  channel.close();
});

Deno.test("a session whose peer acknowledges everything does not ping it for 15 s", async () => {
  const clock = new FakeClock();
  const { channel, session } = await rawInitiator({ clock });
  await session.send(utf8("hello?"));
  assert.equal((await nextFrame(channel)).type, "data");
  channel.enqueue(encodeAck(1, 100_000));
  const next = nextFrame(channel);
  await clock.advance(14_999);
  assert.equal(await isSettled(next), false);
  await clock.advance(1);
  assert.equal((await next).type, "ping");
  session.abort(new Error("enough"));
});

Deno.test("a session whose peer answers pings and acknowledges nothing lives on", async () => {
  const clock = new FakeClock();
  const { channel, session } = await rawInitiator({ clock });
  await session.send(utf8("hello?"));
  for (let i = 0; i < 10; i++) {
    await clock.advance(2_000);
    channel.enqueue(encodePing("pong", i));
    await turn();
  }
  assert.equal(await isSettled(session.ended), false);
  session.abort(new Error("enough"));
});

Deno.test("a session is lost in the same time when the peer neither reads nor answers", async () => {
  const clock = new FakeClock();
  const [a, b] = memoryPair();
  const { session } = await rawInitiator({ clock, transports: [new FaultyTransport(a), b] });
  void Promise.allSettled(Array.from({ length: 2000 }, () => session.send(new Uint8Array(2000))));
  await clock.advance(5_000);
  await failure(session.receive(), "connection_lost");
  assert.equal(clock.timers, 0);
});

Deno.test("a session gives memory back when it was silent for 15 s", async () => {
  const clock = new FakeClock();
  const { channel, session } = await rawInitiator({ clock });
  let trimmed = 0;
  const own = session.connection.channel;
  const trim = own.trim.bind(own);
  own.trim = () => {
    trimmed++;
    trim();
  };
  await clock.advance(15_000);
  assert.equal(trimmed, 1);
  session.abort(new Error("enough"));
  channel.close();
});
