/**
 * Joining a circuit: a connection to a node of the registry, the token of our leg, and the node's word that
 * the other leg is there. What comes out is a transport to the other peer, on which nothing is proved yet:
 * the handshake of the two peers follows.
 *
 * A leg is dialled where the registry's list says, and nowhere else: whoever could name any address would
 * have us knock at doors of our own network. Today the list has one node, the registry itself, at the very
 * address where it was reached.
 */

import type { Bytes } from "../bytes.ts";
import type { Clock } from "../clock.ts";
import { messageOf } from "../errors.ts";
import { formatHostPort, type HostPort } from "../identity/host_port.ts";
import { TransportError } from "../transport/errors.ts";
import type { Transport } from "../transport/transport.ts";
import { withPath } from "../transport/with_path.ts";
import {
  type CircuitLeg,
  CircuitStatus,
  type CircuitStatusName,
  circuitStatusOf,
  encodeLegOpening,
  REGISTRY_NODE,
} from "../wire/circuit.ts";
import { DiscoveryError } from "./errors.ts";

/** How a leg is joined. */
export interface JoinOptions {
  /** Where the registry was reached that named the node. */
  readonly registry: HostPort;
  /** What limits per source count the other peer by. */
  readonly source: string;
  /** Makes a byte stream to an address. Throws TransportError, also when `signal` aborts. */
  readonly connect: (address: HostPort, signal: AbortSignal) => Promise<Transport>;
  /** Time. */
  readonly clock: Clock;
  /** Gives up. */
  readonly signal?: AbortSignal;
}

/** Longer than a node lets a leg wait for the other, so that it is the node that says what was wrong. */
const JOIN_PATIENCE_MS = 12_000;

/**
 * Returns a transport to the peer at the other end of the circuit. Throws DiscoveryError `relay_failed`,
 * `peer_away`, `peer_declined`.
 */
export async function joinCircuit(
  { token, node }: CircuitLeg,
  { registry, source, connect, clock, signal }: JoinOptions,
): Promise<Transport> {
  const { host, port } = nodeAddress(registry, node);
  const remote = formatHostPort({ host, port });
  const limit = new AbortController();
  const either = signal === undefined ? limit.signal : AbortSignal.any([signal, limit.signal]);
  using _timer = clock.after(JOIN_PATIENCE_MS, () => limit.abort());
  let transport: Transport | undefined;
  const giveUp = () => transport?.close();
  either.addEventListener("abort", giveUp);
  try {
    transport = await connect({ host, port }, either);
    if (either.aborted) throw failed(remote, "no answer in time");
    await transport.write(encodeLegOpening(token));
    const status = await readStatus(transport);
    if (either.aborted) throw failed(remote, "no answer in time");
    if (status !== CircuitStatus.joined) throw refused(remote, circuitStatusOf(status));
    return withPath(transport, { kind: "relay", remote, source });
  } catch (error) {
    transport?.close();
    if (!(error instanceof TransportError)) throw error;
    const state = messageOf(error).replace(/^Cannot connect to \S+: /, "");
    throw failed(remote, state, error);
  } finally {
    either.removeEventListener("abort", giveUp);
  }
}

/** Returns where a node of a registry is. Throws DiscoveryError `relay_failed` for one that is not its own. */
export function nodeAddress(registry: HostPort, node: string): HostPort {
  if (node === REGISTRY_NODE) return registry;
  throw failed(formatHostPort(registry), "it names a node that is not in its list");
}

/** Returns the one byte that a node answers; 255, which is no status, where it hangs up. */
async function readStatus(transport: Transport): Promise<number> {
  const status: Bytes = new Uint8Array(1);
  const count = await transport.read(status);
  return count === null ? 255 : status[0] ?? 255;
}

function refused(remote: string, status: CircuitStatusName | null): DiscoveryError {
  switch (status) {
    case "away":
      return new DiscoveryError(
        "peer_away",
        `Cannot reach the peer through the relay ${remote}: it did not come there in time`,
      );
    case "declined":
      return new DiscoveryError(
        "peer_declined",
        `Cannot reach the peer through the relay ${remote}: it does not take calls from this one`,
      );
    case "busy":
      return failed(remote, "the peer takes no more calls now");
    case "draining":
      return failed(remote, "it is being stopped or restarted");
    case "unknown":
      return failed(remote, "it does not know this call, or no more");
    default:
      return failed(remote, "it does not say that the peer is there");
  }
}

function failed(remote: string, state: string, cause?: unknown): DiscoveryError {
  return new DiscoveryError("relay_failed", `Cannot use the relay ${remote}: ${state}`, { cause });
}
