import assert from "node:assert/strict";

import { fromUtf8, utf8 } from "../../lib/bytes.ts";
import { fixture, GONE_WITHIN_MS, RawAgent, soon, tunnel } from "./mcp_tunnel.ts";

/** Lines that are odd and valid, as agents of every revision may send them. */
const TO_SERVER: readonly string[] = [
  '{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-03-26","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}',
  '{"jsonrpc":"2.0","method":"notifications/initialized"}',
  '  {\t"method" : "tools/call" , "params":{ } , "id" : "\\u0061\\/b", "jsonrpc":"2.0" }  ',
  '{"id":1.0,"jsonrpc":"2.0","method":"m"}',
  '{"id":20e-1,"jsonrpc":"\\u0032.0","method":"\\u006d"}',
  '{"id":-3,"jsonrpc":"2.0","method":"m","params":[1,[2,[3]]]}',
  '{"jsonrpc":"2.0","id":9007199254740991,"method":"m","params":{"n":12345678901234567890123456789}}',
  '{"jsonrpc":"2.0","id":4,"method":"m","params":{"big":1e400,"small":1E-400,"long":0.1000000000000000055511151231257827,"minus":-0}}',
  '{"jsonrpc":"2.0","id":5,"method":"m","params":{"text":"\u00e9 \u4e2d\ud83d\ude00 \u2028\u2029 \\ud83d\\ude00 \\u0000x \\b\\f\\n\\r\\t \u007f\u0085\ufeff"}}',
  '{"jsonrpc":"2.0","id":6,"method":"m","params":{"":{"":[null,true,false,{}]},"a b":0,"\u4e2d":1}}',
  '{"jsonrpc":"2.0","id":7,"method":"m","params":{"_meta":{"progressToken":"p"}},"extra":{"x":1}}',
];

/** What MCP 2026-07-28 sends: no handshake, everything about the client with each request. */
const WITHOUT_HANDSHAKE: readonly string[] = [
  '{"jsonrpc":"2.0","id":"a","method":"server/discover","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"t","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}}}}',
  '{"jsonrpc":"2.0","id":"b","method":"tools/call","params":{"name":"t","arguments":{"n":1.50},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}',
];

/** Lines of a server: lone surrogates and duplicate keys deep down pass, as real servers send them. */
const TO_AGENT: readonly string[] = [
  '{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"\\ud83d cut \\u0000"}}',
  ' { "jsonrpc" :\t"2.0","params":{"progress":1.50,"progressToken":"p"} ,"method":"notifications/progress" } ',
  '{"method":"notifications/tools/list_changed","jsonrpc":"2.0"}',
  '{"jsonrpc":"2.0","method":"n","params":{"deep":{"x":1,"x":2},"e":1e999,"u":"\u00e9\u2028\ud83d\ude00"}}',
  '{"jsonrpc":"2.0","id":"s-1","method":"sampling/createMessage","params":{"messages":[]}}',
  '{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"Parse error"}}',
];

Deno.test("the tunnel carries lines of both eras byte for byte, in both directions", async () => {
  await using there = await tunnel({
    command: (folder) => fixture("puppet_server", "--record", `${folder}/record`),
  });
  await using agent = RawAgent.start(there.agent, there.target, "--verbose");
  const sent = [...TO_SERVER, ...WITHOUT_HANDSHAKE];
  for (const line of sent) await agent.send(line);
  for (const line of sent) if (line.includes('"id"')) await agent.line();
  const printed = utf8(TO_AGENT.join("\n") + "\n").toHex();
  const print = `{"jsonrpc":"2.0","method":"puppet/print","params":{"hex":"${printed}"}}`;
  await agent.send(print);
  const heard: string[] = [];
  for (const _ of TO_AGENT) heard.push(fromUtf8(await agent.line()));
  assert.deepEqual(heard, TO_AGENT);
  assert.equal((await agent.finish()).code, 0);
  const recorded = await Deno.readTextFile(`${there.sandbox.folder}/record`);
  assert.equal(recorded, [...sent, print].join("\n") + "\n");
});

Deno.test("mcp-connect takes line ends of every kind, and its own are line feeds", async () => {
  await using there = await tunnel();
  await using agent = RawAgent.start(there.agent, there.target);
  const request = (id: number) => `{"jsonrpc":"2.0","id":${id},"method":"puppet/size"}`;
  await agent.sendBytes(utf8(`\n\r\n  \n${request(1)}\r\n${request(2)}\n`));
  assert.deepEqual(
    [(await agent.message()).result, (await agent.message()).result],
    [{ bytes: request(1).length }, { bytes: request(2).length }],
    "the carriage return belongs to the line end and reaches nobody",
  );
  // Characters, and even a line, cut anywhere.
  const cut = utf8(
    '{"jsonrpc":"2.0","id":3,"method":"puppet/echo","params":{"t":"\u4e2d\ud83d\ude00"}}\n',
  );
  for (const byte of cut) await agent.sendBytes(Uint8Array.of(byte));
  assert.deepEqual((await agent.message()).result, { t: "\u4e2d\ud83d\ude00" });
  const last = utf8(
    '{"jsonrpc":"2.0","id":4,"method":"puppet/print","params":{"text":"{\\"jsonrpc\\":\\"2.0\\",\\"id\\":4,\\"result\\":7}\\r\\n"}}',
  );
  await agent.sendBytes(last); // without a line feed: the end of stdin is one
  const { code } = await agent.finish();
  assert.equal(code, 0);
  assert.deepEqual(agent.unread, ['{"jsonrpc":"2.0","id":4,"result":7}']);
});

Deno.test("mcp-connect answers a one-shot when its stdin is closed behind the request", async () => {
  await using there = await tunnel();
  await using agent = RawAgent.start(there.agent, there.target, "--verbose");
  await agent.send({ id: 1, method: "initialize", params: { protocolVersion: "2025-06-18" } });
  await agent.send({ id: 2, method: "ping" });
  const { code, ms } = await agent.finish();
  assert.equal(code, 0, agent.stderr);
  assert.deepEqual(agent.unread.map((line) => JSON.parse(line).id), [1, 2], agent.stderr);
  assert.ok(ms < GONE_WITHIN_MS, `gone ${ms} ms after stdin was closed`);
});

Deno.test("mcp-connect answers a one-shot when the server replies at the end of its stdin alone", async () => {
  await using there = await tunnel();
  await using agent = RawAgent.start(there.agent, there.target);
  await agent.send({ id: 1, method: "puppet/later" });
  const { code, ms } = await agent.finish();
  assert.equal(code, 0);
  assert.equal(agent.unread.length, 1, `answered within the last second: ${ms} ms`);
});

Deno.test("every revision with a handshake is negotiated between the agent and its server alone", async () => {
  await using there = await tunnel();
  for (const version of ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"]) {
    await using agent = RawAgent.start(there.agent, there.target, "--verbose");
    const params = { protocolVersion: version, capabilities: {}, clientInfo: { name: "t" } };
    const { result } = await agent.ask(1, "initialize", params);
    assert.equal(result.protocolVersion, version);
    await agent.send({ method: "notifications/initialized" });
    const batch =
      `[{"jsonrpc":"2.0","id":2,"method":"ping"},{"jsonrpc":"2.0","id":3,"method":"ping"}]`;
    await agent.send(batch);
    const replies = [await agent.message(), await agent.message()];
    assert.deepEqual(replies.map(({ id }) => id), [2, 3]);
    const refused = version === "2025-03-26" ? undefined : "refused_line";
    assert.deepEqual(replies.map(({ error }) => error?.data.talos), [refused, refused], version);
    await agent.ask(4, "ping");
    assert.equal((await agent.finish()).code, 0);
  }
});

Deno.test("requests of the server reach the agent, and its answers the server", async () => {
  await using there = await tunnel();
  await using agent = RawAgent.start(there.agent, there.target);
  for (const method of ["sampling/createMessage", "elicitation/create", "roots/list", "ping"]) {
    // The same id as the call that is under way: each direction counts for itself.
    const line = `{"jsonrpc":"2.0", "id":1, "method":"${method}", "params":{}}`;
    await agent.send({ id: 1, method: "puppet/ask", params: { line } });
    assert.equal(fromUtf8(await agent.line()), line);
    const answer = '{"result":{"model":"m","n":1.0} ,"jsonrpc":"2.0","id":1}';
    await agent.send(answer);
    assert.deepEqual(await agent.message(), { jsonrpc: "2.0", id: 1, result: { line: answer } });
  }
  await agent.send({
    id: 2,
    method: "puppet/ask",
    params: { line: '{"jsonrpc":"2.0","id":9,"method":"x"}' },
  });
  await agent.line();
  await agent.send('{"jsonrpc":"2.0","id":9,"error":{"code":-1,"message":"rejected by the user"}}');
  assert.match((await agent.message()).result.line, /rejected by the user/);
});

Deno.test("a cancelled call frees its id, and its late reply still passes", async () => {
  await using there = await tunnel();
  await using agent = RawAgent.start(there.agent, there.target);
  await agent.send({ id: 1, method: "puppet/later" });
  await agent.send({ method: "notifications/cancelled", params: { requestId: 1, reason: "x" } });
  assert.deepEqual((await agent.ask(1, "puppet/echo", { again: true })).result, { again: true });
  const { code } = await agent.finish();
  assert.equal(code, 0);
  assert.deepEqual(agent.unread, [], "nobody waits for a reply to a cancelled call");
});

Deno.test("many calls at once are answered, each once", async () => {
  await using there = await tunnel();
  await using agent = RawAgent.start(there.agent, there.target);
  const count = 5_000;
  const sending = (async () => {
    for (let id = 0; id < count; id += 100) {
      const lines = Array.from(
        { length: 100 },
        (_, at) =>
          `{"jsonrpc":"2.0","id":${id + at},"method":"puppet/echo","params":{"n":${id + at}}}\n`,
      );
      await agent.sendBytes(utf8(lines.join("")));
    }
  })();
  const seen = new Set<number>();
  for (let at = 0; at < count; at++) {
    const { id, result } = await agent.message();
    assert.equal(id, result.n);
    seen.add(result.n);
  }
  await soon(sending, "sending");
  assert.equal(seen.size, count);
});
