/**
 * The fuzz driver: `deno run -A scripts/fuzz.ts TARGET|all [--runs N] [--seed S] [--from N]`
 *
 * For each target it prints how many inputs were tried, accepted and refused, by code, and stops with
 * exit status 1 at the first input that does what none may do (see `fuzzing.ts`): it prints the input
 * and the command that makes the same input again. Without `--seed` a new one is taken and printed.
 * Without a target it lists them.
 */

// deno-lint-ignore-file no-console -- printing is what this script is for.

import { parseArgs } from "node:util";

import { hex } from "../lib/bytes.ts";
import { messageOf } from "../lib/errors.ts";
import { bodies } from "./fuzz/bodies.ts";
import { endpointRecord } from "./fuzz/endpoint_record.ts";
import { frames } from "./fuzz/frames.ts";
import { handshake } from "./fuzz/handshake.ts";
import { handshakePayload } from "./fuzz/handshake_payload.ts";
import { joinMessages } from "./fuzz/join_messages.ts";
import { jsonLines } from "./fuzz/json_lines.ts";
import { jsonScan } from "./fuzz/json_scan.ts";
import { msgpack } from "./fuzz/msgpack.ts";
import { noise } from "./fuzz/noise.ts";
import { peerAddress } from "./fuzz/peer_address.ts";
import { peerId } from "./fuzz/peer_id.ts";
import { policy } from "./fuzz/policy.ts";
import { preface } from "./fuzz/preface.ts";
import { records } from "./fuzz/records.ts";
import { registryMessages } from "./fuzz/registry_messages.ts";
import { session } from "./fuzz/session.ts";
import { ticket } from "./fuzz/ticket.ts";
import { wallet } from "./fuzz/wallet.ts";
import {
  fuzz,
  type FuzzRange,
  type FuzzReport,
  type FuzzTarget,
  type Violation,
} from "./fuzzing.ts";

/** Every target there is. */
export const FUZZ_TARGETS: readonly FuzzTarget[] = [
  msgpack,
  preface,
  frames,
  bodies,
  records,
  session,
  handshake,
  handshakePayload,
  noise,
  wallet,
  peerId,
  peerAddress,
  endpointRecord,
  registryMessages,
  ticket,
  joinMessages,
  jsonLines,
  jsonScan,
  policy,
];

const DEFAULT_RUNS = 10_000;

if (import.meta.main) Deno.exit(await main(Deno.args));

async function main(args: string[]): Promise<number> {
  const request = requestOf(args);
  if (request === null) {
    console.error("usage: deno run -A scripts/fuzz.ts TARGET|all [--runs N] [--seed S] [--from N]");
    console.error(`targets: ${FUZZ_TARGETS.map(({ name }) => name).join(", ")}`);
    return 2;
  }
  const { targets, range } = request;
  let failed = false;
  for (const target of targets) {
    const report = await fuzz(target, range);
    console.log(summary(target.name, range.seed, report));
    if (report.violation === null) continue;
    console.error(complaint(target.name, range.seed, report.violation));
    failed = true;
  }
  return failed ? 1 : 0;
}

/** Returns what the command line asks for, or null where it makes no sense. */
function requestOf(
  args: string[],
): { readonly targets: readonly FuzzTarget[]; readonly range: FuzzRange } | null {
  try {
    const { values, positionals: [name, ...more] } = parseArgs({
      args,
      allowPositionals: true,
      options: { runs: { type: "string" }, seed: { type: "string" }, from: { type: "string" } },
    });
    const targets = FUZZ_TARGETS.filter((target) => name === "all" || target.name === name);
    const runs = count(values.runs, DEFAULT_RUNS);
    const from = count(values.from, 0);
    if (targets.length === 0 || more.length > 0 || runs === null || from === null) return null;
    return { targets, range: { seed: values.seed ?? freshSeed(), from, runs } };
  } catch (error) {
    console.error(messageOf(error));
    return null;
  }
}

function freshSeed(): string {
  return String(crypto.getRandomValues(new Uint32Array(1))[0]);
}

/** Returns the number that an option gives, or null where it gives none. */
function count(text: string | undefined, otherwise: number): number | null {
  if (text === undefined) return otherwise;
  return /^\d{1,12}$/.test(text) ? Number(text) : null;
}

function summary(name: string, seed: string, report: FuzzReport): string {
  const refused = report.refused.map(([code, times]) => `${code} ${times}`).join(", ");
  const times = `${(report.elapsedMs / 1000).toFixed(1)} s, slowest ${
    report.slowestMs.toFixed(0)
  } ms`;
  return `${name}: ${report.runs} runs, ${report.accepted} accepted, seed ${seed}, ${times}` +
    (refused === "" ? "" : `\n  refused: ${refused}`);
}

function complaint(name: string, seed: string, { iteration, input, thrown }: Violation): string {
  const where = iteration === null
    ? "  a member of the corpus was not accepted"
    : `  again: deno run -A scripts/fuzz.ts ${name} --seed ${seed} --from ${iteration} --runs 1`;
  const what = thrown instanceof Error ? thrown.stack ?? thrown.message : String(thrown);
  return `${name}: VIOLATION\n  input: ${hex(input)}\n${where}\n  ${what}`;
}
