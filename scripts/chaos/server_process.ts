/**
 * Which process is the server of an agent. It may live in a PID namespace of its own, and then does not
 * know what the machine calls it; so it is looked for from outside.
 */

/**
 * Returns the process that runs for the peer `peerId` a command line that begins with `program` and holds
 * `marker`; the youngest of several: those of former sessions live on for a while. Null if there is none.
 * Linux alone.
 */
export async function serverProcess(
  program: string,
  marker: string,
  peerId: string,
): Promise<number | null> {
  let youngest: { readonly pid: number; readonly startedAt: number } | null = null;
  for await (const { name } of Deno.readDir("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const line = await contentOf(name, "cmdline");
    if (!line.startsWith(program) || !line.includes(marker)) continue;
    if (!(await contentOf(name, "environ")).includes(`TALOS_PEER_ID=${peerId}\0`)) continue;
    const stat = await contentOf(name, "stat");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" "); // from the third on
    if (fields[0] === "Z" || fields[0] === undefined) continue;
    const startedAt = Number(fields[19]); // clock ticks since the machine started
    if (youngest === null || startedAt >= youngest.startedAt) {
      youngest = { pid: Number(name), startedAt };
    }
  }
  return youngest?.pid ?? null;
}

/** Returns a file about a process, empty when the process is gone. */
async function contentOf(pid: string, file: string): Promise<string> {
  return await Deno.readTextFile(`/proc/${pid}/${file}`).catch(() => "");
}
