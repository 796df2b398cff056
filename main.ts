/** The executable `talos`. */

import { runTalos } from "./lib/cli/program.ts";

if (import.meta.main) Deno.exit(await runTalos(Deno.args));
