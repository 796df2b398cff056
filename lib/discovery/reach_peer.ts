/**
 * From a Peer ID to a connection with that peer: where a registry says, through its relay, and where the peer
 * was last seen while no registry answers.
 *
 * The peer's key is all that counts, so an address may be tried whoever named it. When nothing answers,
 * the error tells the three cases apart that need different cures: the peer is away, it is there but
 * cannot be reached from here, or the registry itself is gone.
 */

import { type Clock, within } from "../clock.ts";
import { messageOf } from "../errors.ts";
import { formatHostPort } from "../identity/host_port.ts";
import { serviceLabel, type ServiceName } from "../identity/names.ts";
import type { PeerId } from "../identity/peer_id.ts";
import type { Connection } from "../session/connection.ts";
import { SessionError, type SessionErrorCode } from "../session/errors.ts";
import { TransportError } from "../transport/errors.ts";
import type { Transport } from "../transport/transport.ts";
import { DiscoveryError, type DiscoveryErrorCode } from "./errors.ts";
import {
  ago,
  type FindOptions,
  findPeer,
  notFound,
  type PeerPresence,
  peerText,
  rememberedPeer,
  type Whereabouts,
} from "./find_peer.ts";
import { joinCircuit } from "./join_circuit.ts";
import { type DialOne, type FailedAttempt, raceDial } from "./race_dial.ts";
import { type PathsOutcome, racePaths } from "./race_paths.ts";
import { RegistryVisit } from "./registry_visit.ts";
import type { Via } from "./via.ts";

/** Shakes hands with the peer over what `connect` makes. Gives up when `signal` aborts. Throws TalosError. */
export type DialOver = (
  connect: (signal: AbortSignal) => Promise<Transport>,
  signal: AbortSignal,
) => Promise<Connection>;

/** Whom to reach, by whose help, and how. */
export interface ReachOptions extends FindOptions {
  /** Dials the peer at one address. */
  readonly dialOne: DialOne;
  /** False where nobody chose the registry: that it does not answer is no news then. */
  readonly isChosen?: boolean;
  /** Dials the peer through the relay; without it no relay is used. */
  readonly dialOver?: DialOver;
  /** Which ways are tried; `auto` by default. */
  readonly via?: Via;
}

/** How long a registry may be silent before the peer is tried where it was last seen. */
const REGISTRY_PATIENCE_MS = 1_500;

/** What makes a registry one that is not there now. */
const GONE: ReadonlySet<DiscoveryErrorCode> = new Set(["registry_unreachable", "registry_busy"]);

/** What a registry is not believed for, which says nothing of a peer that proves its own key. */
const IMPOSTORS: ReadonlySet<DiscoveryErrorCode> = new Set(["registry_key_changed"]);

/** What only the peer itself can have answered: no other address would change it. */
const ANSWERS: ReadonlySet<SessionErrorCode> = new Set(["version", "clock", "busy", "blocked"]);

/**
 * Returns a connection to the process that serves what is asked for. Throws DiscoveryError `peer_away`,
 * `peer_unreachable` and what {@link findPeer} throws, and the SessionError that the peer answered.
 */
export async function reachPeer(options: ReachOptions): Promise<Connection> {
  const visit = new RegistryVisit(options);
  const looking = findPeer({ ...options, visit });
  let isFound = false;
  const found = settled(looking).then(() => {
    isFound = true;
  });
  try {
    return await reachBy({ ...options, visit }, looking);
  } finally {
    const closing = found.then(() => visit.close()); // what it still hears is remembered
    if (isFound) await closing;
  }
}

/** What reaching a peer takes, with the connection to the registry. */
type VisitOptions = ReachOptions & { readonly visit: RegistryVisit };

async function reachBy(options: VisitOptions, looking: Promise<Whereabouts>): Promise<Connection> {
  const { clock, log, peer, via } = options;
  const answer = await within(clock, REGISTRY_PATIENCE_MS, settled(looking), "silent" as const);
  const impostor = answer === "silent" ? undefined : impostorIn(answer.error);
  const registryIsGone = answer === "silent" || isGone(answer.error);
  const mayRemember = via !== "relay" && (registryIsGone || impostor !== undefined);
  const remembered = mayRemember ? rememberedPeer(options) : null;
  if (remembered === null) return await reachAt(options, await looking);

  const published = new Date(remembered.publishedAt).toISOString();
  const trying = "trying the peer where it was last seen";
  if (impostor !== undefined) {
    const cure = impostor.hints.join("; ");
    log.error(`${impostor.message}; ${trying}, which proves its own key`, {
      peer,
      published,
      cure,
    });
  } else if (options.isChosen === false) {
    log.info(`no registry was chosen; ${trying}`, { peer, published });
  } else log.warn(`the registry does not answer; ${trying}`, { peer, published });
  const outcome = await raceDial(remembered.addresses, options.dialOne, clock);
  if ("connection" in outcome) return outcome.connection;
  const told = outcome.failures.find(({ error }) => isAnswer(error));
  if (told !== undefined) throw told.error;
  return await reachAt(options, await orNeither(options, looking, outcome.failures));
}

async function reachAt(options: VisitOptions, found: Whereabouts): Promise<Connection> {
  const { clock, dialOne, via = "auto" } = options;
  const addresses = via === "relay" ? [] : found.addresses;
  const outcome = await racePaths({
    direct: (signal) => raceDial(addresses, dialOne, clock, signal),
    relay: relayTo(options, found),
    isFinal: (failures) => failures.some(({ error }) => isAnswer(error)),
  }, clock);
  if ("connection" in outcome) return outcome.connection;
  throw unreached(options, found, outcome);
}

/** Returns what dials the peer through the relay; null where it is not there, or not wanted. */
function relayTo(
  { peer, address, visit, dialOver, connect, clock, via }: VisitOptions,
  { service, presence }: Whereabouts,
): ((signal: AbortSignal) => Promise<Connection>) | null {
  if (via === "direct" || dialOver === undefined || presence?.online !== true) return null;
  const { host, port } = address;
  const connectThrough = async (signal: AbortSignal) => {
    const leg = await (await visit.client()).circuit(peer, service);
    const registry = { host, port };
    return await joinCircuit(leg, { registry, source: `relayed ${peer}`, connect, clock, signal });
  };
  return (signal) => dialOver(connectThrough, signal);
}

/** Returns why no way led to the peer. */
function unreached(
  { peer, called = peer, address, clock, identity, via }: VisitOptions,
  found: Whereabouts,
  { failures, relayError }: Exclude<PathsOutcome, { readonly connection: Connection }>,
): unknown {
  const told = failures.find(({ error }) => isAnswer(error))?.error ??
    (isAnswer(relayError) ? relayError : undefined);
  if (told !== undefined) return told;
  const { presence, publishedAt } = found;
  if (presence === null) return notFound(peer, address, attemptsText(failures));
  if (isDeclined(relayError)) return declined(peer, presence, identity.peerId, found.service);
  const tried = via === "relay" ? null : failures;
  if (!presence.online) return away(peer, presence, publishedAt, tried, clock);
  if (via === "relay" && relayError !== undefined) return relayError;
  const error = cutOff(peer, presence, failures, relayError);
  if (via !== "direct") return error;
  return error.advise(`or let the registry relay: talos mcp-connect ${called} --via auto`);
}

/** Returns what `looking` gives; where that is an unreachable registry, says that the peer is, too. */
async function orNeither(
  { peer, called = peer, isChosen }: VisitOptions,
  looking: Promise<Whereabouts>,
  failures: readonly FailedAttempt[],
): Promise<Whereabouts> {
  try {
    return await looking;
  } catch (error) {
    const cause = isGone(error) ? error : impostorIn(error);
    if (cause === undefined) throw error;
    if (isChosen === false && cause.code === "registry_unreachable") {
      throw new DiscoveryError(
        "peer_away",
        `Cannot reach ${called}: it is not where it was last seen: ${attemptsText(failures)}`,
        {
          cause,
          hints: [
            "on the host, see whether its service runs: talos status",
            "where its address changes, find it by a registry that both use: talos register --server REGISTRY",
          ],
        },
      );
    }
    throw new DiscoveryError(
      cause.code,
      `${cause.message}; and the peer is not where it was last seen: ${attemptsText(failures)}`,
      { cause, hints: cause.hints },
    );
  }
}

/**
 * A process of the peer is connected to the registry. Where its machine refuses, nothing listens at the port
 * any more; where it is silent, something lies between us.
 */
function cutOff(
  peer: PeerId,
  presence: PeerPresence,
  failures: readonly FailedAttempt[],
  relayError: unknown,
): DiscoveryError {
  const [first] = failures;
  const relay = relayError === undefined ? "" : `; nor through the relay: ${messageOf(relayError)}`;
  if (first !== undefined && failures.every(({ error }) => isRefusal(error))) {
    return new DiscoveryError(
      "peer_unreachable",
      `Cannot reach ${
        peerText(peer, presence)
      }: it is online, but what served this may have ended: ` +
        attemptsText(failures) + relay,
      {
        hints: [
          "on the host, see what runs, and share it again: talos status",
          `if it runs there, a firewall may refuse: let TCP port ${first.address.port} through`,
        ],
      },
    );
  }
  return new DiscoveryError(
    "peer_unreachable",
    `Cannot reach ${peerText(peer, presence)}: it is online, but not from here: ` +
      attemptsText(failures) + relay,
    {
      hints: [
        ...(first === undefined ? [] : [
          `on the host, let TCP port ${first.address.port} through its firewall, and through its router`,
        ]),
        "otherwise the two machines need a network in common, such as a VPN",
      ],
    },
  );
}

/** The peer was called through the relay, and knows nothing of us. */
function declined(
  peer: PeerId,
  presence: PeerPresence,
  self: PeerId,
  service: ServiceName,
): DiscoveryError {
  return new DiscoveryError(
    "peer_declined",
    `Cannot use ${peerText(peer, presence)}: it takes no calls from this peer, the registry says`,
    {
      hints: [`on the host, let this peer in: talos access grant ${self}/${serviceLabel(service)}`],
    },
  );
}

/** The peer is not connected to the registry, and what it published last, unless that was not tried, leads nowhere. */
function away(
  peer: PeerId,
  presence: PeerPresence,
  publishedAt: number,
  failures: readonly FailedAttempt[] | null,
  clock: Clock,
): DiscoveryError {
  return new DiscoveryError(
    "peer_away",
    `Cannot reach ${peerText(peer, presence)}: it is registered but away, last seen ` +
      ago(presence.lastSeen, clock) +
      (failures === null
        ? "; the relay leads only to those who are there"
        : `; what it published ${ago(publishedAt, clock)} leads ` +
          `nowhere: ${attemptsText(failures)}`),
    {
      hints: [
        "on the host, see what runs and whether it reaches the registry: talos status",
        "on the host, publish its address anew: talos register (mcp-serve does so by itself)",
      ],
    },
  );
}

/** Returns every address with what came of it, those with the same outcome together. */
function attemptsText(failures: readonly FailedAttempt[]): string {
  if (failures.length === 0) return "it published no address";
  const places = new Map<string, string[]>();
  for (const { address, error } of failures) {
    const why = messageOf(error).replace(/^Cannot connect to \S+: /, "");
    places.set(why, [...places.get(why) ?? [], formatHostPort(address)]);
  }
  return [...places].map(([why, at]) => `${at.join(", ")}: ${why}`).join("; ");
}

function isRefusal(error: unknown): boolean {
  return error instanceof TransportError && error.code === "refused";
}

function isDeclined(error: unknown): boolean {
  return error instanceof DiscoveryError && error.code === "peer_declined";
}

function isAnswer(error: unknown): boolean {
  return error instanceof SessionError && ANSWERS.has(error.code);
}

function impostorIn(error: unknown): DiscoveryError | undefined {
  return error instanceof DiscoveryError && IMPOSTORS.has(error.code) ? error : undefined;
}

function isGone(error: unknown): error is DiscoveryError {
  return error instanceof DiscoveryError && GONE.has(error.code);
}

/** Returns what became of `promise`, which is rejected no more. */
async function settled<T>(promise: Promise<T>): Promise<{ readonly error?: unknown }> {
  try {
    await promise;
    return {};
  } catch (error) {
    return { error };
  }
}
