// deno-lint-ignore-file no-console
/**
 * A child that, once its stdin ends, claims services and holds them until it is killed:
 * `HOME SERVICE,SERVICE [orphan]`. Prints `claimed <port>` or the error; with `orphan` also the process
 * id of a child of its own that outlives it.
 */

import { homePaths } from "../../lib/identity/home.ts";
import { parseServiceName } from "../../lib/identity/names.ts";
import { claimService } from "../../lib/identity/run_files.ts";
import { messageOf } from "../../lib/errors.ts";

if (import.meta.main) {
  const [home = "", services = "", orphan] = Deno.args;
  const paths = homePaths(Deno.build.os, () => undefined, home);
  console.log("ready");
  for await (const _ of Deno.stdin.readable);
  try {
    using claim = claimService(paths, services.split(",").map(parseServiceName), {
      pid: Deno.pid,
      instance: crypto.randomUUID(),
    });
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    claim.publish({ port: listener.addr.port });
    console.log(`claimed ${listener.addr.port}`);
    if (orphan !== undefined) {
      const child = new Deno.Command("sleep", {
        args: ["600"],
        stdin: "null",
        stdout: "null",
        stderr: "null",
      }).spawn();
      console.log(child.pid);
    }
    for await (const connection of listener) connection.close();
  } catch (error) {
    console.log(messageOf(error));
  }
}
