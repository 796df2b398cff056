/** `talos logs`: what an installed service printed, from where the system keeps that. */

import { exists } from "../../identity/home.ts";
import { printable } from "../../log.ts";
import type { Context } from "../context.ts";
import { CliError } from "../errors.ts";
import { followSystem, lastWords } from "../service/run_system.ts";
import { logsCommand as logsArgv } from "../service/service_plan.ts";
import { nameFlag, placeOf, type ServiceOptions } from "./service.ts";

/** The options of `talos logs`. */
export interface LogsOptions extends ServiceOptions {
  /** Go on until it is stopped. */
  readonly follow?: boolean;
  /** How many lines to begin with. */
  readonly lines?: number;
}

const USUAL_LINES = 200;

/** Prints what the service printed; with `--json` an object a line. Throws CliError. */
export async function logsCommand(context: Context, options: LogsOptions): Promise<void> {
  const { output, paths } = context;
  const { user, name, place } = placeOf(context, options);
  const kept = place.log ?? place.file;
  if (!await exists(kept)) {
    throw new CliError("service_missing", `There is no log of a service ${name}: no ${kept}`, {
      hints: [
        "a mcp-serve that was started by hand prints to its own terminal",
        `have one kept running: talos service install${nameFlag(name)} -- MCP-SERVE-OPTIONS`,
      ],
    });
  }
  const { lines = USUAL_LINES, follow = false } = options;
  const argv = logsArgv(user, name, paths.home, { lines, follow });
  const ended = await followSystem(argv, (line) => {
    if (output.json) output.event({ line });
    else output.result(printable(line), null);
  });
  if (ended.code === 0) return;
  throw new CliError("service_unavailable", `Cannot read the log: ${lastWords(ended)}`, {
    hints: ["log in as this user itself: su and sudo make no session"],
  });
}
