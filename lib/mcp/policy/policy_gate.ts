/**
 * The policy of one process: what holds now, and the sessions that obey it.
 */

import type { Clock } from "../../clock.ts";
import type { RandomBytes } from "../../crypto/random.ts";
import type { Log } from "../../log.ts";
import type { Caller } from "../launcher.ts";
import type { Interceptor } from "../pipeline.ts";
import type { SessionLines } from "../session_lines.ts";
import type { Ask } from "./asking.ts";
import { PolicyEnforcement } from "./enforcement.ts";
import { globOf } from "./glob.ts";
import { NO_SELECTION, type Policy, type PolicyRule } from "./policy.ts";
import type { UsageBook } from "./usage_book.ts";

/** What a gate needs. */
export interface PolicyGateOptions {
  /** What holds at first. */
  readonly policy: Policy;
  /** Has {@link PolicyGate.change} called if there is another policy; asked before each session. */
  readonly refresh?: () => void;
  /** Who used how much. */
  readonly usage: UsageBook;
  /** Time. */
  readonly clock: Clock;
  /** Randomness for ids. */
  readonly random: RandomBytes;
  /** The host's log. */
  readonly log: Log;
  /** Asks a person. */
  readonly ask?: Ask;
}

/** The policy of one process. */
export class PolicyGate {
  readonly #options: PolicyGateOptions;
  readonly #sessions = new Set<PolicyEnforcement>();
  #policy: Policy;

  /** Begins without a session. */
  constructor(options: PolicyGateOptions) {
    this.#options = options;
    this.#policy = options.policy;
  }

  /** What holds now. */
  get policy(): Policy {
    return this.#policy;
  }

  /** Puts another policy into force, for sessions that run, too. */
  change(policy: Policy): void {
    this.#policy = policy;
    for (const session of this.#sessions) session.policyChanged(policy);
  }

  /** Returns what a new session's lines pass. Throws IdentityError when the counters cannot be read. */
  interceptor(caller: Caller, lines: SessionLines): Interceptor {
    this.#options.refresh?.();
    const session: PolicyEnforcement = new PolicyEnforcement({
      ...this.#options,
      policy: this.#policy,
      caller,
      lines,
      onEnd: () => this.#sessions.delete(session),
    });
    this.#sessions.add(session);
    return session;
  }
}

/** What the command line says about tools. */
export interface PolicyFlags {
  /** Tools that may be used. */
  readonly allowTool?: readonly string[];
  /** Tools that may not. */
  readonly denyTool?: readonly string[];
  /** Only tools that read. */
  readonly readOnly?: boolean;
}

/** What the rule of the command line is called. */
export const FLAGS_LABEL = "flags";

/**
 * Returns the rule that flags make, for everybody; null where there are none.
 *
 * With tools to allow, these are all that is permitted. With restrictions alone, all else is, resources and
 * prompts included, unless there is a file: then the file permits and the flags restrict.
 */
export function flagRule(
  { allowTool = [], denyTool = [], readOnly = false }: PolicyFlags,
  hasFile: boolean,
): PolicyRule | null {
  if (allowTool.length === 0 && denyTool.length === 0 && !readOnly) return null;
  const permitsRest = allowTool.length === 0 && !hasFile;
  const everything = permitsRest ? { ...NO_SELECTION, allow: [globOf("*")] } : NO_SELECTION;
  return {
    label: FLAGS_LABEL,
    peer: { kind: "anybody" },
    service: "*",
    selections: {
      tools: {
        ...everything,
        ...(permitsRest ? {} : { allow: allowTool.map(globOf) }),
        deny: denyTool.map(globOf),
      },
      resources: everything,
      prompts: everything,
      methods: NO_SELECTION,
    },
    arguments: [],
    readOnly,
    limits: {},
    expires: null,
  };
}
