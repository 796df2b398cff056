/**
 * `talos.db/`: what an identity remembers, in SQLite, shared by all processes of a home.
 *
 * Every row carries the Peer ID of its owner, so that what an earlier identity left behind is never read
 * as ours. Every change is one `BEGIN IMMEDIATE` transaction with a busy timeout of 5 s; nothing is cached
 * across transactions. The files are private and may be deleted while nothing runs: what must not be
 * forgotten (revocations) lies elsewhere. What others can write is refused: they could have given a
 * contact's name to their own key.
 *
 * They lie in a directory of their own because the home is watched (`watch_access.ts`): to tell of a change,
 * `Deno.watchFs` opens and closes the file that changed, and by POSIX that takes away every lock that the
 * process holds on it. SQLite would go on without its locks, and lose what it is told.
 */

import { DatabaseSync, type SQLInputValue } from "node:sqlite";
import { messageOf } from "../errors.ts";
import { makePrivateFileSync, PRIVATE_DIRECTORY_MODE } from "./atomic_file.ts";
import { IdentityError } from "./errors.ts";
import { withFileLockSync } from "./file_lock.ts";
import { splitPath } from "./file_path.ts";
import { ownUid, permissionFault, quotedPath, WRITABLE_BY_OTHERS } from "./file_permissions.ts";
import type { HomePaths } from "./home.ts";
import type { PeerId } from "./peer_id.ts";

/** A value of a row. */
export type SqlValue = string | number | Uint8Array | null;

/** A row, by column name. */
export type SqlRow = Readonly<Record<string, unknown>>;

const BUSY_TIMEOUT_MS = 5_000;

/** The schema, one step per version; a step is never changed once it was released. */
const SCHEMA: readonly string[] = [
  `CREATE TABLE settings (
     owner TEXT NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL,
     PRIMARY KEY (owner, name)) STRICT;
   CREATE TABLE contacts (
     owner TEXT NOT NULL, petname TEXT NOT NULL, peer TEXT NOT NULL, added_at INTEGER NOT NULL,
     PRIMARY KEY (owner, petname), UNIQUE (owner, peer)) STRICT;
   CREATE TABLE registry_keys (
     owner TEXT NOT NULL, address TEXT NOT NULL, peer TEXT NOT NULL, pinned_at INTEGER NOT NULL,
     PRIMARY KEY (owner, address)) STRICT;
   CREATE TABLE endpoints (
     owner TEXT NOT NULL, peer TEXT NOT NULL, service TEXT NOT NULL, seq INTEGER NOT NULL,
     record BLOB NOT NULL, signature BLOB NOT NULL,
     PRIMARY KEY (owner, peer, service)) STRICT;`,
  `CREATE TABLE policy_usage (
     owner TEXT NOT NULL, peer TEXT NOT NULL, service TEXT NOT NULL,
     day INTEGER NOT NULL, bytes INTEGER NOT NULL, requests TEXT NOT NULL,
     PRIMARY KEY (owner, peer, service)) STRICT;`,
];

/** What SQLite says of a file that is none of its own, and of a damaged one; Deno hands on no number. */
const DAMAGED =
  /^(?:file is not a database|database disk image is malformed|malformed database schema)/;

/**
 * An open database, for one owner. Each operation throws IdentityError "database_unusable", or
 * "database_corrupted" where the file is damaged.
 */
export class Database implements Disposable {
  /** Whose rows are read and written. */
  readonly owner: PeerId;
  readonly #path: string;
  readonly #db: DatabaseSync;

  /**
   * Opens the home's database, which is made if need be. Throws IdentityError "database_unusable",
   * "database_corrupted", and "database_permissions" when others can write it.
   */
  constructor({ database: path }: Pick<HomePaths, "database">, owner: PeerId) {
    this.owner = owner;
    this.#path = path;
    this.#db = this.#attempt(() => {
      const [directory] = splitPath(Deno.build.os, path);
      Deno.mkdirSync(directory, { recursive: true, mode: PRIVATE_DIRECTORY_MODE });
      requireOwnersAlone(withoutSeparator(directory));
      makePrivateFileSync(path);
      for (const suffix of SQLITE_FILES) requireOwnersAlone(path + suffix);
      return new DatabaseSync(path, { timeout: BUSY_TIMEOUT_MS });
    });
    try {
      this.#attempt(() => this.#prepare());
    } catch (error) {
      this.#db.close();
      throw error;
    }
  }

  #prepare(): void {
    this.#db.exec("PRAGMA synchronous = NORMAL; PRAGMA secure_delete = ON");
    if (this.#version() === SCHEMA.length) return;
    // SQLite's busy timeout does not hold for going over to WAL: who makes the database together takes turns.
    withFileLockSync(`${this.#path}.lock`, () => this.#migrate());
  }

  #migrate(): void {
    this.#db.exec("PRAGMA journal_mode = WAL");
    this.transaction(() => {
      const version = this.#version();
      if (version > SCHEMA.length) {
        throw new IdentityError(
          "database_unusable",
          `Cannot use ${this.#path}: it has version ${version}, this program knows ${SCHEMA.length}`,
          { hints: ["use the newer Talos that wrote it"] },
        );
      }
      for (const step of SCHEMA.slice(version)) this.#db.exec(step);
      this.#db.exec(`PRAGMA user_version = ${SCHEMA.length}`);
    });
  }

  #version(): number {
    return Number(this.#db.prepare("PRAGMA user_version").get()?.["user_version"] ?? 0);
  }

  /** Returns the rows of a query. */
  rows(sql: string, ...values: readonly SqlValue[]): SqlRow[] {
    return this.#attempt(() => this.#db.prepare(sql).all(...inputs(values)));
  }

  /** Returns the first row of a query, or undefined. */
  row(sql: string, ...values: readonly SqlValue[]): SqlRow | undefined {
    return this.#attempt(() => this.#db.prepare(sql).get(...inputs(values)));
  }

  /** Runs a statement inside a {@link transaction} and returns how many rows it changed. */
  run(sql: string, ...values: readonly SqlValue[]): number {
    if (!this.#db.isTransaction) {
      throw new TypeError("Cannot change the database outside a transaction");
    }
    return this.#attempt(() => Number(this.#db.prepare(sql).run(...inputs(values)).changes));
  }

  /** Runs `body` as one transaction: all of its changes are made, or none. */
  transaction<T>(body: () => T): T {
    this.#attempt(() => this.#db.exec("BEGIN IMMEDIATE"));
    try {
      const result = body();
      this.#attempt(() => this.#db.exec("COMMIT"));
      return result;
    } catch (error) {
      // Some failures, such as a full disk, have rolled it back already.
      if (this.#db.isTransaction) this.#db.exec("ROLLBACK");
      throw error;
    }
  }

  /** Returns a setting, or undefined. */
  setting(name: string): string | undefined {
    const row = this.row(
      "SELECT value FROM settings WHERE owner = ? AND name = ?",
      this.owner,
      name,
    );
    return row === undefined ? undefined : String(row["value"]);
  }

  /** Changes a setting. */
  set(name: string, value: string): void {
    this.transaction(() => this.put(name, value));
  }

  /** Changes a setting inside a {@link transaction}. */
  put(name: string, value: string): void {
    this.run("INSERT OR REPLACE INTO settings VALUES (?, ?, ?)", this.owner, name, value);
  }

  /** Closes it. */
  [Symbol.dispose](): void {
    if (this.#db.isOpen) this.#db.close();
  }

  #attempt<T>(body: () => T): T {
    try {
      return body();
    } catch (error) {
      throw error instanceof IdentityError ? error : unusable(this.#path, error);
    }
  }
}

/** The files of a database, by what stands behind its name. */
const SQLITE_FILES = ["", "-wal", "-shm"];

function requireOwnersAlone(path: string): void {
  let info: Deno.FileInfo;
  try {
    info = Deno.statSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
    throw error;
  }
  const fault = permissionFault(path, info, WRITABLE_BY_OTHERS, ownUid());
  if (fault === null) return;
  throw new IdentityError("database_permissions", `Cannot trust ${path}: ${fault.state}`, {
    hints: [fault.hint, "then see that your contacts are who you think: talos contacts list"],
  });
}

function withoutSeparator(directory: string): string {
  return directory.replace(/[\\/]$/, "");
}

function inputs(values: readonly SqlValue[]): SQLInputValue[] {
  return [...values];
}

function unusable(path: string, cause: unknown): IdentityError {
  const text = `Cannot use ${path}: ${messageOf(cause)}`;
  if (!DAMAGED.test(messageOf(cause))) {
    return new IdentityError("database_unusable", text, {
      cause,
      hints: ["see that the disk is not full and that the file belongs to you"],
    });
  }
  const directory = withoutSeparator(splitPath(Deno.build.os, path)[0]);
  return new IdentityError("database_corrupted", text, {
    cause,
    hints: [
      `stop what runs here, and begin a new one: mv ${quotedPath(directory)} ${
        quotedPath(`${directory}.broken`)
      }`,
      "contacts and the remembered registry and its key are lost with it, nothing else",
    ],
  });
}
