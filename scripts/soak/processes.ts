/** What the operating system says about processes. Linux alone: elsewhere nothing is said. */

/** Returns the resident memory of a process in bytes; null where that is not known. */
export async function residentBytes(pid: number): Promise<number | null> {
  const status = await Deno.readTextFile(`/proc/${pid}/status`).catch(() => "");
  const kibibytes = /^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1];
  return kibibytes === undefined ? null : Number(kibibytes) * 1024;
}

/** Returns the ids of processes, zombies excepted, whose command line holds `marker`; null where that is not known. */
export function processesWith(marker: string): Promise<readonly number[] | null> {
  return processesWhose("cmdline", marker);
}

/**
 * Returns the ids of processes, zombies excepted, whose environment holds `marker`; null where that is not
 * known. What a process starts inherits its environment, so nothing that comes of it is missed.
 */
export function processesMarked(marker: string): Promise<readonly number[] | null> {
  return processesWhose("environ", marker);
}

async function processesWhose(
  file: "cmdline" | "environ",
  marker: string,
): Promise<readonly number[] | null> {
  if (Deno.build.os !== "linux") return null;
  const found: number[] = [];
  for await (const { name } of Deno.readDir("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    // A zombie has neither.
    const text = await Deno.readTextFile(`/proc/${name}/${file}`).catch(() => "");
    if (text.includes(marker)) found.push(Number(name));
  }
  return found;
}

/**
 * Waits until no process but those that `except` returns holds `marker`; returns those that still do when patience
 * ends. The system tells nobody about the end of a process that is not its child, so this looks again and
 * again.
 */
export async function whatIsLeft(
  marker: string,
  except: () => readonly number[] | Promise<readonly number[]>,
  patienceMs: number,
): Promise<readonly number[]> {
  const deadline = performance.now() + patienceMs;
  for (;;) {
    const marked = await processesMarked(marker) ?? [];
    const excepted = await except();
    const left = marked.filter((pid) => !excepted.includes(pid));
    if (left.length === 0 || performance.now() > deadline) return left;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
