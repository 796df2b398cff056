/**
 * The decision: a pure function of a policy, a caller, a request and the time.
 *
 *     denied by a glob?  ── yes ─▶ deny
 *     allowed, or to be asked for, by a rule that has not expired? ── no ─▶ deny
 *     read-only demanded, and not known to be? ─▶ deny
 *     an argument not as it has to be? ─▶ deny
 *     to be asked for? ─▶ ask          else ─▶ allow
 *
 * What permits is matched exactly, what restricts coarsely (`glob.ts`). Lists are filtered by
 * {@link decideSubject}, which is the same decision without arguments: list and call cannot disagree.
 */

import type { Bytes } from "../../bytes.ts";
import { argumentFault, type ArgumentRule } from "./argument_rules.ts";
import { type Glob, matchesCoarsely, matchesExactly, type TextKind } from "./glob.ts";
import {
  fits,
  type LimitName,
  type Policy,
  type PolicyCaller,
  type PolicyRule,
  type Subject,
} from "./policy.ts";
import type { PolicyRequest } from "./request.ts";

/** What is decided, and which rule made it so. */
export interface Decision {
  /** What is decided. */
  readonly verdict: "allow" | "deny" | "ask";
  /** The rule, and what of it: `readers: tools.deny "write_*"`; `default` where none says anything. */
  readonly rule: string;
  /** Why, as a clause. */
  readonly why: string;
}

/** A glob of a rule that is for the caller. */
interface Clause {
  readonly label: string;
  readonly glob: Glob;
  readonly expires: number | null;
}

type Clauses = Readonly<Record<"allow" | "deny" | "ask", readonly Clause[]>>;

/** A limit, and whose it is. */
export interface EffectiveLimit {
  /** The least of all. */
  readonly value: number;
  /** Of which rule. */
  readonly rule: string;
}

/** All that a policy says of one caller. */
export interface Permissions {
  /** By kind. */
  readonly clauses: Readonly<Record<Subject, Clauses>>;
  /** By rule. */
  readonly arguments: readonly (ArgumentRule & { readonly label: string })[];
  /** The rule that demands read-only tools; null where none does. */
  readonly readOnly: string | null;
  /** The least of each kind. */
  readonly limits: Readonly<Partial<Record<LimitName, EffectiveLimit>>>;
  /** How many rules are for the caller. */
  readonly rules: number;
}

/** Returns what a policy says of a caller. */
export function permissionsOf(policy: Policy, caller: PolicyCaller): Permissions {
  const rules = policy.rules.filter((rule) => fits(rule, caller));
  const clauses = (subject: Subject, list: "allow" | "deny" | "ask"): readonly Clause[] =>
    rules.flatMap(({ label, expires, selections }) =>
      selections[subject][list].map((glob) => ({ label, glob, expires }))
    );
  const of = (subject: Subject): Clauses => ({
    allow: clauses(subject, "allow"),
    deny: clauses(subject, "deny"),
    ask: clauses(subject, "ask"),
  });
  return {
    clauses: {
      tools: of("tools"),
      resources: of("resources"),
      prompts: of("prompts"),
      methods: of("methods"),
    },
    arguments: rules.flatMap(({ label, arguments: args }) =>
      args.map((rule) => ({ ...rule, label }))
    ),
    readOnly: rules.find(({ readOnly }) => readOnly)?.label ?? null,
    limits: leastLimits(rules),
    rules: rules.length,
  };
}

/** The names of limits in a policy file. */
export const LIMIT_FIELDS: Readonly<Record<LimitName, string>> = {
  requestsPerMinute: "requests_per_minute",
  concurrentCalls: "concurrent_calls",
  bytesPerDay: "bytes_per_day",
  secondsPerCall: "seconds_per_call",
};

const LIMIT_NAMES: readonly LimitName[] = [
  "requestsPerMinute",
  "concurrentCalls",
  "bytesPerDay",
  "secondsPerCall",
];

function leastLimits(rules: readonly PolicyRule[]): Permissions["limits"] {
  const least: Partial<Record<LimitName, EffectiveLimit>> = {};
  for (const { label, limits } of rules) {
    for (const name of LIMIT_NAMES) {
      const value = limits[name];
      if (value === undefined || value >= (least[name]?.value ?? Infinity)) continue;
      least[name] = { value, rule: `${label}: limits.${LIMIT_FIELDS[name]}` };
    }
  }
  return least;
}

/** What else a decision is about. */
export interface Circumstances {
  /** Unix time in milliseconds. */
  readonly now: number;
  /** Whether the server's own list says that this tool only reads. */
  readonly isReadOnly: (tool: string) => boolean;
}

/** Decides about a request. */
export function decide(
  permissions: Permissions,
  request: PolicyRequest,
  circumstances: Circumstances,
): Decision {
  const denied = denial(permissions, "methods", request.method);
  if (denied !== null) return denied;
  switch (request.kind) {
    case "session":
    case "list":
      return {
        verdict: "allow",
        rule: "default",
        why: `${request.method} is part of every session`,
      };
    case "unknown":
      return decideSubject(permissions, "methods", request.method, circumstances);
    case "malformed":
      return { verdict: "deny", rule: "default", why: request.why };
    case "use":
      return decideUse(permissions, request, circumstances);
    default:
      return request satisfies never;
  }
}

function decideUse(
  permissions: Permissions,
  { subject, names, args, method }: PolicyRequest & { readonly kind: "use" },
  circumstances: Circumstances,
): Decision {
  let decision: Decision = {
    verdict: "allow",
    rule: "default",
    why: `${method} names nothing that a rule could be about`,
  };
  for (const name of names) {
    const one = decideSubject(permissions, subject, name, circumstances);
    if (one.verdict === "deny") return one;
    if (decision.verdict !== "ask") decision = one;
  }
  if (subject !== "tools" || args === null) return decision;
  for (const name of names) {
    const fault = faultOf(permissions, name, args);
    if (fault !== null) return fault;
  }
  return decision;
}

function faultOf(
  permissions: Permissions,
  tool: string,
  args: () => Bytes | null,
): Decision | null {
  const rules = permissions.arguments.filter((rule) => matchesCoarsely(rule.tool, tool, "name"));
  if (rules.length === 0) return null;
  const token = args();
  for (const rule of rules) {
    const fault = argumentFault(token, rule);
    if (fault === null) continue;
    return {
      verdict: "deny",
      rule: `${rule.label}: arguments ${quoted(rule.tool.text)} ${quoted(rule.pointer)}`,
      why: `the argument ${rule.pointer} ${fault}`,
    };
  }
  return null;
}

/** Decides about one tool, prompt, resource or foreign method by its name alone. */
export function decideSubject(
  permissions: Permissions,
  subject: Subject,
  name: string,
  { now, isReadOnly }: Circumstances,
): Decision {
  const denied = denial(permissions, subject, name);
  if (denied !== null) return denied;
  const kind = kindOf(subject);
  const { allow, ask } = permissions.clauses[subject];
  const holds = ({ expires }: Clause) => expires === null || expires > now;
  const exactly = ({ glob }: Clause) => matchesExactly(glob, name, kind);
  const allowed = allow.find((clause) => holds(clause) && exactly(clause));
  const askable = allowed === undefined
    ? ask.find((clause) => holds(clause) && exactly(clause))
    : undefined;
  if (allowed === undefined && askable === undefined) {
    const expired = [...allow, ...ask].find(exactly);
    if (expired !== undefined) {
      return {
        verdict: "deny",
        rule: `${expired.label}: expires`,
        why: "the rule that allowed it has expired",
      };
    }
    return {
      verdict: "deny",
      rule: "default",
      why: `no rule allows ${SINGULAR[subject]} ${quoted(name)}`,
    };
  }
  if (subject === "tools" && permissions.readOnly !== null && !isReadOnly(name)) {
    return {
      verdict: "deny",
      rule: `${permissions.readOnly}: read_only`,
      why: "the server does not list this tool as read-only",
    };
  }
  const asking = askable ?? ask.find(({ glob }) => matchesCoarsely(glob, name, kind));
  if (asking !== undefined) {
    return {
      verdict: "ask",
      rule: clauseText(subject, "ask", asking),
      why: "a person at the host decides",
    };
  }
  return {
    verdict: "allow",
    rule: clauseText(subject, "allow", allowed!),
    why: "a rule allows it",
  };
}

function denial(permissions: Permissions, subject: Subject, name: string): Decision | null {
  const { deny } = permissions.clauses[subject];
  const clause = deny.find(({ glob }) => matchesCoarsely(glob, name, kindOf(subject)));
  if (clause === undefined) return null;
  return { verdict: "deny", rule: clauseText(subject, "deny", clause), why: "a rule denies it" };
}

const SINGULAR: Readonly<Record<Subject, string>> = {
  tools: "the tool",
  resources: "the resource",
  prompts: "the prompt",
  methods: "the method",
};

function kindOf(subject: Subject): TextKind {
  return subject === "resources" ? "uri" : "name";
}

function clauseText(subject: Subject, list: string, { label, glob }: Clause): string {
  return `${label}: ${subject}.${list} ${quoted(glob.text)}`;
}

function quoted(text: string): string {
  return JSON.stringify(text);
}
