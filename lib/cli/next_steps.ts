/** The steps that commands name when they are done. */

import { DEFAULT_PEER_PORT, formatHostPort } from "../identity/host_port.ts";
import { DEFAULT_SERVER } from "../identity/names.ts";
import { ownAddress } from "./own_address.ts";
import type { NextStep } from "./output.ts";

/** What to do where there is no identity. */
export const MAKE_IDENTITY: readonly NextStep[] = [
  { command: "talos init --name NAME", purpose: "make an identity" },
];

/** What to do with an identity that nothing uses. */
export const SHARE_OR_USE: readonly NextStep[] = [
  {
    command: 'talos mcp-serve --authorized-peer PEER-ID --command "COMMAND"',
    purpose: "share an MCP server",
  },
  { command: `talos mcp-connect PEER-ID@HOST:${DEFAULT_PEER_PORT}`, purpose: "use one" },
];

/** What to do once this machine is registered. */
export const REGISTERED: readonly NextStep[] = [
  { command: "talos peers", purpose: "see who else is there" },
  {
    command: 'talos mcp-serve --authorized-peer PEER-ID --command "COMMAND"',
    purpose: "share an MCP server",
  },
];

/** What to do with the peers that a registry lists. */
export const USE_PEERS: readonly NextStep[] = [
  { command: "talos contacts add NAME PEER-ID", purpose: "give one a name of yours" },
  { command: "talos mcp-connect PEER-ID", purpose: "use what one shares" },
];

const LOCAL_REGISTRY = /(?:^|@)(?:localhost|127\.[\d.]+|\[::1\]):\d+$/;

/** Where a service is found. */
export interface ServicePlace {
  /** The Peer ID of its host. */
  readonly peerId: string;
  /** Its name as people type it. */
  readonly service: string;
  /** The one address that the host listens on, if it is one. */
  readonly host?: string;
  /** The port; 0 where there is none, and the registry's relay is the only way. */
  readonly port: number;
  /** The registry that knows it, if one does. */
  readonly registry?: string | undefined;
}

/** Returns how an agent's machine uses a service of this one. */
export function useService({ peerId, service, host, port, registry }: ServicePlace): NextStep {
  const name = service === DEFAULT_SERVER ? "" : `/${service}`;
  // A registry on this very machine has another name elsewhere.
  if (registry !== undefined && (port === 0 || !LOCAL_REGISTRY.test(registry))) {
    return {
      command: `talos mcp-connect ${peerId}${name} --server ${registry}`,
      purpose: "on the agent's machine",
    };
  }
  const address = host === undefined || /^(?:0\.0\.0\.0|::)$/.test(host)
    ? `${ownAddress()}:${port}`
    : formatHostPort({ host, port });
  return {
    command: `talos mcp-connect ${peerId}${name}@${address}`,
    purpose: "on the agent's machine",
  };
}
