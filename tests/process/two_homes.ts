/**
 * Machines in miniature: two homes, each behind a router that hides it and lets nothing in, and the internet between
 * them, whose one machine both reach.
 */

import { forwardPackets, natRouter } from "../../scripts/nat_router.ts";
import { createNetwork, type NetworkNamespace } from "../../scripts/network_namespaces.ts";

/** The internet: one machine that knows all public networks; the registry runs on it. */
export const REGISTRY = "203.0.113.1";
/** The host's router, as the internet sees it. */
export const HOST_ROUTER = "203.0.113.2";
/** The same machine as {@link REGISTRY}, on the agent's side. */
export const AGENT_REGISTRY = "198.51.100.1";
/** The agent's router, as the internet sees it. */
export const AGENT_ROUTER = "198.51.100.2";
/** The host, at home. */
export const HOST = "10.88.1.2";
/** The agent, at home. */
export const AGENT = "10.88.2.2";

/** Two homes and the internet between them. */
export async function twoHomes() {
  await using building = new AsyncDisposableStack();
  const network = building.use(await createNetwork());
  const internet = await network.machine("internet");
  const [hostRouter, agentRouter] = [
    await network.machine("router1"),
    await network.machine("router2"),
  ];
  const [host, agent] = [await network.machine("host"), await network.machine("agent")];
  const hostLine = await network.cable([internet, hostRouter], [[`${REGISTRY}/24`], [
    `${HOST_ROUTER}/24`,
  ]]);
  const agentLine = await network.cable([internet, agentRouter], [[`${AGENT_REGISTRY}/24`], [
    `${AGENT_ROUTER}/24`,
  ]]);
  await network.cable([hostRouter, host], [["10.88.1.1/24"], [`${HOST}/24`]]);
  const agentCable = await network.cable([agentRouter, agent], [["10.88.2.1/24"], [`${AGENT}/24`]]);
  await forwardPackets(internet);
  const gateway = (machine: NetworkNamespace, via: string) =>
    machine.run("ip", "route", "add", "default", "via", via);
  await gateway(hostRouter, REGISTRY);
  await gateway(agentRouter, AGENT_REGISTRY);
  await gateway(host, "10.88.1.1");
  await gateway(agent, "10.88.2.1");
  return {
    ...{ internet, host, agent, agentCable },
    hostRouter: await natRouter(hostRouter, hostLine),
    agentRouter: await natRouter(agentRouter, agentLine),
    resources: building.move(),
  };
}
