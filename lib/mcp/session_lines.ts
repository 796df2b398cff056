/**
 * What an interceptor on the serving side can do on its own, beside deciding about what passes.
 *
 * What it writes passes no interceptor. Whoever asks the server something adds the call to those that wait,
 * under an id that no agent can guess, and takes its answer out of what passes.
 */

import type { Bytes } from "../bytes.ts";
import type { PendingCalls } from "./pending.ts";

/** The two ends of a session, and the agent's calls between them. */
export interface SessionLines {
  /** The calls that wait for the server. */
  readonly calls: PendingCalls;
  /** Writes a line to the server. */
  toServer(line: Bytes): void;
  /** Writes a line to the agent. */
  toAgent(line: Bytes): void;
}
