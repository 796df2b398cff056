/** Errors of finding peers through a registry. */

import { TalosError } from "../errors.ts";

/** What can go wrong between us, a registry and the peer we look for. */
export type DiscoveryErrorCode =
  /** The registry cannot be reached, or was lost. */
  | "registry_unreachable"
  /** The registry has no room for another connection or request now. */
  | "registry_busy"
  /** What answers at the registry's address is no registry. */
  | "not_a_registry"
  /** The registry has another key than the one that was pinned. */
  | "registry_key_changed"
  /** The registry is private, and no join token was given. */
  | "token_required"
  /** The join token is not the registry's. */
  | "token_wrong"
  /** The registry refused a request for another reason. */
  | "registry_refused"
  /** The peer is not registered. */
  | "peer_not_found"
  /** The peer is registered, but serves nothing now, or nothing answers where it did. */
  | "peer_away"
  /** The peer is there now, but none of its addresses can be reached from here. */
  | "peer_unreachable"
  /** The peer does not take calls from this one through the relay. */
  | "peer_declined"
  /** The relay does not carry us to the peer. */
  | "relay_failed"
  /** The peer serves, but not this service. */
  | "unknown_service";

/** An error of discovery. */
export class DiscoveryError extends TalosError<DiscoveryErrorCode> {}
