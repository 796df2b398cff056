import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import type { RegistryErrorCode } from "../../registry/errors.ts";
import { RegistryError } from "../../registry/errors.ts";
import { SqliteDatabase } from "../../registry/sqlite_database.ts";
import { SqliteStore } from "../../registry/sqlite_store.ts";
import type { Store } from "../../registry/store.ts";
import { seededIdentity } from "../../scripts/seeded_identity.ts";
import { registration, storedRecord, testStoreContract } from "./store_contract.ts";

const PEER = seededIdentity("peer").peerId;
const LIMITS = { services: 16, now: 1_750_000_000_000 };

testStoreContract("SqliteStore in memory", () => Promise.resolve(new SqliteStore(":memory:")));

testStoreContract("SqliteStore in a file", async () => {
  const folder = await Deno.makeTempDir({ prefix: "talos-test-" });
  return new FolderStore(folder);
});

/** A store whose folder goes with it. */
class FolderStore extends SqliteStore implements Store {
  readonly #folder: string;

  constructor(folder: string) {
    super(`${folder}/registry.db`);
    this.#folder = folder;
  }

  override async [Symbol.asyncDispose](): Promise<void> {
    await super[Symbol.asyncDispose]();
    await Deno.remove(this.#folder, { recursive: true });
  }
}

/** Runs `body` with the path of a database that is not there yet. */
async function withPath(body: (path: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "talos-test-" });
  try {
    await body(`${folder}/registry.db`);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

function assertRefused(path: string, code: RegistryErrorCode): RegistryError {
  try {
    new SqliteStore(path);
  } catch (error) {
    assert.ok(error instanceof RegistryError, String(error));
    assert.equal(error.code, code, error.message);
    return error;
  }
  assert.fail("it was opened");
}

Deno.test("SqliteStore has what was stored when it is opened again, and a private file", async () => {
  await withPath(async (path) => {
    {
      await using store = new SqliteStore(path);
      await store.directory.register(registration(PEER), 10);
      await store.directory.putRecord(PEER, storedRecord(3), LIMITS);
    }
    await using store = new SqliteStore(path);
    assert.deepEqual(await store.directory.registration(PEER), registration(PEER));
    assert.deepEqual(await store.directory.records(PEER), [storedRecord(3)]);
    for (const suffix of ["", "-wal", "-shm"]) {
      const { mode } = await Deno.stat(path + suffix);
      if (mode !== null) assert.equal(mode & 0o777, 0o600, suffix);
    }
  });
});

Deno.test("SqliteDatabase has every commit on the disk before it says so", async () => {
  await withPath((path) => {
    using database = new SqliteDatabase(path);
    const pragma = (name: string) => Object.values(database.prepare(`PRAGMA ${name}`).get() ?? {});
    assert.deepEqual(pragma("synchronous"), [2]); // FULL
    assert.deepEqual(pragma("journal_mode"), ["wal"]);
    assert.deepEqual(pragma("foreign_keys"), [1]);
    assert.deepEqual(pragma("busy_timeout"), [5_000]);
    return Promise.resolve();
  });
});

Deno.test("SqliteStore completes what was asked for when it is closed", async () => {
  await withPath(async (path) => {
    const first = new SqliteStore(path);
    const registering = first.directory.register(registration(PEER), 10);
    await first[Symbol.asyncDispose]();
    assert.equal(await registering, "added");
    await using store = new SqliteStore(path);
    assert.deepEqual(await store.directory.registration(PEER), registration(PEER));
  });
});

Deno.test("SqliteStore shares its file when two of them write", async () => {
  await withPath(async (path) => {
    await using first = new SqliteStore(path);
    await using second = new SqliteStore(path);
    await first.directory.register(registration(PEER), 10);
    const puts = await Promise.all([
      first.directory.putRecord(PEER, storedRecord(1), LIMITS),
      second.directory.putRecord(PEER, storedRecord(2), LIMITS),
      first.directory.putRecord(PEER, storedRecord(3), LIMITS),
    ]);
    assert.equal(puts[2]?.outcome, "stored");
    assert.deepEqual(await second.directory.records(PEER), [storedRecord(3)]);
  });
});

Deno.test("SqliteStore writes all of a turn in one transaction when many ask", async () => {
  await withPath(async (path) => {
    await using store = new SqliteStore(path);
    const peers = Array.from({ length: 50 }, (_, i) => seededIdentity(`many ${i}`).peerId);
    using other = new DatabaseSync(path);
    const changes = () => Number(other.prepare("PRAGMA data_version").get()?.["data_version"]);
    const before = changes();
    const outcomes = await Promise.all(
      peers.map((peer) => store.directory.register(registration(peer), 100)),
    );
    assert.deepEqual(new Set(outcomes), new Set(["added"]));
    assert.equal(changes() - before, 1);
  });
});

Deno.test("SqliteStore tells every caller of a turn when its transaction fails", async () => {
  await withPath(async (path) => {
    const store = new SqliteStore(path);
    using other = new DatabaseSync(path);
    other.exec("DROP TABLE registrations");
    const outcomes = await Promise.allSettled([
      store.directory.register(registration(PEER), 10),
      store.directory.touch(new Map([[PEER, 1]])),
    ]);
    assert.deepEqual(outcomes.map(({ status }) => status), ["rejected", "rejected"]);
    await assert.rejects(store.directory.registration(PEER));
    await assert.rejects(store.check());
    await store[Symbol.asyncDispose]();
  });
});

Deno.test("SqliteStore refuses a file when it is no database, of a newer version, or out of reach", async () => {
  await withPath(async (path) => {
    await Deno.writeTextFile(path, "not a database ".repeat(100));
    assertRefused(path, "store_corrupted");
    assert.equal((await Deno.readTextFile(path)).length, 1500);
    await Deno.remove(path);

    await new SqliteStore(path)[Symbol.asyncDispose]();
    {
      using database = new DatabaseSync(path);
      database.exec("PRAGMA user_version = 99");
    }
    assert.match(assertRefused(path, "store_version").message, /version 99/);
    assertRefused(`${path}/registry.db`, "store_unusable");
  });
});
