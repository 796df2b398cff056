/**
 * From a ticket to a connection with its host: its addresses at once, and what the registry knows, its relay
 * included, a moment later. Whoever answers has to prove the key that is in the ticket.
 */

import { raceDial } from "../discovery/race_dial.ts";
import { racePaths } from "../discovery/race_paths.ts";
import { DiscoveryError } from "../discovery/errors.ts";
import { type DialOver, reachPeer } from "../discovery/reach_peer.ts";
import type { RegistryOptions } from "../discovery/registry_client.ts";
import { messageOf, TalosError } from "../errors.ts";
import { formatHostPort } from "../identity/host_port.ts";
import type { LocalIdentity } from "../identity/local_identity.ts";
import type { Ticket } from "../identity/ticket.ts";
import type { Connection } from "../session/connection.ts";
import { dial } from "../session/dial.ts";
import { SessionError, type SessionErrorCode } from "../session/errors.ts";
import { ConnectionKind } from "../wire/preface.ts";
import { connectInTime } from "./connect_ahead.ts";
import type { Context } from "./context.ts";

/** What only the host itself can have answered: no other way would change it. */
const ANSWERS: ReadonlySet<SessionErrorCode> = new Set(["version", "clock", "busy", "blocked"]);

/**
 * Returns a connection to the host of a ticket. Throws DiscoveryError "peer_unreachable" and what the registry's
 * way ends with, and the SessionError that the host answered.
 *
 * @param registry What connecting to a registry takes; null where there is none.
 */
export async function reachInviter(
  { clock, random, log }: Context,
  identity: LocalIdentity,
  { host: peer, service, addresses }: Ticket,
  registry: RegistryOptions | null,
): Promise<Connection> {
  const dialOver: DialOver = (connect, signal) =>
    dial({
      identity,
      random,
      clock,
      log,
      peer,
      kind: ConnectionKind.peer,
      connect: () => connect(signal),
    });
  const dialOne = (address: Ticket["addresses"][number], signal: AbortSignal) =>
    dialOver((either) => connectInTime(address, either), signal);
  const outcome = await racePaths({
    direct: (signal) => raceDial(addresses, dialOne, clock, signal),
    relay: registry === null
      ? null
      : (signal) =>
        reachPeer({ ...registry, signal, peer, service, dialOne, dialOver, isChosen: true }),
    isFinal: (failures) => failures.some(({ error }) => isAnswer(error)),
  }, clock);
  if ("connection" in outcome) return outcome.connection;
  const { failures, relayError } = outcome;
  const told = failures.find(({ error }) => isAnswer(error));
  if (told !== undefined) throw told.error;
  const tried = failures.map(({ address, error }) =>
    `${formatHostPort(address)}: ${messageOf(error).replace(/^Cannot connect to \S+: /, "")}`
  );
  if (relayError instanceof TalosError) {
    throw tried.length === 0 ? relayError : relayError.advise(
      `the ticket's own addresses lead nowhere either (${tried.join("; ")}); ` +
        "on the host, see what runs: talos status",
    );
  }
  if (relayError !== undefined) throw relayError;
  throw new DiscoveryError(
    "peer_unreachable",
    `Cannot reach the host of this ticket, ${peer}: ${tried.join("; ")}`,
    {
      hints: [
        "on the host, see that it serves, and on which port: talos status",
        "the ticket names no registry: both machines need a network in common, such as a VPN",
        "or use a registry: on the host, run talos register --server REGISTRY, then talos invite again",
      ],
    },
  );
}

function isAnswer(error: unknown): boolean {
  return error instanceof SessionError && ANSWERS.has(error.code);
}
