/**
 * The directory: who is registered, where their services are, who is there now.
 *
 * It decides about requests of authenticated callers and knows no connection and no bytes of the wire. A
 * caller can change what is said of itself and nothing else. What it signed is kept and handed out as it
 * came; a forged, foreign or older record is refused with the reason. Time decides nothing but which
 * records a listing names: a lookup gives expired ones too, so that "registered but away" can be told with
 * facts. Records count from their arrival here, so that the clocks of peers do not matter.
 */

import { utf8 } from "../lib/bytes.ts";
import type { Clock } from "../lib/clock.ts";
import { TalosError } from "../lib/errors.ts";
import { formatHostPort } from "../lib/identity/host_port.ts";
import { scopeOf } from "../lib/identity/ip_address.ts";
import { parseServiceName, parseWalletName, type ServiceName } from "../lib/identity/names.ts";
import type { PeerId } from "../lib/identity/peer_id.ts";
import {
  claimedPeerOf,
  type EndpointRecord,
  openEndpointRecord,
  type SignedEndpointRecord,
} from "../lib/wire/endpoint_record.ts";
import {
  type FoundPeer,
  type ListedPeer,
  MAX_PAGE_BYTES,
  MAX_SERVICES_PER_PEER,
  type PeerPage,
} from "../lib/wire/registry_messages.ts";
import { RequestRefused } from "./errors.ts";
import type { RegistryLimits } from "./limits.ts";
import type { Presence } from "./presence.ts";
import type { Quotas } from "./quotas.ts";
import type { DirectoryStore, ListedRegistration } from "./store.ts";

/** MsgPack's header of a text of less than 256 bytes. */
const TEXT_BYTES = 2;

/** An entry of a page without its peer's name and services: names of fields, the Peer ID, a time. */
const ENTRY_BYTES = 112;

/** Who asks. */
export interface Caller {
  /** The handshake proved it. */
  readonly peer: PeerId;
  /** From where, as quotas count it. */
  readonly source: string;
  /** Whether the caller reached the registry over loopback. */
  readonly isLocal: boolean;
}

/** What a directory works with. */
export interface DirectoryOptions {
  /** Its memory. */
  readonly store: DirectoryStore;
  /** Who is connected. */
  readonly presence: Presence;
  /** How many may register. */
  readonly quotas: Quotas;
  /** The bounds. */
  readonly limits: RegistryLimits;
  /** Time. */
  readonly clock: Pick<Clock, "now">;
}

/** Answers for one registry. Its methods throw {@link RequestRefused}. */
export class Directory {
  readonly #options: DirectoryOptions;
  /** Who was connected since it was last written down, and when. */
  #seen = new Map<PeerId, number>();

  /** Makes a directory over its store. */
  constructor(options: DirectoryOptions) {
    this.#options = options;
  }

  /** Makes the caller known, or changes what it calls itself. Returns whether it is new. */
  async register({ peer, source }: Caller, name: string, unlisted: boolean): Promise<boolean> {
    const { store, quotas, limits, clock } = this.#options;
    const registration = { peer, name: checkedName(name), unlisted, lastSeen: clock.now() };
    const known = await store.registration(peer);
    if (known?.name === registration.name && known.unlisted === unlisted) return false;
    if (known === null) requireQuota(quotas.registration(source));
    const outcome = await store.register(registration, limits.registrations);
    if (outcome === "full") {
      throw new RequestRefused(
        "quota",
        `the registry has ${limits.registrations} peers and takes no more`,
      );
    }
    return outcome === "added";
  }

  /** Stores an endpoint record of the caller and returns what it says. */
  async publish(caller: Caller, signed: SignedEndpointRecord): Promise<EndpointRecord> {
    const { store, clock } = this.#options;
    const record = openedRecord(caller, signed);
    const now = clock.now();
    const { service, seq, ttlSeconds } = record;
    const stored = { ...signed, service, seq, expiresAt: now + ttlSeconds * 1000 };
    const put = await store.putRecord(caller.peer, stored, {
      services: MAX_SERVICES_PER_PEER,
      now,
    });
    switch (put.outcome) {
      case "stored":
        return record;
      case "stale":
        throw new RequestRefused(
          "stale",
          `the record's seq is ${seq}, the registry has ${put.seq}`,
          put.seq,
        );
      case "full":
        throw new RequestRefused("quota", `a peer may have ${MAX_SERVICES_PER_PEER} services`);
      case "unknown":
        throw new RequestRefused("not_registered", "a peer must register before it publishes");
      default:
        throw put satisfies never;
    }
  }

  /** Returns what is known of a peer, or null where it is not registered. */
  async lookup(peer: PeerId, service?: string): Promise<FoundPeer | null> {
    const { store, presence } = this.#options;
    const wanted = service === undefined ? undefined : checkedService(service);
    const registration = await store.registration(peer);
    if (registration === null) return null;
    const records = await store.records(peer, wanted);
    return {
      name: registration.name,
      online: presence.isOnline(peer),
      lastSeen: this.#lastSeen(peer, registration.lastSeen),
      records: records.map(({ record, signature }) => ({ record, signature })),
    };
  }

  /** Returns a page of the peers that are not unlisted, as many as fit in one frame. */
  async list(after: PeerId | undefined, limit: number): Promise<PeerPage> {
    const { store, clock } = this.#options;
    const from = after === undefined ? {} : { after };
    const bytes = MAX_PAGE_BYTES;
    const rows = await store.list({ ...from, limit: limit + 1, bytes, now: clock.now() });
    const peers: ListedPeer[] = [];
    let left = bytes;
    for (const row of rows) {
      left -= listedBytes(row);
      if (peers.length === limit || left < 0) break;
      peers.push(this.#listed(row));
    }
    const last = peers.at(-1);
    return last !== undefined && peers.length < rows.length
      ? { peers, next: last.peer }
      : { peers };
  }

  /** Notes that a peer is connected now. It is written down later, see {@link flush}. */
  seen(peer: PeerId): void {
    this.#seen.set(peer, this.#options.clock.now());
  }

  /** Writes down who was connected since the last time. */
  async flush(): Promise<void> {
    const seen = this.#seen;
    if (seen.size === 0) return;
    this.#seen = new Map();
    await this.#options.store.touch(seen);
  }

  #listed({ peer, name, lastSeen, services }: ListedRegistration): ListedPeer {
    const { presence } = this.#options;
    // Of a peer that is there, what a process serves that has left is known to be gone.
    const online = presence.isOnline(peer);
    return {
      peer,
      name,
      online,
      lastSeen: this.#lastSeen(peer, lastSeen),
      services: services.filter((service) => !online || presence.serves(peer, service))
        .slice(0, MAX_SERVICES_PER_PEER),
    };
  }

  #lastSeen(peer: PeerId, stored: number): number {
    const { presence, clock } = this.#options;
    return presence.isConnected(peer) ? clock.now() : this.#seen.get(peer) ?? stored;
  }
}

/** Throws {@link RequestRefused} `quota` when there is something to wait for. */
export function requireQuota(waitMs: number): void {
  if (waitMs === 0) return;
  const seconds = Math.ceil(waitMs / 1000);
  throw new RequestRefused("quota", `too many requests: try again in ${seconds} s`);
}

/** Returns the most bytes that a peer takes up in an encoded page; to encode each for it would take longer. */
export function listedBytes({ name, services }: Pick<ListedPeer, "name" | "services">): number {
  const texts = services.reduce((sum, service) => sum + TEXT_BYTES + service.length, 0);
  return ENTRY_BYTES + utf8(name).length + texts;
}

function checkedName(name: string): string {
  return checked(() => parseWalletName(name));
}

/** Returns a service that a request names. Throws RequestRefused `request_invalid`. */
export function checkedService(service: string): ServiceName {
  return checked(() => parseServiceName(service));
}

function checked<T>(parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    if (!(error instanceof TalosError)) throw error;
    throw new RequestRefused("request_invalid", error.message);
  }
}

function openedRecord({ peer, isLocal }: Caller, signed: SignedEndpointRecord): EndpointRecord {
  let record: EndpointRecord;
  try {
    record = openEndpointRecord(peer, signed);
  } catch (error) {
    if (!(error instanceof TalosError)) throw error;
    const claimed = claimedPeerOf(signed.record);
    throw claimed !== null && claimed !== peer
      ? new RequestRefused("not_yours", `the record is of ${claimed}, the caller is ${peer}`)
      : new RequestRefused("record_invalid", error.message);
  }
  const loopback = record.addresses.find(({ host }) => scopeOf(host) === "loopback");
  if (loopback !== undefined && !isLocal) {
    throw new RequestRefused(
      "record_invalid",
      `the record has the loopback address ${formatHostPort(loopback)}, ` +
        "and its peer reached this registry over a network",
    );
  }
  return record;
}
