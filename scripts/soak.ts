/**
 * The long runs: `deno task test:soak [--seed S] [--scale X] [--only NAME] [--no-report]`
 *
 * Fuzzing, the model of the windows, a thousand half-finished connections, kill -9, eight writers on one
 * home, and the executables of every system. All randomness follows from the seed, each run is bounded in
 * time, and the figures go to `docs/bench/soak-<date>.md` as they were measured, failures included.
 * `--scale 0.01` is a quick look.
 */

// deno-lint-ignore-file no-console -- printing is what this script is for.

import { parseArgs } from "node:util";
import { messageOf } from "../lib/errors.ts";
import { thisMachine } from "./bench/machine.ts";
import { soakCable } from "./soak/cable.ts";
import { soakFuzzing } from "./soak/fuzzing.ts";
import { soakHalfOpen } from "./soak/half_open.ts";
import { soakKills } from "./soak/kill_cycles.ts";
import { soakLargeResults } from "./soak/large_results.ts";
import { soakLinking } from "./soak/linking.ts";
import { soakRestarts } from "./soak/restarts.ts";
import { mebibytes, milliseconds, type SoakOptions, type SoakResult } from "./soak/result.ts";
import { soakSessions } from "./soak/sessions.ts";
import { soakWindowModel } from "./soak/window_model.ts";
import { soakWriters } from "./soak/writers.ts";
import { ROOT } from "./source_files.ts";

const RUNS: ReadonlyMap<string, (options: SoakOptions) => Promise<SoakResult>> = new Map([
  ["half-open", soakHalfOpen],
  ["kills", soakKills],
  ["restarts", soakRestarts],
  ["cable", soakCable],
  ["large-results", soakLargeResults],
  ["sessions", soakSessions],
  ["writers", soakWriters],
  ["linking", soakLinking],
  ["window-model", soakWindowModel],
  ["fuzzing", soakFuzzing],
]);

/** Returns a result as a section of the report. */
export function section({ name, figures, failures }: SoakResult, elapsedMs: number): string {
  const width = Math.max(...figures.map(([label]) => label.length), 0);
  return [
    `## ${name}`,
    "",
    failures.length === 0
      ? `Passed, in ${milliseconds(elapsedMs)}.`
      : `${failures.length} FAILED, in ${milliseconds(elapsedMs)}.`,
    "",
    ...figures.map(([label, value]) => `- ${label.padEnd(width)}  ${value}`),
    ...failures.map((failure) => `- FAILED: ${failure}`),
    "",
  ].join("\n");
}

/** Returns what figures depend on, and nothing that names the machine. */
function machine(): string {
  const { cpu, cores, os, deno } = thisMachine();
  const memory = mebibytes(Deno.systemMemoryInfo().total);
  return `${os}, ${cores} cores (${cpu}), ${memory} of memory, Deno ${deno}`;
}

interface Request extends SoakOptions {
  readonly names: readonly string[];
  readonly report: boolean;
}

function requestOf(args: string[]): Request {
  const { values } = parseArgs({
    args,
    options: {
      "seed": { type: "string" },
      "scale": { type: "string" },
      "only": { type: "string" },
      "no-report": { type: "boolean" },
    },
  });
  const scale = Number(values.scale ?? "1");
  if (!(scale > 0 && scale <= 100)) throw new TypeError(`--scale ${values.scale} is no scale`);
  if (values.only !== undefined && !RUNS.has(values.only)) {
    throw new TypeError(`--only ${values.only} is none of ${[...RUNS.keys()].join(", ")}`);
  }
  return {
    seed: values.seed ?? String(crypto.getRandomValues(new Uint32Array(1))[0]),
    scale,
    names: values.only === undefined ? [...RUNS.keys()] : [values.only],
    report: values["no-report"] !== true,
  };
}

async function main(args: string[]): Promise<number> {
  let request: Request;
  try {
    request = requestOf(args);
  } catch (error) {
    console.error(messageOf(error));
    console.error("usage: deno task test:soak [--seed S] [--scale X] [--only NAME] [--no-report]");
    return 2;
  }
  const date = new Date().toISOString().slice(0, 10);
  const head = `# Soak run of ${date}\n\n` +
    `Made by \`deno task test:soak --seed ${request.seed} --scale ${request.scale}\` on ` +
    `${machine()}. Figures as measured, once.\n`;
  console.log(head);
  const sections: string[] = [];
  let failed = 0;
  for (const name of request.names) {
    const began = performance.now();
    const result = await RUNS.get(name)!(request).catch((error: unknown): SoakResult => ({
      name,
      figures: [],
      failures: [`it did not come to its end: ${messageOf(error)}`],
    }));
    failed += result.failures.length;
    sections.push(section(result, performance.now() - began));
    console.log(sections.at(-1));
  }
  if (request.report) {
    const folder = new URL("docs/bench/", ROOT);
    await Deno.mkdir(folder, { recursive: true });
    const report = new URL(`soak-${date}.md`, folder);
    await Deno.writeTextFile(report, [head, ...sections].join("\n").trimEnd() + "\n");
    console.log(`written to docs/bench/soak-${date}.md`);
  }
  console.log(`${request.names.length} runs, ${failed} failures`);
  return failed === 0 ? 0 : 1;
}

if (import.meta.main) Deno.exit(await main(Deno.args));
