/**
 * Reaching a registry and making sure that it is the one that was meant.
 *
 * Its key is in its address, or was pinned before, or is asked for and pinned once a handshake has proved
 * it. As with the host keys of SSH, a key that changed is refused, with both of them, until a person
 * forgets the old one. What goes wrong on the way becomes a DiscoveryError that says what to do; a
 * registry that breaks off is one that cannot be reached, for that passes.
 */

import { type Clock, within } from "../clock.ts";
import type { RandomBytes } from "../crypto/random.ts";
import type { Database } from "../identity/database.ts";
import { DEFAULT_REGISTRY_PORT, formatHostPort, type HostPort } from "../identity/host_port.ts";
import type { LocalIdentity } from "../identity/local_identity.ts";
import type { PeerId } from "../identity/peer_id.ts";
import { HANDSHAKE_TIMEOUT_MS } from "../limits.ts";
import type { Log } from "../log.ts";
import type { Connection } from "../session/connection.ts";
import { dial } from "../session/dial.ts";
import { SessionError } from "../session/errors.ts";
import { TransportError } from "../transport/errors.ts";
import type { Transport } from "../transport/transport.ts";
import { ConnectionKind } from "../wire/preface.ts";
import { DiscoveryError } from "./errors.ts";
import type { RegistryAddress } from "./registry_address.ts";
import { pinKey, pinnedKey } from "./registry_keys.ts";
import { whoAreYou } from "./who_are_you.ts";

/** What connecting to a registry takes, once it is known which. */
export interface RegistryConnectionOptions {
  /** Where it is. */
  readonly address: RegistryAddress;
  /** Who we are. */
  readonly identity: LocalIdentity;
  /** Where its key is pinned. */
  readonly database: Database;
  /** Randomness for the handshake. */
  readonly random: RandomBytes;
  /** Time. */
  readonly clock: Clock;
  /** Learns of a key that is seen for the first time, and of a clock that is off. */
  readonly log: Log;
  /** Makes a byte stream to an address. Throws TransportError, also when `signal` aborts. */
  readonly connect: (address: HostPort, signal: AbortSignal) => Promise<Transport>;
  /** Ends the connecting, and later the connection. */
  readonly signal?: AbortSignal;
}

const CONNECT_TIMEOUT_MS = 10_000;

/**
 * Returns an authenticated connection to the registry. Throws DiscoveryError `registry_unreachable`,
 * `registry_busy`, `not_a_registry`, `registry_key_changed`, and SessionError `clock`, `version`,
 * `blocked`.
 */
export async function connectToRegistry(options: RegistryConnectionOptions): Promise<Connection> {
  const { address, database, clock, log } = options;
  const known = address.id ?? pinnedKey(database, address);
  if (known !== undefined) {
    const connection = await connectToKnown(options, known);
    pinKey(database, address, known, clock.now());
    return connection;
  }
  const claimed = await ask(options);
  const connection = await handshake(options, claimed);
  const holds = pinKey(database, address, claimed, clock.now());
  if (holds !== claimed) {
    connection.channel.close(); // another process of this home was faster, and met another registry
    throw keyChanged(options, holds, claimed);
  }
  log.info("registry pinned", { registry: formatHostPort(address), key: claimed });
  return connection;
}

async function connectToKnown(
  options: RegistryConnectionOptions,
  known: PeerId,
): Promise<Connection> {
  try {
    return await handshake(options, known);
  } catch (error) {
    if (!(error instanceof DiscoveryError) || !isHandshakeFailure(error.cause)) throw error;
    // Another key, another program, or a registry that is just being stopped: it says which.
    const now = await ask(options);
    throw now === known ? error : keyChanged(options, known, now);
  }
}

function isHandshakeFailure(cause: unknown): boolean {
  return cause instanceof SessionError &&
    (cause.code === "handshake_failed" || cause.code === "not_talos");
}

async function handshake(options: RegistryConnectionOptions, peer: PeerId): Promise<Connection> {
  const { address, identity, random, clock, log } = options;
  try {
    return await dial({
      identity,
      random,
      clock,
      log,
      peer,
      kind: ConnectionKind.registry,
      connect: () => reach(options),
    });
  } catch (error) {
    if (!(error instanceof SessionError)) throw error;
    switch (error.code) {
      case "busy":
        throw new DiscoveryError("registry_busy", error.message, { cause: error });
      case "handshake_failed":
      case "handshake_timeout":
      case "not_talos":
      case "protocol":
        throw unreachable(address, `it does not complete the handshake: ${error.message}`, error);
      default:
        throw error;
    }
  }
}

/** Asks what answers at the registry's address who it is. The answer proves nothing. */
async function ask(options: RegistryConnectionOptions): Promise<PeerId> {
  const { address, clock } = options;
  const transport = await reach(options);
  try {
    const answer = await within(clock, HANDSHAKE_TIMEOUT_MS, whoAreYou(transport), null);
    if (answer !== null) return answer;
  } catch (error) {
    if (!(error instanceof DiscoveryError)) throw error;
    throw notARegistry(address, error);
  } finally {
    transport.close();
  }
  throw unreachable(address, "it does not say who it is");
}

async function reach({ address, clock, connect, signal }: RegistryConnectionOptions) {
  const limit = new AbortController();
  using _timer = clock.after(CONNECT_TIMEOUT_MS, () => limit.abort());
  const either = signal === undefined ? limit.signal : AbortSignal.any([signal, limit.signal]);
  try {
    const transport = await connect({ host: address.host, port: address.port }, either);
    if (signal?.aborted === true) transport.close();
    signal?.addEventListener("abort", () => transport.close(), { once: true });
    return transport;
  } catch (error) {
    if (!(error instanceof TransportError)) throw error;
    throw unreachable(address, error.message.replace(/^Cannot connect to \S+: /, ""), error);
  }
}

function unreachable(address: HostPort, state: string, cause?: unknown): DiscoveryError {
  const { host, port } = address;
  const isNameUnknown = cause instanceof TransportError && cause.code === "name_unknown";
  return new DiscoveryError(
    "registry_unreachable",
    `Cannot reach the registry ${formatHostPort({ host, port })}: ${state}`,
    {
      cause,
      hints: [
        ...(isNameUnknown ? [`check the name ${host}: it has no address`] : [
          `see whether its port is open from here: nc -vz ${host} ${port}`,
          "if its talos-server has ended, start it again with the --data-dir that it had",
        ]),
        "use another registry: --server HOST[:PORT], or for good: talos register --server HOST[:PORT]",
      ],
    },
  );
}

function notARegistry({ host, port }: HostPort, cause: unknown): DiscoveryError {
  return new DiscoveryError(
    "not_a_registry",
    `Cannot use ${formatHostPort({ host, port })}: what answers there is no Talos registry`,
    {
      cause,
      hints: [
        `a registry listens on port ${DEFAULT_REGISTRY_PORT} unless told otherwise, and prints where`,
        "name it: --server HOST[:PORT]",
      ],
    },
  );
}

function keyChanged(
  { address: { host, port, id } }: RegistryConnectionOptions,
  before: PeerId,
  now: PeerId,
): DiscoveryError {
  const place = formatHostPort({ host, port });
  return new DiscoveryError(
    "registry_key_changed",
    id === undefined
      ? `The registry ${place} has another key than before: it was ${before}, it is ${now}`
      : `The registry ${place} has another key than the one given: ${before} was given, it is ${now}`,
    {
      hints: [
        "somebody may be in between: ask whoever runs the registry which key it has",
        id === undefined
          ? `if it has a new one, forget the old one: talos forget-registry ${place}`
          : `if it has a new one: talos register --server ${now}@${place}`,
      ],
    },
  );
}
