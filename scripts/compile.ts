/**
 * Builds the executables: `deno task compile [--target TRIPLE]… [--stand-in DIR|npm] [--real]`
 *
 * Both programs for every system, into `dist/<target>/`, with SHA256SUMS beside them; what can run here
 * is run once. The runtime that each carries comes from Deno's own host. Where that cannot be reached, a
 * stand-in takes its place (see stand_in.ts), unless `--real` forbids it: what comes out goes to
 * `dist/stand-in/<target>/`, cannot be used, and shows only that everything links.
 */

// deno-lint-ignore-file no-console -- printing is what this script is for.

import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { hex } from "../lib/bytes.ts";
import { sha256 } from "../lib/crypto/sha256.ts";
import { messageOf } from "../lib/errors.ts";
import {
  embeddedBytes,
  executableFormat,
  lacksRuntime,
  type Program,
  PROGRAMS,
  type Target,
  TARGETS,
} from "./compile_targets.ts";
import { ROOT } from "./source_files.ts";
import { findStandIn, type StandIn, standInFromNpm } from "./stand_in.ts";

/** More embedded than this means that packages of the tests came along: they are some 120 MB. */
const MAX_EMBEDDED_BYTES = 16 * 1024 * 1024;

/** What was built. */
export interface Artifact {
  readonly program: string;
  readonly target: string;
  readonly path: string;
  readonly bytes: number;
  /** Sources and packages, without the runtime. */
  readonly embeddedBytes: number | null;
  /** What it was linked with, or null for the real runtime. */
  readonly standIn: StandIn | null;
  readonly seconds: number;
}

/** Compiles one program for one system and checks what came out. Throws Error with Deno's own words. */
export async function compile(
  program: Program,
  target: Target,
  standIn: StandIn | null,
  folder: URL,
): Promise<Artifact> {
  const path = new URL(`${target.triple}/${program.name}${target.extension}`, folder);
  const began = performance.now();
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      "compile",
      "--frozen",
      "--exclude-unused-npm",
      ...program.permissions,
      "--target",
      target.triple,
      "--output",
      // Deno makes the folder, and adds `.exe` where the target wants it.
      fileURLToPath(new URL(`${target.triple}/${program.name}`, folder)),
      program.main,
    ],
    cwd: ROOT,
    env: { NO_COLOR: "1", ...(standIn === null ? {} : { DENORT_BIN: standIn.path }) },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).output();
  const said = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
  if (!success) throw new Error(said.trim());
  const artifact: Artifact = {
    program: program.name,
    target: target.triple,
    path: await Deno.realPath(path),
    bytes: (await Deno.stat(path)).size,
    embeddedBytes: embeddedBytes(said),
    standIn,
    seconds: (performance.now() - began) / 1000,
  };
  await check(artifact, target);
  return artifact;
}

async function check(artifact: Artifact, target: Target): Promise<void> {
  const head = new Uint8Array(1024);
  using file = await Deno.open(artifact.path, { read: true });
  const length = await file.read(head) ?? 0;
  const format = executableFormat(head.subarray(0, length));
  if (format !== target.format) {
    throw new Error(`${artifact.path} is ${format ?? "no executable"}, expected ${target.format}`);
  }
  const { embeddedBytes: embedded } = artifact;
  if (embedded !== null && embedded > MAX_EMBEDDED_BYTES) {
    throw new Error(`${artifact.path} embeds ${megabytes(embedded)}: more than the program's own`);
  }
}

/** Runs what can run here, so that a release is not the first time. Throws Error. */
async function tryOut({ path, program, target, standIn }: Artifact): Promise<void> {
  if (standIn !== null || target !== Deno.build.target) return;
  const { success, stdout, stderr } = await new Deno.Command(path, {
    args: [program === "talos" ? "version" : "--version"],
    stdin: "null",
  }).output();
  const said = new TextDecoder().decode(success ? stdout : stderr).trim();
  if (!success) throw new Error(`${program} does not run: ${said}`);
  console.log(`  ${said}`);
}

function table(artifacts: readonly Artifact[]): string {
  const rows = artifacts.map((artifact) => [
    artifact.target,
    artifact.program,
    megabytes(artifact.bytes),
    artifact.embeddedBytes === null ? "?" : megabytes(artifact.embeddedBytes),
    artifact.standIn === null ? "runtime" : `stand-in ${artifact.standIn.version}`,
    `${artifact.seconds.toFixed(1)} s`,
  ]);
  const all = [["target", "program", "size", "embedded", "linked with", "time"], ...rows];
  const widths = all[0]!.map((_, column) => Math.max(...all.map((row) => row[column]!.length)));
  return all.map((row) =>
    row.map((cell, column) => cell.padEnd(widths[column]!)).join("  ").trimEnd()
  )
    .join("\n");
}

function megabytes(bytes: number): string {
  return `${(bytes / 1024 / 1024).toFixed(1)} MiB`;
}

async function writeChecksums(artifacts: readonly Artifact[], folder: URL): Promise<void> {
  const lines: string[] = [];
  for (const { path, target } of artifacts) {
    const name = path.slice(path.replaceAll("\\", "/").lastIndexOf("/") + 1);
    lines.push(`${hex(sha256(await Deno.readFile(path)))}  ${target}/${name}\n`);
  }
  await Deno.writeTextFile(new URL("SHA256SUMS", folder), lines.join(""));
}

interface Request {
  readonly targets: readonly Target[];
  /** A folder, `npm`, or undefined: only where the real runtime cannot be had. */
  readonly standIn: string | undefined;
  readonly real: boolean;
}

function requestOf(args: string[]): Request {
  const { values } = parseArgs({
    args,
    options: {
      "target": { type: "string", multiple: true },
      "stand-in": { type: "string" },
      "real": { type: "boolean" },
    },
  });
  const wanted = values.target ?? TARGETS.map(({ triple }) => triple);
  const unknown = wanted.find((triple) => !TARGETS.some((target) => target.triple === triple));
  if (unknown !== undefined) throw new TypeError(`${unknown} is no target`);
  if (values.real === true && values["stand-in"] !== undefined) {
    throw new TypeError("--real and --stand-in exclude each other");
  }
  return {
    targets: TARGETS.filter(({ triple }) => wanted.includes(triple)),
    standIn: values["stand-in"],
    real: values.real === true,
  };
}

async function standInFor(target: Target, from: string | undefined): Promise<StandIn> {
  if (from === undefined || from === "npm") return await standInFromNpm(target);
  const found = await findStandIn(from, target);
  if (found === null) throw new Error(`${from} has no package ${target.standIn}`);
  return found;
}

const DIST = new URL("dist/", ROOT);
const DIST_STAND_IN = new URL("dist/stand-in/", ROOT);

/** Builds both programs for one system, with a stand-in where the request allows and the network asks for it. */
async function build(target: Target, { standIn, real }: Request): Promise<Artifact[]> {
  const link = async (base: StandIn | null) => {
    const artifacts: Artifact[] = [];
    for (const program of PROGRAMS) {
      artifacts.push(await compile(program, target, base, base === null ? DIST : DIST_STAND_IN));
    }
    return artifacts;
  };
  if (standIn !== undefined) return await link(await standInFor(target, standIn));
  try {
    return await link(null);
  } catch (error) {
    await Deno.remove(new URL(target.triple, DIST)).catch(() => {}); // empty, if it is there at all
    if (real || !lacksRuntime(messageOf(error))) throw error;
    console.log(
      `${target.triple}: Deno's runtime cannot be downloaded, a stand-in takes its place`,
    );
    return await link(await standInFor(target, undefined));
  }
}

async function main(args: string[]): Promise<number> {
  let request: Request;
  try {
    request = requestOf(args);
  } catch (error) {
    console.error(messageOf(error));
    console.error("usage: deno task compile [--target TRIPLE]… [--stand-in DIR|npm] [--real]");
    console.error(`targets: ${TARGETS.map(({ triple }) => triple).join(", ")}`);
    return 2;
  }
  const artifacts: Artifact[] = [];
  let failed = 0;
  for (const target of request.targets) {
    try {
      const built = await build(target, request);
      for (const artifact of built) await tryOut(artifact);
      artifacts.push(...built);
    } catch (error) {
      console.error(`${target.triple}: ${messageOf(error)}`);
      failed++;
    }
  }
  if (artifacts.length > 0) console.log(`\n${table(artifacts)}`);
  const real = artifacts.filter(({ standIn }) => standIn === null);
  if (real.length > 0) await writeChecksums(real, DIST);
  const standIns = artifacts.length - real.length;
  if (standIns > 0) {
    console.log(
      `\n${standIns} of ${artifacts.length} are linked with a stand-in: they show that everything links, ` +
        "they run as deno and not as Talos, and must not be given to anybody.",
    );
  }
  return failed === 0 ? 0 : 1;
}

if (import.meta.main) Deno.exit(await main(Deno.args));
