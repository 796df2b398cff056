// deno-lint-ignore-file no-console
/**
 * A child that, once its stdin ends, grants to one peer and revokes another in turns: `HOME FIRST COUNT`.
 * Many changes are reported one by one, few only at their end.
 */

import { ALL_SERVICES, grant, revoke } from "../../lib/identity/access.ts";
import { updateAccess } from "../../lib/identity/access_file.ts";
import { homePaths } from "../../lib/identity/home.ts";
import { parseServiceName } from "../../lib/identity/names.ts";
import { samplePeer } from "./temporary_home.ts";

if (import.meta.main) {
  const [home = "", first = "0", count = "0"] = Deno.args;
  const paths = homePaths(Deno.build.os, () => undefined, home);
  const service = parseServiceName("mcp/files");
  console.log("ready");
  for await (const _ of Deno.stdin.readable);
  for (let change = 0; change < Number(count); change++) {
    // At most 250 peers: a sample key is named by a byte.
    const peer = samplePeer((Number(first) + change) % 250 + 1);
    await updateAccess(
      paths,
      (access) =>
        change % 2 === 0
          ? grant(revoke(access, { peer, service, revokedAt: 0 }), {
            peer,
            service,
            origin: "test",
            grantedAt: change,
            expires: null,
          })
          : revoke(access, { peer, service: ALL_SERVICES, revokedAt: change }),
    );
    if (Number(count) > 100) console.log("changed");
  }
  console.log("done");
}
