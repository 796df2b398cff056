/**
 * The keys of registries that we talked to: pinned at first sight, after a handshake proved them, and
 * never replaced by themselves. As with the host keys of SSH, a changed key is refused until a person
 * says to forget the old one.
 */

import type { Database } from "../identity/database.ts";
import { formatHostPort, type HostPort } from "../identity/host_port.ts";
import { parsePeerId, type PeerId } from "../identity/peer_id.ts";

/** Returns the key pinned for a registry, or undefined. */
export function pinnedKey(db: Database, address: HostPort): PeerId | undefined {
  const row = db.row(
    "SELECT peer FROM registry_keys WHERE owner = ? AND address = ?",
    db.owner,
    formatHostPort(address),
  );
  return row === undefined ? undefined : parsePeerId(String(row["peer"]));
}

/** Pins a registry's key. Returns the key that holds: an earlier one wins. */
export function pinKey(db: Database, address: HostPort, peer: PeerId, now: number): PeerId {
  return db.transaction(() => {
    const earlier = pinnedKey(db, address);
    if (earlier !== undefined) return earlier;
    const place = formatHostPort(address);
    db.run("INSERT INTO registry_keys VALUES (?, ?, ?, ?)", db.owner, place, peer, now);
    return peer;
  });
}

/** Forgets a registry's key. Returns whether there was one. */
export function forgetKey(db: Database, address: HostPort): boolean {
  return db.transaction(() =>
    db.run(
      "DELETE FROM registry_keys WHERE owner = ? AND address = ?",
      db.owner,
      formatHostPort(address),
    )
  ) > 0;
}
