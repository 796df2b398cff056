/**
 * `talos mcp-connect`: is a host's MCP server to the agent that started it.
 *
 * Whatever goes wrong, a wrong argument included, the agent learns as the answer to its first request.
 */

import { findPeer } from "../../discovery/find_peer.ts";
import { raceDial } from "../../discovery/race_dial.ts";
import { TalosError } from "../../errors.ts";
import { Database } from "../../identity/database.ts";
import { formatHostPort, type HostPort } from "../../identity/host_port.ts";
import type { LocalIdentity } from "../../identity/local_identity.ts";
import { serviceLabel, type ServiceName } from "../../identity/names.ts";
import { DEFAULT_MAX_MESSAGE_BYTES } from "../../limits.ts";
import { connectAgent } from "../../mcp/connect.ts";
import { ONLY_SERVICE } from "../../mcp/mcp_host.ts";
import { SALT_BYTES, SESSION_ID_BYTES } from "../../session/bodies.ts";
import type { Connection } from "../../session/connection.ts";
import { dial } from "../../session/dial.ts";
import { Session } from "../../session/session.ts";
import { connectTcp } from "../../transport/tcp.ts";
import { ConnectionKind } from "../../wire/preface.ts";
import { processStdio } from "../agent_stdio.ts";
import { type Context, openIdentity, unattendedPassphrase } from "../context.ts";
import { CliError } from "../errors.ts";
import { DEFAULT_PORT } from "../listen.ts";
import { type KnownPeerAddress, knownPeerAddress } from "../peer_argument.ts";
import { chooseRegistry, type RegistryFlags, registryOptions } from "../registry_choice.ts";

/** The options of `talos mcp-connect`. */
export interface McpConnectOptions extends RegistryFlags {
  /** The longest message, in bytes. */
  readonly maxMessage?: number;
  /** Refuse a host whose clock is off, without a retry. */
  readonly strictClock?: boolean;
}

/** How long one attempt to connect may take. */
const CONNECT_TIMEOUT_MS = 10_000;

/** Serves the agent until it closes its end. Throws TalosError. */
export async function mcpConnectCommand(
  context: Context,
  options: McpConnectOptions,
  target: string,
): Promise<void> {
  const maxMessage = options.maxMessage ?? DEFAULT_MAX_MESSAGE_BYTES;
  let prepared: Promise<Prepared> | undefined;
  await connectAgent({
    openSession: async () => {
      prepared ??= prepare(context, target);
      return await openSession(context, options, await prepared, maxMessage);
    },
    agent: processStdio(),
    waitForRequest: !Deno.stdin.isTerminal(),
    interceptors: [],
    maxMessage,
    clock: context.clock,
    log: context.log,
  });
}

interface Prepared extends KnownPeerAddress {
  readonly identity: LocalIdentity;
  readonly database: Database;
}

async function prepare(context: Context, target: string): Promise<Prepared> {
  const { identity } = await openIdentity(context, unattendedPassphrase(context));
  const database = new Database(context.paths, identity.peerId);
  return { ...knownPeerAddress(database, target, DEFAULT_PORT), identity, database };
}

async function openSession(
  context: Context,
  options: McpConnectOptions,
  prepared: Prepared,
  maxMessage: number,
): Promise<Session> {
  const { clock, random, log } = context;
  const { peer, service, identity } = prepared;
  const addresses = await addressesOf(context, options, prepared);
  const circumstances = { peer, addresses, self: identity.peerId };
  try {
    const connection = await raceDial(
      addresses,
      (address) => dialAt(context, options, prepared, address),
      clock,
    );
    const session = Session.open(connection, {
      id: random(SESSION_ID_BYTES),
      service: service ?? ONLY_SERVICE,
      maxMessage,
      salt: random(SALT_BYTES),
    }, clock);
    log.debug("connected", { peer, path: session.path.remote });
    session.opened.catch((error: unknown) => advise(error, circumstances));
    return session;
  } catch (error) {
    throw advise(error, circumstances);
  }
}

/** Returns where the peer may be: at the address that was given, or where a registry says. */
async function addressesOf(
  context: Context,
  options: McpConnectOptions,
  { peer, service, address, identity, database }: Prepared,
): Promise<readonly HostPort[]> {
  if (address !== undefined) return [address];
  const { address: registry } = chooseRegistry(context, database, options);
  const found = await findPeer({
    ...await registryOptions(context, identity, database, registry, options),
    peer,
    ...(service === undefined ? {} : { service }),
  });
  if (found.length > 1 && service === undefined) throw severalProcesses(peer, found);
  return found.flatMap(({ addresses }) => addresses);
}

function severalProcesses(
  peer: string,
  found: readonly { readonly services: readonly ServiceName[] }[],
): CliError {
  const names = found.flatMap(({ services }) => services).map(serviceLabel).join(", ");
  return new CliError("usage", `Cannot choose among the services of ${peer}: ${names}`, {
    hints: [`name one of them: talos mcp-connect ${peer}/SERVICE`],
  });
}

async function dialAt(
  { clock, random, log }: Context,
  { strictClock = false }: McpConnectOptions,
  { peer, identity }: Prepared,
  address: HostPort,
): Promise<Connection> {
  return await dial({
    identity,
    random,
    clock,
    log,
    peer,
    kind: ConnectionKind.peer,
    strictClock,
    connect: () => connectTcp(address, AbortSignal.timeout(CONNECT_TIMEOUT_MS)),
  });
}

interface Circumstances {
  readonly peer: string;
  readonly addresses: readonly HostPort[];
  readonly self: string;
}

/** Adds to an error what only this command knows to advise. */
function advise(error: unknown, { peer, addresses, self }: Circumstances): unknown {
  if (!(error instanceof TalosError)) return error;
  const tried = addresses.map(formatHostPort).join(", ");
  const [first] = addresses;
  switch (error.code) {
    case "refused":
    case "unreachable":
    case "name_unknown":
    case "handshake_timeout":
      return error.advise(
        "on the host, `talos status` shows whether it serves and on which port",
        ...(first === undefined
          ? []
          : [`from here, see whether the port is open: nc -vz ${first.host} ${first.port}`]),
      );
    case "not_talos":
      return error.advise(
        `another program answers on ${tried}: on the host, \`talos status\` shows the port`,
      );
    case "handshake_failed":
      return error.advise(
        `check that the host is ${peer}: there, \`talos status\` shows its Peer ID`,
      );
    case "unauthorized":
    case "blocked":
      return error.advise(
        `on the host, allow this peer: talos mcp-serve --authorized-peer ${self} …`,
      );
    default:
      return error;
  }
}
