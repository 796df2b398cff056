/**
 * Sessions with a host: who we are, where it is, how it is reached, and what to advise when that fails.
 *
 * The wallet is read once. From then on the process needs the network and nothing else, and gives up
 * every other permission before it reads a byte from outside.
 */

import type { FindOptions } from "../discovery/find_peer.ts";
import { nameOneOf } from "../discovery/name_service.ts";
import type { DirectSearchOptions } from "../discovery/direct_search.ts";
import type { DialOne } from "../discovery/race_dial.ts";
import type { DialOver } from "../discovery/reach_peer.ts";
import type { Via } from "../discovery/via.ts";
import { TalosError } from "../errors.ts";
import type { OperatingSystem } from "../identity/file_path.ts";
import {
  DEFAULT_PEER_PORT,
  formatHostPort,
  type HostPort,
  parseHostPort,
} from "../identity/host_port.ts";
import type { LocalIdentity } from "../identity/local_identity.ts";
import { DEFAULT_SERVER, mcpService, serviceLabel, type ServiceName } from "../identity/names.ts";
import { parsePeerAddress, type PeerAddress } from "../identity/peer_address.ts";
import type { PeerId } from "../identity/peer_id.ts";
import { EARLY_REDIAL_MS, MAX_REDIALS_AT_ONCE } from "../limits.ts";
import { type Log, SILENT } from "../log.ts";
import { ONLY_SERVICE, servicesIn } from "../mcp/mcp_host.ts";
import { SALT_BYTES, SESSION_ID_BYTES } from "../session/bodies.ts";
import type { Connection } from "../session/connection.ts";
import { dial } from "../session/dial.ts";
import { Session } from "../session/session.ts";
import { describePath } from "../transport/transport.ts";
import { ConnectionKind } from "../wire/preface.ts";
import { connectInTime, type ConnectionAhead } from "./connect_ahead.ts";
import { type Context, openIdentity, unattendedPassphrase } from "./context.ts";
import { CliError } from "./errors.ts";
import { pathReporter } from "./path_reporter.ts";
import { keepOnly } from "./privileges.ts";
import type { RegistryFlags } from "./registry_choice.ts";

/**
 * How long one attempt to connect to a host that was lost may take, in milliseconds. One begins every second
 * and some are under way at once: so one is always young, and TCP tries often only while it is young.
 */
const REDIAL_TIMEOUT_MS = MAX_REDIALS_AT_ONCE * EARLY_REDIAL_MS;

/** What decides how a host is reached. */
export interface HostOptions extends RegistryFlags {
  /** Refuse a host whose clock is off, without a retry. */
  readonly strictClock?: boolean;
  /** Which ways to the host are tried: its own addresses, the registry's relay, or both. */
  readonly via?: Via;
}

/** What dials a host. */
interface Ways {
  /** At one address. */
  readonly dialOne: DialOne;
  /** Over what somebody else connects. */
  readonly dialOver: DialOver;
}

/** What was found out before the first attempt. */
interface Prepared {
  readonly identity: LocalIdentity;
  readonly peer: PeerId;
  /** The peer as it was typed: its Peer ID, or what stands for it here. */
  readonly called: string;
  readonly service?: ServiceName;
  /** Where the peer is, if that was said. */
  readonly address?: HostPort;
  /** Connects to the peer with what dials it. */
  readonly connect: (ways: Ways, log: Log, via?: Via) => Promise<Connection>;
  /** Looks for a direct way for a session that may go through a relay, where it may. */
  readonly search?: (options: Omit<DirectSearchOptions, "addresses">) => void;
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
  const prepareOnce = () =>
    prepared ??= prepare(context, options, target).catch((error: unknown) => {
      throw asTyped(context, error);
    });
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
  const wanted = parsePeerAddress(target, DEFAULT_PEER_PORT);
  const { identity } = await openIdentity(context, unattendedPassphrase(context));
  const { peer, address } = wanted;
  if (address !== undefined && options.via === "relay") throw relayWithAddress(target);
  // Only names and the registry need the database, whose opening costs 10 ms.
  const prepared = peer.kind === "id" && address !== undefined
    ? { identity, peer: peer.id, called: peer.id, ...directly(address) }
    : await prepareLookup(context, options, wanted, identity);
  // A session that may go through a relay looks for a better way when this machine's addresses change.
  const isSearching = "search" in prepared && prepared.search !== undefined;
  await keepOnly(isSearching ? ["net", "sys"] : ["net"], context.log);
  return { ...prepared, ...(wanted.service === undefined ? {} : { service: wanted.service }) };
}

/** The only address, whoever is there. */
function directly(address: HostPort): Pick<Prepared, "address" | "connect"> {
  return { address, connect: ({ dialOne }) => dialOne(address, new AbortController().signal) };
}

async function prepareLookup(
  context: Context,
  options: HostOptions,
  { peer: reference, service, address }: PeerAddress,
  identity: LocalIdentity,
): Promise<Prepared> {
  const [
    { Database },
    { resolvePeer },
    { chooseRegistry, registryOptions },
    { reachPeer },
    { DirectSearch },
    { permittedAddresses },
  ] = await Promise.all([
    import("../identity/database.ts"),
    import("../identity/contacts.ts"),
    import("./registry_choice.ts"),
    import("../discovery/reach_peer.ts"),
    import("../discovery/direct_search.ts"),
    import("../identity/network_interfaces.ts"),
  ]);
  const database = new Database(context.paths, identity.peerId);
  const peer = resolvePeer(database, reference);
  const called = reference.kind === "id" ? peer : reference.text;
  if (address !== undefined) return { identity, peer, called, ...directly(address) };
  const { address: registry, chosenBy } = chooseRegistry(context, database, options);
  const find: FindOptions = {
    ...await registryOptions(context, identity, database, registry, options),
    peer,
    called,
    ...(service === undefined ? {} : { service }),
  };
  const isChosen = chosenBy !== "default";
  const connect = (ways: Ways, log: Log, via: Via = options.via ?? "auto") =>
    reachPeer({ ...find, ...ways, log, isChosen, via });
  const search = (options.via ?? "auto") !== "auto" ? {} : {
    search: (searching: Omit<DirectSearchOptions, "addresses">) =>
      void new DirectSearch({ ...searching, addresses: permittedAddresses }),
  };
  if (isChosen) return { identity, peer, called, connect, ...search };
  const typed = called + typedService(service);
  return {
    identity,
    peer,
    called,
    ...search,
    connect: (ways, log, via) =>
      connect(ways, log, via).catch((error: unknown) => {
        throw withoutRegistry(error, peer, typed);
      }),
  };
}

function relayWithAddress(target: string): CliError {
  return new CliError("usage", "Cannot use --via relay with an address: the relay needs none", {
    hints: [`leave the address out: talos mcp-connect ${target.split("@")[0]} --via relay`],
  });
}

/** Returns a service as it is typed behind a peer; nothing where none was asked for. */
function typedService(service: ServiceName | undefined): string {
  return service === undefined ? "" : `/${serviceLabel(service)}`;
}

/** Returns an error whose hints can be typed here as they stand: an agent shows them to its user. */
function asTyped({ output }: Context, error: unknown): unknown {
  if (error instanceof TalosError) error.renderHints((hint) => output.rendered(hint));
  return error;
}

/** Nobody chose a registry: that none answers at the usual place of this machine is not what went wrong. */
function withoutRegistry(error: unknown, peer: PeerId, typed: string): unknown {
  if (!(error instanceof TalosError) || error.code !== "registry_unreachable") return error;
  return new CliError(
    "no_address",
    `Cannot tell where ${peer} is: no address was given, and this machine is registered nowhere`,
    {
      cause: error,
      hints: [
        `write the host's address: talos mcp-connect ${typed}@HOST:${DEFAULT_PEER_PORT}`,
        "or find it by a registry that both use: talos register --server REGISTRY",
      ],
    },
  );
}

async function openSession(
  context: Context,
  { strictClock = false }: HostOptions,
  { identity, peer, called, service, address: given, connect, search }: Prepared,
  maxMessage: number,
  ahead: ConnectionAhead | null,
): Promise<Session> {
  const { clock, random, log, os } = context;
  const circumstances = { called, address: given, service, self: identity.peerId, os };
  const advise = (error: unknown) => asTyped(context, advised(error, circumstances));
  try {
    const waysWith = (how: Log, signal?: AbortSignal): Ways => {
      const dialOver: DialOver = (connectOnce, raceSignal) => {
        const either = signal === undefined ? raceSignal : AbortSignal.any([raceSignal, signal]);
        return dial({
          identity,
          random,
          clock,
          log: how,
          peer,
          kind: ConnectionKind.peer,
          strictClock,
          connect: () => connectOnce(either),
        });
      };
      return {
        dialOver,
        dialOne: (address, raceSignal) =>
          dialOver((either) => {
            if (signal !== undefined) return connectInTime(address, either, REDIAL_TIMEOUT_MS);
            return ahead?.take(address) ?? connectInTime(address, either);
          }, raceSignal),
      };
    };
    const connection = await connect(waysWith(log), log);
    const quiet = { ...SILENT, debug: log.debug }; // what went wrong was said before
    const redial = (signal: AbortSignal) => {
      const again = waysWith(quiet, signal);
      const lookup = connect(again, quiet);
      // Most often the host is where it was; then nobody has to be asked first.
      const last = given === undefined && session.path.kind === "direct"
        ? parseHostPort(session.path.remote, DEFAULT_PEER_PORT)
        : null;
      return last === null ? lookup : firstConnection(lookup, again.dialOne(last, signal));
    };
    const session = Session.open(
      connection,
      {
        id: random(SESSION_ID_BYTES),
        service: service ?? ONLY_SERVICE,
        maxMessage,
        salt: random(SALT_BYTES),
      },
      clock,
      undefined,
      { redial, random, onPath: pathReporter(log, peer, () => session.roundTripMs) },
    );
    if (search !== undefined) {
      search({
        session,
        connect: (signal) => connect(waysWith(quiet, signal), quiet, "direct"),
        clock,
        log: quiet,
      });
    }
    log.debug("connected", { peer, path: describePath(session.path) });
    session.opened.then(() => {
      log.debug("session open", { peer, path: describePath(session.path, session.roundTripMs) });
    }, advise);
    return session;
  } catch (error) {
    throw advise(error);
  }
}

/** Returns the first connection, and closes the other if it comes about. Throws what `main` throws. */
function firstConnection(
  main: Promise<Connection>,
  other: Promise<Connection>,
): Promise<Connection> {
  let won = false;
  const entered = (attempt: Promise<Connection>) =>
    attempt.then((connection) => {
      if (won) connection.channel.close();
      won = true;
      return connection;
    });
  return Promise.any([entered(main), entered(other)]).catch(() => main);
}

/** What decides which advice fits. */
export interface Circumstances {
  /** The peer as it was typed. */
  readonly called: string;
  /** Where it was looked for, if somebody said where. */
  readonly address: HostPort | undefined;
  /** Which of its services is wanted, if that was said. */
  readonly service: ServiceName | undefined;
  /** Who we are. */
  readonly self: PeerId;
  /** The system. */
  readonly os: OperatingSystem;
}

/** Adds to an error what only who was asked for tells to advise, and returns it. */
export function advised(error: unknown, circumstances: Circumstances): unknown {
  if (!(error instanceof TalosError)) return error;
  const { called, address, service, self } = circumstances;
  switch (error.code) {
    case "unauthorized":
    case "blocked":
      return error.advise(
        `on the host, let this peer in: talos access grant ${self}/${
          serviceLabel(service ?? mcpService(DEFAULT_SERVER))
        }`,
        ...(service === undefined
          ? ["on the host, see what it shares, if that is not default: talos status"]
          : []),
      );
    case "unknown_service": {
      if (error.hints.length > 0) return error;
      const at = address === undefined ? "" : `@${formatHostPort(address)}`;
      return error.advise(...nameOneOf(called, servicesIn(error.message), at));
    }
    default:
      return address === undefined ? error : advisedAt(error, address, circumstances);
  }
}

/** Advises about an address that somebody gave; what a registry named has its hints already. */
function advisedAt(
  error: TalosError,
  address: HostPort,
  { called, service, os }: Circumstances,
): TalosError {
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
        `or write the host's IP address: talos mcp-connect ${called}${
          typedService(service)
        }@ADDRESS`,
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
export function portCheckCommand(os: OperatingSystem, { host, port }: HostPort): string {
  return os === "windows"
    ? `powershell Test-NetConnection ${host} -Port ${port}`
    : `nc -vz ${host} ${port}`;
}

/** Returns the command that shows which addresses a name has. */
export function lookupCommand(os: OperatingSystem, host: string): string {
  return os === "linux" ? `getent hosts ${host}` : `nslookup ${host}`;
}
