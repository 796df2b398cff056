/**
 * The program, watched from inside: when its log says that it is connected, it tries everything that
 * takes a permission, and says on stderr what it could still do. Test code.
 */

// deno-lint-ignore-file no-console -- saying it is what this is for

import { runTalos } from "../../lib/cli/run_talos.ts";

/** What was tried, and whether it worked. */
function probe(): Record<string, boolean> {
  const works = (action: () => unknown) => {
    try {
      action();
      return true;
    } catch (error) {
      if (error instanceof Deno.errors.NotCapable) return false;
      throw error;
    }
  };
  const file = import.meta.filename ?? "";
  return {
    read: works(() => Deno.readTextFileSync(file)),
    write: works(() => Deno.utimeSync(file, new Date(), new Date())),
    env: works(() => Deno.env.get("HOME")),
    sys: works(() => Deno.hostname()),
    run: works(() => new Deno.Command(Deno.execPath(), { args: ["--version"] }).outputSync()),
    ffi: works(() => Deno.dlopen("/nowhere.so", {})),
    net: works(() => Deno.listen({ hostname: "127.0.0.1", port: 0 }).close()),
  };
}

if (import.meta.main) {
  const writeSync = Deno.stderr.writeSync.bind(Deno.stderr);
  Deno.stderr.writeSync = (bytes) => {
    const said = new TextDecoder().decode(bytes);
    if (said.startsWith("talos: connected ")) console.error(`probe ${JSON.stringify(probe())}`);
    return writeSync(bytes);
  };
  Deno.exit(await runTalos(Deno.args));
}
