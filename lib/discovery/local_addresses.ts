/**
 * Which addresses of this machine an endpoint record names. Pure: the interfaces and what the registry
 * observed go in.
 */

import type { HostPort } from "../identity/host_port.ts";
import { type AddressScope, scopeOf } from "../identity/ip_address.ts";
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

/** What is worth trying first. A link-local address needs an interface's name, which others lack. */
const RANK: Readonly<Record<AddressScope, number>> = {
  global: 0,
  private: 1,
  loopback: 2,
  link_local: Infinity,
  unusable: Infinity,
};

/** Returns at most 8 addresses with `port`, best first. Loopback only with a registry on this machine. */
export function publishedAddresses(facts: NetworkFacts, port: number): HostPort[] {
  const { interfaces, observed, registryIsLocal, listenHost } = facts;
  const candidates = listenHost === undefined
    ? [...(observed === undefined ? [] : [observed]), ...interfaces]
    : [listenHost];
  const usable = [...new Set(candidates.map(plain))].filter((host) => {
    const scope = scopeOf(host);
    return RANK[scope] !== Infinity && (scope !== "loopback" || registryIsLocal);
  });
  const ranked = usable.sort((a, b) => RANK[scopeOf(a)] - RANK[scopeOf(b)]);
  return ranked.slice(0, MAX_ENDPOINT_ADDRESSES).map((host) => ({ host, port }));
}

/** Returns an address without a zone, an IPv4-mapped one as IPv4. */
function plain(address: string): string {
  const host = address.split("%")[0] ?? "";
  return /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(host)?.[1] ?? host;
}
