/**
 * The {@link Store} in one SQLite file. What is durable and how, `sqlite_database.ts` says.
 *
 * A row that this program could not have written ends the request that met it, not the registry.
 */

import { type Bytes, utf8 } from "../lib/bytes.ts";
import { parseServiceName, type ServiceName } from "../lib/identity/names.ts";
import { PEER_ID_CHARACTERS, PEER_ID_START, type PeerId } from "../lib/identity/peer_id.ts";
import { SqliteDatabase } from "./sqlite_database.ts";
import type {
  DirectoryCounts,
  DirectoryStore,
  ListedRegistration,
  PutOutcome,
  RegisterOutcome,
  Registration,
  Store,
  StoredRecord,
} from "./store.ts";

/** A registry's memory in one file. */
export class SqliteStore implements Store {
  /** Who is registered, and where their services are. */
  readonly directory: DirectoryStore;
  readonly #db: SqliteDatabase;

  /** Opens the file at `path`, made if need be, or a store in memory for `:memory:`. Throws RegistryError. */
  constructor(path: string) {
    this.#db = new SqliteDatabase(path);
    this.directory = new SqliteDirectory(this.#db);
  }

  /** Reads a row. */
  check(): Promise<void> {
    return attempt(() => void this.#db.prepare("SELECT 1 FROM registrations LIMIT 1").get());
  }

  /** Completes what was asked for and closes the file. */
  [Symbol.asyncDispose](): Promise<void> {
    return attempt(() => this.#db[Symbol.dispose]());
  }
}

class SqliteDirectory implements DirectoryStore {
  readonly #db: SqliteDatabase;
  readonly #sql: ReturnType<typeof statements>;

  constructor(db: SqliteDatabase) {
    this.#db = db;
    this.#sql = statements(db);
  }

  register(
    { peer, name, unlisted, lastSeen }: Registration,
    limit: number,
  ): Promise<RegisterOutcome> {
    return this.#db.write(() => {
      const known = this.#sql.registration.get(peer) !== undefined;
      if (!known && !this.#makePlace(limit, lastSeen)) return "full";
      this.#sql.register.run(peer, name, unlisted ? 1 : 0, lastSeen);
      return known ? "updated" : "added";
    });
  }

  registration(peer: PeerId): Promise<Registration | null> {
    return attempt(() => {
      const row = this.#sql.registration.get(peer);
      return row === undefined ? null : registrationOf(row);
    });
  }

  touch(seen: ReadonlyMap<PeerId, number>): Promise<void> {
    return this.#db.write(() => {
      for (const [peer, at] of seen) this.#sql.touch.run(at, peer);
    });
  }

  putRecord(
    peer: PeerId,
    { service, seq, expiresAt, record, signature }: StoredRecord,
    limits: { readonly services: number; readonly now: number },
  ): Promise<PutOutcome> {
    return this.#db.write((): PutOutcome => {
      if (this.#sql.registration.get(peer) === undefined) return { outcome: "unknown" };
      const there = this.#sql.seqOf.get(peer, service);
      if (there === undefined) {
        if (!this.#makeRoom(peer, limits)) return { outcome: "full" };
      } else if (Number(there["seq"]) >= seq) {
        return { outcome: "stale", seq: Number(there["seq"]) };
      }
      this.#sql.putRecord.run(peer, service, seq, expiresAt, record, signature);
      return { outcome: "stored" };
    });
  }

  records(peer: PeerId, service?: ServiceName): Promise<readonly StoredRecord[]> {
    return attempt(() => {
      const rows = service === undefined
        ? this.#sql.records.all(peer)
        : this.#sql.recordOf.all(peer, service);
      return rows.map(recordOf);
    });
  }

  list(
    { after, limit, bytes, now }: {
      readonly after?: PeerId;
      readonly limit: number;
      readonly bytes: number;
      readonly now: number;
    },
  ): Promise<readonly ListedRegistration[]> {
    return attempt(() => {
      const page: ListedRegistration[] = [];
      let left = bytes;
      for (const row of this.#sql.list.iterate(now, after ?? "", limit)) {
        const { name, services } = row;
        page.push({ ...registrationOf(row), services: servicesOf(services) });
        left -= utf8(String(name)).length + (services === null ? 0 : String(services).length);
        if (left <= 0) break;
      }
      return page;
    });
  }

  counts(): Promise<DirectoryCounts> {
    return attempt(() => ({
      registrations: countOf(this.#sql.countRegistrations.get()),
      records: countOf(this.#sql.countRecords.get()),
    }));
  }

  /** Returns whether there may be one more registration, if need be in place of an unused one. */
  #makePlace(limit: number, now: number): boolean {
    if (countOf(this.#sql.countRegistrations.get()) < limit) return true;
    return Number(this.#sql.dropUnused.run(now).changes) > 0;
  }

  /** Returns whether a peer may have one more service, if need be in place of an expired one. */
  #makeRoom(
    peer: PeerId,
    { services, now }: { readonly services: number; readonly now: number },
  ): boolean {
    if (countOf(this.#sql.countServices.get(peer)) < services) return true;
    return Number(this.#sql.dropExpired.run(peer, now).changes) > 0;
  }
}

function statements(db: SqliteDatabase) {
  return {
    register: db.prepare(
      `INSERT INTO registrations (peer, name, unlisted, last_seen) VALUES (?, ?, ?, ?)
       ON CONFLICT (peer) DO UPDATE
       SET name = excluded.name, unlisted = excluded.unlisted, last_seen = excluded.last_seen`,
    ),
    dropUnused: db.prepare(
      `DELETE FROM registrations WHERE peer = (
         SELECT peer FROM registrations AS old WHERE NOT EXISTS (
           SELECT 1 FROM records WHERE records.peer = old.peer AND expires_at > ?)
         ORDER BY last_seen, peer LIMIT 1)`,
    ),
    registration: db.prepare("SELECT * FROM registrations WHERE peer = ?"),
    touch: db.prepare("UPDATE registrations SET last_seen = ? WHERE peer = ?"),
    seqOf: db.prepare("SELECT seq FROM records WHERE peer = ? AND service = ?"),
    countServices: db.prepare("SELECT count(*) AS count FROM records WHERE peer = ?"),
    dropExpired: db.prepare(
      `DELETE FROM records WHERE rowid = (
         SELECT rowid FROM records WHERE peer = ? AND expires_at <= ?
         ORDER BY expires_at, service LIMIT 1)`,
    ),
    putRecord: db.prepare(
      `INSERT INTO records (peer, service, seq, expires_at, record, signature)
       VALUES (?, ?, ?, ?, ?, ?)
       ON CONFLICT (peer, service) DO UPDATE
       SET seq = excluded.seq, expires_at = excluded.expires_at,
           record = excluded.record, signature = excluded.signature`,
    ),
    records: db.prepare("SELECT * FROM records WHERE peer = ? ORDER BY service"),
    recordOf: db.prepare("SELECT * FROM records WHERE peer = ? AND service = ?"),
    // One statement for a page: a query for each peer's services would take ten times as long.
    list: db.prepare(
      `SELECT *, (
         SELECT group_concat(service, ' ' ORDER BY service) FROM records
         WHERE records.peer = registrations.peer AND expires_at > ?) AS services
       FROM registrations WHERE unlisted = 0 AND peer > ? ORDER BY peer LIMIT ?`,
    ),
    countRegistrations: db.prepare("SELECT count(*) AS count FROM registrations"),
    countRecords: db.prepare("SELECT count(*) AS count FROM records"),
  };
}

type Row = Readonly<Record<string, unknown>>;

function countOf(row: Row | undefined): number {
  return Number(row?.["count"]);
}

function registrationOf(row: Row): Registration {
  return {
    peer: storedPeerId(String(row["peer"])),
    name: String(row["name"]),
    unlisted: row["unlisted"] === 1,
    lastSeen: Number(row["last_seen"]),
  };
}

/** Only checked Peer IDs were written; to check a page of them again would take 30 ms. */
function storedPeerId(text: string): PeerId {
  if (!hasShape(text)) throw new TypeError("Cannot read a registration: it is of no Peer ID");
  return text;
}

function hasShape(text: string): text is PeerId {
  return text.length === PEER_ID_CHARACTERS && text.startsWith(PEER_ID_START);
}

function servicesOf(names: unknown): ServiceName[] {
  return names === null ? [] : String(names).split(" ").map(parseServiceName);
}

function recordOf(row: Row): StoredRecord {
  return {
    service: parseServiceName(String(row["service"])),
    seq: Number(row["seq"]),
    expiresAt: Number(row["expires_at"]),
    record: blob(row, "record"),
    signature: blob(row, "signature"),
  };
}

function blob(row: Row, name: string): Bytes {
  const value = row[name];
  if (!(value instanceof Uint8Array)) throw new TypeError(`Cannot read a record: no ${name}`);
  return new Uint8Array(value);
}

/** Runs what SQLite does at once; a throw becomes a rejection, as callers of a {@link Store} expect it. */
function attempt<T>(body: () => T): Promise<T> {
  try {
    return Promise.resolve(body());
  } catch (error) {
    return Promise.reject(error);
  }
}
