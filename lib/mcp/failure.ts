/**
 * From an error of ours to the reply that an agent gets for a call it made.
 */

import type { Bytes } from "../bytes.ts";
import { messageOf, TalosError } from "../errors.ts";
import { type RpcErrorName, talosErrorReply } from "./jsonrpc.ts";
import type { PendingCall } from "./pending.ts";

/** A call that will not be answered by the server. */
export interface FailedCall {
  /** The call. */
  readonly call: PendingCall;
  /** Whether any part of it was handed to a connection, so that it may have been run. */
  readonly handedOver: boolean;
  /** How the host was reached, if it was. */
  readonly path?: string;
}

const NAME_OF_CODE: Readonly<Record<string, RpcErrorName>> = {
  refused: "unreachable",
  unreachable: "unreachable",
  name_unknown: "unreachable",
  handshake_timeout: "unreachable",
  not_talos: "wrong_key",
  handshake_failed: "wrong_key",
  protocol: "wrong_key",
  version: "wrong_key",
  clock: "clock_skew",
  unauthorized: "unauthorized",
  blocked: "unauthorized",
  unknown_service: "unknown_service",
  registry_unreachable: "unreachable",
  peer_not_found: "unreachable",
  peer_away: "unreachable",
  not_a_registry: "unreachable",
  registry_key_changed: "wrong_key",
  token_required: "unauthorized",
  token_wrong: "unauthorized",
  busy: "busy",
  service_failed: "child_exited",
  wallet_missing: "wallet",
  wallet_locked: "wallet",
  wallet_corrupted: "wallet",
  wallet_version: "wallet",
  wallet_mismatch: "wallet",
  wallet_permissions: "wallet",
  wrong_passphrase: "wallet",
};

/** What the loss of a connection means for a call. */
const LOSSES: ReadonlySet<string> = new Set(["connection_lost", "broken", "closed"]);

/** Returns the error reply for a call that `error` prevents from being answered. */
export function failureReply(error: unknown, { call, handedOver, path }: FailedCall): Bytes {
  const known = error instanceof TalosError ? error : undefined;
  const name = nameOf(known, handedOver);
  const outcome = name === "connection_lost_outcome_unknown"
    ? "; whether the call was run is unknown"
    : "; the call was not run";
  const text = known?.code === "service_failed" ? messageOf(error) : messageOf(error) + outcome;
  return talosErrorReply(call.idToken, name, text, {
    ...(path === undefined ? {} : { path }),
    ...(known === undefined || known.hints.length === 0 ? {} : { hint: known.hints }),
    ...(known === undefined ? {} : { code: known.code }),
  });
}

function nameOf(error: TalosError | undefined, handedOver: boolean): RpcErrorName {
  const lost = handedOver ? "connection_lost_outcome_unknown" : "connection_lost_not_run";
  if (error === undefined || LOSSES.has(error.code)) return lost;
  return NAME_OF_CODE[error.code] ?? lost;
}
