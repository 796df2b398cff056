/**
 * The signals that ask a long-running program to end: one of the thin executors.
 *
 * Which signals there are is a pure function of the system. Windows has no SIGTERM that a program could
 * hear: who ends it from outside ends it at once, and Ctrl-C, Ctrl-Break and closing the window are what
 * remains.
 */

/** Returns the signals that mean "end in order" on `os`. */
export function stopSignals(os: typeof Deno.build.os): readonly Deno.Signal[] {
  return os === "windows" ? ["SIGINT", "SIGBREAK", "SIGHUP"] : ["SIGINT", "SIGTERM", "SIGHUP"];
}

/** Resolves at the first of them. A second one of the same name ends the process at once. */
export function stopSignal(os: typeof Deno.build.os): Promise<Deno.Signal> {
  return new Promise((resolve) => {
    for (const signal of stopSignals(os)) {
      const listener = () => {
        Deno.removeSignalListener(signal, listener);
        resolve(signal);
      };
      Deno.addSignalListener(signal, listener);
    }
  });
}
