/** What there is to say about a peer: whether it is there, how it is reached, and what it lets us do. Pure. */

import type { Clock } from "../../clock.ts";
import type { TalosError } from "../../errors.ts";
import { formatHostPort, type HostPort } from "../../identity/host_port.ts";
import type { FoundPeer } from "../../wire/registry_messages.ts";
import type { VersionRange } from "../../wire/preface.ts";
import { fail, failure, type Finding, ok, skip, warn } from "./finding.ts";
import type { ServerFacts } from "./mcp_probe.ts";
import { clockFinding, lastSeenText, msText } from "./registry_findings.ts";

/** What is asked about. */
export interface PeerFacts {
  /** Who. */
  readonly peer: string;
  /** What we call it, if we do. */
  readonly petname: string | undefined;
  /** Whether it is this machine's own identity. */
  readonly isSelf: boolean;
}

/** Returns what to say of who is meant. */
export function peerFinding({ peer, petname, isSelf }: PeerFacts): Finding {
  const who = isSelf
    ? "this machine's own identity"
    : petname === undefined
    ? "no contact of yours"
    : `your contact ${petname}`;
  return ok("peer", `${peer}, ${who}`);
}

/** A peer as a registry tells of it. */
export interface PresenceFacts {
  /** What the registry says; null when it does not know the peer. */
  readonly found: Pick<FoundPeer, "name" | "online" | "lastSeen"> | null;
  /** The error that a command meets where the registry does not know it. */
  readonly notFound: TalosError;
  /** Whether the peer was named with an address: then nothing depends on the registry. */
  readonly hasAddress: boolean;
  /** Tells how long ago something was. */
  readonly clock: Pick<Clock, "now">;
}

/** Returns what to say of a peer that was looked up. */
export function presenceFindings(
  { found, notFound, hasAddress, clock }: PresenceFacts,
): readonly Finding[] {
  if (found === null) {
    const missing = failure("peer_registered", notFound);
    return [hasAddress ? { ...missing, status: "warn" } : missing];
  }
  const registered = ok("peer_registered", `registered as "${found.name}"`);
  if (found.online) {
    return [registered, ok("peer_online", "a service of it is connected to the registry")];
  }
  const away = fail(
    "peer_online",
    "peer_away",
    `away: no service of it is connected to the registry, ${lastSeenText(found.lastSeen, clock)}`,
    "on the host, see what runs, and whether it reaches the registry: talos status",
    "on the host, share something: talos mcp-serve --authorized-peer PEER-ID --command COMMAND",
  );
  return [registered, hasAddress ? { ...away, status: "warn" } : away];
}

/** How trying one address ended. */
export interface Attempt {
  /** Where. */
  readonly address: HostPort;
  /** How long TCP took, in milliseconds; absent where it did not come about. */
  readonly tcpMs?: number;
  /** How long the handshake took, in milliseconds; absent where it was not completed. */
  readonly handshakeMs?: number;
  /** What went wrong; absent where nothing did. */
  readonly error?: TalosError;
}

/** How trying the relay ended. */
export interface RelayAttempt {
  /** Why it was not tried. */
  readonly skipped?: string;
  /** Where the relay is; absent where it did not lead to the peer. */
  readonly relay?: string;
  /** How long it took to come there, in milliseconds. */
  readonly joinedMs?: number;
  /** How long the handshake took, in milliseconds; absent where it was not completed. */
  readonly handshakeMs?: number;
  /** What went wrong; absent where nothing did. */
  readonly error?: TalosError;
}

/** Returns what to say of the ways to a peer: what another way makes up for is no failure. */
export function wayFindings(
  attempts: readonly Attempt[],
  relay: RelayAttempt,
): readonly Finding[] {
  const isDirect = attempts.some(({ tcpMs }) => tcpMs !== undefined);
  const hasWay = isDirect || relay.joinedMs !== undefined;
  const addresses = attempts.map((attempt) => addressFinding(attempt, hasWay));
  return [
    ...(attempts.length === 0 ? [noAddress(hasWay)] : addresses),
    relayFinding(relay, isDirect),
  ];
}

function noAddress(hasWay: boolean): Finding {
  const fact = "the peer published none";
  return hasWay ? ok("address", fact) : fail("address", "peer_unreachable", fact);
}

function addressFinding({ address, tcpMs, error }: Attempt, hasWay: boolean): Finding {
  const at = formatHostPort(address);
  if (tcpMs !== undefined) return ok("address", `${at} answers in ${msText(tcpMs)}`);
  if (error === undefined) return skip("address", `${at} was not tried`);
  const found = failure("address", error);
  return hasWay ? { ...found, status: "warn" } : found;
}

function relayFinding(
  { skipped, relay, joinedMs, error }: RelayAttempt,
  isDirect: boolean,
): Finding {
  if (joinedMs !== undefined) return ok("relay", `${relay} leads there in ${msText(joinedMs)}`);
  if (error === undefined) return skip("relay", skipped ?? "not asked");
  const found = failure("relay", error);
  return isDirect ? { ...found, status: "warn" } : found;
}

/** A peer that proved its key. */
export interface HandshakeFacts {
  /** Who. */
  readonly peer: string;
  /** Which way. */
  readonly path: string;
  /** How long the handshake took, in milliseconds. */
  readonly ms: number;
  /** Its clock minus ours, in milliseconds. */
  readonly skewMs: number;
  /** The protocol versions that its program speaks. */
  readonly versions: VersionRange;
}

/** Returns what to say of a peer that proved its key, or of the error where none did. */
export function handshakeFindings(outcome: HandshakeFacts | TalosError): readonly Finding[] {
  if (!(outcome instanceof Error)) {
    const { peer, path, ms, skewMs, versions } = outcome;
    return [
      ok("handshake", `${peer} proved its key in ${msText(ms)}, ${path}`),
      clockFinding("peer_clock", "the peer's", skewMs),
      ok("peer_version", `it speaks protocol ${rangeText(versions)}`),
    ];
  }
  if (outcome.code === "clock") {
    return [
      ok("handshake", "the peer proved its key, and refuses this machine's clock"),
      failure("peer_clock", outcome),
    ];
  }
  if (outcome.code === "version") {
    return [
      ok("handshake", "the peer proved its key, and refuses this program's version"),
      failure("peer_version", outcome),
    ];
  }
  return [failure("handshake", outcome)];
}

/** Returns a range of protocol versions. */
export function rangeText({ min, max }: VersionRange): string {
  return min === max ? String(max) : `${min} to ${max}`;
}

/** A server that takes longer to answer `initialize` keeps an agent waiting that may not have the patience. */
const SLOW_SERVER_MS = 5_000;

/** Returns what to say of an MCP server that answered. */
export function serverFinding(
  { name, version, tools, initializeMs, roundTripMs }: ServerFacts,
): Finding {
  const offers = `${name} ${version}, ${tools} tool${tools === 1 ? "" : "s"}`;
  const trip = `round trip ${msText(roundTripMs)}`;
  if (initializeMs < SLOW_SERVER_MS) {
    return ok("server", `${offers}, began in ${msText(initializeMs)}, ${trip}`);
  }
  return warn(
    "server",
    `${offers}, slow: it took ${msText(initializeMs)} to begin, ${trip}`,
    "on the host, keep one ready: talos mcp-serve --prewarm 1 …",
  );
}
