import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { Database } from "../../lib/identity/database.ts";
import { IdentityError } from "../../lib/identity/errors.ts";
import { SILENT } from "../../lib/log.ts";
import { watchAccess } from "../../lib/identity/watch_access.ts";
import { Child } from "./child.ts";
import { codeOf, messageFrom, samplePeer, temporaryHome } from "./temporary_home.ts";

const [ALICE, BOB] = [samplePeer(1), samplePeer(2)];
const WINDOWS = Deno.build.os === "windows";

Deno.test({
  name: "Database makes its files private when they are not there" + (WINDOWS ? " (POSIX)" : ""),
  ignore: WINDOWS,
  async fn() {
    await using home = await temporaryHome();
    const before = Deno.umask(0o000);
    try {
      using database = new Database(home.paths, ALICE);
      database.set("a", "1");
      const modes: Record<string, number> = {};
      const directory = `${home.paths.home}/talos.db`;
      modes["."] = Deno.statSync(directory).mode! & 0o777;
      for (const { name } of Deno.readDirSync(directory)) {
        modes[name] = Deno.statSync(`${directory}/${name}`).mode! & 0o777;
      }
      assert.deepEqual(modes, {
        ".": 0o700,
        "data.sqlite": 0o600,
        "data.sqlite-shm": 0o600,
        "data.sqlite-wal": 0o600,
        "data.sqlite.lock": 0o600,
      });
    } finally {
      Deno.umask(before);
    }
  },
});

Deno.test("Database keeps settings when it is opened again", async () => {
  await using home = await temporaryHome();
  {
    using database = new Database(home.paths, ALICE);
    assert.equal(database.setting("server"), undefined);
    database.set("server", "a:1");
    database.set("server", "b:2");
  }
  using database = new Database(home.paths, ALICE);
  assert.equal(database.setting("server"), "b:2");
});

Deno.test("Database shows each owner its own settings when two share a home", async () => {
  await using home = await temporaryHome();
  using alice = new Database(home.paths, ALICE);
  using bob = new Database(home.paths, BOB);
  alice.set("server", "a:1");
  assert.equal(bob.setting("server"), undefined);
  bob.set("server", "b:2");
  assert.equal(alice.setting("server"), "a:1");
});

Deno.test("Database.transaction() makes no change when its body throws", async () => {
  await using home = await temporaryHome();
  using database = new Database(home.paths, ALICE);
  assert.throws(() =>
    database.transaction(() => {
      database.put("a", "1");
      throw new RangeError("no");
    }), RangeError);
  assert.equal(database.setting("a"), undefined);
  assert.equal(database.transaction(() => 7), 7); // it is not stuck in the failed one
});

Deno.test("Database.run() throws TypeError when there is no transaction", async () => {
  await using home = await temporaryHome();
  using database = new Database(home.paths, ALICE);
  assert.throws(() => database.put("a", "1"), TypeError);
});

Deno.test("Database sees at once what another connection has committed", async () => {
  await using home = await temporaryHome();
  using one = new Database(home.paths, ALICE);
  using two = new Database(home.paths, ALICE);
  one.set("a", "1");
  assert.equal(two.setting("a"), "1");
  two.transaction(() => {
    two.put("a", "2");
    assert.equal(one.setting("a"), "1"); // not before it is committed
  });
  assert.equal(one.setting("a"), "2");
});

Deno.test("Database overwrites what is deleted, so that it cannot be read from the file", async () => {
  await using home = await temporaryHome();
  using database = new Database(home.paths, ALICE);
  assert.deepEqual(database.rows("PRAGMA secure_delete").map(Object.values), [[1]]);
  assert.deepEqual(database.rows("PRAGMA journal_mode").map(Object.values), [["wal"]]);
});

Deno.test("Database is refused with the cure when it is of a newer version", async () => {
  await using home = await temporaryHome();
  new Database(home.paths, ALICE)[Symbol.dispose]();
  const raw = new DatabaseSync(home.paths.database);
  raw.exec("PRAGMA user_version = 999");
  raw.close();
  const open = () => new Database(home.paths, ALICE);
  assert.equal(await codeOf(open), "database_unusable");
  assert.equal(
    await messageFrom(open),
    `Cannot use ${home.paths.database}: it has version 999, this program knows 2`,
  );
});

Deno.test("Database is refused with the cure when the file is something else", async () => {
  await using home = await temporaryHome();
  await Deno.mkdir(`${home.paths.home}/talos.db`);
  await Deno.writeTextFile(home.paths.database, "this is no database, ".repeat(100));
  const open = () => new Database(home.paths, ALICE);
  assert.equal(await codeOf(open), "database_corrupted");
  assert.match(await messageFrom(open), /file is not a database/);
  const directory = `${home.paths.home}/talos.db`;
  assert.throws(open, (error: unknown) => {
    assert.ok(error instanceof IdentityError);
    assert.deepEqual(error.hints, [
      `stop what runs here, and begin a new one: mv ${directory} ${directory}.broken`,
      "contacts and the remembered registry and its key are lost with it, nothing else",
    ]);
    return true;
  });
  await Deno.rename(directory, `${directory}.broken`); // the hint works
  open()[Symbol.dispose]();
});

Deno.test("Database is refused as damaged when a page of it is", async () => {
  await using home = await temporaryHome();
  const open = () => new Database(home.paths, ALICE);
  open()[Symbol.dispose]();
  const bytes = await Deno.readFile(home.paths.database);
  bytes.fill(0xff, 100); // behind the header
  await Deno.writeFile(home.paths.database, bytes);
  const use = () => {
    using database = open();
    database.setting("a");
  };
  assert.equal(await codeOf(use), "database_corrupted");
});

Deno.test("Database is unusable, not damaged, when a file is where its directory should be", async () => {
  await using home = await temporaryHome();
  await Deno.writeTextFile(`${home.paths.home}/talos.db`, "");
  const open = () => new Database(home.paths, ALICE);
  assert.equal(await codeOf(open), "database_unusable");
});

Deno.test({
  name: "Database is refused when others can write its file, its log or its directory",
  ignore: Deno.build.os === "windows",
  async fn() {
    await using home = await temporaryHome();
    const { database: path } = home.paths;
    const open = () => new Database(home.paths, ALICE);
    using kept = open(); // so that its log is there
    kept.set("a", "1");
    const directory = `${home.paths.home}/talos.db`;
    for (
      const [file, mode] of [[path, 0o600], [`${path}-wal`, 0o600], [directory, 0o700]] as const
    ) {
      await Deno.chmod(file, 0o777);
      assert.equal(await codeOf(open), "database_permissions", file);
      assert.equal(
        await messageFrom(open),
        `Cannot trust ${file}: others can write it (mode 0777)`,
      );
      await Deno.chmod(file, mode);
    }
    open()[Symbol.dispose]();
  },
});

Deno.test("Database throws IdentityError when an operation fails later", async () => {
  await using home = await temporaryHome();
  using database = new Database(home.paths, ALICE);
  assert.equal(await codeOf(() => database.rows("SELECT * FROM nowhere")), "database_unusable");
  assert.equal(await codeOf(() => database.row("SELECT * FROM nowhere")), "database_unusable");
  database[Symbol.dispose]();
  database[Symbol.dispose](); // once more does nothing
  assert.equal(await codeOf(() => database.setting("a")), "database_unusable");
  assert.equal(await codeOf(() => database.set("a", "1")), "database_unusable");
});

Deno.test("Database keeps its locks when the home is watched and another process writes", async () => {
  await using home = await temporaryHome();
  await using _watch = await watchAccess(home.paths, { log: SILENT, onChange() {} });
  using database = new Database(home.paths, ALICE);
  assert.equal(database.setting("a"), undefined);
  for (const value of ["1", "2", "3"]) {
    // Each of these processes is the last to close the database, unless ours still holds its lock.
    await using writer = new Child("setting_writer.ts", [home.paths.home, ALICE, "a", value]);
    assert.equal(await writer.line(), "written");
    await writer.status();
    assert.equal(database.setting("a"), value);
  }
  database.set("a", "4");
  await using reader = new Child("setting_writer.ts", [home.paths.home, ALICE, "a"]);
  assert.equal(await reader.line(), "4");
});
