import assert from "node:assert/strict";

import { type Bytes, fromUtf8, utf8 } from "../../lib/bytes.ts";
import { Outbox } from "../../lib/mcp/outbox.ts";
import { SessionError } from "../../lib/session/errors.ts";
import { isSettled, sessionPair } from "../session/peers.ts";

const TOO_LARGE = (line: Bytes): Promise<void> => assert.fail(`too large: ${line.length}`);

Deno.test("Outbox.sendTo() sends in order what was posted before and after, and ends once closed", async () => {
  const [session, host] = await sessionPair();
  const outbox = new Outbox(1_000);
  outbox.post(utf8("one"));
  const sending = outbox.sendTo(session, TOO_LARGE);
  outbox.post(utf8("two"));
  assert.equal(fromUtf8(await host.receive() ?? utf8("")), "one");
  assert.equal(fromUtf8(await host.receive() ?? utf8("")), "two");
  assert.ok(outbox.isEmpty);
  assert.ok(!await isSettled(sending));
  outbox.close();
  await sending;
  await Promise.all([session.close(), host.close()]);
});

Deno.test("Outbox.sendTo() keeps what a session did not take", async () => {
  const [session, host] = await sessionPair();
  session.abort(new SessionError("connection_lost", "Lost the connection"));
  const outbox = new Outbox(1_000);
  outbox.post(utf8('{"jsonrpc":"2.0","id":1,"method":"a"}'));
  outbox.post(utf8('{"jsonrpc":"2.0","method":"n"}'));
  outbox.post(
    utf8('[{"jsonrpc":"2.0","id":"b","method":"b"},{"jsonrpc":"2.0","id":9,"result":1}]'),
  );
  await assert.rejects(outbox.sendTo(session, TOO_LARGE), { code: "connection_lost" });
  assert.deepEqual(outbox.requestKeys(), new Set(["n:1", "s:b"]));
  await host.close();
});

Deno.test("Outbox.sendTo() hands over what is too large, and goes on", async () => {
  const [session, host] = await sessionPair({ opened: { maxMessage: 4_000 } });
  const outbox = new Outbox(1_000);
  const large: unknown[] = [];
  outbox.post(utf8("x".repeat(4_001)));
  outbox.post(utf8("y".repeat(4_000)));
  outbox.close();
  await outbox.sendTo(session, (line, limit) => {
    large.push([line.length, limit]);
    return Promise.resolve();
  });
  assert.deepEqual(large, [[4_001, 4_000]]);
  assert.equal((await host.receive())?.length, 4_000);
  await Promise.all([session.close(), host.close()]);
});

Deno.test("Outbox.room() waits while there is more in it than its limit", async () => {
  const [session, host] = await sessionPair();
  const outbox = new Outbox(1_000);
  outbox.post(utf8("x".repeat(744))); // 1,000 with what every line costs
  await outbox.room();
  outbox.post(utf8("y"));
  const room = outbox.room();
  assert.ok(!await isSettled(room));
  outbox.close();
  await outbox.sendTo(session, TOO_LARGE);
  await room;
  await Promise.all([session.close(), host.close()]);
});

Deno.test("Outbox.requestKeys() names what a session took and handed to no connection", async () => {
  const [session, host] = await sessionPair({ opened: { maxMessage: 65_536 } });
  const outbox = new Outbox(10_000_000);
  const sending = outbox.sendTo(session, TOO_LARGE);
  const request = (id: number) =>
    utf8(JSON.stringify({ jsonrpc: "2.0", id, method: "m", params: { x: "x".repeat(60_000) } }));
  for (let id = 0; id < 40; id++) outbox.post(request(id));
  assert.ok(!await isSettled(sending));
  const handedOver = session.messagesHandedOver;
  assert.ok(handedOver > 10 && handedOver < session.counts.messagesSent, `${handedOver}`);
  assert.ok(session.counts.messagesSent < 40);
  const unsent = outbox.requestKeys(session);
  assert.equal(unsent.size, 40 - handedOver);
  assert.ok(!unsent.has(`n:${handedOver - 1}`));
  assert.ok(unsent.has(`n:${handedOver}`));
  session.abort(new SessionError("connection_lost", "Lost the connection"));
  await assert.rejects(sending);
  assert.equal(outbox.requestKeys(session).size, 40 - handedOver);
  await host.close();
});

Deno.test("Outbox.tidy() lets go of what was handed over before we learnt that it was taken", async () => {
  const taken = Promise.withResolvers<void>();
  const session = {
    counts: {
      messagesSent: 0,
      messagesReceived: 0,
      bytesSent: 0,
      bytesReceived: 0,
      resumptions: 0,
    },
    messagesHandedOver: 0,
    peerMaxMessage: 65_536,
    trySend: () => true,
    send: () => taken.promise,
  };
  const outbox = new Outbox(10_000);
  const sending = outbox.sendTo(session, TOO_LARGE);
  outbox.post(utf8('{"jsonrpc":"2.0","id":1,"method":"a"}'));
  assert.deepEqual(outbox.requestKeys(session), new Set(["n:1"]));
  session.trySend = () => false;
  outbox.post(utf8('{"jsonrpc":"2.0","id":2,"method":"b"}'));
  await isSettled(sending);
  session.messagesHandedOver = 2; // both have left, and send() has not returned
  outbox.tidy();
  outbox.close();
  taken.resolve();
  await sending;
  assert.deepEqual(outbox.requestKeys(session), new Set());
});

Deno.test("Outbox.hold() lets only what goes first pass, and replies, until release()", async () => {
  const [session, host] = await sessionPair();
  const outbox = new Outbox(10_000);
  outbox.hold();
  outbox.post(utf8("later"));
  const sending = outbox.sendTo(session, TOO_LARGE);
  outbox.postFirst(utf8("first"));
  outbox.postReply(utf8("reply"));
  outbox.close();
  assert.ok(!await isSettled(sending));
  assert.equal(session.counts.messagesSent, 2);
  outbox.release();
  await sending;
  const heard = [await host.receive(), await host.receive(), await host.receive()];
  assert.deepEqual(heard.map((line) => fromUtf8(line ?? utf8(""))), ["first", "reply", "later"]);
  await Promise.all([session.close(), host.close()]);
});

Deno.test("Outbox.dropRequests() keeps notifications and responses, and makes room", async () => {
  const outbox = new Outbox(800);
  outbox.post(utf8('{"jsonrpc":"2.0","id":1,"method":"a"}'));
  outbox.post(utf8('{"jsonrpc":"2.0","method":"n"}'));
  outbox.post(utf8('{"jsonrpc":"2.0","id":1,"result":{}}'));
  const room = outbox.room();
  assert.ok(!await isSettled(room));
  outbox.dropRequests();
  await room;
  assert.equal(outbox.requestKeys().size, 0);
  assert.ok(!outbox.isEmpty);
  outbox.clear();
  assert.ok(outbox.isEmpty);
});

Deno.test("Outbox.detach() ends sendTo(), and another session takes over", async () => {
  const [session, host] = await sessionPair();
  const [second, secondHost] = await sessionPair();
  const outbox = new Outbox(10_000);
  const sending = outbox.sendTo(session, TOO_LARGE);
  outbox.detach();
  await sending;
  outbox.post(utf8("one"));
  outbox.close();
  await outbox.sendTo(second, TOO_LARGE);
  assert.equal(fromUtf8(await secondHost.receive() ?? utf8("")), "one");
  await Promise.all([session.close(), host.close(), second.close(), secondHost.close()]);
});
