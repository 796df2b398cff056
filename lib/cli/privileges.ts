/**
 * Giving up permissions that are not needed any more, for the rest of the process's life.
 *
 * What Deno granted to the process it can be made to take back, kind by kind: code that an attacker
 * might get to run then reads no file, starts no program and sees no variable, whatever it calls. Open
 * files, sockets and pipes keep working. What this cannot do: give up one path under a grant for all of
 * them (the whole kind goes or stays), or bind native code, the runtime itself included.
 */

import type { Log } from "../log.ts";

/** Every kind of permission there is. */
const KINDS = ["run", "ffi", "write", "read", "env", "sys", "import", "net"] as const;

/** A kind of permission. */
export type PermissionKind = typeof KINDS[number];

/** Gives up every kind of permission but `kept`. */
export async function keepOnly(kept: readonly PermissionKind[], log: Log): Promise<void> {
  const given = KINDS.filter((name) => !kept.includes(name));
  await Promise.all(given.map((name) => Deno.permissions.revoke({ name })));
  log.debug("permissions given up", { given: given.join(","), kept: kept.join(",") });
}
