import assert from "node:assert/strict";
import { type Bytes, concat, utf8 } from "../../lib/bytes.ts";
import {
  decodeReason,
  decodeResume,
  encodeOpen,
  encodeReason,
  encodeResume,
  encodeResumed,
} from "../../lib/session/bodies.ts";
import { SessionError } from "../../lib/session/errors.ts";
import type { RecordChannel } from "../../lib/session/record_channel.ts";
import { Session } from "../../lib/session/session.ts";
import { TransportError } from "../../lib/transport/errors.ts";
import { memoryPair } from "../../lib/transport/memory.ts";
import type { Transport } from "../../lib/transport/transport.ts";
import type { Faults } from "../transport/faulty.ts";
import { SeededRandom } from "../../scripts/seeded_random.ts";
import { FakeClock, turn } from "./fake_clock.ts";
import {
  ALICE,
  channelsOver,
  connectionOver,
  dataFrame,
  failure,
  isSettled,
  MALLORY,
  nextFrame,
  openBody,
  openedBody,
  receiveTexts,
} from "./peers.ts";
import { type CableFaults, DETACH_MS, ResumeScene, type SceneOptions } from "./resume_scene.ts";

const SAID = ["one", "two", "x".repeat(300), "four", ""];
const ANSWERS = SAID.map((text) => `re: ${text}`);

/** Says a few things and hears the answers, with an early message and the rest once the session is open. */
async function exchange(scene: ResumeScene, session: Session): Promise<string[]> {
  await session.send(utf8(SAID[0]!));
  const answers = receiveTexts(session, SAID.length);
  await scene.until(session.opened);
  for (const text of SAID.slice(1)) await scene.until(session.send(utf8(text)));
  return await scene.until(answers);
}

/** Runs the exchange over connections with `faults`, and checks that nothing shows but the time. */
async function checkExchange(
  faults: readonly CableFaults[],
  what: string,
): Promise<ResumeScene> {
  const scene = new ResumeScene({ faults });
  const session = scene.open();
  assert.deepEqual(await exchange(scene, session), ANSWERS, what);
  assert.deepEqual(scene.heard, SAID, what);
  assert.equal(scene.hosted.length, 1, what);
  await scene.until(session.close());
  await scene.until(scene.host[Symbol.asyncDispose]());
  assert.equal(scene.clock.timers, 0, what);
  return scene;
}

function cutAt(side: 0 | 1, bytes: number): CableFaults {
  const cut: Faults = { cutAfterBytes: bytes };
  return side === 0 ? [cut, {}] : [{}, cut];
}

for (const side of [0, 1] as const) {
  const from = side === 0 ? "initiator" : "host";

  Deno.test(`every message arrives once and in order when the first connection is cut at any byte from the ${from}`, async () => {
    const whole = await checkExchange([], "whole");
    const bytes = (side === 0 ? whole.cables[0]!.near : whole.cables[0]!.far).written.length;
    assert.ok(bytes > 500, `${bytes}`);
    let resumed = 0;
    for (let at = 0; at <= bytes; at++) {
      const scene = await checkExchange([cutAt(side, at)], `cut at ${at} of ${bytes}`);
      resumed += scene.kinds.filter((kind) => kind === "resumed").length;
    }
    assert.ok(resumed > bytes * 0.8, `resumed ${resumed} of ${bytes} times`);
  });

  Deno.test(`every message arrives once and in order when the resuming connection is cut at any byte from the ${from}`, async () => {
    for (const first of [cutAt(0, 0), cutAt(1, 40), cutAt(0, 260), cutAt(1, 330)]) {
      const whole = await checkExchange([first], "whole");
      const second = whole.cables[1];
      assert.ok(second !== undefined);
      const bytes = (side === 0 ? second.near : second.far).written.length;
      for (let at = 0; at <= bytes; at++) {
        await checkExchange([first, cutAt(side, at)], `then cut at ${at} of ${bytes}`);
      }
    }
  });
}

Deno.test("every message arrives once and in order when every connection is cut a little later than the one before", async () => {
  const faults = Array.from({ length: 60 }, (_, i) => cutAt(i % 2 === 0 ? 0 : 1, 60 + 7 * i));
  const scene = await checkExchange(faults, "60 cuts");
  assert.ok(scene.cables.length > 5, `${scene.cables.length}`);
});

/** A scene with an open session that has said something. */
async function begun(
  options: SceneOptions = {},
): Promise<{ readonly scene: ResumeScene; readonly session: Session }> {
  const scene = new ResumeScene(options);
  const session = scene.open();
  await session.send(utf8("first"));
  assert.deepEqual(await receiveTexts(session, 1), ["re: first"]);
  return { scene, session };
}

/** Returns the code of the REFUSED that comes next. */
async function refusalCode(channel: RecordChannel): Promise<string> {
  const frame = await nextFrame(channel);
  assert.ok(frame.type === "refused", frame.type);
  return decodeReason("refused", frame.body).code;
}

/** Ends a scene in order, and checks that nothing is left. */
async function finish(scene: ResumeScene, session: Session): Promise<void> {
  await scene.until(session.close());
  await scene.until(scene.host[Symbol.asyncDispose]());
  assert.equal(scene.clock.timers, 0);
}

/** Faults of a connection that goes silent when `silence.on` is set: nothing is reported to anybody. */
function silencing(silence: { on: boolean }): CableFaults {
  const alter: Faults["alter"] = (bytes) => silence.on ? bytes.subarray(0, 0) : bytes;
  return [{ alter }, { alter }];
}

const UNREACHABLE = new TransportError("unreachable", "Cannot connect: no answer in time");

Deno.test("a session says lost and resumed, counts resumptions and what was sent once more", async () => {
  const { scene, session } = await begun();
  scene.unreachable = UNREACHABLE;
  await scene.cut();
  assert.equal(session.state, "detached");
  assert.equal(scene.hosted[0]?.state, "detached");
  for (const text of ["a", "b", "c"]) await session.send(utf8(text));
  await scene.clock.advance(1_200);
  scene.unreachable = null;
  assert.deepEqual(await scene.until(receiveTexts(session, 3)), ["re: a", "re: b", "re: c"]);
  const [lost, ...others] = scene.events;
  assert.equal(lost?.kind, "lost");
  assert.ok(others.slice(0, -1).every(({ kind }) => kind === "retrying"));
  const resumed = others.at(-1);
  assert.ok(resumed?.kind === "resumed");
  assert.ok(resumed.afterMs >= 1_200 && resumed.afterMs <= 2_300, `${resumed.afterMs}`);
  assert.equal(resumed.replayed, 0); // they were never handed to any connection
  assert.equal(session.counts.resumptions, 1);
  assert.equal(scene.hosted[0]?.counts.resumptions, 1);
  assert.equal(session.state, "live");
  await finish(scene, session);
});

Deno.test("a session sends once more what was on its way when the connection fell silent", async () => {
  const silence = { on: false };
  const { scene, session } = await begun({ faults: [silencing(silence)] });
  silence.on = true;
  for (const text of ["a", "b", "c"]) await session.send(utf8(text));
  assert.equal(session.messagesHandedOver, 4);
  await scene.clock.advance(4_900);
  assert.equal(session.state, "live"); // asked after 2 s, with 3 s to answer
  await scene.clock.advance(100);
  assert.deepEqual(await receiveTexts(session, 3), ["re: a", "re: b", "re: c"]);
  assert.deepEqual(scene.heard, ["first", "a", "b", "c"]);
  const resumed = scene.events.at(-1);
  assert.ok(resumed?.kind === "resumed");
  assert.equal(resumed.replayed, 3);
  await finish(scene, session);
});

Deno.test("a host closes the older connection at once when the session is resumed over another", async () => {
  const silence = { on: false };
  const { scene, session } = await begun({ faults: [silencing(silence)] });
  silence.on = true;
  await session.send(utf8("x"));
  await scene.clock.advance(4_999);
  assert.equal(scene.cables[0]?.far.closed, false);
  await scene.clock.advance(1);
  assert.equal(scene.cables[0]?.far.closed, true);
  assert.equal(scene.cables.length, 2);
  await finish(scene, session);
});

Deno.test("messagesHandedOver counts what was wholly handed to a connection and nothing else", async () => {
  const { scene, session } = await begun();
  assert.equal(session.messagesHandedOver, 1);
  scene.unreachable = UNREACHABLE;
  await scene.cut();
  for (const text of ["a", "b"]) await session.send(utf8(text));
  assert.deepEqual([session.messagesHandedOver, session.counts.messagesSent], [1, 3]);
  session.abort(new SessionError("session_lost", "enough"));
  assert.deepEqual([session.messagesHandedOver, session.counts.messagesSent], [1, 3]);
  assert.deepEqual(scene.heard, ["first"]);
});

Deno.test("messagesHandedOver leaves out a message of which a part was sent", async () => {
  const silence = { on: false };
  const { scene, session } = await begun({ faults: [silencing(silence)], maxMessage: 2 ** 21 });
  silence.on = true;
  await session.send(new Uint8Array(2 ** 21)); // more than is queued ahead in a connection
  assert.deepEqual([session.messagesHandedOver, session.counts.messagesSent], [1, 2]);
  session.abort(new SessionError("session_lost", "enough"));
  await scene[Symbol.asyncDispose]();
});

Deno.test("RESUME is refused and changes nothing when it is stale, a stranger's, or for another process", async () => {
  const { scene, session } = await begun();
  await scene.cut();
  await scene.until(receiveTexts(session, 0));
  await scene.clock.advance(100);
  assert.equal(session.counts.resumptions, 1); // so attempt 1 was seen
  const { id } = session.request;
  const { instance } = scene;
  const other = new Uint8Array(16).fill(99);
  const fits = { id, instance, attempt: 9, next: 2 };
  for (
    const [what, from, resume, code] of [
      ["stale", undefined, { ...fits, attempt: 1 }, "stale"],
      ["by a stranger", MALLORY, fits, "unauthorized"],
      ["for another process", undefined, { ...fits, instance: other }, "session_lost"],
      ["for no session", undefined, { ...fits, id: other }, "session_lost"],
      ["ahead of what was sent", undefined, { ...fits, next: 3 }, "protocol"],
      ["behind what was acknowledged", undefined, { ...fits, next: 1 }, "protocol"],
    ] as const
  ) {
    const { channel } = scene.connect(from);
    channel.enqueue(encodeResume(resume));
    assert.equal(await refusalCode(channel), code, what);
    channel.close();
    await session.send(utf8(what));
    assert.deepEqual(await receiveTexts(session, 1), [`re: ${what}`]);
  }
  assert.equal(session.counts.resumptions, 1);
  await finish(scene, session);
});

Deno.test("RESUME of a peer's session is refused to another peer who may use the host, too", async () => {
  const { scene, session } = await begun();
  scene.permitted.add(MALLORY.peerId);
  const { channel } = scene.connect(MALLORY);
  const { id } = session.request;
  channel.enqueue(encodeResume({ id, instance: scene.instance, attempt: 9, next: 1 }));
  assert.equal(await refusalCode(channel), "session_lost");
  channel.close();
  await finish(scene, session);
});

Deno.test("of two RESUMEs the greater attempt wins, in whatever order they come", async () => {
  for (const order of [[5, 6], [6, 5]]) {
    const { scene, session } = await begun();
    session.abort(new SessionError("closed", "its part is played by raw peers"));
    await turn();
    const { id } = session.request;
    const answers = new Map<number, string>();
    const channels = order.map((attempt) => {
      const { channel } = scene.connect();
      channel.enqueue(encodeResume({ id, instance: scene.instance, attempt, next: 2 }));
      return [attempt, channel] as const;
    });
    for (const [attempt, channel] of channels) {
      const frame = await nextFrame(channel).catch(() => ({ type: "nothing" }));
      answers.set(attempt, frame.type);
    }
    assert.equal(answers.get(6), "resumed");
    assert.notEqual(answers.get(5), order[0] === 5 ? "refused" : "resumed");
    assert.equal(scene.hosted[0]?.state, "live");
    for (const [, channel] of channels) channel.close();
    await scene[Symbol.asyncDispose]();
  }
});

Deno.test("OPEN for a session that is there is refused when it is stale or asks for something else", async () => {
  const { scene, session } = await begun();
  const { id } = session.request;
  for (
    const [open, attempt, code] of [
      [openBody({ id }), 0, "stale"],
      [openBody({ id, service: "mcp/other" }), 1, "protocol"],
      [openBody({ id, salt: new Uint8Array(16) }), 1, "protocol"],
    ] as const
  ) {
    const { channel } = scene.connect();
    channel.enqueue(encodeOpen(open, attempt));
    assert.equal(await refusalCode(channel), code);
    channel.close();
  }
  assert.equal(scene.hosted.length, 1);
  await finish(scene, session);
});

Deno.test("a session that has ended is not begun a second time by an OPEN that was long on its way", async () => {
  const { scene, session } = await begun();
  await scene.until(session.close());
  const { channel } = scene.connect();
  channel.enqueue(encodeOpen(openBody({ id: session.request.id }), 1));
  assert.equal(await refusalCode(channel), "session_lost");
  assert.equal(scene.hosted.length, 1);
  channel.close();
  await scene[Symbol.asyncDispose]();
});

Deno.test("a host ends a session that nobody resumes within the detach timeout, and the initiator gives up", async () => {
  const { scene, session } = await begun();
  scene.unreachable = UNREACHABLE;
  await scene.cut();
  const waiting = session.receive();
  const outcome = failure(waiting, "session_lost");
  await scene.clock.advance(DETACH_MS - 1_000);
  assert.deepEqual([session.state, scene.hosted[0]?.state], ["detached", "detached"]);
  await scene.clock.advance(1_000);
  const error = await outcome;
  assert.match(error.message, /was not reached for 600 s: Cannot connect: no answer in time$/);
  assert.deepEqual([session.state, scene.hosted[0]?.state], ["ended", "ended"]);
  await failure(session.send(utf8("x")), "session_lost");
  assert.equal(scene.clock.timers, 0);
});

Deno.test("an initiator that comes after the detach timeout is told that the session is lost", async () => {
  const { scene, session } = await begun({ detachTimeoutMs: 5_000 });
  scene.unreachable = UNREACHABLE;
  await scene.cut();
  await scene.clock.advance(4_990);
  scene.hosted[0]?.abort(new Error("its time is over"));
  scene.unreachable = null;
  await scene.until(failure(session.receive(), "session_lost"));
  await scene[Symbol.asyncDispose]();
  assert.equal(scene.clock.timers, 0);
});

Deno.test("a session ends with its connection when the host keeps none", async () => {
  const { scene, session } = await begun({ detachTimeoutMs: 0 });
  await scene.cut();
  await failure(session.receive(), "connection_lost");
  assert.equal(scene.hosted[0]?.state, "ended");
  assert.equal(scene.clock.timers, 0);
});

Deno.test("a detached session whose permission is withdrawn ends at once, and its peer is told when it comes", async () => {
  const { scene, session } = await begun();
  scene.unreachable = UNREACHABLE;
  await scene.cut();
  scene.permitted.clear();
  await scene.host.cut(() => true, { code: "unauthorized", reason: "revoked" });
  assert.equal(scene.hosted[0]?.state, "ended");
  await scene.clock.advance(3_000);
  assert.equal(session.state, "detached");
  scene.unreachable = null;
  await scene.until(failure(session.receive(), "unauthorized"));
  await scene[Symbol.asyncDispose]();
  assert.equal(scene.clock.timers, 0);
});

Deno.test("RESUME is refused when the permission was withdrawn and nobody has ended the session yet", async () => {
  const { scene, session } = await begun();
  scene.permitted.clear();
  await scene.cut();
  await scene.until(failure(session.receive(), "unauthorized"));
  assert.equal(scene.hosted[0]?.state, "detached");
  await scene[Symbol.asyncDispose]();
});

Deno.test("a session goes on when the host is busy, unreachable or answers wrongly for a while", async () => {
  const { scene, session } = await begun();
  await session.send(utf8("x"));
  assert.deepEqual(await receiveTexts(session, 1), ["re: x"]);
  await scene.cut();
  const obstacles = [
    UNREACHABLE,
    new SessionError("busy", "The host takes no more connections now"),
    new SessionError("not_talos", "A captive portal answered"),
    new SessionError("handshake_failed", "Another machine has the address here"),
    new SessionError("handshake_timeout", "No answer"),
  ];
  for (const obstacle of obstacles) {
    scene.unreachable = obstacle;
    await scene.clock.advance(2_000);
    assert.equal(session.state, "detached", obstacle.message);
  }
  scene.unreachable = null;
  await session.send(utf8("y"));
  assert.deepEqual(await scene.until(receiveTexts(session, 1)), ["re: y"]);
  await finish(scene, session);
});

Deno.test("a session asks again when the host answers RESUME with busy, stale or nothing at all", async () => {
  const { scene, session } = await begun();
  const answers: (Bytes | null)[] = [
    encodeReason("refused", { code: "busy", reason: "later" }),
    null,
    encodeReason("refused", { code: "stale", reason: "a later attempt came before" }),
  ];
  const attempts: number[] = [];
  scene.answerInstead = async (channel) => {
    const frame = await nextFrame(channel);
    assert.ok(frame.type === "resume");
    attempts.push(decodeResume(frame.body).attempt);
    const answer = answers.shift();
    if (answers.length === 0) scene.answerInstead = null;
    if (answer) channel.enqueue(answer);
  };
  await scene.cut();
  await scene.clock.advance(2_900);
  assert.deepEqual(attempts, [1, 2]); // the second has 3 s to be answered
  await scene.clock.advance(1_000);
  assert.deepEqual(attempts, [1, 2, 3]);
  await session.send(utf8("x"));
  assert.deepEqual(await scene.until(receiveTexts(session, 1)), ["re: x"]);
  assert.equal(session.counts.resumptions, 1);
  await finish(scene, session);
});

Deno.test("a session ends with the host's answer when that is a refusal for good", async () => {
  const { scene, session } = await begun();
  scene.unreachable = new SessionError("blocked", "The host refuses connections from this peer");
  await scene.cut();
  await scene.until(failure(session.receive(), "blocked"));
  await scene[Symbol.asyncDispose]();
});

Deno.test("a session is lost when the host was restarted, and nothing is delivered to the new process", async () => {
  const { scene, session } = await begun();
  await scene.restart();
  await session.send(utf8("for the old process")).catch(() => {});
  const error = await scene.until(failure(session.receive(), "session_lost"));
  assert.match(error.message, /was restarted$/);
  assert.deepEqual(scene.heard, ["first"]);
  await scene[Symbol.asyncDispose]();
});

Deno.test("early messages are not said to another process of the host when OPENED never came", async () => {
  const scene = new ResumeScene({ faults: [[{}, { alter: (bytes) => bytes.subarray(0, 0) }]] });
  const session = scene.open();
  await session.send(utf8("early"));
  await turn();
  assert.deepEqual(scene.heard, ["early"]); // the host got it, and its OPENED is lost
  await scene.restart();
  await scene.until(failure(session.opened, "session_lost"));
  assert.deepEqual(scene.heard, ["early"]);
  await scene[Symbol.asyncDispose]();
});

Deno.test("a session that nothing was said in is opened at the host's new process", async () => {
  const scene = new ResumeScene({ faults: [[{}, { alter: (bytes) => bytes.subarray(0, 0) }]] });
  const session = scene.open();
  await turn();
  await scene.restart();
  await scene.until(session.opened);
  await session.send(utf8("hello"));
  assert.deepEqual(await scene.until(receiveTexts(session, 1)), ["re: hello"]);
  await finish(scene, session);
});

Deno.test("an initiator whose first connection broke gives up after 50 s, with what is in the way", async () => {
  const scene = new ResumeScene({ faults: [cutAt(0, 10)] });
  scene.unreachable = UNREACHABLE;
  const session = scene.open();
  const outcome = session.opened.then(() => null, (error: unknown) => error);
  await scene.clock.advance(49_000);
  assert.equal(await isSettled(session.opened), false);
  await scene.clock.advance(1_000);
  assert.equal(await outcome, UNREACHABLE);
  await scene[Symbol.asyncDispose]();
  assert.equal(scene.clock.timers, 0);
});

Deno.test("both windows may be full at the cut: nothing is lost, doubled or out of order", async () => {
  const count = 400;
  const texts = (who: string) =>
    Array.from({ length: count }, (_, i) => `${who} ${i} `.padEnd(10_000, "x"));
  const sendAll = async (session: Session, who: string) => {
    for (const text of texts(who)) await session.send(utf8(text));
  };
  let open = Promise.withResolvers<void>();
  const got: Promise<string[]>[] = [];
  const scene = new ResumeScene({
    run: async (session) => {
      const sending = sendAll(session, "host");
      await open.promise;
      got.push(receiveTexts(session, count));
      await Promise.all([sending, ...got]);
      await session.receive();
    },
  });
  const session = scene.open();
  const sending = sendAll(session, "initiator");
  for (let i = 0; i < 30; i++) await turn();
  assert.equal(await isSettled(sending), false);
  for (let i = 0; i < 3; i++) {
    await scene.cut();
    await scene.clock.advance(2_000);
    assert.equal(session.state, "live");
  }
  open.resolve();
  open = Promise.withResolvers();
  const received = scene.until(receiveTexts(session, count));
  assert.deepEqual(await received, texts("host"));
  await scene.until(sending);
  assert.deepEqual(await scene.until(got[0]!), texts("initiator"));
  await finish(scene, session);
});

Deno.test("send() accepts what the window has room for while there is no connection, then waits", async () => {
  const { scene, session } = await begun({ maxMessage: 65_536 });
  scene.unreachable = UNREACHABLE;
  await scene.cut();
  let accepted = 0;
  const sending = (async () => {
    for (; accepted < 100; accepted++) await session.send(new Uint8Array(60_000).fill(65));
  })();
  for (let i = 0; i < 10; i++) await turn();
  assert.ok(accepted >= 17 && accepted <= 20, `${accepted}`);
  scene.unreachable = null;
  const answers = scene.until(receiveTexts(session, 100));
  await scene.until(sending);
  assert.ok((await answers).every((text) => text.length === 60_004));
  await finish(scene, session);
});

Deno.test("close() while there is no connection reaches the host if the path returns in time", async () => {
  const { scene, session } = await begun();
  scene.unreachable = UNREACHABLE;
  await scene.cut();
  await session.send(utf8("last"));
  const closing = session.close({ code: "done", reason: "bye" }, 2_000);
  await scene.clock.advance(500);
  scene.unreachable = null;
  await scene.until(closing);
  assert.deepEqual(scene.heard, ["first", "last"]);
  assert.deepEqual(scene.hosted[0]?.closeReason, { code: "done", reason: "bye" });
  await turn();
  assert.equal(scene.clock.timers, 0);
});

Deno.test("close() while there is no connection ends in order when the host has ended the session already", async () => {
  const { scene, session } = await begun();
  scene.unreachable = UNREACHABLE;
  await scene.cut();
  scene.hosted[0]?.abort(new Error("killed"));
  const closing = session.close(undefined, 2_000);
  scene.unreachable = null;
  await scene.until(closing);
  assert.equal(await session.receive(), null);
  assert.equal(scene.cables.length, 2);
  await scene[Symbol.asyncDispose]();
});

Deno.test("close() while there is no connection takes no longer than it is told to", async () => {
  const { scene, session } = await begun();
  scene.unreachable = UNREACHABLE;
  await scene.cut();
  const closing = session.close(undefined, 350);
  await scene.clock.advance(349);
  assert.equal(await isSettled(closing), false);
  await scene.clock.advance(1);
  await closing;
  assert.equal(session.state, "ended");
  await scene[Symbol.asyncDispose]();
  assert.equal(scene.clock.timers, 0);
});

Deno.test("what a host's service said last is delivered when it ended while there was no connection", async () => {
  const scene = new ResumeScene({
    run: async (session) => {
      await session.receive();
      await session.receive();
      await session.send(utf8("last words"));
    },
  });
  const session = scene.open();
  await session.send(utf8("one"));
  await session.opened;
  await session.send(utf8("two"));
  scene.cables[0]!.far.close();
  scene.cables[0]!.near.close();
  assert.deepEqual(await scene.until(receiveTexts(session, 1)), ["last words"]);
  assert.equal(await session.receive(), null);
  await finish(scene, session);
});

Deno.test("CLOSE is said again over the next connection, and only messages before it are delivered", async () => {
  for (let bytes = 90; bytes < 420; bytes += 3) {
    const scene = new ResumeScene({
      faults: [cutAt(1, bytes)],
      run: async (session) => {
        await session.receive();
        for (const text of ["a", "b"]) await session.send(utf8(text));
      },
    });
    const session = scene.open();
    await session.send(utf8("go"));
    assert.deepEqual(await scene.until(receiveTexts(session, 2)), ["a", "b"]);
    assert.equal(await scene.until(session.receive()), null);
    await scene.until(session.close());
    assert.equal(session.closeReason?.code, "done");
    await scene[Symbol.asyncDispose]();
  }
});

Deno.test("an initiator that dials into silence begins another attempt every second", async () => {
  const { scene, session } = await begun();
  const dialled: number[] = [];
  scene.hang = () => dialled.push(scene.clock.monotonic());
  await scene.cut();
  await scene.clock.advance(3_500);
  assert.equal(dialled.length, 4);
  assert.ok(dialled.every((at, i) => i === 0 || at - dialled[i - 1]! <= 1_000), `${dialled}`);
  await scene.clock.advance(60_000);
  assert.equal(dialled.length, 4); // no more than that hang at once
  session.abort(new SessionError("closed", "enough"));
  scene.hang = null;
  await scene[Symbol.asyncDispose]();
});

Deno.test("pauses between attempts stay below 1 s for five minutes, and below 5 s later", async () => {
  const { scene, session } = await begun();
  const dialled: number[] = [];
  scene.unreachable = UNREACHABLE;
  scene.dialled = () => dialled.push(scene.clock.monotonic());
  await scene.cut();
  await scene.clock.advance(540_000);
  const pauses = dialled.slice(1).map((at, i) => [at, at - dialled[i]!] as const);
  const early = pauses.filter(([at]) => at < 300_000).map(([, pause]) => pause);
  const late = pauses.filter(([at]) => at > 320_000).map(([, pause]) => pause);
  assert.ok(early[0]! >= 25 && early[0]! <= 50, `${early[0]}`);
  assert.ok(Math.max(...early) <= 1_000 && Math.max(...early) > 900);
  assert.ok(Math.max(...late) <= 5_000 && Math.min(...late) >= 2_500);
  session.abort(new SessionError("closed", "enough"));
  await scene[Symbol.asyncDispose]();
});

Deno.test("an initiator that is let in again only to be cut off dials ever more slowly, until a connection lasts", async () => {
  const { scene, session } = await begun();
  const dialled: number[] = [];
  scene.dialled = () => dialled.push(scene.clock.monotonic());
  scene.answerInstead = async (channel) => {
    assert.equal((await nextFrame(channel)).type, "resume");
    if (dialled.length > 100) return; // that is a loop without a pause
    channel.enqueue(encodeResumed({ next: 2 }));
    await channel.closeWrite();
  };
  const lostAt = scene.clock.monotonic();
  await scene.cut();
  await scene.clock.advance(10_000);
  assert.equal(dialled[0], lostAt, "the first loss costs no time");
  assert.ok(dialled[1]! - lostAt < 150, `${dialled}`);
  assert.ok(dialled.length >= 10 && dialled.length <= 20, `dialled ${dialled.length} times`);
  assert.equal(session.counts.resumptions, dialled.length);
  scene.answerInstead = null;
  await scene.clock.advance(1_000 + 5_000);
  assert.equal(session.state, "live");
  const before = scene.clock.monotonic();
  await scene.cut();
  await scene.clock.advance(0);
  assert.equal(dialled.at(-1), before);
  assert.equal(session.state, "live");
  await finish(scene, session);
});

Deno.test("a session that is not opened in time ends with what the last attempt failed with, observed or not", async () => {
  const clock = new FakeClock();
  for (const observed of [{}, { onPath: () => {} }]) {
    const [near, far] = channelsOver(memoryPair());
    const session = Session.open(connectionOver(near, ALICE), openBody(), clock, undefined, {
      redial: () => Promise.reject(new SessionError("busy", "The host takes no more connections")),
      random: new SeededRandom("redial").bytes,
      ...observed,
    });
    await turn();
    far.close();
    await Promise.all([failure(session.opened, "busy"), clock.advance(50_000)]);
    assert.equal(session.wasRefused, false, "nobody has refused this session");
  }
  assert.equal(clock.timers, 0);
});

Deno.test("an initiator whose machine slept for long dials at once, without waiting for an answer", async () => {
  const { scene, session } = await begun();
  scene.clock.jump(3_600_000);
  await scene.clock.advance(1_000); // the clocks are compared once a second
  await scene.clock.advance(100);
  assert.deepEqual(scene.kinds, ["lost", "resumed"]);
  await session.send(utf8("x"));
  assert.deepEqual(await receiveTexts(session, 1), ["re: x"]);
  await finish(scene, session);
});

Deno.test("an initiator whose clock was set a little, or back, asks whether the host is there and goes on", async () => {
  for (const jump of [5_000, -3_600_000]) {
    const { scene, session } = await begun();
    scene.clock.jump(jump);
    await scene.clock.advance(5_000);
    assert.deepEqual(scene.kinds, []);
    await finish(scene, session);
  }
});

Deno.test("an initiator that waits between attempts dials at once when its machine has slept", async () => {
  const { scene, session } = await begun();
  scene.unreachable = UNREACHABLE;
  await scene.cut();
  await scene.clock.advance(400_000);
  let dialled = false;
  scene.dialled = () => dialled = true;
  while (!dialled) await scene.clock.advance(50); // the next attempt is 2.5 s away, at least
  scene.clock.jump(60_000);
  scene.unreachable = null;
  await scene.clock.advance(1_100);
  assert.equal(session.state, "live");
  await finish(scene, session);
});

Deno.test("a record that was altered on its way costs a connection, not the session", async () => {
  let alterNext = false;
  const alter: Faults["alter"] = (bytes) => {
    if (alterNext) bytes[bytes.length - 1]! ^= 1;
    alterNext = false;
    return bytes;
  };
  for (const faults of [[{ alter }, {}], [{}, { alter }]] as const) {
    const { scene, session } = await begun({ faults: [faults] });
    alterNext = true;
    await session.send(utf8("x"));
    assert.deepEqual(await scene.until(receiveTexts(session, 1)), ["re: x"]);
    assert.equal(session.counts.resumptions, 1);
    assert.deepEqual(scene.heard, ["first", "x"]);
    await finish(scene, session);
  }
});

Deno.test("a frame that breaks the protocol ends a session for good, detach timeout or not", async () => {
  const { scene, session } = await begun();
  session.abort(new SessionError("closed", "its part is played by a raw peer"));
  await turn();
  const { channel } = scene.connect();
  const { id } = session.request;
  channel.enqueue(encodeResume({ id, instance: scene.instance, attempt: 1, next: 2 }));
  assert.equal((await nextFrame(channel)).type, "resumed");
  assert.equal(scene.hosted[0]?.state, "live");
  channel.enqueue(encodeResume({ id, instance: scene.instance, attempt: 2, next: 2 }));
  await turn();
  assert.equal(scene.hosted[0]?.state, "ended");
  channel.close();
  await scene[Symbol.asyncDispose]();
});

Deno.test("a link that carries one byte a second is slow, not dead", async () => {
  const clock = new FakeClock();
  const [a, b] = memoryPair();
  const bytes: Bytes[] = []; // what the raw peer wrote and the link has not carried yet
  const slow: Transport = {
    path: b.path,
    read: (into) => b.read(into),
    write: (chunk) => {
      bytes.push(chunk.slice());
      return Promise.resolve();
    },
    closeWrite: () => b.closeWrite(),
    close: () => b.close(),
    [Symbol.dispose]: () => b.close(),
  };
  const [near] = channelsOver([a, b]);
  const [, channel] = channelsOver([a, slow]);
  const session = Session.accept(connectionOver(near, ALICE), openBody(), openedBody(), clock);
  channel.enqueue(dataFrame(1, "y".repeat(200)));
  await session.send(utf8("x"));
  await turn();
  const all = concat(...bytes);
  for (let at = 0; at < all.length; at++) {
    await b.write(all.subarray(at, at + 1));
    await clock.advance(1_000);
    assert.equal(await isSettled(session.ended), false, `after ${at} s`);
  }
  assert.deepEqual(await receiveTexts(session, 1), ["y".repeat(200)]);
  session.abort(new SessionError("closed", "enough"));
  channel.close();
});
