/** The signals that ask a long-running command to end. */

/** Resolves at the first of them. A second one ends the process at once. */
export function stopSignal(os: typeof Deno.build.os): Promise<Deno.Signal> {
  const signals: readonly Deno.Signal[] = os === "windows"
    ? ["SIGINT", "SIGBREAK"]
    : ["SIGINT", "SIGTERM", "SIGHUP"];
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
