/**
 * Runs the tests: those in one process first, several files at a time; then those that start processes of
 * their own, in two lanes: most of their time they wait. Ends with a line that counts them:
 * `N passed, N failed`.
 *
 * Arguments are passed on to `deno test`, such as `--filter NAME`.
 */

// deno-lint-ignore-file no-console -- printing is what this script is for.

import { ROOT, typescriptFiles } from "./source_files.ts";

/** Tests that start processes. */
const PROCESS_TESTS = "tests/process";

/** How many of them run at a time. They agree on nothing that is there once: no port, no path, no name. */
const LANES = 2;

/** How many files a lane takes at once. */
const FILES_AT_ONCE = 4;

const FLAGS = ["--allow-all", "--sanitize-ops", "--sanitize-resources"];

interface Counts {
  passed: number;
  failed: number;
  skipped: number;
}

async function run(files: readonly string[], flags: readonly string[]): Promise<Counts> {
  if (files.length === 0) return { passed: 0, failed: 0, skipped: 0 };
  const child = new Deno.Command(Deno.execPath(), {
    args: ["test", ...FLAGS, ...flags, ...Deno.args, ...files],
    cwd: ROOT,
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const output = await new Response(child.stdout).bytes();
  for (let at = 0; at < output.length;) at += Deno.stdout.writeSync(output.subarray(at));
  const { success } = await child.status;
  const counts = countsOf(new TextDecoder().decode(output));
  if (!success && counts.failed === 0) counts.failed = 1; // it did not even load
  return counts;
}

/** Reads the summary that `deno test` ends with. */
export function countsOf(output: string): Counts {
  // deno-lint-ignore no-control-regex -- the colours of the summary
  const plain = output.replace(/\u001b\[[0-9;]*m/g, "");
  const summary = [...plain.matchAll(/^(?:ok|FAILED) \| (.*)$/gm)].at(-1)?.[1] ?? "";
  const count = (word: string) => Number(new RegExp(`(\\d+) ${word}`).exec(summary)?.[1] ?? 0);
  return { passed: count("passed"), failed: count("failed"), skipped: count("ignored") };
}

/** Runs files in lanes: each takes the next few as soon as it is free. */
async function runInLanes(files: readonly string[]): Promise<Counts[]> {
  const left = [...files];
  const results: Counts[] = [];
  const lane = async () => {
    while (left.length > 0) results.push(await run(left.splice(0, FILES_AT_ONCE), []));
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  return results;
}

async function main(): Promise<number> {
  const files = (await typescriptFiles("tests")).filter((file) => file.endsWith("_test.ts"));
  const alone = files.filter((file) => file.startsWith(PROCESS_TESTS));
  const together = files.filter((file) => !file.startsWith(PROCESS_TESTS));
  const results = [await run(together, ["--parallel"]), ...await runInLanes(alone)];
  const sum = (key: keyof Counts) => results.reduce((total, counts) => total + counts[key], 0);
  const skipped = sum("skipped") === 0 ? "" : `, ${sum("skipped")} skipped`;
  console.log(`${sum("passed")} passed, ${sum("failed")} failed${skipped}`);
  return sum("failed") === 0 && sum("passed") > 0 ? 0 : 1;
}

if (import.meta.main) Deno.exit(await main());
