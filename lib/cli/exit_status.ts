/**
 * Exit statuses: what a script learns from a command that failed. Documented in the README; never
 * renumbered. Every error code that can reach a user has its status here; what is not listed is 1.
 */

import { TalosError } from "../errors.ts";

/** The exit statuses of every Talos command. */
export const ExitStatus = {
  done: 0,
  failure: 1,
  usage: 2,
  peerNotFound: 3,
  unreachable: 4,
  handshake: 5,
  notPermitted: 6,
  corrupted: 7,
} as const;

/** One of {@link ExitStatus}. */
export type ExitStatus = typeof ExitStatus[keyof typeof ExitStatus];

const STATUS_OF_CODE: Readonly<Record<string, ExitStatus>> = {
  // usage
  usage: ExitStatus.usage,
  peer_id_invalid: ExitStatus.usage,
  address_invalid: ExitStatus.usage,
  name_invalid: ExitStatus.usage,
  empty_command: ExitStatus.usage,
  unterminated_quote: ExitStatus.usage,
  shell_syntax: ExitStatus.usage,
  unquotable_argument: ExitStatus.usage,
  variable_not_set: ExitStatus.usage,
  variable_invalid: ExitStatus.usage,
  variable_reserved: ExitStatus.usage,
  config_invalid: ExitStatus.usage,
  // peer not found
  peer_not_found: ExitStatus.peerNotFound,
  contact_unknown: ExitStatus.peerNotFound,
  contact_ambiguous: ExitStatus.peerNotFound,
  unknown_service: ExitStatus.peerNotFound,
  // unreachable
  refused: ExitStatus.unreachable,
  unreachable: ExitStatus.unreachable,
  name_unknown: ExitStatus.unreachable,
  broken: ExitStatus.unreachable,
  connection_lost: ExitStatus.unreachable,
  busy: ExitStatus.unreachable,
  registry_unreachable: ExitStatus.unreachable,
  peer_away: ExitStatus.unreachable,
  // handshake, identity or clock
  not_talos: ExitStatus.handshake,
  version: ExitStatus.handshake,
  handshake_failed: ExitStatus.handshake,
  handshake_timeout: ExitStatus.handshake,
  clock: ExitStatus.handshake,
  protocol: ExitStatus.handshake,
  not_a_registry: ExitStatus.handshake,
  registry_key_changed: ExitStatus.handshake,
  // not permitted
  unauthorized: ExitStatus.notPermitted,
  blocked: ExitStatus.notPermitted,
  token_required: ExitStatus.notPermitted,
  token_wrong: ExitStatus.notPermitted,
  // corrupted state
  wallet_corrupted: ExitStatus.corrupted,
  wallet_version: ExitStatus.corrupted,
  wallet_mismatch: ExitStatus.corrupted,
  wallet_permissions: ExitStatus.corrupted,
  access_corrupted: ExitStatus.corrupted,
};

/** Returns the exit status for anything that was thrown. */
export function exitStatusOf(thrown: unknown): ExitStatus {
  if (!(thrown instanceof TalosError)) return ExitStatus.failure;
  return STATUS_OF_CODE[thrown.code] ?? ExitStatus.failure;
}
