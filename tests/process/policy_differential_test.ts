/**
 * A policy that permits everything changes nothing: every message of a real client in either era, and every
 * byte of it, is as without one.
 */

import assert from "node:assert/strict";

import { Client } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";
import { runModern } from "./differential/modern_script.ts";
import { RANDOM_TOKENS, REQUEST_STATES, TASK_MOMENTS } from "./differential/normalisations.ts";
import { assertSameTranscripts, modernServer, TwoWays } from "./differential/two_ways.ts";

const EVERYTHING = { allow: ["*"] };
const POLICY = {
  version: 1,
  rules: [{
    peer: "*",
    tools: EVERYTHING,
    resources: EVERYTHING,
    prompts: EVERYTHING,
    methods: { allow: ["org.talos/*", "tasks/*"] },
    limits: {
      requests_per_minute: 10_000,
      concurrent_calls: 100,
      bytes_per_day: 1e9,
      seconds_per_call: 600,
    },
  }],
};

for (const era of ["modern", "legacy"] as const) {
  Deno.test({
    name: `a policy that permits everything changes no message of a ${era} client`,
    sanitizeOps: false, // the SDK's transport leaves a timer of 2 s behind when it closes
    sanitizeResources: false,
    async fn() {
      const folder = await Deno.makeTempDir({ prefix: "talos-test-" });
      try {
        const policy = `${folder}/policy.json`;
        await Deno.writeTextFile(policy, JSON.stringify(POLICY), { mode: 0o600 });
        await using ways = await TwoWays.open(modernServer(), { args: ["--policy", policy] });
        const [direct, throughTalos] = await ways.run((way) => runModern(way, era));
        const table = era === "modern"
          ? [REQUEST_STATES, RANDOM_TOKENS, TASK_MOMENTS]
          : [RANDOM_TOKENS];
        const { sent } = assertSameTranscripts(direct, throughTalos, table);
        assert.ok(sent >= 100, `${sent} messages`);
        await ways.assertSameBytes();
        assert.doesNotMatch(ways.host.log(), /refused by the policy/);
      } finally {
        await Deno.remove(folder, { recursive: true });
      }
    },
  });
}

Deno.test({
  name: "mcp-serve --read-only asks a server of 2026-07-28 for its tools in that server's words",
  sanitizeOps: false, // as above
  sanitizeResources: false,
  async fn() {
    await using ways = await TwoWays.open(modernServer(), { tap: false, args: ["--read-only"] });
    const client = new Client({ name: "t", version: "1" }, {
      versionNegotiation: { mode: "auto" },
    });
    await client.connect(new StdioClientTransport({ ...ways.untapped, stderr: "ignore" }));
    try {
      assert.equal(client.getProtocolEra(), "modern");
      const { content } = await client.callTool({ name: "echo", arguments: { text: "hello" } });
      assert.deepEqual(content, [{ type: "text", text: "hello" }]);
      await assert.rejects(client.callTool({ name: "add", arguments: { a: 1, b: 2 } }), {
        code: -32017,
      });
      const { tools } = await client.listTools();
      assert.ok(
        tools.length > 0 && tools.every(({ annotations }) => annotations?.readOnlyHint),
        JSON.stringify(tools),
      );
    } finally {
      await client.close();
    }
  },
});
