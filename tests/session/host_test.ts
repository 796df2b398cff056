import assert from "node:assert/strict";
import { type Bytes, concat, EMPTY, fromUtf8, utf8 } from "../../lib/bytes.ts";
import { type Clock, systemClock } from "../../lib/clock.ts";
import { systemRandom } from "../../lib/crypto/random.ts";
import type { LocalIdentity } from "../../lib/identity/local_identity.ts";
import type { Log, LogFields } from "../../lib/log.ts";
import { CipherState } from "../../lib/noise/cipher_state.ts";
import { TALOS_SUITE } from "../../lib/noise/suite.ts";
import { encodeOpen, encodeReason } from "../../lib/session/bodies.ts";
import type { Connection } from "../../lib/session/connection.ts";
import { SessionError } from "../../lib/session/errors.ts";
import { initiate } from "../../lib/session/handshake.ts";
import { Host, type HostOptions, type OpenDecision } from "../../lib/session/host.ts";
import { Session } from "../../lib/session/session.ts";
import { memoryPair } from "../../lib/transport/memory.ts";
import { connectTcp, listenTcp } from "../../lib/transport/tcp.ts";
import type { Transport } from "../../lib/transport/transport.ts";
import { decodeFrame, encodePing, encodeRekey } from "../../lib/wire/frames.ts";
import { encodePreface } from "../../lib/wire/preface.ts";
import { FaultyTransport, ScriptedTransport } from "../transport/faulty.ts";
import { FakeClock, turn } from "./fake_clock.ts";
import {
  ALICE,
  channelsOver,
  connectionOver,
  dataFrame,
  failure,
  HOST,
  initiating,
  isSettled,
  MALLORY,
  nextFrame,
  openBody,
} from "./peers.ts";

/** A log that keeps its lines. */
class Lines implements Log {
  readonly lines: { level: string; event: string; fields: LogFields }[] = [];
  readonly #add = (level: string) => (event: string, fields: LogFields = {}) => {
    this.lines.push({ level, event, fields });
  };
  readonly debug = this.#add("debug");
  readonly info = this.#add("info");
  readonly warn = this.#add("warn");
  readonly error = this.#add("error");

  /** The events of a level. */
  at(level: string): string[] {
    return this.lines.filter((line) => line.level === level).map(({ event }) => event);
  }
}

/** A host in memory that knows ALICE, and what it was made to do. */
class Stage implements AsyncDisposable {
  readonly clock: Clock;
  readonly log = new Lines();
  readonly host: Host;
  /** What was decided about, as `peer service`. */
  readonly asked: string[] = [];
  /** The sessions that ran. */
  readonly ran: Session[] = [];

  constructor(options: Partial<HostOptions> = {}, run = echo) {
    this.clock = options.clock ?? new FakeClock();
    this.host = new Host({
      identity: HOST,
      instance: new Uint8Array(16),
      random: systemRandom,
      clock: this.clock,
      log: this.log,
      knows: (peer) => peer === ALICE.peerId,
      decide: (peer, open): OpenDecision => {
        this.asked.push(`${peer} ${open.service}`);
        if (peer !== ALICE.peerId) {
          return { granted: false, code: "unauthorized", reason: "you are not authorised" };
        }
        return {
          granted: true,
          service: open.service,
          maxMessage: 65_536,
          run: async (session) => {
            this.ran.push(session);
            await run(session);
          },
        };
      },
      ...options,
    });
  }

  /** Gives the host `transport`, from `source`. */
  accept(transport: Transport, source = "192.0.2.1"): FaultyTransport {
    const watched = new FaultyTransport(transport, { source });
    this.host.accept(watched);
    return watched;
  }

  /** Returns an authenticated connection to the host, and the host's end of it. */
  async call(
    from: LocalIdentity = ALICE,
    source = "192.0.2.1",
  ): Promise<Connection & { readonly near: Transport; readonly far: FaultyTransport }> {
    const [near, far] = memoryPair();
    const watched = this.accept(far, source);
    const options = initiating({ clock: this.clock, random: systemRandom }, from);
    return { ...await initiate(near, options), near, far: watched };
  }

  /** Returns a session with the host. */
  async open(from: LocalIdentity = ALICE, source = "192.0.2.1"): Promise<Session> {
    const id = systemRandom(16);
    return Session.open(await this.call(from, source), openBody({ id }), this.clock);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.host[Symbol.asyncDispose]();
  }
}

async function echo(session: Session): Promise<void> {
  for (let message = await session.receive(); message !== null; message = await session.receive()) {
    await session.send(message);
  }
}

function size(iterable: Iterable<unknown>): number {
  return [...iterable].length;
}

Deno.test("Host runs a session when the peer may have it, and ends it when the peer closes", async () => {
  await using stage = new Stage();
  const session = await stage.open();
  const { service, maxMessage } = await session.opened;
  assert.deepEqual([service, maxMessage], ["mcp/default", 65_536]);
  const [hosted] = stage.host.sessions;
  assert.equal(hosted?.peer, ALICE.peerId);
  assert.equal(hosted.service, "mcp/default");
  assert.equal(hosted.since, stage.clock.now());
  await session.send(utf8("hello"));
  assert.equal(fromUtf8((await session.receive())!), "hello");
  await session.close();
  await hosted.session.ended;
  await turn();
  assert.equal(size(stage.host.sessions), 0);
  assert.deepEqual(stage.asked, [`${ALICE.peerId} mcp/default`]);
});

Deno.test("Host hands over the early data that came behind OPEN", async () => {
  await using stage = new Stage();
  const session = await stage.open();
  await session.send(utf8("early"));
  assert.equal(session.peerMaxMessage, undefined); // before any answer
  assert.equal(fromUtf8((await session.receive())!), "early");
  await session.close();
});

Deno.test("Host tells a stranger why it is refused, and who it is to its own log", async () => {
  await using stage = new Stage();
  const session = await stage.open(MALLORY);
  await session.send(utf8("early"));
  const error = await failure(session.receive(), "unauthorized");
  assert.match(error.message, /you are not authorised/);
  await failure(session.opened, "unauthorized");
  assert.equal(stage.ran.length, 0);
  assert.deepEqual(stage.log.lines.filter(({ level }) => level === "warn"), [{
    level: "warn",
    event: "refused",
    fields: {
      peer: MALLORY.peerId,
      service: "mcp/default",
      code: "unauthorized",
      path: "memory memory",
    },
  }]);
});

Deno.test("a stranger has one connection at a time: the second is busy, in the handshake", async () => {
  await using stage = new Stage();
  const first = await stage.call(MALLORY);
  first.channel.enqueue(encodeOpen(openBody()));
  assert.equal((await nextFrame(first.channel)).type, "refused");
  await failure(stage.call(MALLORY), "busy"); // the first has not hung up yet
  first.channel.close();
  await turn();
  const again = await stage.open(MALLORY);
  await failure(again.opened, "unauthorized");
});

Deno.test("a stranger has one connection at a time: the second is busy, when both asked at once", async () => {
  await using stage = new Stage();
  const [first, second] = [await stage.call(MALLORY), await stage.call(MALLORY)];
  first.channel.enqueue(encodeOpen(openBody()));
  assert.equal((await nextFrame(first.channel)).type, "refused");
  const session = Session.open(second, openBody(), stage.clock);
  await failure(session.opened, "busy");
  assert.equal(stage.asked.length, 1);
  first.channel.close();
});

Deno.test("a peer that is known may have many connections at once", async () => {
  await using stage = new Stage();
  const sessions = [await stage.open(), await stage.open(), await stage.open()];
  await Promise.all(sessions.map(({ opened }) => opened));
  assert.equal(size(stage.host.sessions), 3);
  await Promise.all(sessions.map((session) => session.close()));
});

Deno.test("a stranger that goes on sending is read no further than 4 KiB, and gone after 5 s", async () => {
  const clock = new FakeClock();
  await using stage = new Stage({ clock });
  const { channel, far } = await stage.call(MALLORY);
  const shaken = far.readBytes;
  channel.enqueue(encodeOpen(openBody()));
  assert.equal((await nextFrame(channel)).type, "refused");
  for (let i = 1; i <= 100; i++) channel.enqueue(dataFrame(i, new Uint8Array(2000)));
  await turn();
  assert.ok(far.readBytes - shaken <= 2 * 4096, `${far.readBytes - shaken}`);
  assert.equal(far.closed, true);
  channel.close();
});

Deno.test("a stranger that stays silent after its refusal is gone 5 s after its handshake", async () => {
  const clock = new FakeClock();
  await using stage = new Stage({ clock });
  const { channel, far } = await stage.call(MALLORY);
  await clock.advance(4_000);
  channel.enqueue(encodeOpen(openBody()));
  assert.equal((await nextFrame(channel)).type, "refused");
  await clock.advance(999);
  assert.equal(far.closed, false);
  await clock.advance(1);
  assert.equal(far.closed, true);
  channel.close();
  assert.equal(clock.timers, 0);
});

Deno.test("a peer that asks for nothing within 5 s is gone, and nothing was asked about it", async () => {
  const clock = new FakeClock();
  await using stage = new Stage({ clock });
  const { channel, far } = await stage.call(ALICE);
  await clock.advance(4_999);
  assert.equal(far.closed, false);
  await clock.advance(1);
  assert.equal(far.closed, true);
  assert.deepEqual([stage.asked, stage.ran, stage.log.at("warn")], [[], [], []]);
  channel.close();
});

Deno.test("Host hangs up when the first record is not OPEN, or too long to be one", async () => {
  await using stage = new Stage();
  for (
    const first of [encodePing("ping", 1), dataFrame(1, "x"), dataFrame(1, new Uint8Array(1000))]
  ) {
    const { channel, far } = await stage.call();
    channel.enqueue(first);
    await turn();
    assert.equal(far.closed, true);
    channel.close();
  }
  assert.deepEqual(stage.asked, []);
  assert.deepEqual(stage.log.lines.map(({ fields }) => fields.code), [
    "protocol",
    "protocol",
    "protocol",
  ]);
});

Deno.test("Host hangs up when a first record of more than 1,024 bytes is announced, before it comes", async () => {
  await using stage = new Stage();
  const { channel, near, far } = await stage.call();
  await near.write(Uint8Array.of(0x04, 0x00));
  await turn();
  assert.equal(far.closed, false);
  channel.close();
  const other = await stage.call();
  await other.near.write(Uint8Array.of(0x04, 0x01));
  await turn();
  assert.equal(other.far.closed, true);
  other.channel.close();
});

Deno.test("Host reads 4 KiB and no more when none of the records in them holds a frame", async () => {
  await using stage = new Stage();
  const sender = new CipherState(TALOS_SUITE.cipher, new Uint8Array(32).fill(1));
  const rekeys = Array.from({ length: 1000 }, () => {
    const record = concat(Uint8Array.of(0, 17), sender.encryptWithAd(EMPTY, encodeRekey()));
    sender.rekey();
    return record;
  });
  const far = new FaultyTransport(new ScriptedTransport(concat(...rekeys), "waits"));
  // Where keys last for no record at all, every REKEY is in its place.
  const [, channel] = channelsOver([far, far], [{}, { recordsPerKey: 0 }]);
  stage.host.acceptConnection(connectionOver(channel, MALLORY));
  await turn();
  assert.equal(far.readBytes, 4096);
  assert.equal(far.closed, true);
  assert.deepEqual([stage.asked, stage.log.lines.map(({ fields }) => fields.why)], [
    [],
    ["Cannot read record: it is not whole after 4096 bytes"],
  ]);
});

Deno.test("Host hangs up on an OPEN that is not as it must be, before it decides anything", async () => {
  await using stage = new Stage();
  const open = encodeOpen(openBody());
  const bodies = [
    open.slice(0, -1),
    concat(open, Uint8Array.of(0)),
    Uint8Array.of(1, 0x80),
    Uint8Array.of(1),
    encodeOpen(openBody({ service: "s".repeat(81) })),
    encodeOpen(openBody({ id: new Uint8Array(15) })),
  ];
  for (const body of bodies) {
    const { channel, far } = await stage.call();
    channel.enqueue(body);
    await turn();
    assert.equal(far.closed, true);
    channel.close();
  }
  assert.deepEqual(stage.asked, []);
});

Deno.test("a replayed message 1 makes the host do nothing and say nothing", async () => {
  await using stage = new Stage();
  const [near, far] = memoryPair();
  stage.accept(far);
  const recorder = new FaultyTransport(near);
  const options = initiating({ clock: stage.clock, random: systemRandom });
  const session = Session.open(await initiate(recorder, options), openBody(), stage.clock);
  await session.opened;
  await session.close();
  const message1 = recorder.writes[0]!;
  const everything = recorder.written;
  const before = [stage.asked.length, stage.ran.length, stage.log.at("warn").length];
  for (const replay of [message1, everything]) {
    const script = new ScriptedTransport(replay, "waits");
    stage.accept(script, "203.0.113.9");
    await turn();
    assert.equal(script.closed, true);
    assert.equal(script.written.length, 0);
  }
  assert.deepEqual([stage.asked.length, stage.ran.length, stage.log.at("warn").length], before);
});

Deno.test("a replay that the cache has forgotten makes the host do nothing, and occupies nobody's place", async () => {
  // A second host has the same key and an empty cache, as one that was restarted.
  await using first = new Stage();
  const [near, far] = memoryPair();
  first.accept(far);
  const recorder = new FaultyTransport(near);
  const options = initiating({ clock: first.clock, random: systemRandom }, MALLORY);
  const session = Session.open(await initiate(recorder, options), openBody(), first.clock);
  await failure(session.opened, "unauthorized");

  const clock = new FakeClock();
  await using second = new Stage({ clock });
  const script = new ScriptedTransport(recorder.written, "waits");
  second.accept(script, "203.0.113.9");
  await turn();
  assert.equal(script.closed, true); // what followed message 1 does not decrypt
  const quiet = new ScriptedTransport(recorder.writes[0]!, "waits");
  second.accept(quiet, "203.0.113.9");
  await turn();
  assert.equal(quiet.closed, true); // now it is in the cache
  assert.deepEqual([second.asked, second.ran, second.log.at("warn")], [[], [], []]);
  const mallory = await second.open(MALLORY);
  await failure(mallory.opened, "unauthorized"); // and not busy
});

Deno.test("Host refuses clocks beyond 60 s in the handshake and runs nothing", async () => {
  await using stage = new Stage();
  const [near, far] = memoryPair();
  stage.accept(far);
  const error = await failure(
    initiate(near, initiating({ clock: new FakeClock(1_750_000_061_000) })),
    "clock",
  );
  assert.equal(error.skewMs, -61_000);
  assert.deepEqual([stage.asked, stage.ran], [[], []]);
});

Deno.test("1,000 half-finished connections of one source take 32 places, and leave the others alone", async () => {
  const clock = new FakeClock();
  await using stage = new Stage({ clock });
  const half: FaultyTransport[] = [];
  const message = new Uint8Array(500); // a preface and a part of message 1
  message.set(encodePreface(0));
  message.set([5, 0], 8);
  for (let i = 0; i < 1000; i++) {
    half.push(
      stage.accept(new ScriptedTransport(message.slice(0, i % 500), "waits"), "192.0.2.66"),
    );
  }
  await turn();
  assert.equal(half.filter(({ closed }) => !closed).length, 32);
  assert.ok(half.every(({ written }) => written.length === 0));

  const session = await stage.open(ALICE, "192.0.2.1");
  await session.opened;
  await session.send(utf8("hello"));
  assert.equal(fromUtf8((await session.receive())!), "hello");
  await failure(stage.open(ALICE, "192.0.2.66"), "handshake_failed"); // no place there

  await clock.advance(3_000);
  assert.ok(half.every(({ closed }) => closed));
  const honest = await stage.open(ALICE, "192.0.2.66"); // all places are free again
  await honest.opened;
  await Promise.all([session.close(), honest.close()]);
});

Deno.test("Host begins 200 handshakes of one source at once and then 5 each second", async () => {
  const clock = new FakeClock();
  await using stage = new Stage({ clock });
  for (let i = 0; i < 200; i++) {
    stage.accept(new ScriptedTransport(encodePreface(0)), "192.0.2.66"); // which ends in message 1
    await turn();
  }
  for (let i = 0; i < 40; i++) { // who is turned away keeps no place
    await failure(stage.open(ALICE, "192.0.2.66"), "handshake_failed");
  }
  assert.equal(stage.log.lines.at(-1)?.event, "connection dropped: too many from there");
  await clock.advance(199);
  await failure(stage.open(ALICE, "192.0.2.66"), "handshake_failed");
  const elsewhere = await stage.open(ALICE, "192.0.2.1");
  await elsewhere.opened;
  await clock.advance(1);
  const honest = await stage.open(ALICE, "192.0.2.66");
  await honest.opened;
  await Promise.all([elsewhere.close(), honest.close()]);
});

Deno.test("half-finished connections of all sources take 1,024 places", async () => {
  const clock = new FakeClock();
  await using stage = new Stage({ clock });
  const half: FaultyTransport[] = [];
  for (let i = 0; i < 1100; i++) {
    half.push(stage.accept(new ScriptedTransport(new Uint8Array(0), "waits"), `192.0.2.${i % 50}`));
  }
  await turn();
  assert.equal(half.filter(({ closed }) => !closed).length, 1024);
  await clock.advance(10_000);
  assert.ok(half.every(({ closed }) => closed));
  assert.equal(clock.timers, 0);
});

Deno.test("a session that runs takes no place of those that are half-open", async () => {
  await using stage = new Stage();
  const sessions: Session[] = [];
  for (let i = 0; i < 40; i++) {
    const session = await stage.open(ALICE, "192.0.2.1");
    await session.opened;
    sessions.push(session);
  }
  assert.equal(size(stage.host.sessions), 40);
  await Promise.all(sessions.map((session) => session.close()));
});

Deno.test("1,000 half-finished TCP connections leave nothing behind, and others are answered meanwhile", async () => {
  await using stage = new Stage({ clock: systemClock });
  using listener = listenTcp({ host: "127.0.0.1", port: 0 });
  const serving = stage.host.serve(listener);
  const half: Transport[] = [];
  let hungUp = 0;
  for (let i = 0; i < 1000; i++) {
    const transport = await connectTcp(listener.address);
    await transport.write(encodePreface(0).slice(0, i % 9)).catch(() => {});
    half.push(transport);
    void transport.read(new Uint8Array(1)).catch(() => null).then((count) => {
      assert.equal(count, null);
      hungUp++;
      transport.close();
    });
  }
  const session = await stage.open(ALICE, "198.51.100.7"); // from elsewhere
  await session.send(utf8("hello"));
  assert.equal(fromUtf8((await session.receive())!), "hello");
  await session.close();
  while (hungUp < 968) await turn();
  assert.equal(hungUp, 968);
  for (const transport of half) transport.close();
  listener.close();
  await serving;
});

Deno.test("disposing a host ends everything it has begun, with a reason where one can be given", async () => {
  const clock = new FakeClock();
  const stage = new Stage({ clock });
  const half = stage.accept(new ScriptedTransport(new Uint8Array(0), "waits"));
  const silent = await stage.call(ALICE, "192.0.2.2"); // shook hands and asked for nothing
  const refused = await stage.call(MALLORY, "192.0.2.3");
  refused.channel.enqueue(encodeOpen(openBody()));
  assert.equal((await nextFrame(refused.channel)).type, "refused");
  const session = await stage.open(ALICE, "192.0.2.4");
  await session.opened;
  const ended = session.receive().then(async (message) => {
    assert.equal(message, null);
    await session.close();
  });
  const disposing = stage.host[Symbol.asyncDispose]();
  await ended;
  await clock.advance(0);
  await disposing;
  assert.deepEqual(session.closeReason, { code: "host_stopped", reason: "the host was stopped" });
  assert.ok([half, silent.far, refused.far].every(({ closed }) => closed));
  assert.equal(size(stage.host.sessions), 0);
  const late = stage.accept(new ScriptedTransport(new Uint8Array(0), "waits"));
  assert.equal(late.closed, true);
  silent.channel.close();
  refused.channel.close();
  assert.equal(clock.timers, 0);
});

Deno.test("a host that is being disposed decides about nobody any more, at whatever moment it began", async () => {
  for (let jobs = 0; jobs < 40; jobs++) {
    const clock = new FakeClock();
    const stage = new Stage({ clock });
    const { channel } = await stage.call();
    channel.enqueue(encodeOpen(openBody()));
    for (let i = 0; i < jobs; i++) await Promise.resolve();
    const asked = stage.asked.length;
    const disposing = stage.host[Symbol.asyncDispose]();
    await clock.advance(500);
    await disposing;
    assert.equal(stage.asked.length, asked, `after ${jobs} promise jobs`);
    channel.close();
  }
});

Deno.test("disposing a host waits half a second for a peer that does not close", async () => {
  const clock = new FakeClock();
  const stage = new Stage({ clock });
  const { channel } = await stage.call();
  channel.enqueue(encodeOpen(openBody()));
  assert.equal((await nextFrame(channel)).type, "opened");
  const disposing = stage.host[Symbol.asyncDispose]();
  await clock.advance(499);
  assert.equal(await isSettled(disposing), false);
  await clock.advance(1);
  await disposing;
  channel.close();
});

Deno.test("cut() ends the sessions it is told to, with the reason, and no others", async () => {
  await using stage = new Stage();
  const [one, two] = [await stage.open(), await stage.open()];
  await Promise.all([one.opened, two.opened]);
  const [first] = stage.host.sessions;
  const ended = one.receive().then(() => one.close());
  await stage.host.cut((hosted) => hosted === first, { code: "unauthorized", reason: "revoked" });
  await ended;
  assert.deepEqual(one.closeReason, { code: "unauthorized", reason: "revoked" });
  await two.send(utf8("still here"));
  assert.equal(fromUtf8((await two.receive())!), "still here");
  await two.close();
});

for (
  const [what, thrown, reason] of [
    [
      "an error with a code",
      new SessionError("service_failed", "the child died"),
      { code: "service_failed", reason: "the child died" },
    ],
    [
      "anything else",
      new Error("secret detail"),
      { code: "internal", reason: "the host failed; its log says why" },
    ],
  ] as const
) {
  Deno.test(`Host tells the peer why when running a session throws ${what}`, async () => {
    await using stage = new Stage({}, () => Promise.reject(thrown));
    const session = await stage.open();
    assert.equal(await session.receive(), null);
    assert.deepEqual(session.closeReason, reason);
    await session.close();
    await turn();
    const [last] = stage.log.lines.slice(-1);
    assert.equal(last?.fields.why, thrown.message);
  });
}

Deno.test("Host goes on when deciding throws, and says so in its log", async () => {
  let bad = true;
  await using stage = new Stage({
    decide: () => {
      if (bad) throw new Error("a mistake");
      return { granted: false, code: "busy", reason: "later" };
    },
  });
  const session = await stage.open();
  await failure(session.opened, "connection_lost");
  await turn();
  assert.deepEqual(stage.log.at("error"), ["connection failed"]);
  bad = false;
  await failure((await stage.open()).opened, "busy");
});

Deno.test("a refusal arrives over TCP, however much the caller had sent before", async () => {
  const clock = systemClock;
  await using stage = new Stage({ clock });
  using listener = listenTcp({ host: "127.0.0.1", port: 0 });
  const serving = stage.host.serve(listener);
  const transport = await connectTcp(listener.address);
  const options = initiating({ clock, random: systemRandom }, MALLORY);
  const { channel } = await initiate(transport, options);
  channel.enqueue(encodeOpen(openBody()));
  for (let i = 1; i <= 3; i++) channel.enqueue(dataFrame(i, new Uint8Array(900)));
  await channel.flush();
  let frame: Bytes | null = null;
  while ((frame = channel.nextFrame()) === null) assert.ok(await channel.fill());
  assert.deepEqual(decodeFrame(frame), {
    type: "refused",
    body: encodeReason("refused", { code: "unauthorized", reason: "you are not authorised" })
      .slice(1),
  });
  channel.close();
  listener.close();
  await serving;
});
