/** Whose state lies in a home, and what happens to it when the identity changes. */

import assert from "node:assert/strict";
import type { HomePaths } from "../../lib/identity/home.ts";
import { MESSAGES_SERVICE } from "../../lib/identity/names.ts";
import { claimService } from "../../lib/identity/run_files.ts";
import { settleState, stateOwner } from "../../lib/identity/set_aside.ts";
import { createWallet } from "../../lib/identity/wallet.ts";
import { saveWallet } from "../../lib/identity/wallet_file.ts";
import { SILENT } from "../../lib/log.ts";
import { SeededRandom } from "../../scripts/seeded_random.ts";
import { codeOf, messageFrom, samplePeer, temporaryHome } from "./temporary_home.ts";

const STATE = [
  "blockchain-1.json",
  "blockchain.json",
  "talos.db",
  "talos.db-shm",
  "talos.db-wal",
];

const OTHER = ["access.json", "blockchain.json.lock", "contacts.txt", "policy.json"];

function sample(seed: string) {
  return createWallet({ name: seed, now: 0, random: new SeededRandom(seed).bytes });
}

const A = sample("a");
const B = sample("b");
const UNFORCED = { force: false, log: SILENT };
const FORCED = { force: true, log: SILENT };

function fill(
  paths: HomePaths,
  owner: string,
  names: readonly string[] = [...STATE, ...OTHER],
): void {
  for (const name of names) Deno.writeTextFileSync(`${paths.home}/${name}`, `${name} of ${owner}`);
}

/** Everything but the wallet and the record of the owner. */
function contents(paths: HomePaths): Record<string, string> {
  const found: Record<string, string> = {};
  for (const { name, isFile } of Deno.readDirSync(paths.home)) {
    if (!isFile || name.startsWith("wallet.json") || name.startsWith("identity.json")) continue;
    found[name] = Deno.readTextFileSync(`${paths.home}/${name}`);
  }
  return found;
}

Deno.test("saveWallet() records whose state lies in the home, and nothing secret", async () => {
  await using home = await temporaryHome();
  assert.equal(await stateOwner(home.paths), null);
  await saveWallet(home.paths, A, UNFORCED);
  assert.equal(await stateOwner(home.paths), A.peerId);
  assert.equal(
    Deno.readTextFileSync(home.paths.owner),
    `{"version":1,"peer_id":"${A.peerId}"}\n`,
  );
});

Deno.test("saveWallet() sets the old state aside under the old Peer ID after the runbook's rotation", async () => {
  await using home = await temporaryHome();
  await saveWallet(home.paths, A, UNFORCED);
  fill(home.paths, "a");
  Deno.removeSync(home.paths.wallet);
  const { renamed, backup } = await saveWallet(home.paths, B, UNFORCED);
  assert.equal(backup, null);
  assert.deepEqual(renamed, [
    { from: "blockchain-1.json", to: `blockchain-1.json.${A.peerId}` },
    { from: "blockchain.json", to: `blockchain.json.${A.peerId}` },
    { from: "talos.db", to: `talos.db.${A.peerId}` },
    { from: "talos.db-shm", to: `talos.db.${A.peerId}-shm` },
    { from: "talos.db-wal", to: `talos.db.${A.peerId}-wal` },
  ]);
  assert.deepEqual(contents(home.paths), {
    "access.json": "access.json of a",
    "blockchain.json.lock": "blockchain.json.lock of a",
    "contacts.txt": "contacts.txt of a",
    "policy.json": "policy.json of a",
    [`blockchain-1.json.${A.peerId}`]: "blockchain-1.json of a",
    [`blockchain.json.${A.peerId}`]: "blockchain.json of a",
    [`talos.db.${A.peerId}`]: "talos.db of a",
    [`talos.db.${A.peerId}-shm`]: "talos.db-shm of a",
    [`talos.db.${A.peerId}-wal`]: "talos.db-wal of a",
  });
  assert.equal(await stateOwner(home.paths), B.peerId);
});

Deno.test("saveWallet() with force sets the state aside, and brings it back when the identity comes back", async () => {
  await using home = await temporaryHome();
  await saveWallet(home.paths, A, UNFORCED);
  fill(home.paths, "a", STATE);
  await saveWallet(home.paths, B, FORCED);
  fill(home.paths, "b", ["talos.db"]);
  const { renamed } = await saveWallet(home.paths, A, FORCED);
  assert.equal(renamed.length, 6);
  assert.deepEqual(contents(home.paths), {
    ...Object.fromEntries(STATE.map((name) => [name, `${name} of a`])),
    [`talos.db.${B.peerId}`]: "talos.db of b",
  });
});

Deno.test("saveWallet() knows the old owner from the old wallet when it is not recorded", async () => {
  await using home = await temporaryHome();
  await saveWallet(home.paths, A, UNFORCED);
  Deno.removeSync(home.paths.owner);
  fill(home.paths, "a", ["talos.db"]);
  await saveWallet(home.paths, B, FORCED);
  assert.deepEqual(contents(home.paths), { [`talos.db.${A.peerId}`]: "talos.db of a" });
});

Deno.test("saveWallet() sets state of an unknown owner aside, never over what was set aside before", async () => {
  await using home = await temporaryHome();
  for (const record of [null, "damaged", '{"version":1,"peer_id":"z6Mk"}', '{"version":2}']) {
    fill(home.paths, String(record), ["talos.db", "talos.db-wal"]);
    if (record === null) await Deno.remove(home.paths.owner).catch(() => {});
    else Deno.writeTextFileSync(home.paths.owner, record);
    await saveWallet(home.paths, A, UNFORCED);
    Deno.removeSync(home.paths.wallet);
  }
  assert.deepEqual(Object.keys(contents(home.paths)).sort(), [
    "talos.db.unknown",
    "talos.db.unknown-wal",
    "talos.db.unknown.2",
    "talos.db.unknown.2-wal",
    "talos.db.unknown.3",
    "talos.db.unknown.3-wal",
    "talos.db.unknown.4",
    "talos.db.unknown.4-wal",
  ]);
});

Deno.test("settleState() moves nothing when the owner is right or unrecorded, and records it", async () => {
  await using home = await temporaryHome();
  fill(home.paths, "a");
  assert.deepEqual(await settleState(home.paths, A.peerId), []);
  assert.equal(await stateOwner(home.paths), A.peerId);
  assert.deepEqual(await settleState(home.paths, A.peerId), []);
  assert.equal(Object.keys(contents(home.paths)).length, STATE.length + OTHER.length);
});

Deno.test("settleState() follows a wallet that was put back by hand", async () => {
  await using home = await temporaryHome();
  await saveWallet(home.paths, A, UNFORCED);
  fill(home.paths, "a", ["talos.db", "talos.db-wal"]);
  const { backup } = await saveWallet(home.paths, B, FORCED);
  fill(home.paths, "b", ["talos.db"]);
  Deno.renameSync(`${home.paths.wallet}.${A.peerId}.bak`, home.paths.wallet);
  assert.equal(backup, `${home.paths.wallet}.${A.peerId}.bak`);
  assert.deepEqual(await settleState(home.paths, A.peerId), [
    { from: "talos.db", to: `talos.db.${B.peerId}` },
    { from: `talos.db.${A.peerId}`, to: "talos.db" },
    { from: `talos.db.${A.peerId}-wal`, to: "talos.db-wal" },
  ]);
  assert.deepEqual(contents(home.paths), {
    "talos.db": "talos.db of a",
    "talos.db-wal": "talos.db-wal of a",
    [`talos.db.${B.peerId}`]: "talos.db of b",
  });
});

Deno.test("settleState() finishes what a killed process began", async () => {
  await using home = await temporaryHome();
  await saveWallet(home.paths, A, UNFORCED);
  // The database was moved already, its log was not; the owner is written last.
  fill(home.paths, "a", [`talos.db.${A.peerId}`, "talos.db-wal"]);
  await settleState(home.paths, B.peerId);
  assert.deepEqual(Object.keys(contents(home.paths)).sort(), [
    `talos.db.${A.peerId}`,
    `talos.db.${A.peerId}-wal`,
  ]);
});

Deno.test("settleState() is done once when four callers ask at once", async () => {
  await using home = await temporaryHome();
  await saveWallet(home.paths, A, UNFORCED);
  fill(home.paths, "a", STATE);
  const renamed = await Promise.all(
    [1, 2, 3, 4].map(() => settleState(home.paths, B.peerId)),
  );
  assert.deepEqual(renamed.map(({ length }) => length).sort(), [0, 0, 0, 5]);
});

Deno.test("saveWallet() throws home_in_use and changes nothing while a service of the home runs", async () => {
  await using home = await temporaryHome();
  await saveWallet(home.paths, A, UNFORCED);
  fill(home.paths, "a", STATE);
  Deno.removeSync(home.paths.wallet);
  const before = contents(home.paths);
  {
    using _claim = claimService(home.paths, [MESSAGES_SERVICE], { pid: Deno.pid, instance: "i" });
    assert.equal(await codeOf(() => saveWallet(home.paths, B, UNFORCED)), "home_in_use");
    const message = await messageFrom(() => saveWallet(home.paths, B, UNFORCED));
    assert.match(message, new RegExp(`process ${Deno.pid}\\)`));
    assert.deepEqual(contents(home.paths), before);
    assert.equal(await stateOwner(home.paths), A.peerId);
  }
  await saveWallet(home.paths, B, UNFORCED);
  assert.equal(await stateOwner(home.paths), B.peerId);
});

Deno.test("stateOwner() gives null when the record is damaged, too large or a directory", async () => {
  await using home = await temporaryHome();
  for (
    const text of ["", "[]", `{"version":1,"peer_id":"${samplePeer(1)}","x":1}`, " ".repeat(70_000)]
  ) {
    Deno.writeTextFileSync(home.paths.owner, text);
    assert.equal(await stateOwner(home.paths), null);
  }
  Deno.removeSync(home.paths.owner);
  Deno.mkdirSync(home.paths.owner);
  assert.equal(await stateOwner(home.paths), null);
});
