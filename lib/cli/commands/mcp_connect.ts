/**
 * `talos mcp-connect`: is a host's MCP server to the agent that started it.
 *
 * Whatever goes wrong, a wrong argument included, the agent learns as the answer to its first request.
 */

import { TalosError } from "../../errors.ts";
import { DEFAULT_MAX_MESSAGE_BYTES } from "../../limits.ts";
import { connectAgent } from "../../mcp/connect.ts";
import { ONLY_SERVICE } from "../../mcp/mcp_host.ts";
import { SALT_BYTES, SESSION_ID_BYTES } from "../../session/bodies.ts";
import { dial } from "../../session/dial.ts";
import { Session } from "../../session/session.ts";
import { formatHostPort, type HostPort } from "../../identity/host_port.ts";
import { connectTcp } from "../../transport/tcp.ts";
import { ConnectionKind } from "../../wire/preface.ts";
import { processStdio } from "../agent_stdio.ts";
import { type Context, openIdentity, unattendedPassphrase } from "../context.ts";
import { CliError } from "../errors.ts";
import { DEFAULT_PORT } from "../listen.ts";
import { type KnownPeerAddress, knownPeerAddress } from "../peer_argument.ts";

/** The options of `talos mcp-connect`. */
export interface McpConnectOptions {
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
  readonly address: HostPort;
  readonly identity: Awaited<ReturnType<typeof openIdentity>>["identity"];
}

async function prepare(context: Context, target: string): Promise<Prepared> {
  const known = knownPeerAddress(target, DEFAULT_PORT);
  if (known.address === undefined) {
    throw new CliError("usage", `Cannot find ${known.peer}: no address was given`, {
      hints: [`add the host's address: talos mcp-connect ${target}@HOST:${DEFAULT_PORT}`],
    });
  }
  const { identity } = await openIdentity(context, unattendedPassphrase(context));
  return { ...known, address: known.address, identity };
}

async function openSession(
  { clock, random, log }: Context,
  { strictClock = false }: McpConnectOptions,
  { peer, address, service, identity }: Prepared,
  maxMessage: number,
): Promise<Session> {
  try {
    const connection = await dial({
      identity,
      random,
      clock,
      log,
      peer,
      kind: ConnectionKind.peer,
      strictClock,
      connect: () => connectTcp(address, AbortSignal.timeout(CONNECT_TIMEOUT_MS)),
    });
    const session = Session.open(connection, {
      id: random(SESSION_ID_BYTES),
      service: service ?? ONLY_SERVICE,
      maxMessage,
      salt: random(SALT_BYTES),
    }, clock);
    log.debug("connected", { peer, path: session.path.remote });
    session.opened.catch((error: unknown) =>
      advise(error, { peer, address, self: identity.peerId })
    );
    return session;
  } catch (error) {
    throw advise(error, { peer, address, self: identity.peerId });
  }
}

interface Circumstances {
  readonly peer: string;
  readonly address: HostPort;
  readonly self: string;
}

/** Adds to an error what only this command knows to advise. */
function advise(error: unknown, { peer, address, self }: Circumstances): unknown {
  if (!(error instanceof TalosError)) return error;
  switch (error.code) {
    case "refused":
    case "unreachable":
    case "name_unknown":
    case "handshake_timeout":
      return error.advise(
        "on the host, `talos status` shows whether it serves and on which port",
        `from here, see whether the port is open: nc -vz ${address.host} ${address.port}`,
      );
    case "not_talos":
      return error.advise(
        `another program answers on ${
          formatHostPort(address)
        }: on the host, \`talos status\` shows the port`,
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
