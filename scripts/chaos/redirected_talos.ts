/**
 * `talos` on a machine whose way to a port leads through another one: `PORT PROXY ARGUMENTS…`.
 *
 * So an agent that found its host in the registry has faults on its way, too. Everything else is the
 * program as it is.
 */

import { runTalos } from "../../lib/cli/run_talos.ts";

if (import.meta.main) {
  const [port, proxy, ...args] = Deno.args;
  const connect = Deno.connect;
  const redirected = (options: Deno.ConnectOptions) =>
    options.port === Number(port)
      ? connect({ ...options, hostname: "127.0.0.1", port: Number(proxy) })
      : connect(options);
  Object.assign(Deno, { connect: redirected });
  Deno.exit(await runTalos(args));
}
