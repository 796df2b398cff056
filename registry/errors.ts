/** Errors of `talos-server` itself, and the refusals that it sends. */

import { TalosError } from "../lib/errors.ts";
import type { RegistryErrorCode as RefusalCode } from "../lib/wire/registry_messages.ts";

/** What can be wrong with how the server was started, or with what it stands on. */
export type RegistryErrorCode =
  /** An option is missing, unknown or malformed. */
  | "usage"
  /** The join token cannot be read, is too short or too long, or is no single line of text. */
  | "token_invalid"
  /** Another process uses the data directory. */
  | "directory_in_use"
  /** The database cannot be opened, or another process holds it. */
  | "store_unusable"
  /** The database is damaged, or none. */
  | "store_corrupted"
  /** The database is of a newer program. */
  | "store_version";

/** An error of the registry. */
export class RegistryError extends TalosError<RegistryErrorCode> {}

/** Why a request is refused; the peer is told. */
export class RequestRefused extends TalosError<RefusalCode> {
  /** With `stale`: the sequence number that the registry has. */
  readonly seq: number | undefined;

  /** Makes a refusal with its code and a sentence for the peer. */
  constructor(code: RefusalCode, reason: string, seq?: number) {
    super(code, reason);
    this.seq = seq;
  }
}
