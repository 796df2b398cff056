/**
 * From an error of ours to the reply that an agent gets for a call it made.
 *
 * A call is said not to have been run only where that is certain: nothing of it was handed to a
 * connection, or the host refused the session. Otherwise the outcome is unknown, whatever the error is.
 */

import type { Bytes } from "../bytes.ts";
import { messageOf, TalosError } from "../errors.ts";
import type { ReasonBody } from "../session/bodies.ts";
import { SessionError, type SessionErrorCode } from "../session/errors.ts";
import type { TransportErrorCode } from "../transport/errors.ts";
import { type RpcErrorName, talosErrorReply } from "./jsonrpc.ts";
import type { PathTaken } from "./path_taken.ts";
import type { PendingCall } from "./pending.ts";

/** A call that will not be answered by the server. */
export interface FailedCall extends PathTaken {
  /** The call. */
  readonly call: PendingCall;
  /** Whether any part of it was handed to a connection, so that it may have been run. */
  readonly handedOver: boolean;
  /** Whether the agent's stream goes on with a new server. */
  readonly goesOn?: boolean;
}

const NAME_OF_CODE: Readonly<Record<string, RpcErrorName>> = {
  usage: "usage",
  peer_id_invalid: "usage",
  address_invalid: "usage",
  name_invalid: "usage",
  contact_unknown: "usage",
  contact_ambiguous: "usage",
  no_address: "usage",
  refused: "unreachable",
  unreachable: "unreachable",
  name_unknown: "unreachable",
  handshake_timeout: "unreachable",
  not_talos: "wrong_key",
  handshake_failed: "wrong_key",
  version: "wrong_key",
  clock: "clock_skew",
  unauthorized: "unauthorized",
  blocked: "unauthorized",
  unknown_service: "unknown_service",
  registry_unreachable: "unreachable",
  registry_busy: "busy",
  peer_not_found: "unreachable",
  peer_away: "unreachable",
  peer_unreachable: "unreachable",
  relay_failed: "unreachable",
  peer_declined: "unauthorized",
  not_a_registry: "unreachable",
  registry_key_changed: "wrong_key",
  token_required: "unauthorized",
  token_wrong: "unauthorized",
  busy: "busy",
  service_failed: "child_exited",
  restoration_refused: "child_exited",
  restoration_timeout: "child_exited",
  server_changed: "child_exited",
  wallet_missing: "wallet",
  wallet_locked: "wallet",
  wallet_corrupted: "wallet",
  wallet_version: "wallet",
  wallet_mismatch: "wallet",
  wallet_permissions: "wallet",
  wrong_passphrase: "wallet",
  passphrase_file: "wallet",
  passphrase_invalid: "wallet",
  home_unknown: "wallet",
  home_invalid: "wallet",
  home_permissions: "wallet",
  home_unusable: "wallet",
  database_unusable: "wallet",
  database_corrupted: "wallet",
  database_permissions: "wallet",
};

/** What the loss of a connection is called. */
const LOSSES: ReadonlySet<string> = new Set<SessionErrorCode | TransportErrorCode>([
  "session_lost",
  "connection_lost",
  "broken",
  "closed",
  "protocol",
]);

/** What the code of a host's CLOSE means; everything else means that the host no longer serves. */
const ERROR_OF_CLOSE: Readonly<Record<string, SessionErrorCode>> = {
  unauthorized: "unauthorized",
  child_exited: "service_failed",
  command_not_found: "service_failed",
  spawn_failed: "service_failed",
};

/** Returns the error for a session that the host `peer` ended while it was used. */
export function sessionEnded({ code, reason }: ReasonBody, peer: string): SessionError {
  const why = reason === "" ? code : reason;
  const known = ERROR_OF_CLOSE[code] ?? "connection_lost";
  const hints = known === "service_failed"
    ? ["on the host, run the command of the MCP server by itself, and see what it says"]
    : [];
  return new SessionError(known, `The host ${peer} ended the session: ${why}`, { hints });
}

const CALL_AGAIN = "make the call again: a new server is being started";
const CALL_WITH_CARE = "a new server is being started: make the call again if twice does no harm";

/** Returns the error reply for a call that `error` prevents from being answered. */
export function failureReply(error: unknown, failed: FailedCall): Bytes {
  const { call, handedOver, path, roundTripMs, goesOn = false } = failed;
  const known = error instanceof TalosError ? error : undefined;
  const hints = [
    ...known?.hints ?? [],
    ...goesOn ? [handedOver ? CALL_WITH_CARE : CALL_AGAIN] : [],
  ];
  const name = nameOf(known, handedOver);
  const outcome = handedOver ? "whether the call was run is unknown" : "the call was not run";
  return talosErrorReply(call.idToken, name, `${messageOf(error)}; ${outcome}`, {
    ...(path === undefined ? {} : { path }),
    ...(roundTripMs === undefined ? {} : { round_trip_ms: Math.round(roundTripMs) }),
    ...(hints.length === 0 ? {} : { hint: hints }),
    ...(known === undefined ? {} : { code: known.code }),
    run: handedOver ? "unknown" : "no",
  });
}

function nameOf(error: TalosError | undefined, handedOver: boolean): RpcErrorName {
  const lost = handedOver ? "connection_lost_outcome_unknown" : "connection_lost_not_run";
  if (error === undefined || LOSSES.has(error.code)) return lost;
  // Whatever else keeps us from having a session at all: a wrong command line, say.
  return NAME_OF_CODE[error.code] ?? (handedOver ? lost : "unreachable");
}
