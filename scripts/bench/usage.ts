/** What processes use of CPU and memory, out of Linux' `/proc`; on other systems nothing is known. */

/** Where the fields of `/proc/PID/stat` behind the program's name begin to count: at 3. */
const FIRST_FIELD = 3;
const PARENT_FIELD = 4;

/** Whether this system tells. */
export const KNOWS_USAGE: boolean = Deno.build.os === "linux" && threadTimes([Deno.pid]).size > 0;

/** Returns the fields of a `/proc/PID/stat` behind the program's name, which may hold anything. */
export function statFields(stat: string): readonly string[] {
  return stat.slice(stat.lastIndexOf(")") + 2).trim().split(" ");
}

function field(fields: readonly string[], number: number): number {
  return Number(fields[number - FIRST_FIELD]);
}

function readStat(pid: number): readonly string[] | null {
  try {
    return statFields(Deno.readTextFileSync(`/proc/${pid}/stat`));
  } catch {
    return null; // it has ended
  }
}

/** Returns `roots` and everything that they started and that still runs. */
export function processTree(roots: readonly number[]): number[] {
  const children = new Map<number, number[]>();
  for (const { name } of Deno.readDirSync("/proc")) {
    const pid = Number(name);
    const fields = Number.isInteger(pid) ? readStat(pid) : null;
    if (fields === null) continue;
    const parent = field(fields, PARENT_FIELD);
    children.set(parent, [...children.get(parent) ?? [], pid]);
  }
  const tree = new Set(roots);
  for (const pid of tree) for (const child of children.get(pid) ?? []) tree.add(child);
  return [...tree];
}

/** Returns how long each thread of `pids` has run so far, user and system, in nanoseconds. */
export function threadTimes(pids: readonly number[]): Map<string, number> {
  const times = new Map<string, number>();
  for (const pid of pids) {
    for (const thread of threadsOf(pid)) {
      try {
        // The first field of schedstat is exact; the times in stat count in 10 ms.
        const stat = Deno.readTextFileSync(`/proc/${pid}/task/${thread}/schedstat`);
        times.set(thread, Number(stat.split(" ")[0]));
      } catch {
        // it has ended
      }
    }
  }
  return times;
}

/** Returns what the threads in `after` have run since `before`, in milliseconds. */
export function cpuMsBetween(
  before: ReadonlyMap<string, number>,
  after: ReadonlyMap<string, number>,
): number {
  let ns = 0;
  for (const [thread, time] of after) ns += time - (before.get(thread) ?? 0);
  return ns / 1e6;
}

function threadsOf(pid: number): string[] {
  try {
    return [...Deno.readDirSync(`/proc/${pid}/task`)].map(({ name }) => name);
  } catch {
    return []; // it has ended
  }
}

/** Returns the most memory that each of `pids` has held at once, added up, in bytes. */
export function peakMemory(pids: readonly number[]): number {
  let kib = 0;
  for (const pid of pids) {
    try {
      const status = Deno.readTextFileSync(`/proc/${pid}/status`);
      kib += Number(/^VmHWM:\s*(\d+) kB$/m.exec(status)?.[1] ?? 0);
    } catch {
      // it has ended
    }
  }
  return kib * 1024;
}
