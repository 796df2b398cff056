/**
 * Measures Talos against direct stdio, ssh and mcp-remote, in one interleaved run.
 *
 *     deno task bench [--quick] [--only NAME]… [--dry]
 *
 * Prints a table with ratios to ssh, appends one line of JSON to docs/bench/history.jsonl and draws
 * docs/bench/latest.svg; with `--dry` it only prints. What is not installed is left out with a note.
 */

// deno-lint-ignore-file no-console -- printing is what this script is for.

import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { messageOf } from "../lib/errors.ts";
import { VERSION } from "../lib/version.ts";
import { chart } from "./bench/chart.ts";
import {
  type Contender,
  directContender,
  type ServerCommand,
  Unavailable,
} from "./bench/contender.ts";
import { type Result, table } from "./bench/figures.ts";
import { type Machine, thisMachine } from "./bench/machine.ts";
import { mcpRemoteContender } from "./bench/mcp_remote_contender.ts";
import { type Extent, FULL, measure, type Measured, QUICK } from "./bench/measure.ts";
import { sshContender, sshMasterContender } from "./bench/ssh_contenders.ts";
import { compiledTalosContender, talosContender } from "./bench/talos_contenders.ts";
import { ROOT } from "./source_files.ts";

const RESULTS = new URL("docs/bench/", ROOT);

/** What can take part, by name. Each throws Unavailable where it cannot. */
export const CONTENDERS: Readonly<
  Record<string, (server: ServerCommand) => Contender | Promise<Contender>>
> = {
  "direct": directContender,
  "ssh": sshContender,
  "ssh-master": sshMasterContender,
  "talos": talosContender,
  "talos-compiled": compiledTalosContender,
  "mcp-remote": mcpRemoteContender,
};

/** The MCP server that stands behind all of them. */
const SERVER: ServerCommand = [
  Deno.execPath(),
  "run",
  "--allow-all",
  "--no-check",
  "--no-config",
  "--no-lock",
  "--quiet",
  fileURLToPath(new URL("scripts/bench/echo_server.ts", ROOT)),
];

/** Prepares the contenders called `names` and measures them. */
export async function runBench(
  names: readonly string[],
  extent: Extent,
  progress: (what: string) => void,
): Promise<Measured> {
  await using stack = new AsyncDisposableStack();
  const contenders: Contender[] = [];
  const notes: string[] = [];
  for (const name of names) {
    const prepare = CONTENDERS[name];
    if (prepare === undefined) throw new TypeError(`${name} is no contender`);
    progress(`preparing ${name}`);
    try {
      contenders.push(stack.use(await prepare(SERVER)));
    } catch (error) {
      if (!(error instanceof Unavailable)) throw error;
      notes.push(`${name} was left out: ${error.message}`);
    }
  }
  const measured = await measure(contenders, extent, progress);
  return { results: measured.results, notes: [...notes, ...measured.notes] };
}

/** Returns a run as the history keeps it: one line. */
export function historyLine(
  { results, notes }: Measured,
  machine: Machine,
  facts: { readonly time: string; readonly quick: boolean },
): string {
  const figures = results.map(({ name, figures }) => [name, rounded(figures)]);
  const line = {
    ...facts,
    talos: VERSION,
    machine,
    contenders: Object.fromEntries(figures),
    notes,
  };
  return JSON.stringify(line) + "\n";
}

function rounded(figures: Result["figures"]): Record<string, number | null> {
  return Object.fromEntries(
    Object.entries(figures).map(([name, value]) => [
      name,
      value === null ? null : Number(value.toPrecision(4)),
    ]),
  );
}

async function save(measured: Measured, quick: boolean): Promise<void> {
  const machine = thisMachine();
  const time = new Date().toISOString();
  await Deno.mkdir(RESULTS, { recursive: true });
  const line = historyLine(measured, machine, { time, quick });
  await Deno.writeTextFile(new URL("history.jsonl", RESULTS), line, { append: true });
  const { cpu, cores, os, deno } = machine;
  const caption = `${cpu}, ${cores} cores, ${os}, Deno ${deno}, ${time.slice(0, 10)}; ` +
    "all on one machine, the same MCP server behind each";
  await Deno.writeTextFile(new URL("latest.svg", RESULTS), chart(measured.results, caption));
}

async function main(args: string[]): Promise<number> {
  const options = {
    quick: { type: "boolean", default: false },
    dry: { type: "boolean", default: false },
    only: { type: "string", multiple: true },
  } as const;
  let values;
  try {
    ({ values } = parseArgs({ args, options }));
  } catch (error) {
    console.error(messageOf(error));
    console.error("usage: deno task bench [--quick] [--dry] [--only NAME]…");
    console.error(`names: ${Object.keys(CONTENDERS).join(", ")}`);
    return 2;
  }
  const extent = values.quick ? QUICK : FULL;
  const names = values.only ?? Object.keys(CONTENDERS);
  const measured = await runBench(names, extent, (what) => console.error(`bench: ${what}`));
  console.log(`\n${table(measured.results)}\n`);
  for (const note of measured.notes) console.log(`note: ${note}`);
  if (!values.dry) await save(measured, values.quick);
  return 0;
}

if (import.meta.main) Deno.exit(await main(Deno.args));
