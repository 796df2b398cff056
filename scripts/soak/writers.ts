/**
 * Eight processes that write the same home at once and are killed while they do.
 *
 * Every change that a writer reported must be in the file at the end, the file must be whole, and no
 * killed writer may stop the others.
 */

import { readAccess } from "../../lib/identity/access_file.ts";
import { ensureHome, homePaths } from "../../lib/identity/home.ts";
import { SILENT } from "../../lib/log.ts";
import { SeededRandom } from "../seeded_random.ts";
import { peerOf } from "./access_writer.ts";
import { milliseconds, scaled, type SoakOptions, type SoakResult } from "./result.ts";

const WRITERS = 8;
/** Every change reads and writes the whole file, which grows to 800 grants. */
const CHANGES_EACH = 100;
const TIME_MS = 120_000;

/** Runs the writers. */
export async function soakWriters(options: SoakOptions): Promise<SoakResult> {
  const each = scaled(options, CHANGES_EACH, 5);
  const folder = await Deno.makeTempDir({ prefix: "talos-soak-" });
  try {
    const paths = homePaths(Deno.build.os, () => undefined, folder);
    await ensureHome(paths, SILENT);
    const began = performance.now();
    const deadline = AbortSignal.timeout(TIME_MS);
    const outcomes = await Promise.all(
      Array.from({ length: WRITERS }, (_, writer) => {
        const random = new SeededRandom(`${options.seed}/writers/${writer}`);
        return write(folder, writer, each, random, deadline);
      }),
    );
    const elapsed = performance.now() - began;
    const { grants } = await readAccess(paths);
    const inFile = new Set<string>(grants.map(({ peer }) => peer));
    const lost = outcomes.map(({ reported }, writer) =>
      Array.from({ length: reported }, (_, number) => number)
        .filter((number) => !inFile.has(peerOf(writer, number))).length
    );
    const failures = outcomes.flatMap(({ reported, done }, writer) => [
      ...(lost[writer] === 0
        ? []
        : [`writer ${writer}: ${lost[writer]} reported changes are lost`]),
      ...(done ? [] : [`writer ${writer}: came to ${reported} of ${each} changes in time`]),
    ]);
    const changes = outcomes.reduce((sum, { reported }) => sum + reported, 0);
    const kills = outcomes.reduce((sum, outcome) => sum + outcome.kills, 0);
    return {
      name: "Eight writers on one home",
      figures: [
        ["changes", `${changes} in ${milliseconds(elapsed)}`],
        ["each", milliseconds(elapsed / changes)],
        ["writers killed with kill -9", String(kills)],
        ["reported changes that are lost", String(lost.reduce((sum, count) => sum + count, 0))],
      ],
      failures,
    };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

interface Outcome {
  /** Changes 0 to this were reported. */
  readonly reported: number;
  readonly kills: number;
  readonly done: boolean;
}

/** Sees one writer through its changes: killed now and then, and begun again where it was. */
async function write(
  folder: string,
  writer: number,
  count: number,
  random: SeededRandom,
  deadline: AbortSignal,
): Promise<Outcome> {
  let reported = 0;
  let kills = 0;
  while (reported < count && !deadline.aborted) {
    const child = new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "--allow-all",
        "--no-check",
        new URL("access_writer.ts", import.meta.url).href,
        folder,
        String(writer),
        String(reported),
        String(count),
      ],
      stdin: "null",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    const last = reported + random.between(1, Math.max(1, Math.floor(count / 3)));
    let text = "";
    for await (const chunk of child.stdout.pipeThrough(new TextDecoderStream())) {
      text += chunk;
      const lines = text.split("\n");
      text = lines.pop() ?? "";
      reported += lines.length;
      if (reported >= last && reported < count || deadline.aborted) {
        child.kill("SIGKILL"); // in the middle of the next change, as likely as not
        kills++;
        break;
      }
    }
    const { success } = await child.status;
    if (success && reported < count) break; // it ended early: something is wrong
  }
  return { reported, kills, done: reported >= count };
}
