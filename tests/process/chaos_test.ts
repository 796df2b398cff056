/** A few seconds of chaos, and the accounts that it keeps. */

import assert from "node:assert/strict";
import { runChaos } from "../../scripts/chaos/conductor.ts";

Deno.test({
  name: "runChaos() loses no call when connections are cut and processes are killed",
  // The SDK's client leaves timers behind when it is closed.
  sanitizeOps: false,
  sanitizeResources: false,
  async fn() {
    const lines: string[] = [];
    const report = await runChaos({
      seed: "short",
      durationMs: 5_000,
      agentsPerHost: 1,
      inFlight: 4,
      log: (line) => lines.push(line),
    });
    assert.deepEqual(report.verdict.failures, [], lines.join("\n"));
    assert.ok(report.verdict.outcomes.result > 20, `${report.verdict.outcomes.result} results`);
    assert.ok(report.orphans === null || report.orphans === 0, `${report.orphans} orphans`);
    for (const kind of ["cut", "kill-host", "kill-registry"] as const) {
      assert.ok(report.faults[kind].times >= 1, `${report.faults[kind].times} times ${kind}`);
    }
    const others = ["silence", "suspend", "kill-agent", "kill-child"] as const;
    assert.ok(others.reduce((sum, kind) => sum + report.faults[kind].times, 0) >= 2);
  },
});
