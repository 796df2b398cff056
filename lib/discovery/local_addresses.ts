/**
 * Which addresses of this machine an endpoint record names. Pure: the interfaces and what the registry
 * observed go in.
 */

import type { HostPort } from "../identity/host_port.ts";
import { type AddressScope, isRoutable, scopeOf } from "../identity/ip_address.ts";
import { MAX_ENDPOINT_ADDRESSES } from "../limits.ts";

/** What is known of this machine's network. */
export interface NetworkFacts {
  /** The addresses of its interfaces, as IP literals. */
  readonly interfaces: readonly string[];
  /** Our address as the registry sees it, or undefined. */
  readonly observed?: string;
  /** Whether the registry is on this machine itself. */
  readonly registryIsLocal: boolean;
  /** The address we listen on, if it is not all of them. */
  readonly listenHost?: string;
}

/** What is worth trying first; what the registry observed comes behind our own addresses of its kind. */
const RANKED: readonly AddressScope[] = ["global", "private", "loopback"];

/** Returns at most 8 addresses with `port`, best first. Loopback only with a registry on this machine. */
export function publishedAddresses(facts: NetworkFacts, port: number): HostPort[] {
  const { interfaces, observed, registryIsLocal, listenHost } = facts;
  const candidates = listenHost === undefined
    ? [...interfaces, ...(observed !== undefined && isBelievable(observed) ? [observed] : [])]
    : [listenHost];
  const usable = [...new Set(candidates.map(plain))].filter((host) =>
    isRoutable(host) || (registryIsLocal && scopeOf(host) === "loopback")
  );
  const rank = (host: string) => RANKED.indexOf(scopeOf(host));
  const ranked = usable.sort((a, b) => rank(a) - rank(b));
  return ranked.slice(0, MAX_ENDPOINT_ADDRESSES).map((host) => ({ host, port }));
}

/**
 * Tells whether what a registry calls our address may be signed as ours where no interface has it: a router
 * of ours may have it. Of a network of ours a stranger names no address: callers would be sent there.
 */
function isBelievable(observed: string): boolean {
  return scopeOf(plain(observed)) === "global";
}

/** Returns an address without a zone, an IPv4-mapped one as IPv4. */
function plain(address: string): string {
  const host = address.split("%")[0] ?? "";
  return /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(host)?.[1] ?? host;
}
