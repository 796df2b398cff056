/**
 * From a Peer ID to a connection with that peer: where a registry says, and where it was last seen while
 * no registry answers.
 *
 * The peer's key is all that counts, so an address may be tried whoever named it. When nothing answers,
 * the error tells the three cases apart that need different cures: the peer is away, it is there but
 * cannot be reached from here, or the registry itself is gone.
 */

import { type Clock, within } from "../clock.ts";
import { messageOf } from "../errors.ts";
import { formatHostPort } from "../identity/host_port.ts";
import type { PeerId } from "../identity/peer_id.ts";
import type { Connection } from "../session/connection.ts";
import { SessionError, type SessionErrorCode } from "../session/errors.ts";
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
import { type DialOne, type FailedAttempt, raceDial } from "./race_dial.ts";

/** Whom to reach, by whose help, and how. */
export interface ReachOptions extends FindOptions {
  /** Dials the peer at one address. */
  readonly dialOne: DialOne;
}

/** How long a registry may be silent before the peer is tried where it was last seen. */
const REGISTRY_PATIENCE_MS = 1_500;

/** What makes a registry one that is not there now. */
const GONE: ReadonlySet<DiscoveryErrorCode> = new Set(["registry_unreachable", "registry_busy"]);

/** What only the peer itself can have answered: no other address would change it. */
const ANSWERS: ReadonlySet<SessionErrorCode> = new Set(["version", "clock", "busy", "blocked"]);

/**
 * Returns a connection to the process that serves what is asked for. Throws DiscoveryError `peer_away`,
 * `peer_unreachable` and what {@link findPeer} throws, and the SessionError that the peer answered.
 */
export async function reachPeer(options: ReachOptions): Promise<Connection> {
  const { clock, log, peer } = options;
  const looking = findPeer(options);
  const answer = await within(clock, REGISTRY_PATIENCE_MS, settled(looking), "silent" as const);
  const registryIsGone = answer === "silent" || isGone(answer.error);
  const remembered = registryIsGone ? rememberedPeer(options) : null;
  if (remembered === null) return await reachAt(options, await looking);

  log.warn("the registry does not answer; trying the peer where it was last seen", {
    peer,
    published: new Date(remembered.publishedAt).toISOString(),
  });
  const outcome = await raceDial(remembered.addresses, options.dialOne, clock);
  if ("connection" in outcome) return outcome.connection;
  const told = outcome.failures.find(({ error }) => isAnswer(error));
  if (told !== undefined) throw told.error;
  return await reachAt(options, await orNeither(looking, outcome.failures));
}

async function reachAt(options: ReachOptions, found: Whereabouts): Promise<Connection> {
  const { peer, address, clock, dialOne } = options;
  const outcome = await raceDial(found.addresses, dialOne, clock);
  if ("connection" in outcome) return outcome.connection;
  const { failures } = outcome;
  const told = failures.find(({ error }) => isAnswer(error));
  if (told !== undefined) throw told.error;
  if (found.presence === null) throw notFound(peer, address, attemptsText(failures));
  throw found.presence.online
    ? cutOff(peer, found.presence, failures)
    : away(peer, found.presence, found.publishedAt, failures, clock);
}

/** Returns what `looking` gives; where that is an unreachable registry, says that the peer is, too. */
async function orNeither(
  looking: Promise<Whereabouts>,
  failures: readonly FailedAttempt[],
): Promise<Whereabouts> {
  try {
    return await looking;
  } catch (error) {
    if (!isGone(error)) throw error;
    throw new DiscoveryError(
      error.code,
      `${error.message}; and the peer is not where it was last seen: ${attemptsText(failures)}`,
      { cause: error, hints: error.hints },
    );
  }
}

/** The peer is connected to the registry, so something lies between us. */
function cutOff(
  peer: PeerId,
  presence: PeerPresence,
  failures: readonly FailedAttempt[],
): DiscoveryError {
  const [first] = failures;
  return new DiscoveryError(
    "peer_unreachable",
    `Cannot reach ${peerText(peer, presence)}: it is online, but not from here: ` +
      attemptsText(failures),
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

/** The peer is not connected to the registry, and what it published last leads nowhere. */
function away(
  peer: PeerId,
  presence: PeerPresence,
  publishedAt: number,
  failures: readonly FailedAttempt[],
  clock: Clock,
): DiscoveryError {
  return new DiscoveryError(
    "peer_away",
    `Cannot reach ${peerText(peer, presence)}: it is registered but away, last seen ` +
      `${ago(presence.lastSeen, clock)}; what it published ${ago(publishedAt, clock)} leads ` +
      `nowhere: ${attemptsText(failures)}`,
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

function isAnswer(error: unknown): boolean {
  return error instanceof SessionError && ANSWERS.has(error.code);
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
