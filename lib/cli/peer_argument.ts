/** Peers as they are named on the command line. */

import {
  parsePeerAddress,
  parsePeerReference,
  type PeerAddress,
} from "../identity/peer_address.ts";
import type { PeerId } from "../identity/peer_id.ts";
import { CliError } from "./errors.ts";

/** A peer address whose peer is known for certain. */
export interface KnownPeerAddress extends Omit<PeerAddress, "peer"> {
  /** Who. */
  readonly peer: PeerId;
}

/**
 * Returns the peer that `text` names. Names and beginnings of Peer IDs stand for contacts alone, never for
 * what others call themselves; where no contact matches, a whole Peer ID is asked for.
 */
export function fullPeerId(text: string): PeerId {
  const reference = parsePeerReference(text);
  if (reference.kind === "id") return reference.id;
  throw new CliError(
    "peer_not_found",
    `Cannot tell who "${reference.text}" is: no contact has it`,
    {
      hints: ["write the whole Peer ID, z6Mk…: the other side's `talos status` shows it"],
    },
  );
}

/** Returns the peer, service and address of `PEER[/SERVICE][@HOST:PORT]`. */
export function knownPeerAddress(text: string, defaultPort: number): KnownPeerAddress {
  const { peer, ...rest } = parsePeerAddress(text, defaultPort);
  return { ...rest, peer: peer.kind === "id" ? peer.id : fullPeerId(peer.text) };
}
