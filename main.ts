/**
 * The executable `talos`: the command line, and the registry that `mcp-serve --with-registry` runs beside its
 * servers. This module alone knows both; the registry is loaded only where it is asked for.
 */

import { SYSTEM } from "./lib/cli/context.ts";
import type { StartRegistry } from "./lib/cli/own_registry.ts";
import { runTalos } from "./lib/cli/run_talos.ts";

const startRegistry: StartRegistry = async (options) => {
  const registry = await import("./registry/embedded.ts");
  return await registry.startRegistry(options);
};

if (import.meta.main) Deno.exit(await runTalos(Deno.args, { ...SYSTEM, startRegistry }));
