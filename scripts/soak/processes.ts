/** What the operating system says about processes. Linux alone: elsewhere nothing is said. */

/** Returns the resident memory of a process in bytes; null where that is not known. */
export async function residentBytes(pid: number): Promise<number | null> {
  const status = await Deno.readTextFile(`/proc/${pid}/status`).catch(() => "");
  const kibibytes = /^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1];
  return kibibytes === undefined ? null : Number(kibibytes) * 1024;
}

/** Returns the ids of processes, zombies excepted, whose command line holds `marker`; null where that is not known. */
export async function processesWith(marker: string): Promise<readonly number[] | null> {
  if (Deno.build.os !== "linux") return null;
  const found: number[] = [];
  for await (const { name } of Deno.readDir("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    // A zombie has no command line.
    const commandLine = await Deno.readTextFile(`/proc/${name}/cmdline`).catch(() => "");
    if (commandLine.includes(marker)) found.push(Number(name));
  }
  return found;
}
