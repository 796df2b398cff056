/** Errors of the command line itself. */

import { TalosError } from "../errors.ts";

/** What can be wrong with a command as it was typed, or with where it runs. */
export type CliErrorCode =
  /** An option or argument is missing, unknown or contradictory. */
  | "usage"
  /** Nobody said where the peer is, in any way. */
  | "no_address"
  /** Others can write the file that says what is shared, or it belongs to another user. */
  | "config_permissions"
  /** A configuration of an MCP client cannot be read, understood or written. */
  | "client_config"
  /** An MCP client runs that would overwrite what is written into its configuration. */
  | "client_running"
  /** An entry of an MCP client has the name and is not ours. */
  | "entry_taken"
  /** What was written into a client's configuration does not answer when it is started. */
  | "no_answer"
  /** The system's own means of running services are not there, or refuse. */
  | "service_unavailable"
  /** There is no such service, or it printed nothing yet. */
  | "service_missing";

/** An error of the command line. */
export class CliError extends TalosError<CliErrorCode> {}
