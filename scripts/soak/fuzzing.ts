/** Every fuzz target, with more inputs than a gate has time for. */

import { FUZZ_TARGETS } from "../fuzz.ts";
import { fuzz } from "../fuzzing.ts";
import { messageOf } from "../../lib/errors.ts";
import { milliseconds, scaled, type SoakOptions, type SoakResult } from "./result.ts";

const RUNS = 1_000_000;
const BATCH = 1_000;
/** Slow targets, those with public-key cryptography above all, get as far as this. */
const TIME_PER_TARGET_MS = 30_000;

/** Runs all targets. */
export async function soakFuzzing(options: SoakOptions): Promise<SoakResult> {
  const figures: [string, string][] = [];
  const failures: string[] = [];
  const runs = scaled(options, RUNS, BATCH);
  const time = scaled(options, TIME_PER_TARGET_MS, 1000);
  for (const target of FUZZ_TARGETS) {
    const began = performance.now();
    let done = 0;
    let accepted = 0;
    let slowest = 0;
    while (done < runs && performance.now() - began < time) {
      const report = await fuzz(target, { seed: options.seed, from: done, runs: BATCH });
      done += report.runs;
      accepted += report.accepted;
      slowest = Math.max(slowest, report.slowestMs);
      if (report.violation === null) continue;
      const { iteration, thrown } = report.violation;
      failures.push(
        `${target.name}: input ${iteration} (${messageOf(thrown)}); again: deno run -A ` +
          `scripts/fuzz.ts ${target.name} --seed ${options.seed} --from ${iteration ?? 0} --runs 1`,
      );
      break;
    }
    figures.push([
      target.name,
      `${done} inputs, ${accepted} accepted, slowest ${milliseconds(slowest)}, in ` +
      milliseconds(performance.now() - began),
    ]);
  }
  return { name: "Fuzzing", figures, failures };
}
