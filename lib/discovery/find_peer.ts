/**
 * From a Peer ID to the addresses of its services: asks a registry, checks what it says, and remembers it.
 *
 * Of each service the newest record counts that was ever seen, whoever handed it out: a registry that
 * knows an older one, or none, is noticed and not believed. Time never causes a refusal. It only orders:
 * where a peer has records that its own later ones outlived, these are left aside.
 */

import { hex } from "../bytes.ts";
import type { Clock } from "../clock.ts";
import { messageOf } from "../errors.ts";
import type { Database } from "../identity/database.ts";
import { formatHostPort, type HostPort } from "../identity/host_port.ts";
import {
  DEFAULT_SERVER,
  mcpService,
  serverOf,
  serviceLabel,
  type ServiceName,
} from "../identity/names.ts";
import { type PeerId, shortPeerId } from "../identity/peer_id.ts";
import type { Log } from "../log.ts";
import {
  type EndpointRecord,
  openEndpointRecord,
  type SignedEndpointRecord,
} from "../wire/endpoint_record.ts";
import { WireError } from "../wire/errors.ts";
import type { FoundPeer } from "../wire/registry_messages.ts";
import { DiscoveryError } from "./errors.ts";
import { RegistryClient, type RegistryOptions } from "./registry_client.ts";
import type { RegistryVisit } from "./registry_visit.ts";
import { nameOneOf } from "./name_service.ts";
import { quoted } from "./remote_text.ts";
import { noteRecord, seenRecords } from "./seen_records.ts";

/** What is meant where no service is named. */
const DEFAULT_SERVICE = mcpService(DEFAULT_SERVER);

/** Whom to find, and by whose help. */
export interface FindOptions extends RegistryOptions {
  /** Whom. */
  readonly peer: PeerId;
  /** What the user calls it, for commands in hints; its Peer ID when absent. */
  readonly called?: string;
  /** The connection to the registry, if it is used for more than this. */
  readonly visit?: RegistryVisit;
  /** Which service; when absent `default` if the peer serves that, else the only one. */
  readonly service?: ServiceName;
}

/** What a registry says of a peer, beside its records. */
export interface PeerPresence {
  /** What it calls itself. */
  readonly name: string;
  /** Whether a process of it that serves is connected to the registry now. */
  readonly online: boolean;
  /** When one last was, Unix time in milliseconds. */
  readonly lastSeen: number;
}

/** Where the process of a peer is that serves what is wanted. */
export interface Whereabouts {
  /** Its addresses, best first; empty where it published none. */
  readonly addresses: readonly HostPort[];
  /** The service that was chosen. */
  readonly service: ServiceName;
  /** What the registry says of the peer; null for what only our memory knows. */
  readonly presence: PeerPresence | null;
  /** When the peer published the addresses, Unix time in milliseconds by its own clock. */
  readonly publishedAt: number;
}

/**
 * Returns where the process is that serves what is asked for. Throws DiscoveryError `peer_not_found`,
 * `peer_away`, `unknown_service`, and what {@link RegistryClient.connect} throws.
 */
export async function findPeer(options: FindOptions): Promise<Whereabouts> {
  const { peer, database, log, address, clock } = options;
  const found = await ask(options);
  if (found !== null) noteRecords(database, log, peer, found.records);
  const records = seenRecords(database, peer).filter(isInUse);
  if (found === null) {
    if (records.length === 0) throw notFound(peer, address);
    log.warn("the registry does not know the peer any more; trying where it was last seen", {
      peer,
    });
  } else if (records.length === 0) {
    throw servesNothing(peer, found, clock);
  }
  return chosen(options, records, found === null ? null : presenceOf(found));
}

function presenceOf({ name, online, lastSeen }: FoundPeer): PeerPresence {
  return { name, online, lastSeen };
}

/** Returns where the peer was when it was last looked up, or null when it never was. Asks nobody. */
export function rememberedPeer(options: FindOptions): Whereabouts | null {
  const { peer, database } = options;
  const records = seenRecords(database, peer).filter(isInUse);
  try {
    return chosen(options, records, null);
  } catch (error) {
    if (error instanceof DiscoveryError && error.code === "unknown_service") return null;
    throw error;
  }
}

async function ask(options: FindOptions): Promise<FoundPeer | null> {
  if (options.visit !== undefined) return await (await options.visit.client()).lookup(options.peer);
  await using client = await RegistryClient.connect(options);
  return await client.lookup(options.peer);
}

/** Verifies and remembers what the registry handed out. */
function noteRecords(
  database: Database,
  log: Log,
  peer: PeerId,
  handedOut: readonly SignedEndpointRecord[],
): void {
  for (const signed of handedOut) {
    let record: EndpointRecord;
    try {
      record = openEndpointRecord(peer, signed);
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      log.warn(`the registry handed out a record that does not count: ${messageOf(error)}`, {
        peer,
      });
      continue;
    }
    if (noteRecord(database, signed, record) === null) continue;
    log.warn("the registry knows an older record than we do; using the newer one", {
      peer,
      service: record.service,
    });
  }
}

function isInUse({ ttlSeconds }: EndpointRecord): boolean {
  return ttlSeconds > 0;
}

/** Returns where the wanted service is: `default` or the only one where none is named. Throws DiscoveryError. */
function chosen(
  { peer, called = peer, service }: FindOptions,
  records: readonly EndpointRecord[],
  presence: PeerPresence | null,
): Whereabouts {
  const current = withoutOutlived(records);
  const candidates = service === undefined
    ? current.filter((record) => serverOf(record.service) !== null)
    : records.filter((record) => record.service === service);
  const [first, ...others] = candidates;
  if (first === undefined) throw unknownService(peer, called, service, current);
  const usual = candidates.find((record) => record.service === DEFAULT_SERVICE);
  const sameProcess = others.every(({ instance }) => hex(instance) === hex(first.instance));
  if (usual === undefined && !sameProcess) throw severalServices(peer, called, candidates);
  const { addresses, service: chosen, issuedAt } = usual ?? first;
  return { addresses, service: chosen, presence, publishedAt: issuedAt };
}

/** Leaves aside what had expired when the peer published something else: its process is gone. */
function withoutOutlived(records: readonly EndpointRecord[]): EndpointRecord[] {
  const newest = Math.max(...records.map(({ issuedAt }) => issuedAt));
  return records.filter(({ issuedAt, ttlSeconds }) => issuedAt + ttlSeconds * 1000 >= newest);
}

/** The error for a peer that a registry does not know; `memory` says what became of what we knew. */
export function notFound(
  peer: PeerId,
  registry: RegistryOptions["address"],
  memory?: string,
): DiscoveryError {
  const place = formatHostPort({ host: registry.host, port: registry.port });
  const elsewhere = memory === undefined ? "" : `, nor where it was last seen: ${memory}`;
  return new DiscoveryError(
    "peer_not_found",
    `Cannot find the peer: ${peer} is not registered at ${place}${elsewhere}`,
    {
      hints: [
        `on the host, make it known there: talos register --server ${place}`,
        "see who is registered, and compare the Peer ID: talos peers",
      ],
    },
  );
}

function servesNothing(peer: PeerId, presence: PeerPresence, clock: Clock): DiscoveryError {
  return new DiscoveryError(
    "peer_away",
    `Cannot use ${
      quoted(presence.name)
    } (${peer}): it is registered but serves nothing now; it was last ` +
      `seen ${ago(presence.lastSeen, clock)}`,
    {
      hints: [
        "on the host, share something: talos mcp-serve --authorized-peer PEER-ID --command COMMAND",
        "on the host, see what runs: talos status",
      ],
    },
  );
}

function unknownService(
  peer: PeerId,
  called: string,
  service: ServiceName | undefined,
  current: readonly EndpointRecord[],
): DiscoveryError {
  const wanted = service === undefined ? "an MCP server" : `"${serviceLabel(service)}"`;
  return new DiscoveryError(
    "unknown_service",
    `Cannot use ${wanted} of ${peer}: it serves ${labels(current)}`,
    { hints: nameOneOf(called, servers(current)) },
  );
}

function severalServices(
  peer: PeerId,
  called: string,
  candidates: readonly EndpointRecord[],
): DiscoveryError {
  return new DiscoveryError(
    "unknown_service",
    `Cannot choose among the services of ${peer}: it serves ${labels(candidates)}`,
    { hints: nameOneOf(called, servers(candidates)) },
  );
}

/** Returns the names of the MCP servers among services. */
function servers(records: readonly EndpointRecord[]): string[] {
  return records.flatMap(({ service }) => serverOf(service) ?? []);
}

function labels(records: readonly EndpointRecord[]): string {
  return records.map(({ service }) => `"${serviceLabel(service)}"`).sort().join(", ");
}

/** Returns how long ago a moment was, for people. */
export function ago(moment: number, clock: Pick<Clock, "now">): string {
  const seconds = Math.max(0, Math.round((clock.now() - moment) / 1000));
  if (seconds < 120) return `${seconds} s ago`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min ago`;
  return seconds < 172_800
    ? `${Math.round(seconds / 3600)} h ago`
    : `${Math.round(seconds / 86_400)} days ago`;
}

/** Returns what a peer is called in a sentence: by its own name where the registry tells one. */
export function peerText(peer: PeerId, presence: PeerPresence | null): string {
  return presence === null ? shortPeerId(peer) : `${quoted(presence.name)} (${shortPeerId(peer)})`;
}
