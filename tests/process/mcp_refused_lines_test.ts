import assert from "node:assert/strict";
import { createInterface } from "node:readline";
import { Readable } from "node:stream";

import { type Bytes, concat, utf8 } from "../../lib/bytes.ts";
import { fixture, RawAgent, type Tunnel, tunnel } from "./mcp_tunnel.ts";

/** A host whose server records every byte that reaches it. */
async function recorded(): Promise<Tunnel & { readonly record: () => Promise<Bytes> }> {
  const there = await tunnel({
    command: (folder) => fixture("puppet_server", "--record", `${folder}/record`),
  });
  return { ...there, record: () => Deno.readFile(`${there.sandbox.folder}/record`) };
}

/** What programs of other kinds take for lines: each may run what another did not see. */
const LINE_READERS: Readonly<Record<string, (bytes: Bytes) => Promise<string[]> | string[]>> = {
  "split at line feeds": (bytes) => new TextDecoder().decode(bytes).split("\n"),
  "Node's readline": async (bytes) => {
    const lines: string[] = [];
    const input = Readable.from([bytes]);
    for await (const line of createInterface({ input, crlfDelay: Infinity })) lines.push(line);
    return lines;
  },
  "Python's universal newlines": (bytes) => new TextDecoder().decode(bytes).split(/\r\n|\r|\n/),
  "Python's splitlines": (bytes) =>
    // deno-lint-ignore no-control-regex -- these are what Python splits at
    new TextDecoder().decode(bytes).split(/\r\n|[\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]/),
};

/** What some parser would run of these bytes: the methods of every line that parses by itself. */
async function methodsIn(bytes: Bytes): Promise<Record<string, string[]>> {
  const found: Record<string, string[]> = {};
  for (const [name, read] of Object.entries(LINE_READERS)) {
    found[name] = (await read(bytes)).flatMap((line) => {
      try {
        const parsed: unknown = JSON.parse(line);
        const messages = Array.isArray(parsed) ? parsed : [parsed];
        return messages.map(({ method }) => String(method));
      } catch {
        return [];
      }
    });
  }
  return found;
}

const EVIL = '{"jsonrpc":"2.0","id":666,"method":"evil","params":{}}';

/** Lines that are refused: how they read, the reason, and the id of the reply, if it has one. */
const REFUSED: readonly (readonly [string | Bytes, string, unknown])[] = [
  [`{"jsonrpc":"2.0","id":1,"method":"ping"}\r${EVIL}`, "carriage_return", 1],
  [`{"jsonrpc":"2.0","id":1,"method":"ping","params":{}\r}`, "carriage_return", 1],
  [`{"jsonrpc":"2.0","id":1,"method":"ping","params":{"t":"\r${EVIL}"}}`, "carriage_return", 1],
  [`{"jsonrpc":"2.0","id":1,"method":"ping","method":"evil"}`, "duplicate_key", 1],
  [`{"jsonrpc":"2.0","id":1,"method":"ping","m\\u0065thod":"evil"}`, "duplicate_key", 1],
  [`{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}`, "duplicate_key", undefined],
  [
    `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","name":"evil"}}`,
    "duplicate_key",
    1,
  ],
  [`{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":{"b":1,"b":2}}}`, "duplicate_key", 1],
  [`{"jsonrpc":"2.0","id":1,"method":"ping","Method":"evil"}`, "folded_key", 1],
  [`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"Name":"evil"}}`, "folded_key", 1],
  [`{"jsonrpc":"2.0","id":1,"method":"ping","params":{"t":"\\ud800"}}`, "lone_surrogate", 1],
  [`{"jsonrpc":"2.0","id":1,"method":"ping","params":{"\\udfff":1}}`, "lone_surrogate", 1],
  [`\ufeff{"jsonrpc":"2.0","id":1,"method":"ping"}`, "byte_order_mark", 1],
  [`{"jsonrpc":"2.0","id":1,"method":"ping"}\0`, "control_character", 1],
  [`{"jsonrpc":"2.0","id":1,"method":"ping","params":{"t":"\u0000"}}`, "control_character", 1],
  [`{"jsonrpc":"2.0","id":1,"method":"ping\\u0000evil"}`, "escaped_nul", 1],
  [
    concat(
      utf8(`{"jsonrpc":"2.0","id":1,"method":"ping","params":{"t":"`),
      Uint8Array.of(0xc0, 0xaf),
      utf8(`"}}`),
    ),
    "invalid_utf8",
    1,
  ],
  [concat(Uint8Array.of(0xff, 0xfe), utf8("{}")), "invalid_utf8", undefined],
  [`{"jsonrpc":"2.0","id":1,"method":"ping",}`, "not_json", 1],
  [`{"jsonrpc":"2.0","id":1,"method":"ping"} ${EVIL}`, "not_json", 1],
  [`{"jsonrpc":"2.0","id":1,"method":"ping","params":{"n":01}}`, "not_json", 1],
  [`{'jsonrpc':'2.0','id':1,'method':'evil'}`, "not_json", undefined],
  [
    `{"jsonrpc":"2.0","id":1,"method":"ping","params":${"[".repeat(600)}${"]".repeat(600)}}`,
    "too_deep",
    1,
  ],
  [`{"id":1,"method":"evil"}`, "jsonrpc_version", 1],
  [`{"jsonrpc":2.0,"id":1,"method":"evil"}`, "jsonrpc_version", 1],
  [`{"jsonrpc":"2.0","id":null,"method":"evil"}`, "id_type", undefined],
  [`{"jsonrpc":"2.0","id":[1],"method":"evil"}`, "id_type", undefined],
  [`{"jsonrpc":"2.0","id":1,"method":["evil"]}`, "method_type", 1],
  [`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":["evil"]}}`, "name_type", 1],
  [`{"jsonrpc":"2.0","id":1,"method":"ping","result":{}}`, "not_a_message", 1],
  [`"${EVIL.replaceAll('"', '\\"')}"`, "not_an_object", undefined],
  [`[]`, "empty_batch", undefined],
  [`rm -rf / # ${EVIL}`, "not_json", undefined],
];

Deno.test("what two readers could take differently is answered, and no byte of it reaches the server", async () => {
  await using there = await recorded();
  await using agent = RawAgent.start(there.agent, there.target, "--verbose");
  const good = '{"jsonrpc":"2.0","id":1,"method":"ping"}';
  for (const [line, reason, id] of REFUSED) {
    const shown = typeof line === "string" ? line.slice(0, 200) : line.toHex();
    await agent.send(line);
    const { error, ...rest } = await agent.message();
    const expected = { jsonrpc: "2.0", ...(id === undefined ? {} : { id }) };
    assert.deepEqual(rest, expected, shown);
    assert.equal(error?.code, -32013, shown);
    assert.equal(error?.data.talos, "refused_line", shown);
    assert.equal(error?.data.reason, reason, shown);
    await agent.send(good);
    assert.deepEqual(await agent.message(), { jsonrpc: "2.0", id: 1, result: {} }, "it goes on");
  }
  await agent.finish();
  const record = await there.record();
  assert.equal(new TextDecoder().decode(record), `${good}\n`.repeat(REFUSED.length));
  for (const [reader, methods] of Object.entries(await methodsIn(record))) {
    assert.deepEqual(methods, Array(REFUSED.length).fill("ping"), reader);
  }
});

Deno.test("notifications that are refused are dropped, and said in the log of the host", async () => {
  await using there = await recorded();
  await using agent = RawAgent.start(there.agent, there.target);
  await agent.send('{"jsonrpc":"2.0","method":"notifications/x","Params":{}}');
  await agent.send('{"jsonrpc":"2.0","method":"notifications/y","params":{"t":"\\ud800"}}');
  await agent.ask(1, "ping");
  await agent.finish();
  const record = new TextDecoder().decode(await there.record());
  assert.equal(record, '{"jsonrpc":"2.0","id":1,"method":"ping"}\n');
  assert.ok(agent.stderr.includes("refused a line: folded_key"), agent.stderr);
  assert.ok(there.host.log().includes("refused a line: lone_surrogate"), there.host.log());
});

Deno.test("batches pass where MCP 2025-03-26 was negotiated, each element checked", async () => {
  await using there = await recorded();
  await using agent = RawAgent.start(there.agent, there.target);
  await agent.ask(0, "initialize", { protocolVersion: "2025-03-26" });
  const batch =
    '[ {"jsonrpc":"2.0","id":1,"method":"ping"} ,{"jsonrpc":"2.0","method":"n"},{"jsonrpc":"2.0","id":2.0,"method":"puppet/echo","params":{"a":1}}]';
  await agent.send(batch);
  assert.deepEqual([(await agent.message()).id, (await agent.message()).id], [1, 2]);
  const smuggling =
    `[{"jsonrpc":"2.0","id":3,"method":"ping"},{"jsonrpc":"2.0","id":4,"method":"ping","method":"evil"}]`;
  await agent.send(smuggling);
  assert.equal((await agent.message()).error?.data.reason, "duplicate_key", "whole or not at all");
  await agent.send(`[{"jsonrpc":"2.0","id":5,"method":"ping"},7]`);
  assert.equal((await agent.message()).error?.data.reason, "not_an_object");
  await agent.send(
    `[{"jsonrpc":"2.0","id":6,"method":"ping"},{"jsonrpc":"2.0","id":6,"method":"evil"}]`,
  );
  const replies = [await agent.message(), await agent.message()];
  assert.deepEqual(
    replies.map(({ id, error }) => [id, error?.data.reason]).sort(),
    [[6, undefined], [6, "duplicate"]].sort(),
    "no reply could be told from the other's",
  );
  await agent.finish();
  const [, first, second, ...rest] = new TextDecoder().decode(await there.record()).split("\n");
  assert.equal(first, batch);
  assert.equal(second, '[{"jsonrpc":"2.0","id":6,"method":"ping"}]');
  assert.deepEqual(rest, [""]);
});

Deno.test("an answer of the agent that is refused is an error to the server, not to the agent", async () => {
  await using there = await recorded();
  await using agent = RawAgent.start(there.agent, there.target);
  const line = '{"jsonrpc":"2.0","id":1,"method":"sampling/createMessage"}';
  await agent.send({ id: 1, method: "puppet/ask", params: { line } });
  await agent.line();
  await agent.send('{"jsonrpc":"2.0","id":1,"result":{"content":{"text":"cut \\ud83d"}}}');
  const { id, result } = await agent.message();
  assert.equal(id, 1);
  const told = JSON.parse(result.line);
  assert.deepEqual([told.id, told.error.data.reason], [1, "lone_surrogate"]);
});
