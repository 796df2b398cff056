import assert from "node:assert/strict";

import { runBench } from "../../scripts/bench.ts";
import { figureNames, type Figures, table } from "../../scripts/bench/figures.ts";
import type { Extent } from "../../scripts/bench/measure.ts";
import { KNOWS_USAGE } from "../../scripts/bench/usage.ts";

/** As little as gives every figure. Nothing is said of speed. */
const TINY: Extent = {
  startRounds: 1,
  rounds: 1,
  warmUpCalls: 10,
  calls: 20,
  pacedCalls: 5,
  volleyCalls: 200,
  largeCalls: 8,
  volleyLimitMs: 5_000,
};

Deno.test("a run of the benchmark gives every figure of every contender", async () => {
  const names = ["direct", "ssh", "talos"];
  const { results, notes } = await runBench(names, TINY, () => {});
  const missing = names.filter((name) => !results.some((result) => result.name === name));
  assert.ok(missing.every((name) => name === "ssh"), `left out: ${notes.join("; ")}`);
  assert.equal(notes.length, missing.length);
  for (const { name, figures } of results) check(name, figures);
  assert.equal(table(results).split("\n").length, 1 + figureNames().length);
});

function check(name: string, figures: Figures): void {
  assert.deepEqual(Object.keys(figures), figureNames());
  for (const [figure, value] of Object.entries(figures)) {
    const unknown = !KNOWS_USAGE && /cpu|rss/.test(figure);
    const fine = unknown ? value === null : Number.isFinite(value) && Number(value) > 0;
    assert.ok(fine, `${name}: ${figure} is ${value}`);
  }
  assert.ok(Number(figures.call_p99_us) >= Number(figures.call_p50_us), name);
  assert.ok(Number(figures.paced_p99_us) >= Number(figures.paced_p50_us), name);
}
