import assert from "node:assert/strict";

import { Database } from "../../../lib/identity/database.ts";
import { homePaths } from "../../../lib/identity/home.ts";
import { createLog, SILENT } from "../../../lib/log.ts";
import { Usage } from "../../../lib/mcp/policy/usage.ts";
import { UsageBook } from "../../../lib/mcp/policy/usage_book.ts";
import { FakeClock } from "../../session/fake_clock.ts";
import { ALICE, MALLORY } from "../../session/peers.ts";
import { CALLER } from "./scene.ts";

const DAY = 24 * 3600 * 1000;

Deno.test("Usage.requests() never counts fewer than fell into any 60 seconds", () => {
  const usage = new Usage(null, 0);
  const times = Array.from({ length: 500 }, (_, at) => at * 737 % 300_000).sort((a, b) => a - b);
  const made: number[] = [];
  for (const now of times) {
    const least = made.filter((time) => time > now - 60_000).length;
    assert.ok(usage.requests(now) >= least, `at ${now}`);
    assert.ok(
      usage.requests(now) <= made.filter((time) => time >= now - 62_000).length,
      `at ${now}`,
    );
    usage.addRequest(now);
    made.push(now);
  }
});

Deno.test("Usage.bytes() begins anew with the day, not with a clock that goes back a little", () => {
  const usage = new Usage(null, 10 * DAY);
  usage.addBytes(5, 10 * DAY);
  assert.equal(usage.bytes(11 * DAY - 1), 5);
  assert.equal(usage.bytes(10 * DAY - 1), 5, "a clock that was set back over midnight");
  assert.equal(usage.bytes(11 * DAY), 0);
  usage.addBytes(7, 11 * DAY);
  assert.equal(usage.bytes(5 * DAY), 0, "a clock that was wrong for days");
});

Deno.test("Usage takes requests of the future, which a clock that went back makes, for those of now", () => {
  const usage = new Usage({ day: 0, bytes: 0, requests: [[1000, 3]] }, 500_000);
  assert.equal(usage.requests(500_000), 3);
  assert.equal(usage.requests(561_000), 0);
});

/** A home that is removed at the end, and its database. */
class TemporaryDatabase implements Disposable {
  readonly #folder = Deno.makeTempDirSync({ prefix: "talos-test-" });
  readonly paths = homePaths(Deno.build.os, () => undefined, this.#folder, "/");

  open(): Database {
    return new Database(this.paths, ALICE.peerId);
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.#folder, { recursive: true });
  }
}

Deno.test("UsageBook writes once a second, and counters go on in the next process", async () => {
  using folder = new TemporaryDatabase();
  const clock = new FakeClock();
  {
    using database = folder.open();
    using other = folder.open();
    using book = new UsageBook({ database, clock, log: SILENT });
    book.of(CALLER).addRequest(book.steadyNow);
    book.of(CALLER).addBytes(100, clock.now());
    book.touched();
    const rows = () => other.rows("SELECT bytes FROM policy_usage").map((row) => row["bytes"]);
    assert.deepEqual(rows(), []);
    await clock.advance(1_000);
    assert.deepEqual(rows(), [100]);
    book.of(CALLER).addBytes(1, clock.now());
    book.of({ ...CALLER, peer: MALLORY.peerId }).addBytes(7, clock.now());
    book.touched();
  }
  using database = folder.open();
  const later = new FakeClock(clock.now());
  using book = new UsageBook({ database, clock: later, log: SILENT });
  assert.equal(book.of(CALLER).bytes(later.now()), 101);
  assert.equal(book.of(CALLER).requests(book.steadyNow), 1);
  assert.equal(book.of({ ...CALLER, peer: MALLORY.peerId }).bytes(later.now()), 7);
  assert.equal(book.of({ ...CALLER, service: "mcp/other" }).bytes(later.now()), 0);
  await later.advance(61_000);
  assert.equal(book.of(CALLER).requests(book.steadyNow), 0);
});

Deno.test("UsageBook waits 20 ms for a database that is busy, not 5 s", () => {
  using folder = new TemporaryDatabase();
  using database = folder.open();
  using other = folder.open();
  using _book = new UsageBook({ database, clock: new FakeClock(), log: SILENT });
  other.transaction(() => {
    const started = performance.now();
    assert.throws(() => database.transaction(() => {}), { code: "database_unusable" });
    assert.ok(performance.now() - started < 1_000);
  });
});

Deno.test("UsageBook tries again what could not be written", async () => {
  const clock = new FakeClock();
  const said: string[] = [];
  const log = createLog({
    write: (line) => said.push(line),
    level: "info",
    json: false,
    now: () => 0,
  });
  let broken = true;
  const written: unknown[] = [];
  using book = new UsageBook({
    clock,
    log,
    database: {
      owner: ALICE.peerId,
      row: () => undefined,
      run: (_sql, ...values) => written.push(values[4]),
      transaction(body) {
        if (broken) throw new Error("database is locked");
        return body();
      },
    },
  });
  book.of(CALLER).addBytes(3, clock.now());
  book.touched();
  await clock.advance(2_500);
  assert.deepEqual(said.length, 1);
  broken = false;
  await clock.advance(1_000);
  assert.deepEqual(written, [3]);
});
