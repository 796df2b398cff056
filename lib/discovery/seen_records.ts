/**
 * The newest endpoint record of each service that we saw: a registry that hands out an older one later
 * is noticed, and while no registry can be reached the last one known still leads to the peer.
 */

import type { Database } from "../identity/database.ts";
import type { PeerId } from "../identity/peer_id.ts";
import {
  type EndpointRecord,
  openEndpointRecord,
  type SignedEndpointRecord,
} from "../wire/endpoint_record.ts";

/** Returns the newest records of `peer` that we saw. */
export function seenRecords(db: Database, peer: PeerId): EndpointRecord[] {
  const rows = db.rows(
    "SELECT record, signature FROM endpoints WHERE owner = ? AND peer = ?",
    db.owner,
    peer,
  );
  return rows.map((row) => openEndpointRecord(peer, signedOf(row)));
}

/**
 * Notes a verified record. Returns the newer one that was seen before, if there is one: then the one at
 * hand is a replay, or comes from a registry that lost its memory.
 */
export function noteRecord(
  db: Database,
  signed: SignedEndpointRecord,
  record: EndpointRecord,
): EndpointRecord | null {
  return db.transaction(() => {
    const { peer, service, seq } = record;
    const row = db.row(
      "SELECT seq, record, signature FROM endpoints WHERE owner = ? AND peer = ? AND service = ?",
      db.owner,
      peer,
      service,
    );
    if (row !== undefined && Number(row["seq"]) > seq) {
      return openEndpointRecord(peer, signedOf(row));
    }
    db.run(
      "INSERT OR REPLACE INTO endpoints VALUES (?, ?, ?, ?, ?, ?)",
      db.owner,
      peer,
      service,
      seq,
      signed.record,
      signed.signature,
    );
    return null;
  });
}

function signedOf(row: Readonly<Record<string, unknown>>): SignedEndpointRecord {
  return { record: bytesOf(row["record"]), signature: bytesOf(row["signature"]) };
}

function bytesOf(value: unknown) {
  if (!(value instanceof Uint8Array)) {
    throw new TypeError("Cannot read an endpoint record: it is no blob");
  }
  return new Uint8Array(value);
}
