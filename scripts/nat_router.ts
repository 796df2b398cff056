/**
 * A home router in miniature: a namespace that hides those behind it (NAT) and lets nothing in from outside
 * that nobody inside asked for. Needs root and `nft` (nftables).
 */

import type { Cable, NetworkNamespace } from "./network_namespaces.ts";

/** A router that hides what is behind it. */
export interface NatRouter {
  /** Passes connections to a port of its outer address on to a machine behind it, as people configure it. */
  readonly forward: (port: number, to: string) => Promise<void>;
}

/** Makes `machine` the router of those who send to it, with the rest of the world at `outside`. */
export async function natRouter(machine: NetworkNamespace, outside: Cable): Promise<NatRouter> {
  const { device } = outside;
  await forwardPackets(machine);
  const nft = (...rule: readonly string[]) => machine.run("nft", ...rule);
  await nft("add", "table", "ip", "home");
  const chain = (name: string, rule: string) => nft("add", "chain", "ip", "home", name, rule);
  const rule = (name: string, ...words: readonly string[]) =>
    nft("add", "rule", "ip", "home", name, ...words);
  await chain("leaving", "{ type nat hook postrouting priority 100; }");
  await rule("leaving", "oifname", device, "masquerade");
  await chain("coming", "{ type nat hook prerouting priority -100; }");
  for (const hook of ["input", "forward"]) {
    await chain(`at_${hook}`, `{ type filter hook ${hook} priority 0; policy accept; }`);
    await rule(`at_${hook}`, "ct", "status", "dnat", "accept");
    await rule(`at_${hook}`, "iifname", device, "ct", "state", "new", "drop");
  }
  return {
    async forward(port, to) {
      const on = ["iifname", device, "tcp", "dport", String(port)];
      await rule("coming", ...on, "dnat", "to", to);
    },
  };
}

/** Lets a machine pass on what is not for itself. */
export async function forwardPackets(machine: NetworkNamespace): Promise<void> {
  await machine.run("sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward");
}
