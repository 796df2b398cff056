/**
 * What a person at the host is asked when a rule says `ask`, and by whom: the seam between a policy and
 * whatever carries the question.
 */

import type { Bytes } from "../../bytes.ts";
import type { Caller } from "../launcher.ts";
import type { Subject } from "./policy.ts";

/** A call that waits for a person. */
export interface AskedCall {
  /** Who calls. */
  readonly caller: Caller;
  /** The method. */
  readonly method: string;
  /** What is to be used. */
  readonly subject: Subject;
  /** By which names. */
  readonly names: readonly string[];
  /** The whole request as the server would get it: a copy. */
  readonly request: Bytes;
  /** The rule that wants it asked. */
  readonly rule: string;
  /** Aborts when nobody waits for the answer any more: the caller cancelled, or is gone. */
  readonly signal: AbortSignal;
  /** Writes a line to the agent: a notification of progress, say. */
  readonly tell: (line: Bytes) => void;
}

/** Resolves with whether the call is allowed: never rejects, and within the time that a person has. */
export type Ask = (call: AskedCall) => Promise<boolean>;
