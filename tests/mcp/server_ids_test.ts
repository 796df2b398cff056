import assert from "node:assert/strict";

import { type Bytes, fromUtf8, utf8 } from "../../lib/bytes.ts";
import { parseMessageId } from "../../lib/mcp/message_id.ts";
import { scanLine, type ScannedMessage } from "../../lib/mcp/scan.ts";
import { ServerIds } from "../../lib/mcp/server_ids.ts";
import { SeededRandom } from "../../scripts/seeded_random.ts";

function ids(servers = 1): ServerIds {
  const made = new ServerIds(new SeededRandom("ids").bytes);
  for (let server = 1; server < servers; server++) made.replaced();
  return made;
}

function scanned(line: string): [ScannedMessage, Bytes] {
  const bytes = utf8(line);
  const message = scanLine(bytes, "towards_agent");
  assert.ok(message.kind !== "invalid" && message.kind !== "batch");
  return [message, bytes];
}

const text = (bytes: Bytes | null | undefined) => bytes && fromUtf8(bytes);

Deno.test("ServerIds leaves everything of the first server as it is", () => {
  const first = ids();
  const [request, bytes] = scanned(
    '{"id":1.0,"jsonrpc":"2.0","method":"m","params":{"_meta":{"progressToken":7}}}',
  );
  assert.equal(first.outward(request, bytes), bytes);
  const [reply, answer] = scanned('{"jsonrpc":"2.0","id":1,"result":7}');
  assert.equal(first.inward(reply, answer)?.bytes, answer);
});

Deno.test("ServerIds gives every id of a later server back as the very token it was", () => {
  for (
    const token of ["1", "1.0e0", "-0", '"a"', '"\\u0061\\"\\\\"', '"é"', "123456789012345678901"]
  ) {
    const third = ids(3);
    const [request, bytes] = scanned(`{"jsonrpc":"2.0", "id" :${token},"method":"m"}`);
    const seen = text(third.outward(request, bytes)) ?? "";
    const { id } = JSON.parse(seen);
    assert.match(id, /^talos-[0-9a-f]{16}:3:/);
    const quoted = JSON.stringify(id).replace("talos", "\\u0074alos"); // as some agents might write it
    const [reply, answer] = scanned(`{"jsonrpc":"2.0","id":${quoted},"result":{"id":1}}`);
    const inward = third.inward(reply, answer);
    assert.equal(text(inward?.bytes), `{"jsonrpc":"2.0","id":${token},"result":{"id":1}}`);
    third.replaced();
    assert.equal(third.inward(reply, answer), null, "the server is gone");
  }
});

Deno.test("ServerIds.inward() refuses replies to the first server, and those without id, once it is gone", () => {
  for (const line of ['"id":1,"result":1', '"id":"talos-0:2:1","result":1', '"error":{}']) {
    assert.equal(ids(2).inward(...scanned(`{"jsonrpc":"2.0",${line}}`)), null);
  }
});

Deno.test("ServerIds renames progress tokens wherever they count, and nothing else", () => {
  const second = ids(2);
  const [request, bytes] = scanned(
    '{"jsonrpc":"2.0","id":1,"method":"m","params":{"progressToken":0,"x":{"_meta":' +
      '{"progressToken":1}},"_meta":{"y":3,"progressToken":"t"}}}',
  );
  const params = JSON.parse(text(second.outward(request, bytes)) ?? "").params;
  assert.deepEqual([params.progressToken, params.x._meta.progressToken, params._meta.y], [0, 1, 3]);
  assert.match(params._meta.progressToken, /:2:"t"$/);
  const note = (token: string) =>
    scanned(
      `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":${token}}}`,
    );
  const mine = second.inward(...note(JSON.stringify(params._meta.progressToken)));
  assert.equal(JSON.parse(text(mine?.bytes) ?? "").params.progressToken, "t");
  assert.equal(second.inward(...note("2")), null);
  assert.equal(second.inward(...note("{}")), null);
});

Deno.test("ServerIds.outward() refuses progress tokens that are several, or too long", () => {
  const asking = (meta: string) =>
    ids(2).outward(
      ...scanned(`{"jsonrpc":"2.0","id":1,"method":"m","params":{"_meta":{${meta}}}}`),
    );
  assert.equal(asking('"progressToken":1,"progressToken":2'), null);
  assert.equal(asking(Array(50_000).fill('"progressToken":1').join()), null);
  assert.equal(asking(`"progressToken":"${"x".repeat(1023)}"`), null);
  assert.match(text(asking('"progressToken":1')) ?? "", /:2:1"/);
});

Deno.test("ServerIds.outward() refuses an id that would be too long for its reply", () => {
  const long = JSON.stringify('"'.repeat(500));
  const [request, bytes] = scanned(`{"jsonrpc":"2.0","id":${long},"method":"m"}`);
  assert.equal(ids(2).outward(request, bytes), null);
});

Deno.test("ServerIds.ownToken() makes ids that are told from all others", () => {
  const made = ids(2);
  const keys = [made.ownToken(), made.ownToken()].map((token) => parseMessageId(token)!.key);
  assert.notEqual(keys[0], keys[1]);
  assert.ok(keys.every((key) => made.isOwn(key)));
  assert.ok(!made.isOwn("s:talos-0000000000000000:own:1"));
});
