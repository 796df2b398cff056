/**
 * Finds out which reaper works on this machine, by trying: one of the thin executors.
 *
 * A kernel, a container or a security module may forbid namespaces, and a tool may be too old or be
 * missing; nothing but a trial tells. A reaper works if a command below it starts, hears a SIGTERM that is
 * sent to its group, has the time to act upon it, and is told from others by its exit status. It takes
 * some 10 ms where the first candidate works.
 */

import { type Clock, within } from "../clock.ts";
import { leadsGroup } from "./process_tree.ts";
import { type Reaper, REAPER_PROGRAMS, reaperCandidates, type ReaperProgram } from "./reaper.ts";

/** How long one candidate may take. */
const TRIAL_MS = 1_000;

/** What the tried command ends with when it has heard SIGTERM. */
const HEARD = 42;
/** A signal that comes while a shell starts a program waits for the end of that, so it starts short ones. */
const LISTENER =
  `trap "exit ${HEARD}" TERM; echo; n=0; while [ $n -lt 200 ]; do n=$((n+1)); sleep 0.02; done`;
const SYSTEM_PATH = "/usr/bin:/bin:/usr/sbin:/sbin";

/**
 * Returns where the programs of a reaper are: the first of `path` that `exists` knows, else where they
 * usually lie, which the trial then shows to be right or wrong.
 */
export function findReaperPrograms(
  path: string | undefined,
  exists: (path: string) => boolean,
): Record<ReaperProgram, string> {
  const directories = `${path ?? ""}:${SYSTEM_PATH}`.split(":").filter((name) =>
    name.startsWith("/")
  );
  const find = (program: ReaperProgram) =>
    directories.map((directory) => `${directory}/${program}`).find(exists) ??
      (program === "sh" ? "/bin/sh" : `/usr/bin/${program}`);
  const found = Object.fromEntries(REAPER_PROGRAMS.map((program) => [program, find(program)]));
  return found as Record<ReaperProgram, string>; // fromEntries forgets which keys there are
}

/** What {@link reaperHere} needs of its surroundings. */
export interface Surroundings {
  /** The system's name. */
  readonly os: string;
  /** `$PATH`. */
  readonly path: string | undefined;
  /** Whether a path is a program. */
  readonly exists: (path: string) => boolean;
  /** Time. */
  readonly clock: Clock;
}

/** Returns the best reaper that works here, or null. */
export async function reaperHere(
  { os, path, exists, clock }: Surroundings,
): Promise<Reaper | null> {
  if (os !== "linux") return null; // there are none, and nothing is looked for
  const programs = findReaperPrograms(path, exists);
  const candidates = reaperCandidates(os, { root: Deno.uid() === 0, pid: Deno.pid, programs });
  return await firstThatWorks(candidates, programs.sh, clock);
}

/** Returns the first of `candidates` that works here, or null. */
export async function firstThatWorks(
  candidates: readonly Reaper[],
  sh: string,
  clock: Clock,
): Promise<Reaper | null> {
  for (const candidate of candidates) {
    if (await works(candidate, sh, clock)) return candidate;
  }
  return null;
}

async function works({ prefix }: Reaper, sh: string, clock: Clock): Promise<boolean> {
  const [program, ...words] = prefix;
  let child: Deno.ChildProcess;
  try {
    child = new Deno.Command(program, {
      args: [...words, sh, "-c", LISTENER],
      env: { PATH: SYSTEM_PATH },
      clearEnv: true,
      stdin: "null",
      stdout: "piped",
      stderr: "null",
      detached: leadsGroup(Deno.build.os),
    }).spawn();
  } catch {
    return false; // there is no such program, or we may not run it
  }
  const reader = child.stdout.getReader();
  const heard = reader.read().then(async ({ done }) => {
    if (done) return false;
    kill(child.pid, "SIGTERM");
    return (await child.status).code === HEARD;
  });
  try {
    return await within(clock, TRIAL_MS, heard, false);
  } finally {
    kill(child.pid, "SIGKILL");
    await child.status;
    await heard;
    await reader.cancel();
  }
}

function kill(group: number, signal: Deno.Signal): void {
  try {
    Deno.kill(-group, signal);
  } catch {
    // Nobody is left in the group.
  }
}
