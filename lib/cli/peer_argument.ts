/** Peers as they are named on the command line: whole Peer IDs, and contacts of ours. */

import { resolvePeer } from "../identity/contacts.ts";
import type { Database } from "../identity/database.ts";
import { parsePeerReference } from "../identity/peer_address.ts";
import type { PeerId } from "../identity/peer_id.ts";

/**
 * Returns the peer that `text` names. Names and beginnings of Peer IDs stand for contacts alone, never for
 * what others call themselves. Throws IdentityError.
 */
export function knownPeer(database: Database, text: string): PeerId {
  return resolvePeer(database, parsePeerReference(text));
}
