/**
 * What a registry remembers, whatever remembers it: the interface behind which SQLite is today and a
 * cluster's store will be.
 *
 * Every operation is asynchronous and complete in itself; none needs a transaction that spans several, so
 * a key-value store with compare-and-set fits behind it. What changes data resolves once it is durable: a
 * crash, even a power cut, does not lose it; {@link DirectoryStore.touch} alone is only a hint and may be
 * lost. Each feature of a registry has a store of its own below {@link Store}; the directory's is the
 * first. A store checks nothing that is signed and knows no quota: who calls it has.
 */

import type { Bytes } from "../lib/bytes.ts";
import type { ServiceName } from "../lib/identity/names.ts";
import type { PeerId } from "../lib/identity/peer_id.ts";

/** Everything that a registry remembers. */
export interface Store extends AsyncDisposable {
  /** Who is registered, and where their services are. */
  readonly directory: DirectoryStore;
  /** Resolves when the store can read; throws when it cannot. For readiness checks. */
  check(): Promise<void>;
}

/** A peer that made itself known. It stays, unless its place is needed. */
export interface Registration {
  /** Who. */
  readonly peer: PeerId;
  /** What it calls itself. */
  readonly name: string;
  /** Whether it is left out of listings. */
  readonly unlisted: boolean;
  /** When it was last connected, Unix time in milliseconds. */
  readonly lastSeen: number;
}

/** An endpoint record, as its peer signed it, and what the registry reads of it. */
export interface StoredRecord {
  /** The service. */
  readonly service: ServiceName;
  /** How new it is: of two records of a service the greater one counts. */
  readonly seq: number;
  /** Until when it is worth trying, Unix time in milliseconds by the registry's clock. */
  readonly expiresAt: number;
  /** The record's exact bytes. */
  readonly record: Bytes;
  /** The 64-byte signature over them. */
  readonly signature: Bytes;
}

/** A registration and what it serves. */
export interface ListedRegistration extends Registration {
  /** The services whose records have not expired, in the order of their names. */
  readonly services: readonly ServiceName[];
}

/** What became of a registration. */
export type RegisterOutcome =
  /** The peer was not known before. */
  | "added"
  /** It was known; its name and listing are as given now. */
  | "updated"
  /** It was not known, there are as many as there may be, and each of them serves something. */
  | "full";

/** What became of a record. */
export type PutOutcome =
  /** It is the one that counts now. */
  | { readonly outcome: "stored" }
  /** One that is as new or newer is there. */
  | { readonly outcome: "stale"; readonly seq: number }
  /** The peer has as many services as it may, none of them expired. */
  | { readonly outcome: "full" }
  /** The peer is not registered. */
  | { readonly outcome: "unknown" };

/** How much a store holds. */
export interface DirectoryCounts {
  /** Registered peers. */
  readonly registrations: number;
  /** Their records, expired ones included. */
  readonly records: number;
}

/** What the directory remembers. */
export interface DirectoryStore {
  /**
   * Adds a peer, or gives a known one its new name, listing and time.
   *
   * @param limit A new peer beyond so many takes the place of the one that was not seen for longest, of
   * those without a record that holds beyond the new one's `lastSeen`; where there is none, it is refused.
   */
  register(registration: Registration, limit: number): Promise<RegisterOutcome>;
  /** Returns what is known of a peer, or null. */
  registration(peer: PeerId): Promise<Registration | null>;
  /** Notes when peers were last connected; unknown ones are passed over. May be lost in a crash. */
  touch(seen: ReadonlyMap<PeerId, number>): Promise<void>;
  /**
   * Stores a record unless the one that is there is as new.
   *
   * @param limits A new service beyond `services` takes the place of the one that expired longest before
   * `now`, Unix time in milliseconds, or is refused where none has.
   */
  putRecord(
    peer: PeerId,
    record: StoredRecord,
    limits: { readonly services: number; readonly now: number },
  ): Promise<PutOutcome>;
  /** Returns a peer's records, expired ones included, in the order of services; or that of one service. */
  records(peer: PeerId, service?: ServiceName): Promise<readonly StoredRecord[]>;
  /**
   * Returns at most `limit` listed peers in the order of Peer IDs, from behind `after` on; fewer where the
   * names of those returned, and of their services, have `bytes` bytes or more.
   *
   * @param page `now`, Unix time in milliseconds, tells which records have expired.
   */
  list(page: {
    readonly after?: PeerId;
    readonly limit: number;
    readonly bytes: number;
    readonly now: number;
  }): Promise<readonly ListedRegistration[]>;
  /** Returns how much there is. */
  counts(): Promise<DirectoryCounts>;
}
