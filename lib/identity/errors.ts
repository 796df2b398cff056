/**
 * The errors of the identity layer: keys, names, the files of a home, and who may do what.
 *
 * A text names paths, modes, lengths and Peer IDs. It never holds a passphrase, a key that is secret or
 * bytes of a file; text that came from a file or a command line appears only printable and shortened.
 * The codes that mean damaged or unsafe state (`wallet_*` but `wallet_missing`, `wallet_exists` and
 * `wallet_locked`, and `access_corrupted`, `access_permissions`, `invites_corrupted`,
 * `invites_permissions`, `database_corrupted`, `database_permissions`, `home_permissions`) end a command with exit status 7.
 */

import { TalosError } from "../errors.ts";

/** What `wallet.ts`, `wallet_format.ts` and `wallet_file.ts` refuse. */
export type WalletErrorCode =
  /** There is no wallet in this home. */
  | "wallet_missing"
  /** There is one already, and nothing asked to replace it. */
  | "wallet_exists"
  /** It is sealed and no passphrase can be had here. */
  | "wallet_locked"
  /** It is truncated, not JSON, too large, or a field is missing, unknown or malformed. */
  | "wallet_corrupted"
  /** It has a version that this program does not know. */
  | "wallet_version"
  /** Its key is not the key of its Peer ID. */
  | "wallet_mismatch"
  /** Others can read or write it, or it belongs to another user. */
  | "wallet_permissions"
  /** The passphrase does not open it, or the sealed part was altered. */
  | "wrong_passphrase";

/** What `passphrase.ts` refuses. */
export type PassphraseErrorCode =
  /** It is empty, too long, not UTF-8, or holds control characters. */
  | "passphrase_invalid"
  /** The file that should hold it cannot be read, or others can write it. */
  | "passphrase_file"
  /** The person at the terminal gave up. */
  | "passphrase_cancelled";

/** What `peer_id.ts`, `peer_address.ts`, `host_port.ts` and `names.ts` refuse. */
export type NameErrorCode =
  /** A text that is no Peer ID. */
  | "peer_id_invalid"
  /** A text that is no `PEER[/SERVICE][@HOST:PORT]` or no `HOST[:PORT]`. */
  | "address_invalid"
  /** A wallet, contact or service name that is not allowed. */
  | "name_invalid";

/** What `access.ts`, `access_file.ts` and `watch_access.ts` refuse. */
export type AccessErrorCode =
  /** The file is truncated, not JSON, too large, or a field is missing, unknown or malformed. */
  | "access_corrupted"
  /** Others can write it, or it belongs to another user. */
  | "access_permissions"
  /** A grant for one service, while a revocation for all services stands. */
  | "access_revoked"
  /** The operating system does not tell us when the file changes. */
  | "access_unwatchable";

/** What `ticket.ts` and the files about invites refuse. */
export type InviteErrorCode =
  /** A text that is no ticket, or one that was altered, cut or made by a newer program. */
  | "ticket_invalid"
  /** What it would have to say does not fit into a ticket. */
  | "ticket_too_long"
  /** No invite has this name. */
  | "no_such_invite"
  /** There are as many as there may be, or one would hold for too long or too often. */
  | "invite_limit"
  /** The file is truncated, not JSON, too large, or a field is missing, unknown or malformed. */
  | "invites_corrupted"
  /** Others can read or write it, or it belongs to another user. */
  | "invites_permissions";

/** What `home.ts`, `set_aside.ts`, `run_files.ts` and `atomic_file.ts` refuse. */
export type HomeErrorCode =
  /** Neither `--home`, `$TALOS_HOME` nor the user's own directory is known. */
  | "home_unknown"
  /** The path given is empty, or is not a directory. */
  | "home_invalid"
  /** Others can write the home, or it belongs to another user. */
  | "home_permissions"
  /** The operating system refuses what a home needs: making, reading, writing or locking a file. */
  | "home_unusable"
  /** Services of this home run, and what was asked would pull their files away. */
  | "home_in_use"
  /** Another process runs this service of this home. */
  | "service_claimed"
  /** A file is longer than what it may hold. */
  | "file_too_large"
  /** A file is a directory, a pipe, a socket or a device. */
  | "file_irregular";

/** What is remembered in `talos.db`. */
export type DatabaseErrorCode =
  /** The database cannot be opened, or is of a newer version. */
  | "database_unusable"
  /** It is no database, or a damaged one. */
  | "database_corrupted"
  /** Others can write it, or it belongs to another user. */
  | "database_permissions"
  /** The name or the peer has a contact already. */
  | "contact_exists"
  /** No contact has the name. */
  | "contact_unknown"
  /** Several contacts begin with what was typed. */
  | "contact_ambiguous";

/** Every code of this layer. */
export type IdentityErrorCode =
  | WalletErrorCode
  | PassphraseErrorCode
  | NameErrorCode
  | AccessErrorCode
  | InviteErrorCode
  | HomeErrorCode
  | DatabaseErrorCode;

/** A deliberate error of the identity layer. */
export class IdentityError extends TalosError<IdentityErrorCode> {}
