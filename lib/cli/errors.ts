/** Errors of the command line itself. */

import { TalosError } from "../errors.ts";

/** What can be wrong with a command as it was typed, or with where it runs. */
export type CliErrorCode =
  /** An option or argument is missing, unknown or contradictory. */
  | "usage"
  /** Nobody said where the peer is, in any way. */
  | "no_address";

/** An error of the command line. */
export class CliError extends TalosError<CliErrorCode> {}
