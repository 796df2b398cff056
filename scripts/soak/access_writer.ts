/**
 * A process that grants to one peer after the other, and says so: `HOME WRITER FIRST COUNT`.
 *
 * Each line it prints is a change that must never be lost from then on.
 */

// deno-lint-ignore-file no-console -- printing is what this script is for.

import { grant } from "../../lib/identity/access.ts";
import { updateAccess } from "../../lib/identity/access_file.ts";
import { homePaths } from "../../lib/identity/home.ts";
import { parseServiceName } from "../../lib/identity/names.ts";
import type { PeerId } from "../../lib/identity/peer_id.ts";
import { seededIdentity } from "../seeded_identity.ts";

/** Returns the peer of the change `number` of `writer`. */
export function peerOf(writer: number, number: number): PeerId {
  return seededIdentity(`writer ${writer} change ${number}`).peerId;
}

if (import.meta.main) {
  const [home = "", writer, first, count] = Deno.args;
  const paths = homePaths(Deno.build.os, () => undefined, home);
  const service = parseServiceName("mcp/soak");
  for (let number = Number(first); number < Number(count); number++) {
    const peer = peerOf(Number(writer), number);
    const added = { peer, service, origin: "soak", grantedAt: number, expires: null };
    await updateAccess(paths, (access) => grant(access, added));
    console.log(number);
  }
}
