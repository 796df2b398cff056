/** Peers as they are named on the command line: whole Peer IDs, and contacts of ours. */

import { resolvePeer } from "../identity/contacts.ts";
import type { Database } from "../identity/database.ts";
import {
  parsePeerAddress,
  parsePeerReference,
  type PeerAddress,
} from "../identity/peer_address.ts";
import type { PeerId } from "../identity/peer_id.ts";

/** A peer address whose peer is known for certain. */
export interface KnownPeerAddress extends Omit<PeerAddress, "peer"> {
  /** Who. */
  readonly peer: PeerId;
}

/**
 * Returns the peer that `text` names. Names and beginnings of Peer IDs stand for contacts alone, never for
 * what others call themselves. Throws IdentityError.
 */
export function knownPeer(database: Database, text: string): PeerId {
  return resolvePeer(database, parsePeerReference(text));
}

/** Returns the peer, service and address of `PEER[/SERVICE][@HOST:PORT]`. Throws IdentityError. */
export function knownPeerAddress(
  database: Database,
  text: string,
  defaultPort: number,
): KnownPeerAddress {
  const { peer, ...rest } = parsePeerAddress(text, defaultPort);
  return { ...rest, peer: resolvePeer(database, peer) };
}
