/** Errors of byte streams: reaching an address, listening on one, losing one. */

import { TalosError } from "../errors.ts";

/** What can go wrong below the handshake. */
export type TransportErrorCode =
  /** Nothing listens at the address. */
  | "refused"
  /** No answer in time, or no route. */
  | "unreachable"
  /** The host name has no address. */
  | "name_unknown"
  /** The port is in use by another program. */
  | "port_taken"
  /** The address cannot be listened on. */
  | "listen_failed"
  /** The stream broke. */
  | "broken";

/** An error of a byte stream. */
export class TransportError extends TalosError<TransportErrorCode> {}
