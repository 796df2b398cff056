/** The model of the windows, over more schedules than a gate has time for. */

import { COVERAGE } from "../../tests/session/window_model_coverage.ts";
import { PLANTED_MISTAKES, windowsWith } from "../../tests/session/window_model_mistakes.ts";
import { failureText, runSchedules } from "../../tests/session/window_model_schedules.ts";
import { scaled, type SoakOptions, type SoakResult } from "./result.ts";

const SCHEDULES = 200_000;
/** Within so many each planted mistake must be found; at small scales they are not fewer. */
const SCHEDULES_TO_FIND = 10_000;

/** Runs the schedules, then looks for every planted mistake. */
export async function soakWindowModel(options: SoakOptions): Promise<SoakResult> {
  const { seed } = options;
  const count = scaled(options, SCHEDULES, 5_000);
  const { schedules, operations, coverage, failure } = runSchedules({ seed, count });
  const figures: [string, string][] = [
    ["seed", seed],
    ["schedules", String(schedules)],
    ["operations", String(operations)],
    ...COVERAGE.map((name): [string, string] => [name, String(coverage[name])]),
  ];
  const failures: string[] = [];
  const text = failureText({ schedules, operations, coverage, failure }, seed);
  if (text !== null) failures.push(text);
  for (const name of COVERAGE) {
    if (coverage[name] === 0) failures.push(`never reached: ${name}`);
  }
  for (const { name, plant, mistake } of PLANTED_MISTAKES) {
    const range = { seed, count: SCHEDULES_TO_FIND };
    const report = typeof plant === "string"
      ? runSchedules({ ...range, mistake: plant })
      : runSchedules({ ...range, mistake, windows: await windowsWith(...plant) });
    if (report.failure === null) failures.push(`overlooked: ${name}`);
    else figures.push([`planted: ${name}`, `found by schedule ${report.failure.schedule}`]);
  }
  return { name: "Model of the windows", figures, failures };
}
