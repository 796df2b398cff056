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
