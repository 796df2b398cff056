/**
 * The registry's SQLite file: opened, brought to this version's schema, and written in groups.
 *
 * WAL with `synchronous = FULL`: a commit is on the disk when it returns. All writes that were asked for in
 * one turn of the event loop share one transaction and one fsync, so that a thousand peers that come back at
 * once cost a few commits and not a thousand; nobody is answered before the commit. Each transaction is
 * `BEGIN IMMEDIATE`, behind a busy timeout, since several nodes of a registry may use one file. SQLite runs
 * on this thread: a slow disk slows everything.
 */

import { DatabaseSync, type StatementSync } from "node:sqlite";

import { messageOf } from "../lib/errors.ts";
import { makePrivateFileSync } from "../lib/identity/atomic_file.ts";
import { RegistryError } from "./errors.ts";

/** How long a write waits for another process. */
const BUSY_TIMEOUT_MS = 5_000;

/** The schema, one step for each version. A step that was released never changes. */
const SCHEMA: readonly string[] = [
  `CREATE TABLE registrations (
     peer TEXT PRIMARY KEY,
     name TEXT NOT NULL,
     unlisted INTEGER NOT NULL,
     last_seen INTEGER NOT NULL
   ) STRICT, WITHOUT ROWID;
   CREATE INDEX listed ON registrations (peer) WHERE unlisted = 0;
   CREATE TABLE records (
     peer TEXT NOT NULL REFERENCES registrations (peer) ON DELETE CASCADE,
     service TEXT NOT NULL,
     seq INTEGER NOT NULL,
     expires_at INTEGER NOT NULL,
     record BLOB NOT NULL,
     signature BLOB NOT NULL,
     UNIQUE (peer, service)
   ) STRICT;`,
  "CREATE INDEX unseen ON registrations (last_seen, peer)",
];

interface PendingWrite {
  readonly run: () => void;
  readonly succeed: () => void;
  readonly fail: (error: unknown) => void;
}

/** An open database. */
export class SqliteDatabase implements Disposable {
  readonly #db: DatabaseSync;
  #pending: PendingWrite[] = [];
  #isDue = false;

  /**
   * Opens the file at `path`, made private if need be, or a database in memory for `:memory:`.
   *
   * Throws RegistryError "store_corrupted" (it is no database, or damaged), "store_version" (of a newer
   * program), "store_unusable" (the system refuses, or another process holds it).
   */
  constructor(path: string) {
    try {
      if (path !== ":memory:") makePrivateFileSync(path);
      this.#db = new DatabaseSync(path, { timeout: BUSY_TIMEOUT_MS });
    } catch (error) {
      throw unusable(path, error);
    }
    try {
      this.#db.exec(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON",
      );
      this.#migrate(path);
    } catch (error) {
      this.#db.close();
      throw unusable(path, error);
    }
  }

  /** Returns a prepared statement. */
  prepare(sql: string): StatementSync {
    return this.#db.prepare(sql);
  }

  /**
   * Runs `change` in the next transaction and resolves with its result once that is on the disk. A change
   * that throws takes the changes of the same turn with it: it must not throw for what a remote did.
   */
  write<T>(change: () => T): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    let result: T;
    this.#pending.push({
      run: () => void (result = change()),
      succeed: () => resolve(result),
      fail: reject,
    });
    if (!this.#isDue) setImmediate(() => this.#commit());
    this.#isDue = true;
    return promise;
  }

  /** Commits what is pending and closes the file. */
  [Symbol.dispose](): void {
    this.#commit();
    this.#db.close();
  }

  #commit(): void {
    this.#isDue = false;
    const writes = this.#pending;
    if (writes.length === 0) return;
    this.#pending = [];
    try {
      this.#transaction(() => {
        for (const { run } of writes) run();
      });
    } catch (error) {
      for (const { fail } of writes) fail(error);
      return;
    }
    for (const { succeed } of writes) succeed();
  }

  #transaction(body: () => void): void {
    this.#db.exec("BEGIN IMMEDIATE");
    try {
      body();
      this.#db.exec("COMMIT");
    } catch (error) {
      if (this.#db.isTransaction) this.#db.exec("ROLLBACK");
      throw error;
    }
  }

  #migrate(path: string): void {
    if (this.#version() === SCHEMA.length) return;
    this.#transaction(() => {
      const version = this.#version(); // another process may have been faster
      if (version > SCHEMA.length) throw newer(path, version);
      for (const step of SCHEMA.slice(version)) this.#db.exec(step);
      this.#db.exec(`PRAGMA user_version = ${SCHEMA.length}`);
    });
  }

  #version(): number {
    return Number(this.#db.prepare("PRAGMA user_version").get()?.["user_version"]);
  }
}

function newer(path: string, version: number): RegistryError {
  return new RegistryError(
    "store_version",
    `Cannot use ${path}: it has version ${version}, this program knows up to ${SCHEMA.length}`,
    { hints: ["use the newer talos-server that wrote it"] },
  );
}

function unusable(path: string, cause: unknown): RegistryError {
  if (cause instanceof RegistryError) return cause;
  const why = messageOf(cause);
  const damaged = /not a database|malformed|corrupt|no such (?:table|column)/.test(why);
  return new RegistryError(
    damaged ? "store_corrupted" : "store_unusable",
    `Cannot use ${path}: ${why}`,
    {
      cause,
      hints: damaged
        ? [
          "move it and its -wal and -shm files away: a new one is made, and peers that run come back by themselves",
        ]
        : ["see that the disk is not full and that the file belongs to the user who runs this"],
    },
  );
}
