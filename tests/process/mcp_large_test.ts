import assert from "node:assert/strict";

import { type Bytes, utf8 } from "../../lib/bytes.ts";
import { DEFAULT_MAX_MESSAGE_BYTES } from "../../lib/limits.ts";
import { peakMemory, RawAgent, tunnel } from "./mcp_tunnel.ts";

const MIB = 1024 * 1024;

/** Each side holds a whole message: what it was read into, what is sent, and what is kept until acknowledged. */
const MEMORY_LIMIT_MIB = 500;

/** Returns a request whose line has exactly `length` bytes, and which the server answers with its length. */
function sizedRequest(id: number, length: number): Bytes {
  const line = new Uint8Array(length).fill(0x78);
  const head = utf8(`{"jsonrpc":"2.0","method":"puppet/size","params":{"x":"`);
  const tail = utf8(`"},"id":${id}}`); // the SDK writes the id last, too
  line.set(head);
  line.set(tail, length - tail.length);
  return line;
}

Deno.test({
  name: "messages of 64 MiB pass in both directions, and one byte more fails alone",
  async fn(context) {
    await using there = await tunnel();
    await using agent = RawAgent.start(there.agent, there.target, "--verbose");
    await agent.ask(0, "ping");
    const limit = DEFAULT_MAX_MESSAGE_BYTES;
    assert.equal(limit, 64 * MIB);

    await context.step("towards the server", async () => {
      await agent.send(sizedRequest(1, limit));
      assert.deepEqual(await agent.message(), { jsonrpc: "2.0", id: 1, result: { bytes: limit } });
    });

    await context.step("one byte too many towards the server", async () => {
      await agent.send(sizedRequest(2, limit + 1));
      const { id, error } = await agent.message();
      assert.deepEqual([id, error?.code, error?.data], [2, -32012, {
        talos: "message_too_large",
        bytes: limit + 1,
        limit,
      }]);
      assert.deepEqual((await agent.ask(3, "puppet/echo", { alive: true })).result, {
        alive: true,
      });
    });

    await context.step("towards the agent", async () => {
      await agent.send({ id: 4, method: "puppet/fill", params: { bytes: limit } });
      assert.equal((await agent.line()).length, limit);
    });

    await context.step("one byte too many towards the agent", async () => {
      await agent.send({ id: 5, method: "puppet/fill", params: { bytes: limit + 1 } });
      const { id, error } = await agent.message();
      assert.deepEqual([id, error?.data.talos, error?.data.bytes], [
        5,
        "message_too_large",
        limit + 1,
      ]);
      assert.ok(there.host.log().includes("a line of the server is too long"));
      assert.deepEqual((await agent.ask(6, "puppet/echo", { alive: true })).result, {
        alive: true,
      });
    });

    await context.step("small calls are answered while a large one is under way", async () => {
      await agent.send({ id: 7, method: "puppet/fill", params: { bytes: limit } });
      await agent.send({ id: 8, method: "ping" });
      assert.equal((await agent.line()).length, limit);
      assert.equal((await agent.message()).id, 8);
    });

    if (Deno.build.os === "linux") {
      const memory = { connect: peakMemory(agent.pid), serve: peakMemory(there.host.pid) };
      assert.ok(memory.connect < MEMORY_LIMIT_MIB, `mcp-connect had ${memory.connect} MiB`);
      assert.ok(memory.serve < MEMORY_LIMIT_MIB, `mcp-serve had ${memory.serve} MiB`);
    }
    await agent.finish();
  },
});

Deno.test("each side's own limit holds, and the smaller one counts", async () => {
  await using there = await tunnel({ args: ["--max-message", "100000"] });
  await using agent = RawAgent.start(there.agent, there.target);
  // The first message of all: the host's limit is not known yet.
  await agent.send(sizedRequest(1, 100_001));
  const { id, error } = await agent.message();
  assert.deepEqual([id, error?.data.limit], [1, 100_000]);
  await agent.send(sizedRequest(2, 100_000));
  assert.deepEqual((await agent.message()).result, { bytes: 100_000 });
  await agent.send({ id: 3, method: "puppet/fill", params: { bytes: 100_001 } });
  assert.equal((await agent.message()).error?.data.talos, "message_too_large");
  // The agent's answer to the server is too long: the server is told.
  const line = '{"jsonrpc":"2.0","id":1,"method":"sampling/createMessage"}';
  await agent.send({ id: 4, method: "puppet/ask", params: { line } });
  await agent.line();
  await agent.send({ id: 1, result: { text: "x".repeat(100_000) } });
  const told = JSON.parse((await agent.message()).result.line);
  assert.equal(told.error.data.talos, "message_too_large");
  await agent.finish();
});
