import assert from "node:assert/strict";
import { COVERAGE } from "./window_model_coverage.ts";
import { PLANTED_MISTAKES, type PlantedMistake, windowsWith } from "./window_model_mistakes.ts";
import {
  failureText,
  runSchedules,
  type ScheduleRange,
  type ScheduleReport,
} from "./window_model_schedules.ts";

/** TALOS_SEED=… tries other schedules than those of every run. */
const SEED = Deno.env.get("TALOS_SEED") ?? "1";
const SCHEDULES = 10_000;
/** A mistake that the first this many do not find counts as overlooked. */
const SCHEDULES_TO_FIND = 4_000;

Deno.test(`SendWindow and ReceiveWindow do as a plain list does over ${SCHEDULES} schedules of seed ${SEED}`, () => {
  const report = runSchedules({ seed: SEED, count: SCHEDULES });
  assert.equal(failureText(report, SEED), null);
  assert.equal(report.schedules, SCHEDULES);
  assert.deepEqual(COVERAGE.filter((name) => report.coverage[name] === 0), []);
});

Deno.test("runSchedules() does the same again when the seed is the same", () => {
  const range = { seed: "again", from: 100, count: 50 };
  const first = runSchedules(range);
  assert.deepEqual(runSchedules(range), first);
  assert.notDeepEqual(runSchedules({ ...range, seed: "other" }).coverage, first.coverage);
});

async function find({ plant, mistake }: PlantedMistake): Promise<ScheduleReport> {
  const range: ScheduleRange = { seed: "planted", count: SCHEDULES_TO_FIND };
  if (typeof plant === "string") return runSchedules({ ...range, mistake: plant });
  return runSchedules({ ...range, mistake, windows: await windowsWith(...plant) });
}

for (const planted of PLANTED_MISTAKES) {
  Deno.test(`runSchedules() fails when ${planted.name}`, async () => {
    const text = failureText(await find(planted), "planted");
    assert.ok(text !== null, "overlooked");
    assert.match(text, planted.noticed);
  });
}

Deno.test("windowsWith() plants nothing when the text is not there once", async () => {
  await assert.rejects(windowsWith("no such text", ""), { name: "TypeError" });
  await assert.rejects(windowsWith("this.#sent++;", ""), { name: "TypeError" });
});

Deno.test("windowsWith() changes nothing when an edit changes nothing", async () => {
  const windows = await windowsWith("this.#sent = 0;", "this.#sent = 0;");
  const range = { seed: SEED, count: 200 };
  assert.deepEqual(runSchedules({ ...range, windows }), runSchedules(range));
});
