/**
 * Exit statuses: what a script learns from a command that failed. Documented in the README; never
 * renumbered. An error code that is not listed here is 1.
 */

import type { DiscoveryErrorCode } from "../discovery/errors.ts";
import { TalosError } from "../errors.ts";
import type { IdentityErrorCode } from "../identity/errors.ts";
import type { McpErrorCode } from "../mcp/errors.ts";
import type { SessionErrorCode } from "../session/errors.ts";
import type { TransportErrorCode } from "../transport/errors.ts";
import type { CliErrorCode } from "./errors.ts";

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

/** What each status means, for help. */
export const EXIT_STATUS_MEANINGS: readonly (readonly [status: ExitStatus, meaning: string])[] = [
  [ExitStatus.done, "done"],
  [ExitStatus.failure, "failure"],
  [ExitStatus.usage, "the command was typed wrong"],
  [ExitStatus.peerNotFound, "peer or service not found"],
  [ExitStatus.unreachable, "unreachable"],
  [ExitStatus.handshake, "handshake, identity or clock"],
  [ExitStatus.notPermitted, "not permitted"],
  [ExitStatus.corrupted, "a file of Talos's own is broken"],
];

type ErrorCode =
  | CliErrorCode
  | DiscoveryErrorCode
  | IdentityErrorCode
  | McpErrorCode
  | SessionErrorCode
  | TransportErrorCode;

const STATUS_OF_CODE: Readonly<Partial<Record<ErrorCode, ExitStatus>>> = {
  // usage
  usage: ExitStatus.usage,
  peer_id_invalid: ExitStatus.usage,
  address_invalid: ExitStatus.usage,
  ticket_invalid: ExitStatus.usage,
  ticket_too_long: ExitStatus.usage,
  invite_limit: ExitStatus.usage,
  name_invalid: ExitStatus.usage,
  home_unknown: ExitStatus.usage,
  home_invalid: ExitStatus.usage,
  empty_command: ExitStatus.usage,
  unterminated_quote: ExitStatus.usage,
  shell_syntax: ExitStatus.usage,
  unquotable_argument: ExitStatus.usage,
  variable_not_set: ExitStatus.usage,
  variable_invalid: ExitStatus.usage,
  variable_reserved: ExitStatus.usage,
  config_invalid: ExitStatus.usage,
  policy_invalid: ExitStatus.usage,
  // peer not found
  peer_not_found: ExitStatus.peerNotFound,
  no_address: ExitStatus.peerNotFound,
  contact_unknown: ExitStatus.peerNotFound,
  contact_ambiguous: ExitStatus.peerNotFound,
  no_such_invite: ExitStatus.peerNotFound,
  unknown_service: ExitStatus.peerNotFound,
  // unreachable
  refused: ExitStatus.unreachable,
  unreachable: ExitStatus.unreachable,
  handshake_timeout: ExitStatus.unreachable,
  name_unknown: ExitStatus.unreachable,
  broken: ExitStatus.unreachable,
  connection_lost: ExitStatus.unreachable,
  busy: ExitStatus.unreachable,
  registry_unreachable: ExitStatus.unreachable,
  registry_busy: ExitStatus.unreachable,
  peer_away: ExitStatus.unreachable,
  peer_unreachable: ExitStatus.unreachable,
  relay_failed: ExitStatus.unreachable,
  // handshake, identity or clock
  not_talos: ExitStatus.handshake,
  version: ExitStatus.handshake,
  handshake_failed: ExitStatus.handshake,
  clock: ExitStatus.handshake,
  protocol: ExitStatus.handshake,
  not_a_registry: ExitStatus.handshake,
  registry_key_changed: ExitStatus.handshake,
  // not permitted
  unauthorized: ExitStatus.notPermitted,
  blocked: ExitStatus.notPermitted,
  peer_declined: ExitStatus.notPermitted,
  invite_unknown: ExitStatus.notPermitted,
  invite_used: ExitStatus.notPermitted,
  invite_expired: ExitStatus.notPermitted,
  invite_revoked: ExitStatus.notPermitted,
  invite_limited: ExitStatus.notPermitted,
  token_required: ExitStatus.notPermitted,
  token_wrong: ExitStatus.notPermitted,
  // corrupted state
  wallet_corrupted: ExitStatus.corrupted,
  wallet_version: ExitStatus.corrupted,
  wallet_mismatch: ExitStatus.corrupted,
  wallet_permissions: ExitStatus.corrupted,
  access_corrupted: ExitStatus.corrupted,
  access_permissions: ExitStatus.corrupted,
  invites_corrupted: ExitStatus.corrupted,
  invites_permissions: ExitStatus.corrupted,
  database_corrupted: ExitStatus.corrupted,
  database_permissions: ExitStatus.corrupted,
  home_permissions: ExitStatus.corrupted,
  config_permissions: ExitStatus.corrupted,
  policy_permissions: ExitStatus.corrupted,
};

const STATUSES: ReadonlyMap<string, ExitStatus> = new Map(Object.entries(STATUS_OF_CODE));

/** Returns the exit status for anything that was thrown. */
export function exitStatusOf(thrown: unknown): ExitStatus {
  if (lacksPermission(thrown)) return ExitStatus.notPermitted;
  if (!(thrown instanceof TalosError)) return ExitStatus.failure;
  return STATUSES.get(thrown.code) ?? ExitStatus.failure;
}

/** Tells whether the reason for what was thrown is a permission that this process does not have. */
export function lacksPermission(thrown: unknown): boolean {
  if (thrown instanceof Deno.errors.NotCapable) return true;
  return thrown instanceof TalosError && lacksPermission(thrown.cause);
}
