/**
 * The signals that ask a long-running program to end: one of the thin executors.
 *
 * Which signals there are is a pure function of the system and of whether there is a terminal. Windows has
 * no SIGTERM that a program could hear: who ends it from outside ends it at once, and Ctrl-C, Ctrl-Break
 * and closing the window are what remains. SIGHUP says that the terminal is gone. Who never had one
 * (`nohup`, a service, a container) goes on: Deno resets the disposition that `nohup` sets, so a
 * program that did nothing would be ended by it.
 */

/** Returns the signals that mean "end in order" on `os`. */
export function stopSignals(
  os: typeof Deno.build.os,
  hasTerminal: boolean,
): readonly Deno.Signal[] {
  if (os === "windows") return ["SIGINT", "SIGBREAK", "SIGHUP"];
  return hasTerminal ? ["SIGINT", "SIGTERM", "SIGHUP"] : ["SIGINT", "SIGTERM"];
}

/** Resolves at the first of them. A second one of the same name ends the process at once. */
export function stopSignal(os: typeof Deno.build.os): Promise<Deno.Signal> {
  const signals = stopSignals(os, hasTerminal());
  if (!signals.includes("SIGHUP")) Deno.addSignalListener("SIGHUP", () => {});
  return new Promise((resolve) => {
    for (const signal of signals) {
      const listener = () => {
        Deno.removeSignalListener(signal, listener);
        resolve(signal);
      };
      Deno.addSignalListener(signal, listener);
    }
  });
}

/** `nohup` takes away every standard stream that is a terminal. */
function hasTerminal(): boolean {
  return [Deno.stdin, Deno.stdout, Deno.stderr].some((stream) => stream.isTerminal());
}
