import assert from "node:assert/strict";
import { forgetKey, pinKey, pinnedKey } from "../../lib/discovery/registry_keys.ts";
import { Database } from "../../lib/identity/database.ts";
import { samplePeer, temporaryHome } from "../identity/temporary_home.ts";

const [ALICE, BOB, ONE, TWO] = [samplePeer(1), samplePeer(2), samplePeer(3), samplePeer(4)];
const HERE = { host: "localhost", port: 8765 };

Deno.test("pinKey() keeps the first key when another one comes", async () => {
  await using home = await temporaryHome();
  using database = new Database(home.paths, ALICE);
  assert.equal(pinnedKey(database, HERE), undefined);
  assert.equal(pinKey(database, HERE, ONE, 1), ONE);
  assert.equal(pinKey(database, HERE, TWO, 2), ONE);
  assert.equal(pinKey(database, HERE, ONE, 3), ONE);
  assert.equal(pinnedKey(database, HERE), ONE);
});

Deno.test("pinnedKey() tells registries apart when host or port differ", async () => {
  await using home = await temporaryHome();
  using database = new Database(home.paths, ALICE);
  pinKey(database, HERE, ONE, 1);
  assert.equal(pinnedKey(database, { host: "localhost", port: 8766 }), undefined);
  assert.equal(pinnedKey(database, { host: "127.0.0.1", port: 8765 }), undefined);
  assert.equal(pinKey(database, { host: "::1", port: 8765 }, TWO, 1), TWO);
  assert.equal(pinnedKey(database, { host: "::1", port: 8765 }), TWO);
});

Deno.test("pinnedKey() knows nothing of it when another identity pinned it", async () => {
  await using home = await temporaryHome();
  using database = new Database(home.paths, ALICE);
  pinKey(database, HERE, ONE, 1);
  using other = new Database(home.paths, BOB);
  assert.equal(pinnedKey(other, HERE), undefined);
  assert.equal(forgetKey(other, HERE), false);
  assert.equal(pinnedKey(database, HERE), ONE);
});

Deno.test("forgetKey() returns whether there was one when it is asked twice", async () => {
  await using home = await temporaryHome();
  using database = new Database(home.paths, ALICE);
  pinKey(database, HERE, ONE, 1);
  assert.equal(forgetKey(database, HERE), true);
  assert.equal(forgetKey(database, HERE), false);
  assert.equal(pinKey(database, HERE, TWO, 2), TWO);
});
