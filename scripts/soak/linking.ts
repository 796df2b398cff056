/** Both executables for every system, as `deno task compile` links them. */

import { ROOT } from "../source_files.ts";
import type { SoakOptions, SoakResult } from "./result.ts";

/** Links them all. The seed and the scale change nothing. */
export async function soakLinking(_options: SoakOptions): Promise<SoakResult> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--allow-all", "scripts/compile.ts"],
    cwd: ROOT,
    env: { NO_COLOR: "1" },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).output();
  const text = new TextDecoder().decode(stdout);
  const rows = [...text.matchAll(/^(\S+-\S+-\S+) +(talos(?:-server)?) +(.+)$/gm)];
  const errors = new TextDecoder().decode(stderr).trim();
  return {
    name: "Executables for every system",
    figures: rows.map(([, target = "", program = "", rest = ""]) => [
      `${target} ${program}`,
      rest.replace(/ {2,}/g, ", "),
    ]),
    failures: success ? [] : errors.split("\n"),
  };
}
