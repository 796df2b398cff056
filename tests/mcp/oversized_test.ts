import assert from "node:assert/strict";

import { type Bytes, fromUtf8, utf8 } from "../../lib/bytes.ts";
import { LineSplitter, type OversizedLine } from "../../lib/mcp/lines.ts";
import { parseMessageId } from "../../lib/mcp/message_id.ts";
import { oversizedOutcome, tooLargeForPeer } from "../../lib/mcp/oversized.ts";
import { PendingCalls } from "../../lib/mcp/pending.ts";

function calls(...tokens: readonly string[]): PendingCalls {
  const pending = new PendingCalls(() => 0);
  for (const token of tokens) pending.add(parseMessageId(utf8(token))!, "m", null);
  return pending;
}

function oversized(line: string, limit: number): OversizedLine {
  const [first] = new LineSplitter(limit).feed(utf8(line + "\n"));
  assert.ok(first?.kind === "oversized");
  return first;
}

function parsed(reply: Bytes | undefined) {
  return JSON.parse(fromUtf8(reply ?? utf8("null")));
}

const FILL = "x".repeat(100);

Deno.test("oversizedOutcome() answers the sender when a request is too long", () => {
  const line = oversized(`{"jsonrpc":"2.0","method":"m","params":"${FILL}","id":"q"}`, 50);
  const pending = calls('"q"');
  const outcome = oversizedOutcome(line, 50, pending);
  assert.equal(outcome?.to, "back");
  assert.deepEqual(parsed(outcome?.reply), {
    jsonrpc: "2.0",
    id: "q",
    error: {
      code: -32012,
      message: "The message is too large: it has 151 bytes, the limit is 50",
      data: { talos: "message_too_large", bytes: 151, limit: 50 },
    },
  });
  assert.equal(pending.size, 1, "it answers no call");
});

Deno.test("oversizedOutcome() tells the caller when a response is too long", () => {
  const line = oversized(`{"jsonrpc":"2.0","id":1.0,"result":"${FILL}"}`, 50);
  const pending = calls("1", "2");
  const outcome = oversizedOutcome(line, 50, pending);
  assert.equal(outcome?.to, "on");
  assert.equal(parsed(outcome?.reply).id, 1);
  assert.match(parsed(outcome?.reply).error.message, /^The reply is too large: it has 138 bytes/);
  assert.equal(pending.size, 1);
  assert.equal(oversizedOutcome(line, 50, pending), null, "nobody waits for it any more");
});

Deno.test("oversizedOutcome() does nothing when nobody waits for the line", () => {
  for (
    const line of [
      `{"jsonrpc":"2.0","method":"notifications/message","params":"${FILL}"}`,
      `{"jsonrpc":"2.0","id":7,"result":"${FILL}"}`,
      `noise ${FILL}`,
    ]
  ) {
    assert.equal(oversizedOutcome(oversized(line, 50), 50, calls("1")), null, line);
  }
});

Deno.test("tooLargeForPeer() fails each message of a line by itself", () => {
  const pending = calls("1", "2", "3");
  const line = utf8(
    `[{"jsonrpc":"2.0","id":1,"method":"a"},{"jsonrpc":"2.0","method":"n"},` +
      `{"jsonrpc":"2.0","id":9,"result":{}},{"jsonrpc":"2.0","id":3,"method":"b"}]`,
  );
  const outcomes = tooLargeForPeer(line, 10, pending);
  assert.deepEqual(
    outcomes.map(({ to, reply }) => [to, parsed(reply).id, parsed(reply).error.data]),
    [["back", 1], ["on", 9], ["back", 3]].map(([to, id]) => [
      to,
      id,
      { talos: "message_too_large", bytes: line.length, limit: 10 },
    ]),
  );
  assert.equal(pending.size, 1);
  assert.deepEqual(tooLargeForPeer(utf8("no message"), 5, pending), []);
});
