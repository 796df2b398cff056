/** For whom children are kept ready: whoever may use a service now, as far as the bound on all of them goes. Pure. */

import { type Access, type Grant, mayOpen } from "../identity/access.ts";
import type { ServiceName } from "../identity/names.ts";
import type { PeerId } from "../identity/peer_id.ts";

/**
 * Prewarmed children of one process: a real MCP server takes 50 MB and more, and `access.json` may name
 * thousands of peers.
 */
export const MAX_PREWARMED_CHILDREN = 64;

/** What {@link prewarmPlan} needs to know. */
export interface PrewarmFacts {
  /** What `access.json` says. */
  readonly access: Access;
  /** What the command line adds: these peers come first. */
  readonly flagGrants: readonly Grant[];
  /** What is shared, and how many children of it each peer has ready. */
  readonly services: readonly { readonly name: ServiceName; readonly prewarm: number }[];
  /** Unix time in milliseconds. */
  readonly now: number;
}

/** For whom children are kept ready. */
export interface PrewarmPlan {
  /** The peers of each service, in the order of their grants. */
  readonly peers: ReadonlyMap<ServiceName, readonly PeerId[]>;
  /** How many (peer, service) go without, as there would be more than {@link MAX_PREWARMED_CHILDREN}. */
  readonly leftOut: number;
  /** The first moment at which one of these permissions ends, in Unix milliseconds; Infinity for never. */
  readonly expires: number;
}

/** Returns for whom children are kept ready. */
export function prewarmPlan(facts: PrewarmFacts): PrewarmPlan {
  const { access, flagGrants, services, now } = facts;
  const peers = new Map<ServiceName, PeerId[]>();
  let expires = Infinity;
  let leftOut = 0;
  let room = MAX_PREWARMED_CHILDREN;
  const wanted = services.filter(({ prewarm }) => prewarm > 0);
  if (wanted.length === 0) return { peers, leftOut, expires };
  for (const peer of new Set([...flagGrants, ...access.grants].map(({ peer }) => peer))) {
    for (const { name, prewarm } of wanted) {
      const decision = mayOpen(access, flagGrants, peer, name, now);
      if (!decision.allowed) continue;
      if (room < prewarm) {
        leftOut++;
        continue;
      }
      room -= prewarm;
      peers.set(name, [...peers.get(name) ?? [], peer]);
      expires = Math.min(expires, decision.expires ?? Infinity);
    }
  }
  return { peers, leftOut, expires };
}
