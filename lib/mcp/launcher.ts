/**
 * From a command and a caller to a running child: a plan that rewriters may change, then a spawn.
 *
 * The plan is plain data, so that a sandbox, a reaper or a pool of prewarmed children can wrap the
 * command without knowing each other, and tests can read what would run. No shell is involved.
 */

import type { PeerId } from "../identity/peer_id.ts";
import { ChildProcess } from "./child_process.ts";

/** For whom a child runs. */
export interface Caller {
  /** Who opened the session. */
  readonly peer: PeerId;
  /** What this host calls the peer, if it has a name for it. */
  readonly name?: string;
  /** The service the session is for. */
  readonly service: string;
}

/** What would be spawned. */
export interface LaunchPlan {
  /** The program, resolved, and its arguments. */
  readonly argv: readonly [string, ...string[]];
  /** On Windows: the arguments are quoted already and reach the command line as they are. */
  readonly rawArguments?: boolean;
  /** The child's whole environment. */
  readonly env: Readonly<Record<string, string>>;
  /** Its working directory; ours when absent. */
  readonly cwd?: string;
  /** The program runs another one, and tells by exit status 128 + n that signal n ended that. */
  readonly signalsAsStatus?: boolean;
}

/** What a child may do. Empty until a sandbox is asked for. */
export interface LaunchLimits {
  /** Directories the child may read, and nothing else. */
  readonly read?: readonly string[];
  /** Directories the child may write, and nothing else. */
  readonly write?: readonly string[];
}

/** Wraps or replaces a plan. Throws McpError when the limits cannot be enforced. */
export type LaunchRewriter = (plan: LaunchPlan, limits: LaunchLimits, caller: Caller) => LaunchPlan;

/** Makes children. */
export class Launcher {
  readonly #os: string;
  readonly #rewriters: readonly LaunchRewriter[];

  /** Applies `rewriters` in order, the last one outermost. */
  constructor(os: string, rewriters: readonly LaunchRewriter[] = []) {
    this.#os = os;
    this.#rewriters = rewriters;
  }

  /** Returns what {@link launch} would spawn. */
  plan(plan: LaunchPlan, limits: LaunchLimits, caller: Caller): LaunchPlan {
    return this.#rewriters.reduce((rewritten, rewrite) => rewrite(rewritten, limits, caller), plan);
  }

  /** Spawns a child. Throws McpError `command_not_found` or `spawn_failed`. */
  launch(plan: LaunchPlan, limits: LaunchLimits, caller: Caller): ChildProcess {
    return new ChildProcess(this.plan(plan, limits, caller), this.#os);
  }
}
