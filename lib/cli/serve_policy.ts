/** The policy of `mcp-serve`: its file, its flags, and the counters behind its limits. */

import { contacts } from "../identity/contacts.ts";
import { Database } from "../identity/database.ts";
import { isAbsolutePath, joinPath } from "../identity/file_path.ts";
import { readPolicy, watchPolicy } from "../mcp/policy/policy_file.ts";
import { contactKey, type Policy } from "../mcp/policy/policy.ts";
import { flagRule, type PolicyFlags, PolicyGate } from "../mcp/policy/policy_gate.ts";
import { UsageBook } from "../mcp/policy/usage_book.ts";
import type { McpError } from "../mcp/errors.ts";
import type { PeerId } from "../identity/peer_id.ts";
import type { Context } from "./context.ts";

/** The options that restrict what may be called. */
export interface PolicyOptions extends PolicyFlags {
  /** The policy file. */
  readonly policy?: string;
}

/** A policy in force. */
export interface ServedPolicy extends AsyncDisposable {
  /** What each session passes. */
  readonly gate: PolicyGate;
  /** What holds, in a line, for people. */
  readonly text: string;
  /** Resolves when changes of the file are no longer noticed. */
  readonly lost: Promise<McpError>;
}

/**
 * Returns the policy that the options ask for; null where they ask for none, and then nothing is restricted.
 * Throws McpError, IdentityError.
 */
export function servedPolicy(
  context: Context,
  options: PolicyOptions,
  owner: PeerId,
): ServedPolicy | null {
  const { policy: file } = options;
  const flags = flagRule(options, file !== undefined);
  if (file === undefined && flags === null) return null;
  const { clock, log, random, paths } = context;
  const withFlags = ({ rules }: Policy): Policy => ({
    rules: flags === null ? rules : [...rules, flags],
  });
  let changed = (_: Policy): void => {};
  const watch = file === undefined
    ? null
    : watchPolicy(absolute(context, file), { log, onChange: (policy) => changed(policy) });
  const database = new Database(paths, owner);
  const usage = new UsageBook({ database, clock, log });
  const policy = withFlags(watch?.current ?? { rules: [] });
  const refresh = () => watch?.refresh();
  const gate = new PolicyGate({ policy, refresh, usage, clock, random, log });
  changed = (next) => {
    warnOfStrangers(context, next, database);
    gate.change(withFlags(next));
  };
  warnOfStrangers(context, policy, database);
  return {
    gate,
    text: policyText(file, policy, flags !== null),
    lost: watch?.lost ?? new Promise<never>(() => {}),
    async [Symbol.asyncDispose]() {
      await watch?.[Symbol.asyncDispose]();
      usage[Symbol.dispose]();
      database[Symbol.dispose]();
    },
  };
}

/** Throws McpError for a policy file that cannot be used, before anything else is begun. */
export function requirePolicy(context: Context, { policy }: PolicyOptions): void {
  if (policy !== undefined) readPolicy(absolute(context, policy));
}

/** Returns the contacts that a policy names and nobody here is called: rules for them are for nobody. */
export function strangersIn({ rules }: Policy, database: Database): readonly string[] {
  const known = new Set(contacts(database).map(({ petname }) => contactKey(petname)));
  const named = rules.flatMap(({ peer }) => peer.kind === "contact" ? [peer.name] : []);
  return [...new Set(named)].filter((name) => !known.has(name));
}

function warnOfStrangers({ log }: Context, policy: Policy, database: Database): void {
  for (const name of strangersIn(policy, database)) {
    log.warn("the policy has a rule for a contact that there is none of: it is for nobody", {
      contact: name,
      cure: `talos contacts add ${name} PEER-ID`,
    });
  }
}

function policyText(file: string | undefined, { rules }: Policy, hasFlags: boolean): string {
  const count = rules.length - (hasFlags ? 1 : 0);
  const parts = [
    ...(file === undefined ? [] : [`${file} (${count} ${count === 1 ? "rule" : "rules"})`]),
    ...(hasFlags ? ["the options of this command"] : []),
  ];
  return `policy: ${parts.join(", ")}; what it does not allow is refused`;
}

function absolute({ os }: Context, path: string): string {
  return isAbsolutePath(os, path) ? path : joinPath(os, Deno.cwd(), path);
}
