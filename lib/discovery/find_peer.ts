/**
 * From a Peer ID to the addresses of its services: asks the registry, checks what it says, and falls back
 * on what was last seen while no registry can be reached.
 */

import type { Clock } from "../clock.ts";
import type { Database } from "../identity/database.ts";
import type { HostPort } from "../identity/host_port.ts";
import { serviceLabel, type ServiceName } from "../identity/names.ts";
import type { PeerId } from "../identity/peer_id.ts";
import type { Log } from "../log.ts";
import { type EndpointRecord, openEndpointRecord } from "../wire/endpoint_record.ts";
import type { FoundPeer } from "../wire/registry_messages.ts";
import { DiscoveryError } from "./errors.ts";
import { RegistryClient, type RegistryOptions } from "./registry_client.ts";
import { noteRecord, seenRecords } from "./seen_records.ts";

/** Where one process of a peer can be reached, and what it serves. */
export interface FoundEndpoint {
  /** Its addresses, best first. */
  readonly addresses: readonly HostPort[];
  /** Its services. */
  readonly services: readonly ServiceName[];
}

/** What to find, and by whose help. */
export interface FindOptions extends RegistryOptions {
  /** Whom. */
  readonly peer: PeerId;
  /** Which service; any when absent. */
  readonly service?: ServiceName;
}

/**
 * Returns where the peer's processes are that serve what is asked for, at least one. Throws DiscoveryError
 * `peer_not_found`, `peer_away`, `unknown_service`, and what {@link RegistryClient.connect} throws.
 */
export async function findPeer(options: FindOptions): Promise<FoundEndpoint[]> {
  const { peer, service, database, log, address, clock } = options;
  let records: EndpointRecord[];
  try {
    await using client = await RegistryClient.connect(options);
    const found = await client.lookup(peer);
    if (found === null) throw notFound(peer, address);
    records = checkedRecords(database, log, peer, found);
    if (!records.some((record) => isFresh(record, clock))) throw away(peer, found, clock);
  } catch (error) {
    if (!(error instanceof DiscoveryError) || error.code !== "registry_unreachable") throw error;
    records = seenRecords(database, peer).filter(isInUse);
    if (records.length === 0) throw error;
    log.warn(`${error.message}; trying where ${peer} was last seen`);
  }
  const inUse = records.filter(isInUse);
  const wanted = service === undefined
    ? inUse
    : inUse.filter((record) => record.service === service);
  if (wanted.length === 0) throw unknownService(peer, service, inUse);
  return byProcess(wanted);
}

/** Verifies what the registry handed out; of a record that is older than one seen before, the newer counts. */
function checkedRecords(
  database: Database,
  log: Log,
  peer: PeerId,
  found: FoundPeer,
): EndpointRecord[] {
  return found.records.map((signed) => {
    const record = openEndpointRecord(peer, signed);
    const newer = noteRecord(database, signed, record);
    if (newer === null) return record;
    log.warn("the registry knows an older record than we do; using the newer one", {
      peer,
      service: record.service,
    });
    return newer;
  });
}

function isInUse({ ttlSeconds }: EndpointRecord): boolean {
  return ttlSeconds > 0;
}

function isFresh(record: EndpointRecord, clock: Clock): boolean {
  // A day of grace: clocks differ, and an old record that still leads to the peer is better than none.
  const graceMs = 24 * 3600 * 1000;
  return isInUse(record) && clock.now() < record.issuedAt + record.ttlSeconds * 1000 + graceMs;
}

function byProcess(records: readonly EndpointRecord[]): FoundEndpoint[] {
  const processes = new Map<string, { addresses: readonly HostPort[]; services: ServiceName[] }>();
  for (const { instance, addresses, service } of records) {
    const key = instance.toHex();
    const process = processes.get(key);
    if (process === undefined) processes.set(key, { addresses, services: [service] });
    else process.services.push(service);
  }
  return [...processes.values()];
}

function notFound(peer: PeerId, address: RegistryOptions["address"]): DiscoveryError {
  const place = `${address.host}:${address.port}`;
  return new DiscoveryError(
    "peer_not_found",
    `Peer not found: ${peer} is not registered at ${place}`,
    {
      hints: [
        `on the host: talos register --server ${place}`,
        "are both sides at the same registry? `talos peers` lists who is registered",
      ],
    },
  );
}

function away(peer: PeerId, { name, online, lastSeen }: FoundPeer, clock: Clock): DiscoveryError {
  const ago = Math.max(0, Math.round((clock.now() - lastSeen) / 1000));
  const seen = online ? "it is connected to the registry" : `it was last seen ${duration(ago)} ago`;
  return new DiscoveryError(
    "peer_away",
    `${name} (${peer}) is registered but serves nothing now; ${seen}`,
    { hints: ["on the host, start it: talos mcp-serve …; `talos status` there shows what runs"] },
  );
}

function unknownService(
  peer: PeerId,
  service: ServiceName | undefined,
  inUse: readonly EndpointRecord[],
): DiscoveryError {
  const names = inUse.map((record) => serviceLabel(record.service)).join(", ");
  const wanted = service === undefined ? "MCP server" : serviceLabel(service);
  return new DiscoveryError(
    "unknown_service",
    `${peer} does not serve ${wanted}; it serves: ${names}`,
    {
      hints: [`name one of them: ${peer}/SERVICE`],
    },
  );
}

function duration(seconds: number): string {
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return seconds < 172_800
    ? `${Math.round(seconds / 3600)} h`
    : `${Math.round(seconds / 86_400)} days`;
}
