/**
 * What can go wrong between MCP clients, MCP servers and Talos.
 *
 * These are the errors that Talos raises itself: a command line that cannot be run, an environment that
 * cannot be built. A line that is refused is no exception but a value (`scan.ts`), and what an agent is
 * told is a JSON-RPC error reply (`jsonrpc.ts`). One union of literal codes serves the whole folder;
 * texts name commands, variables and paths of the local user, never the value of a variable.
 */

import { TalosError } from "../errors.ts";

/** The literal codes of {@link McpError}. */
export type McpErrorCode =
  /** A command line holds no word at all, or an empty program name. */
  | "empty_command"
  /** A command line opens a quote that it does not close, or ends in a backslash. */
  | "unterminated_quote"
  /** A command line uses what only a shell could carry out: operators, expansions, assignments. */
  | "shell_syntax"
  /** A word holds what no argument can hold: NUL, or on Windows a quote in the program name. */
  | "unquotable_argument"
  /** No such program, neither at the path given nor on PATH. */
  | "command_not_found"
  /** The program exists but is of a kind that cannot be started. */
  | "program_type"
  /** The system would not start the program. */
  | "spawn_failed"
  /** `--env NAME` asks for a variable that is not set here. */
  | "variable_not_set"
  /** `--env` names what cannot be the name of a variable, or a value that holds NUL. */
  | "variable_invalid"
  /** `--env` names a variable that belongs to Talos. */
  | "variable_reserved"
  /** A configuration file is not of its form. */
  | "config_invalid"
  /** A policy file is not of its form, or cannot be read. */
  | "policy_invalid"
  /** Others can write the policy file, or it belongs to another user. */
  | "policy_permissions"
  /** The operating system does not tell us when the policy file changes. */
  | "policy_unwatchable"
  /** A child ended while its session was open. */
  | "child_exited"
  /** A new server, in the place of one that died, refuses to be initialized as the agent was. */
  | "restoration_refused"
  /** A new server has not answered `initialize`. */
  | "restoration_timeout"
  /** A new server is another one than the agent knows. */
  | "server_changed";

/** The error of `lib/mcp/`. */
export class McpError extends TalosError<McpErrorCode> {}
