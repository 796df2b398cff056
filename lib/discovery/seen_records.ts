/**
 * The newest endpoint record of each service that we saw: a registry that hands out an older one later
 * is noticed, and while no registry can be reached the last one known still leads to the peer. What is
 * read is verified again; a record that an earlier version took and this one does not counts as none.
 */

import type { Database } from "../identity/database.ts";
import type { PeerId } from "../identity/peer_id.ts";
import {
  type EndpointRecord,
  openEndpointRecord,
  type SignedEndpointRecord,
} from "../wire/endpoint_record.ts";
import { WireError } from "../wire/errors.ts";

/** Returns the newest records of `peer` that we saw. */
export function seenRecords(db: Database, peer: PeerId): EndpointRecord[] {
  const rows = db.rows(
    "SELECT record, signature FROM endpoints WHERE owner = ? AND peer = ?",
    db.owner,
    peer,
  );
  return rows.map((row) => opened(peer, row)).filter((record) => record !== null);
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
      "SELECT record, signature FROM endpoints WHERE owner = ? AND peer = ? AND service = ?",
      db.owner,
      peer,
      service,
    );
    const seen = row === undefined ? null : opened(peer, row);
    if (seen !== null && seen.seq > seq) return seen;
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

/** Returns the record of a row, or null where it does not count. */
function opened(peer: PeerId, row: Readonly<Record<string, unknown>>): EndpointRecord | null {
  try {
    return openEndpointRecord(peer, signedOf(row));
  } catch (error) {
    if (error instanceof WireError) return null;
    throw error;
  }
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
