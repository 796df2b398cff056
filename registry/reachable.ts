/** The addresses at which others can reach what listens here. Pure. */

import { formatHostPort } from "../lib/identity/host_port.ts";
import { type InterfaceAddress, isRoutable } from "../lib/identity/ip_address.ts";
import type { PeerId } from "../lib/identity/peer_id.ts";

/**
 * Returns the hosts to name to others: `host` itself, unless it stands for all interfaces; else the
 * addresses of this machine that mean something elsewhere; else, on a machine without any, loopback.
 *
 * @param host What is listened on; undefined for all interfaces of both kinds.
 */
export function reachableHosts(
  host: string | undefined,
  interfaces: readonly InterfaceAddress[],
): readonly string[] {
  if (host !== undefined && host !== "0.0.0.0" && host !== "::") return [host];
  const heard = interfaces.filter(({ family }) => host !== "0.0.0.0" || family === "IPv4");
  const elsewhere = heard.map(({ address }) => address).filter(isRoutable);
  if (elsewhere.length > 0) return elsewhere;
  return heard.some(({ family }) => family === "IPv4") ? ["127.0.0.1"] : ["::1"];
}

/** Returns what others write to reach this registry and no impostor: `z6Mk…@host:port`. */
export function reachableAs(peer: PeerId, hosts: readonly string[], port: number): string[] {
  return hosts.map((host) => `${peer}@${formatHostPort({ host, port })}`);
}
