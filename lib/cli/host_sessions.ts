/**
 * Sessions with a host: who we are, where it is, how it is reached, and what to advise when that fails.
 *
 * The wallet is read once. From then on the process needs the network and nothing else, and gives up
 * every other permission before it reads a byte from outside.
 */

import type { FindOptions } from "../discovery/find_peer.ts";
import type { DialOne } from "../discovery/race_dial.ts";
import { TalosError } from "../errors.ts";
import { formatHostPort, type HostPort } from "../identity/host_port.ts";
import type { LocalIdentity } from "../identity/local_identity.ts";
import { serviceLabel, type ServiceName } from "../identity/names.ts";
import { parsePeerAddress, type PeerAddress } from "../identity/peer_address.ts";
import type { PeerId } from "../identity/peer_id.ts";
import { ONLY_SERVICE } from "../mcp/mcp_host.ts";
import { SALT_BYTES, SESSION_ID_BYTES } from "../session/bodies.ts";
import type { Connection } from "../session/connection.ts";
import { dial } from "../session/dial.ts";
import { Session } from "../session/session.ts";
import { ConnectionKind } from "../wire/preface.ts";
import { connectInTime, type ConnectionAhead } from "./connect_ahead.ts";
import { type Context, openIdentity, unattendedPassphrase } from "./context.ts";
import { CliError } from "./errors.ts";
import { DEFAULT_PORT } from "./listen.ts";
import { keepOnly } from "./privileges.ts";
import type { RegistryFlags } from "./registry_choice.ts";

/** What decides how a host is reached. */
export interface HostOptions extends RegistryFlags {
  /** Refuse a host whose clock is off, without a retry. */
  readonly strictClock?: boolean;
}

/** What was found out before the first attempt. */
interface Prepared {
  readonly identity: LocalIdentity;
  readonly peer: PeerId;
  readonly service?: ServiceName;
  /** Where the peer is, if that was said. */
  readonly address?: HostPort;
  /** Connects to the peer with what dials one address. */
  readonly connect: (dialOne: DialOne) => Promise<Connection>;
}

/** Sessions with one host. */
export interface HostSessions {
  /** Opens a session, each time anew. Throws TalosError, with hints. */
  open(maxMessage: number): Promise<Session>;
  /** Throws what is wrong with the target or the wallet, whether or not a session was wanted. */
  check(): Promise<void>;
}

/** Returns sessions with the host that `target` names. What is wrong with it is found out once. */
export function hostSessions(
  context: Context,
  options: HostOptions,
  target: string,
  ahead: ConnectionAhead | null,
): HostSessions {
  let prepared: Promise<Prepared> | undefined;
  const prepareOnce = () => prepared ??= prepare(context, options, target);
  return {
    async open(maxMessage) {
      return await openSession(context, options, await prepareOnce(), maxMessage, ahead);
    },
    async check() {
      await prepareOnce();
    },
  };
}

async function prepare(context: Context, options: HostOptions, target: string): Promise<Prepared> {
  const wanted = parsePeerAddress(target, DEFAULT_PORT);
  const { identity } = await openIdentity(context, unattendedPassphrase(context));
  const { peer, address } = wanted;
  // Only names and the registry need the database, whose opening costs 10 ms.
  const prepared = peer.kind === "id" && address !== undefined
    ? { identity, peer: peer.id, ...directly(address) }
    : await prepareLookup(context, options, wanted, identity);
  await keepOnly(["net"], context.log);
  return { ...prepared, ...(wanted.service === undefined ? {} : { service: wanted.service }) };
}

/** The only address, whoever is there. */
function directly(address: HostPort): Pick<Prepared, "address" | "connect"> {
  return { address, connect: (dialOne) => dialOne(address, new AbortController().signal) };
}

async function prepareLookup(
  context: Context,
  options: HostOptions,
  { peer: reference, service, address }: PeerAddress,
  identity: LocalIdentity,
): Promise<Prepared> {
  const [{ Database }, { resolvePeer }, { chooseRegistry, registryOptions }, { reachPeer }] =
    await Promise.all([
      import("../identity/database.ts"),
      import("../identity/contacts.ts"),
      import("./registry_choice.ts"),
      import("../discovery/reach_peer.ts"),
    ]);
  const database = new Database(context.paths, identity.peerId);
  const peer = resolvePeer(database, reference);
  if (address !== undefined) return { identity, peer, ...directly(address) };
  const { address: registry, chosenBy } = chooseRegistry(context, database, options);
  const find: FindOptions = {
    ...await registryOptions(context, identity, database, registry, options),
    peer,
    ...(service === undefined ? {} : { service }),
  };
  const connect = (dialOne: DialOne) => reachPeer({ ...find, dialOne });
  if (chosenBy !== "default") return { identity, peer, connect };
  return {
    identity,
    peer,
    connect: (dialOne) =>
      connect(dialOne).catch((error: unknown) => Promise.reject(withoutRegistry(error, peer))),
  };
}

/** Nobody chose a registry: that none answers at the usual place of this machine is not what went wrong. */
function withoutRegistry(error: unknown, peer: PeerId): unknown {
  if (!(error instanceof TalosError) || error.code !== "registry_unreachable") return error;
  return new CliError(
    "no_address",
    `Cannot tell where ${peer} is: no address was given, and this machine is registered nowhere`,
    {
      cause: error,
      hints: [
        `write the host's address: talos mcp-connect ${peer}@HOST:${DEFAULT_PORT}`,
        "or find it by a registry that both use: talos register --server REGISTRY",
      ],
    },
  );
}

async function openSession(
  { clock, random, log, os }: Context,
  { strictClock = false }: HostOptions,
  { identity, peer, service, address: given, connect }: Prepared,
  maxMessage: number,
  ahead: ConnectionAhead | null,
): Promise<Session> {
  const advise = (error: unknown) =>
    advised(error, {
      peer,
      address: given,
      service: service === undefined ? "" : `/${serviceLabel(service)}`,
      self: identity.peerId,
      os,
    });
  try {
    const connection = await connect((address, signal) =>
      dial({
        identity,
        random,
        clock,
        log,
        peer,
        kind: ConnectionKind.peer,
        strictClock,
        connect: () => ahead?.take(address) ?? connectInTime(address, signal),
      })
    );
    const session = Session.open(connection, {
      id: random(SESSION_ID_BYTES),
      service: service ?? ONLY_SERVICE,
      maxMessage,
      salt: random(SALT_BYTES),
    }, clock);
    log.debug("connected", { peer, path: session.path.remote });
    session.opened.catch(advise);
    return session;
  } catch (error) {
    throw advise(error);
  }
}

interface Circumstances {
  readonly peer: PeerId;
  readonly address: HostPort | undefined;
  /** `/SERVICE` as it is typed behind a peer; empty where none was asked for. */
  readonly service: string;
  readonly self: PeerId;
  readonly os: typeof Deno.build.os;
}

/** Adds to an error what only this command knows to advise. */
function advised(error: unknown, circumstances: Circumstances): unknown {
  if (!(error instanceof TalosError)) return error;
  const { peer, address, service, self } = circumstances;
  switch (error.code) {
    case "unauthorized":
    case "blocked":
      return error.advise(`on the host, let this peer in: talos access grant ${self}${service}`);
    case "unknown_service": {
      if (error.hints.length > 0) return error;
      const at = address === undefined ? "" : `@${formatHostPort(address)}`;
      return error.advise(`name the service: talos mcp-connect ${peer}/SERVICE${at}`);
    }
    default:
      return address === undefined ? error : advisedAt(error, address, circumstances);
  }
}

/** Advises about an address that somebody gave; what a registry named has its hints already. */
function advisedAt(error: TalosError, address: HostPort, { peer, os }: Circumstances): TalosError {
  switch (error.code) {
    case "refused":
    case "unreachable":
    case "handshake_timeout":
      return error.advise(
        "on the host, see whether it serves and on which port: talos status",
        `from here, see whether the port is open: ${portCheckCommand(os, address)}`,
      );
    case "name_unknown":
      return error.advise(
        `from here, see what the name stands for: ${lookupCommand(os, address.host)}`,
        `or write the host's IP address: talos mcp-connect ${peer}@ADDRESS`,
      );
    case "not_talos":
    case "handshake_failed":
      return error.advise(
        `${formatHostPort(address)} may belong to another peer or program: ` +
          "on the host, compare Peer ID and port: talos status",
      );
    default:
      return error;
  }
}

/** Returns the command that shows whether something listens at an address. */
export function portCheckCommand(os: typeof Deno.build.os, { host, port }: HostPort): string {
  return os === "windows"
    ? `powershell Test-NetConnection ${host} -Port ${port}`
    : `nc -vz ${host} ${port}`;
}

/** Returns the command that shows which addresses a name has. */
export function lookupCommand(os: typeof Deno.build.os, host: string): string {
  return os === "linux" ? `getent hosts ${host}` : `nslookup ${host}`;
}
