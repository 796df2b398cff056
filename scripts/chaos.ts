/**
 * Minutes of random faults under real MCP clients that number their calls, against servers that count
 * them: `deno task chaos [--minutes N] [--seed S] [--log] [--no-minimum]`
 *
 * Connections are cut at any byte and fall silent; the registry, hosts, servers and agents are killed as
 * by a power cut; hosts and agents stand still. Ends with a table, and with status 1 when a call was lost
 * or answered twice, when *not run* was said of one that was run, when a process was left, or when there
 * were too few faults for that to mean something. The seed gives the faults of each lane and their times;
 * what they hit depends on the machine.
 */

// deno-lint-ignore-file no-console -- printing is what this script is for.

import { parseArgs } from "node:util";
import { messageOf } from "../lib/errors.ts";
import { type ChaosReport, runChaos } from "./chaos/conductor.ts";
import { FAULTS } from "./chaos/schedule.ts";
import { milliseconds } from "./soak/result.ts";

/** What a minute must have, so that two have 20 of each kind, 50 with calls under way and 200 in all. */
const LEAST_PER_MINUTE = { each: 10, withCalls: 25, all: 100 };

/** Starting and settling take less; what takes longer hangs. */
const BEYOND_MS = 240_000;

/** Returns why a report is a failure, a sentence each. */
export function failuresOf(report: ChaosReport, minutes: number): string[] {
  const { verdict, faults, orphans } = report;
  const failures = [...verdict.failures];
  if (orphans !== null && orphans > 0) failures.push(`${orphans} processes were left`);
  if (verdict.outcomes.result === 0) failures.push("not one call has a result");
  const counts = Object.values(faults);
  const all = counts.reduce((sum, { times }) => sum + times, 0);
  const withCalls = counts.reduce((sum, count) => sum + count.withCalls, 0);
  const least = (count: number, each: number, what: string) => {
    const needed = Math.floor(each * minutes);
    if (count < needed) failures.push(`${count} ${what}, ${needed} are needed`);
  };
  for (const kind of FAULTS) least(faults[kind].times, LEAST_PER_MINUTE.each, kind);
  least(withCalls, LEAST_PER_MINUTE.withCalls, "faults with calls under way");
  least(all, LEAST_PER_MINUTE.all, "faults");
  return failures;
}

/** Returns a report as a table. */
export function tableOf({ verdict, faults, resumptions, lives, orphans }: ChaosReport): string {
  const { outcomes } = verdict;
  const rows: [string, string | number][] = [
    ["calls sent", verdict.sent],
    ["answered with a result", outcomes.result],
    ["answered: not run", outcomes.not_run],
    ["answered: outcome unknown", outcomes.outcome_unknown],
    ["their agent was killed", outcomes.abandoned],
    ["lost", verdict.lost],
    ["answered twice", verdict.duplicatedAnswers],
    ["false not run", verdict.falseNotRun],
    ["run twice", verdict.ranTwice],
    ["a result without a run", verdict.neverRun],
    ["stray replies at a server", verdict.strayReplies],
    ["notifications lost or out of order", verdict.lostNotifications],
    ["resumptions", resumptions],
    ["agents' lives", lives],
    ["median latency", milliseconds(verdict.medianMs)],
    ["worst latency", `${milliseconds(verdict.worstMs)}: ${verdict.worst}`],
    ["processes left", orphans ?? "not looked for on this system"],
    ...FAULTS.map((kind): [string, string] => [
      kind,
      `${faults[kind].times}, ${faults[kind].withCalls} with calls under way`,
    ]),
  ];
  const width = Math.max(...rows.map(([label]) => label.length));
  return rows.map(([label, value]) => `${label.padEnd(width)}  ${value}`).join("\n");
}

interface Request {
  readonly minutes: number;
  readonly seed: string;
  readonly log: boolean;
}

function requestOf(args: string[]): Request {
  const { values } = parseArgs({
    args,
    options: {
      minutes: { type: "string", default: "2" },
      seed: { type: "string" },
      log: { type: "boolean", default: false },
    },
  });
  const minutes = Number(values.minutes);
  if (!(minutes > 0 && minutes <= 600)) {
    throw new TypeError(`--minutes ${values.minutes} is not a number of minutes up to 600`);
  }
  const seed = values.seed ?? String(crypto.getRandomValues(new Uint32Array(1))[0]);
  return { minutes, seed, log: values.log };
}

async function main(args: string[]): Promise<number> {
  let request: Request;
  try {
    request = requestOf(args);
  } catch (error) {
    console.error(messageOf(error));
    console.error("usage: deno task chaos [--minutes N] [--seed S] [--log]");
    return 2;
  }
  const { minutes, seed, log } = request;
  console.log(`chaos: ${minutes} minutes, seed ${seed}`);
  const durationMs = minutes * 60_000;
  const bound = setTimeout(() => {
    console.error(`chaos: no end after ${milliseconds(durationMs + BEYOND_MS)}`);
    Deno.exit(1);
  }, durationMs + BEYOND_MS);
  const report = await runChaos({
    seed,
    durationMs,
    agentsPerHost: 2,
    inFlight: 6,
    log: (line) => log && console.log(line),
  });
  clearTimeout(bound);
  console.log(tableOf(report));
  const failures = failuresOf(report, minutes);
  for (const failure of failures) console.error(`FAILED: ${failure}`);
  console.log(failures.length === 0 ? "chaos: passed" : `chaos: ${failures.length} failures`);
  return failures.length === 0 ? 0 : 1;
}

if (import.meta.main) Deno.exit(await main(Deno.args));
