import assert from "node:assert/strict";

import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";
import { EVERYTHING_SERVER, prepareServer } from "../../scripts/mcp_servers.ts";
import {
  type Era,
  runModern,
  runUndecided,
  undecidedClient,
} from "./differential/modern_script.ts";
import {
  type Normalisation,
  RANDOM_TOKENS,
  REQUEST_STATES,
  TASK_MOMENTS,
} from "./differential/normalisations.ts";
import { assertSameTranscripts, median, modernServer, TwoWays } from "./differential/two_ways.ts";

/** A few milliseconds are usual, also on a busy machine; above this, a timer is in the way. */
const MEDIAN_LIMIT_MS = 100;

const ERAS: readonly {
  readonly era: Era;
  readonly table: readonly Normalisation[];
  readonly sent: number;
  readonly received: number;
}[] = [
  { era: "modern", table: [REQUEST_STATES, RANDOM_TOKENS, TASK_MOMENTS], sent: 109, received: 123 },
  { era: "legacy", table: [RANDOM_TOKENS], sent: 100, received: 115 },
];

for (const { era, table, sent, received } of ERAS) {
  Deno.test({
    name: `talos passes every message of a ${era} client of SDK version 2 on as it is`,
    sanitizeOps: false, // the SDK's transport leaves a timer of 2 s behind when it closes
    sanitizeResources: false,
    async fn() {
      await using ways = await TwoWays.open(modernServer());
      const [direct, throughTalos] = await ways.run((way) => runModern(way, era));
      const compared = assertSameTranscripts(direct, throughTalos, table);
      assert.deepEqual(compared, { sent, received });
      const delays = await ways.assertSameBytes();
      assert.equal(delays.length, sent + received);
      assert.ok(median(delays) < MEDIAN_LIMIT_MS, `the median delay is ${median(delays)} ms`);
    },
  });
}

Deno.test({
  name: "talos passes the question for the era on, and the 2025 server's answer, as they are",
  sanitizeOps: false, // as above
  sanitizeResources: false,
  async fn() {
    const [deno, ...words] = await prepareServer(EVERYTHING_SERVER);
    await using ways = await TwoWays.open([deno ?? "deno", ...words]);
    const [direct, throughTalos] = await ways.run((way) => runUndecided(way, "legacy"));
    const compared = assertSameTranscripts(direct, throughTalos, []);
    assert.deepEqual(compared, { sent: 4, received: 4 });
    await ways.assertSameBytes();
  },
});

Deno.test({
  name: "mcp-connect serves a client that asks for the era in a process of its own",
  sanitizeOps: false, // as above
  sanitizeResources: false,
  async fn() {
    await using ways = await TwoWays.open(modernServer(), { tap: false });
    const client = undecidedClient();
    // Exactly this class starts a second `mcp-connect`, asks it, and ends it with a signal.
    await client.connect(new StdioClientTransport({ ...ways.untapped, stderr: "ignore" }));
    assert.equal(client.getProtocolEra(), "modern");
    const { structuredContent } = await client.callTool({ name: "add", arguments: { a: 1, b: 2 } });
    assert.deepEqual(structuredContent, { sum: 3 });
    await client.close();
    assert.equal(ways.host.log().split('"session opened"').length - 1, 2);
  },
});
