import assert from "node:assert/strict";
import { type Bytes, concat, equalBytes, hex, utf8 } from "../../lib/bytes.ts";
import type { Connection } from "../../lib/session/connection.ts";
import type { SessionErrorCode } from "../../lib/session/errors.ts";
import {
  initiate,
  type InitiateOptions,
  respond,
  type RespondOptions,
} from "../../lib/session/handshake.ts";
import { NoiseError } from "../../lib/noise/errors.ts";
import { memoryPair } from "../../lib/transport/memory.ts";
import { connectTcp, listenTcp } from "../../lib/transport/tcp.ts";
import { encodePing } from "../../lib/wire/frames.ts";
import { ConnectionKind, encodePreface, encodeVersionAnswer } from "../../lib/wire/preface.ts";
import { SeededRandom } from "../../scripts/seeded_random.ts";
import { type Faults, FaultyTransport, ScriptedTransport } from "../transport/faulty.ts";
import { FakeClock, turn } from "./fake_clock.ts";
import { readExactly } from "./forged_handshake.ts";
import { ALICE, failure, HOST, initiating, MALLORY, nextFrame, responding } from "./peers.ts";

/** Runs a handshake in memory; `faults` are those of the initiator's and the responder's end. */
async function shake(
  initiator: Partial<InitiateOptions> = {},
  responder: Partial<RespondOptions> = {},
  faults: readonly [Faults, Faults] = [{}, {}],
): Promise<{
  readonly near: PromiseSettledResult<Connection>;
  readonly far: PromiseSettledResult<Connection>;
  readonly transports: readonly [FaultyTransport, FaultyTransport];
}> {
  const [a, b] = memoryPair();
  const transports = [
    new FaultyTransport(a, faults[0]),
    new FaultyTransport(b, faults[1]),
  ] as const;
  const [near, far] = await Promise.allSettled([
    initiate(transports[0], initiating(initiator)),
    respond(transports[1], responding(responder)),
  ]);
  return { near, far, transports };
}

function connected(result: PromiseSettledResult<Connection>): Connection {
  assert.ok(result.status === "fulfilled", `failed: ${JSON.stringify(result)}`);
  return result.value;
}

function refused(result: PromiseSettledResult<Connection>, code: SessionErrorCode): Error {
  assert.equal(result.status, "rejected");
  assert.equal(result.reason.code, code, result.reason.message);
  return result.reason;
}

/** Both messages of the handshake that `initiating()` and `responding()` always make. */
async function recorded(): Promise<readonly [message1: Bytes, message2: Bytes]> {
  const { near, transports } = await shake();
  connected(near).channel.close();
  return [transports[0].written, transports[1].written];
}

Deno.test("initiate() and respond() agree on everything when nobody interferes", async () => {
  const { near, far, transports } = await shake({ caps: ["resume"] }, { caps: ["a", "b"] });
  const [toHost, toAlice] = [connected(near), connected(far)];
  assert.equal(toHost.peer, HOST.peerId);
  assert.equal(toAlice.peer, ALICE.peerId);
  assert.deepEqual([toHost.caps, toAlice.caps], [["a", "b"], ["resume"]]);
  assert.deepEqual([toHost.skewMs, toAlice.skewMs], [0, 0]);
  assert.equal(toHost.handshakeHash.length, 32);
  assert.ok(equalBytes(toHost.handshakeHash, toAlice.handshakeHash));
  assert.equal(toHost.path, transports[0].path);
  toHost.channel.enqueue(encodePing("ping", 7));
  assert.deepEqual(await nextFrame(toAlice.channel), { type: "ping", token: 7 });
  toAlice.channel.enqueue(encodePing("pong", 7));
  assert.deepEqual(await nextFrame(toHost.channel), { type: "pong", token: 7 });
});

Deno.test("a handshake is two messages of the published sizes", async () => {
  const [message1, message2] = await recorded();
  assert.equal(hex(message1.slice(0, 8)), "54414c4f53010000");
  // e, e1 and its tag, s and its tag; e, ekem1 and its tag; a payload and its tag.
  const payload = 135;
  assert.equal(message1.length, 8 + 2 + 32 + 1184 + 16 + 32 + 16 + payload + 16);
  assert.equal(message2.length, 2 + 32 + 1088 + 16 + payload + 16);
  for (const message of [message1.slice(8), message2]) {
    assert.equal((message[0]! << 8) | message[1]!, message.length - 2);
  }
});

Deno.test("a handshake succeeds when its bytes trickle in one by one", async () => {
  const { near, far } = await shake({}, {}, [{ chunkBytes: 1 }, { chunkBytes: 1 }]);
  connected(near);
  connected(far);
});

Deno.test("respond() keeps what came behind message 1, and initiate() what came behind message 2", async () => {
  const [a, b] = memoryPair();
  // Everything the responder writes first leaves as one piece.
  let held: Bytes = new Uint8Array(0);
  const joining = new FaultyTransport(b);
  const write = joining.write.bind(joining);
  joining.write = async (bytes) => {
    held = concat(held, bytes);
    if (bytes.length < 1000) await write(held);
  };
  const initiated = initiate(a, initiating());
  const toAlice = await respond(joining, responding());
  toAlice.channel.enqueue(encodePing("ping", 1));
  toAlice.channel.enqueue(encodePing("ping", 2));
  const toHost = await initiated;
  assert.deepEqual(await nextFrame(toHost.channel), { type: "ping", token: 1 });
  assert.deepEqual(await nextFrame(toHost.channel), { type: "ping", token: 2 });
});

Deno.test("respond() says nothing and hangs up when any byte of message 1 was changed", async () => {
  const [message1] = await recorded();
  for (let at = 0; at < message1.length; at++) {
    if (at === 5) continue; // another version is answered: see below
    const altered = message1.slice();
    altered[at]! ^= 1 << (at % 8);
    const transport = new ScriptedTransport(altered);
    await assert.rejects(respond(transport, responding()), { name: "SessionError" }, `byte ${at}`);
    assert.equal(transport.written.length, 0, `byte ${at} was answered`);
    assert.equal(transport.closed, true);
  }
  const transport = new ScriptedTransport(message1);
  await respond(transport, responding()); // unchanged it is answered
  assert.ok(transport.written.length > 1000);
});

Deno.test("respond() says nothing when the unused bit of the ephemeral key was changed", async () => {
  // X25519 ignores it (RFC 7748 §5), so only the hash tells this message from the one that was sent.
  const [message1] = await recorded();
  message1[8 + 2 + 31]! ^= 0x80;
  const transport = new ScriptedTransport(message1);
  await failure(respond(transport, responding()), "handshake_failed");
  assert.equal(transport.written.length, 0);
});

Deno.test("initiate() fails when any byte of message 2 was changed", async () => {
  const [message1, message2] = await recorded();
  for (let at = 0; at < message2.length; at++) {
    const altered = message2.slice();
    altered[at]! ^= 1 << (at % 8);
    const transport = new ScriptedTransport(altered);
    await assert.rejects(initiate(transport, initiating()), { name: "SessionError" }, `byte ${at}`);
    assert.ok(equalBytes(transport.written, message1));
    assert.equal(transport.closed, true);
  }
  await initiate(new ScriptedTransport(message2), initiating()); // unchanged it is accepted
});

Deno.test("both ends fail when a message is cut short", async () => {
  const [message1, message2] = await recorded();
  for (let length = 0; length < message1.length; length += 53) {
    const transport = new ScriptedTransport(message1.slice(0, length));
    await failure(respond(transport, responding()), "handshake_failed");
    assert.equal(transport.written.length, 0);
    assert.equal(transport.closed, true);
  }
  for (let length = 0; length < message2.length; length += 53) {
    const transport = new ScriptedTransport(message2.slice(0, length));
    await failure(initiate(transport, initiating()), "handshake_failed");
    assert.equal(transport.closed, true);
  }
});

Deno.test("both ends fail when a message is one byte too long or too short for its content", async () => {
  const [message1, message2] = await recorded();
  const resized = (message: Bytes, lengthAt: number, by: number) => {
    const bytes = concat(message, new Uint8Array(1)).slice(0, message.length + by);
    const length = bytes.length - lengthAt - 2;
    bytes[lengthAt] = length >>> 8;
    bytes[lengthAt + 1] = length;
    return new ScriptedTransport(bytes);
  };
  for (const by of [-1, 1]) {
    await failure(respond(resized(message1, 8, by), responding()), "handshake_failed");
    await failure(initiate(resized(message2, 0, by), initiating()), "handshake_failed");
  }
});

Deno.test("both ends fail when they get their own message back, or the other one", async () => {
  const [message1, message2] = await recorded();
  await failure(
    initiate(new ScriptedTransport(message1.slice(8)), initiating()),
    "handshake_failed",
  );
  const preface = message1.slice(0, 8);
  const transport = new ScriptedTransport(concat(preface, message2));
  await failure(respond(transport, responding()), "handshake_failed");
  assert.equal(transport.written.length, 0);
});

Deno.test("initiate() fails when message 2 belongs to another handshake", async () => {
  const [, message2] = await recorded();
  const { bytes } = new SeededRandom("other");
  await failure(
    initiate(new ScriptedTransport(message2), initiating({ random: bytes })),
    "handshake_failed",
  );
});

Deno.test("respond() says nothing when a message 1 is replayed", async () => {
  const [message1] = await recorded();
  const seen: string[] = [];
  const transport = new ScriptedTransport(message1);
  const firstSeen = (ephemeral: string) => {
    seen.push(ephemeral);
    return false;
  };
  const error = await failure(respond(transport, responding({ firstSeen })), "protocol");
  assert.match(error.message, /repeated a handshake message/);
  assert.deepEqual(seen, [hex(message1.slice(10, 42))]);
  assert.equal(transport.written.length, 0);
  assert.equal(transport.closed, true);
});

Deno.test("respond() remembers no ephemeral key of a message that is not authentic", async () => {
  const [message1] = await recorded();
  message1[message1.length - 1]! ^= 1;
  const firstSeen = () => assert.fail("asked");
  await failure(
    respond(new ScriptedTransport(message1), responding({ firstSeen })),
    "handshake_failed",
  );
});

Deno.test("respond() says nothing and hangs up when it is called by another Peer ID", async () => {
  const { near, far, transports } = await shake({ peer: MALLORY.peerId });
  refused(near, "handshake_failed");
  const error = refused(far, "handshake_failed");
  assert.equal(transports[1].written.length, 0);
  assert.equal(transports[1].closed, true);
  assert.ok(error.cause instanceof NoiseError);
});

Deno.test("initiate() fails when another peer answers", async () => {
  const { near } = await shake({}, { identity: MALLORY });
  refused(near, "handshake_failed");
});

Deno.test("respond() says nothing when the caller wants a connection of another kind", async () => {
  for (const kind of [ConnectionKind.registry, ConnectionKind.whoAreYou, ConnectionKind.circuit]) {
    const { far, transports } = await shake({ kind });
    refused(far, "protocol");
    assert.equal(transports[1].written.length, 0);
  }
});

Deno.test("respond() says nothing when the preface says another kind than the handshake", async () => {
  const [message1] = await recorded();
  const altered = concat(encodePreface(ConnectionKind.registry), message1.slice(8));
  const transport = new ScriptedTransport(altered);
  await failure(
    respond(transport, responding({ kind: ConnectionKind.registry })),
    "handshake_failed",
  );
  assert.equal(transport.written.length, 0);
});

Deno.test("respond() says nothing when the caller is no Talos peer", async () => {
  for (
    const text of [
      "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
      "SSH-2.0-OpenSSH_9.9\r\n",
      "\0\0\0\0\0\0\0\0",
    ]
  ) {
    const transport = new ScriptedTransport(utf8(text));
    await failure(respond(transport, responding()), "handshake_failed");
    assert.equal(transport.written.length, 0);
    assert.equal(transport.closed, true);
  }
});

Deno.test("initiate() says not_talos when something else answers", async () => {
  for (
    const text of [
      "HTTP/1.1 400 Bad Request\r\n\r\n",
      "SSH-2.0-OpenSSH_9.9\r\n",
      "\x15\x03\x01\0\x02\x02\x28",
      "TALES\x01\x01\0",
    ]
  ) {
    await failure(initiate(new ScriptedTransport(utf8(text)), initiating()), "not_talos");
  }
});

Deno.test("both ends refuse a message of impossible length before they read it", async () => {
  const preface = encodePreface(ConnectionKind.peer);
  for (const length of [[0, 0], [0x10, 0x01], [0xff, 0xff]] as const) {
    const transport = new FaultyTransport(
      new ScriptedTransport(concat(preface, Uint8Array.from(length), new Uint8Array(100_000))),
    );
    await failure(respond(transport, responding()), "not_talos");
    assert.ok(transport.readBytes <= 4106, `${transport.readBytes}`);
    assert.equal(transport.written.length, 0);
  }
});

Deno.test("respond() answers an unknown version with those it speaks, and hangs up", async () => {
  for (const version of [0, 2, 255]) {
    const preface = encodePreface(ConnectionKind.peer);
    preface[5] = version;
    const transport = new FaultyTransport(
      new ScriptedTransport(concat(preface, new Uint8Array(1_000_000))),
    );
    const error = await failure(respond(transport, responding()), "version");
    assert.equal(error.message, `The caller speaks version ${version}, we speak 1`);
    assert.equal(hex(transport.written), "54414c4f53010100");
    assert.equal(transport.closed, true);
    // What the caller sent behind the preface is read, so that closing destroys no answer; not all of it.
    assert.deepEqual(transport.ends, ["closeWrite", "close"]);
    assert.ok(transport.readBytes >= 8192, `${transport.readBytes}`);
    assert.ok(transport.readBytes <= 3 * 4106, `${transport.readBytes}`);
  }
});

Deno.test("initiate() names the versions of the host when it speaks none of ours", async () => {
  const answer = encodeVersionAnswer();
  answer[5] = 2;
  answer[6] = 4;
  const transport = new ScriptedTransport(answer);
  const error = await failure(initiate(transport, initiating()), "version");
  assert.match(error.message, /speaks protocol versions 2 to 4, this program speaks 1/);
  assert.equal(error.hints.length, 1);
});

Deno.test("the answer to an unknown version arrives over TCP, however much the caller sent", async () => {
  using listener = listenTcp({ host: "127.0.0.1", port: 0 });
  const accepting = listener[Symbol.asyncIterator]().next();
  using caller = await connectTcp(listener.address);
  const { value: callee } = await accepting;
  assert.ok(callee !== undefined);
  const responded = failure(respond(callee, responding()), "version");
  const preface = encodePreface(ConnectionKind.peer);
  preface[5] = 9;
  await caller.write(preface);
  await turn();
  await caller.write(new Uint8Array(3000)); // its first message, behind the preface
  assert.equal(hex(await readExactly(caller, 8)), "54414c4f53010100");
  assert.equal(await caller.read(new Uint8Array(1)), null);
  caller.close();
  await responded;
});

Deno.test("both ends abort when both speak a higher version than the one in use", async () => {
  const newer = { versions: { min: 1, max: 2 } };
  const { near, far } = await shake(newer, newer);
  refused(near, "version");
  assert.match(refused(far, "version").message, /Refused z6Mk\w+ in the handshake \(version\)/);
});

Deno.test("one end alone with a higher version is no downgrade", async () => {
  const newer = { versions: { min: 1, max: 2 } };
  for (const [initiator, responder] of [[newer, {}], [{}, newer]] as const) {
    const { near, far } = await shake(initiator, responder);
    connected(near);
    connected(far);
  }
});

for (const reason of ["busy", "blocked"] as const) {
  Deno.test(`initiate() is told when the responder refuses with ${reason}`, async () => {
    const asked: string[] = [];
    const { near, far, transports } = await shake({}, {
      refuse: (peer) => {
        asked.push(peer);
        return reason;
      },
    });
    refused(near, reason);
    refused(far, reason);
    assert.deepEqual(asked, [ALICE.peerId]);
    assert.ok(transports.every(({ closed }) => closed));
  });
}

Deno.test("respond() gives up after 3 s, at whatever byte of message 1 the caller stops", async () => {
  const [message1] = await recorded();
  for (const length of [0, 1, 8, 9, 10, 42, 1400]) {
    const clock = new FakeClock();
    const transport = new ScriptedTransport(message1.slice(0, length), "waits");
    const responded = failure(respond(transport, responding({ clock })), "handshake_timeout");
    await clock.advance(2_999);
    assert.equal(transport.closed, false);
    await clock.advance(1);
    await responded;
    assert.equal(transport.closed, true);
    assert.equal(transport.written.length, 0);
    assert.equal(clock.timers, 0);
  }
});

Deno.test("respond() waits 3 s for a caller of an unknown version to hang up", async () => {
  const preface = encodePreface(ConnectionKind.peer);
  preface[5] = 2;
  const clock = new FakeClock();
  const transport = new ScriptedTransport(preface, "waits");
  const responded = failure(respond(transport, responding({ clock })), "handshake_timeout");
  await clock.advance(2_999);
  assert.equal(transport.closed, false);
  await clock.advance(1);
  await responded;
  assert.equal(hex(transport.written), "54414c4f53010100");
  assert.equal(transport.closed, true);
  assert.equal(clock.timers, 0);
});

Deno.test("initiate() gives up after 10 s when nothing comes back", async () => {
  const clock = new FakeClock();
  const transport = new ScriptedTransport(new Uint8Array(0), "waits");
  const initiated = failure(initiate(transport, initiating({ clock })), "handshake_timeout");
  await clock.advance(10_000);
  assert.match((await initiated).message, /within 10 s/);
  assert.equal(transport.closed, true);
  assert.equal(clock.timers, 0);
});

Deno.test("a handshake leaves no timer when it succeeds or fails", async () => {
  const clock = new FakeClock();
  connected((await shake({ clock }, { clock })).near).channel.close();
  assert.equal(clock.timers, 0);
  refused((await shake({ clock, peer: MALLORY.peerId }, { clock })).near, "handshake_failed");
  assert.equal(clock.timers, 0);
});

Deno.test("initiate() fails when its transport breaks", async () => {
  const { near } = await shake({}, {}, [{ failWrite: () => true }, {}]);
  assert.match(
    refused(near, "handshake_failed").message,
    /during the handshake/,
  );
});
