import assert from "node:assert/strict";

import { EVERYTHING_SERVER, prepareServer } from "../../scripts/mcp_servers.ts";
import { runEverything } from "./differential/everything_script.ts";
import {
  ENVIRONMENT,
  RANDOM_TOKENS,
  SIMULATED_LOGS,
  TASK_MOMENTS,
  TIMES_IN_BLOBS,
  TIMES_OF_DAY,
} from "./differential/normalisations.ts";
import { assertSameTranscripts, median, TwoWays } from "./differential/two_ways.ts";

/** A few milliseconds are usual, also on a busy machine; above this, a timer is in the way. */
const MEDIAN_LIMIT_MS = 100;

/** What `gzip-file-as-resource` compresses: the same bytes, from this machine. */
function serveFile() {
  return Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    () => new Response("talos ".repeat(1_000), { headers: { "content-type": "text/plain" } }),
  );
}

Deno.test({
  name: "talos passes every message of server-everything on as it is",
  sanitizeOps: false, // the SDK's transport leaves a timer of 2 s behind when it closes
  sanitizeResources: false,
  fn: everythingBothWays,
});

async function everythingBothWays(): Promise<void> {
  const [deno, ...words] = await prepareServer(EVERYTHING_SERVER);
  await using file = serveFile();
  const url = `http://127.0.0.1:${file.addr.port}/sample.txt`;
  const secrets = { TALOS_SECRET: "planted", PLANTED_SECRET: "planted" };
  await using ways = await TwoWays.open([deno ?? "deno", ...words], { secrets });
  const [direct, throughTalos] = await ways.run((way) => runEverything(way, url));

  const compared = assertSameTranscripts(direct.recording, throughTalos.recording, [
    ENVIRONMENT,
    RANDOM_TOKENS,
    TASK_MOMENTS,
    TIMES_OF_DAY,
    TIMES_IN_BLOBS,
    SIMULATED_LOGS,
  ]);
  assert.deepEqual(compared, { sent: 146, received: 172 });
  assert.deepEqual(throughTalos.environment, { ...direct.environment, TALOS_PEER_ID: ways.agent });

  const delays = await ways.assertSameBytes();
  assert.equal(delays.length, compared.sent + compared.received);
  assert.ok(median(delays) < MEDIAN_LIMIT_MS, `the median delay is ${median(delays)} ms`);
}
