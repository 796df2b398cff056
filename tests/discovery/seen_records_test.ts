import assert from "node:assert/strict";
import { noteRecord, seenRecords } from "../../lib/discovery/seen_records.ts";
import { Database } from "../../lib/identity/database.ts";
import { type EndpointRecord, signEndpointRecord } from "../../lib/wire/endpoint_record.ts";
import { samplePeer, temporaryHome } from "../identity/temporary_home.ts";
import { ALICE, HOST, MALLORY } from "../session/peers.ts";
import { endpointRecord, NOTES } from "./endpoint_records.ts";

function note(database: Database, record: EndpointRecord, identity = HOST): EndpointRecord | null {
  return noteRecord(database, signEndpointRecord(identity, record), record);
}

Deno.test("noteRecord() returns the newer record when an older one comes, and keeps it", async () => {
  await using home = await temporaryHome();
  using database = new Database(home.paths, ALICE.peerId);
  const [first, second] = [endpointRecord({ seq: 10 }), endpointRecord({ seq: 11, name: "new" })];
  assert.equal(note(database, first), null);
  assert.equal(note(database, first), null); // the same again is not older
  assert.equal(note(database, second), null);
  assert.deepEqual(note(database, first), second);
  assert.deepEqual(seenRecords(database, HOST.peerId), [second]);
});

Deno.test("noteRecord() keeps one record of each service and peer when there are several", async () => {
  await using home = await temporaryHome();
  using database = new Database(home.paths, ALICE.peerId);
  const files = endpointRecord({ seq: 5 });
  const notes = endpointRecord({ seq: 3, service: NOTES });
  const other = endpointRecord({ seq: 1, peer: MALLORY.peerId });
  for (const record of [files, notes]) assert.equal(note(database, record), null);
  assert.equal(note(database, other, MALLORY), null);
  assert.deepEqual(seenRecords(database, HOST.peerId), [files, notes]);
  assert.deepEqual(seenRecords(database, MALLORY.peerId), [other]);
});

Deno.test("noteRecord() and seenRecords() leave aside what an earlier version took and does not count", async () => {
  await using home = await temporaryHome();
  using database = new Database(home.paths, ALICE.peerId);
  note(database, endpointRecord({ seq: Number.MAX_SAFE_INTEGER }));
  assert.deepEqual(seenRecords(database, HOST.peerId), []);
  const honest = endpointRecord({ seq: 10 });
  assert.equal(note(database, honest), null);
  assert.deepEqual(seenRecords(database, HOST.peerId), [honest]);
});

Deno.test("seenRecords() returns none of what another identity of the home saw", async () => {
  await using home = await temporaryHome();
  using database = new Database(home.paths, ALICE.peerId);
  note(database, endpointRecord({}));
  using other = new Database(home.paths, samplePeer(9));
  assert.deepEqual(seenRecords(other, HOST.peerId), []);
});
