/**
 * What a policy would decide, for people: by the very way that a real request goes, scanner included.
 */

import { utf8 } from "../../bytes.ts";
import { REFUSALS } from "../refusals.ts";
import { scanLine } from "../scan.ts";
import { decide, decideSubject, type Decision, type Permissions, permissionsOf } from "./decide.ts";
import { LISTINGS } from "./listing.ts";
import { METHODS } from "./methods.ts";
import type { Policy, PolicyCaller } from "./policy.ts";
import { requestOf } from "./request.ts";

/** A request as a person types it. */
export interface TypedRequest {
  /** The method. */
  readonly method: string;
  /** The tool, prompt or URI; for tasks the tool that made one; for lists the element; else anything. */
  readonly name: string;
  /** A tool's arguments as JSON; none for null. */
  readonly args: string | null;
}

/** What a policy would decide. */
export interface Explanation {
  /** The decision; about a tool that has to be read-only, for one that the server lists as such. */
  readonly decision: Decision;
  /** What it is otherwise, where only read-only tools are permitted and this decides; else null. */
  readonly unlessReadOnly: Decision | null;
  /** What the policy says of the caller. */
  readonly permissions: Permissions;
}

/** Returns what `policy` decides about a request of `caller` at `now`, Unix time in milliseconds. */
export function explain(
  policy: Policy,
  caller: PolicyCaller,
  request: TypedRequest,
  now: number,
): Explanation {
  const permissions = permissionsOf(policy, caller);
  const decided = (isReadOnly: boolean) =>
    decisionFor(permissions, request, { now, isReadOnly: () => isReadOnly });
  const decision = decided(true);
  const otherwise = decided(false);
  const depends = otherwise.verdict !== decision.verdict;
  return { decision, unlessReadOnly: depends ? otherwise : null, permissions };
}

function decisionFor(
  permissions: Permissions,
  typed: TypedRequest,
  circumstances: Parameters<typeof decide>[2],
): Decision {
  const { method, name } = typed;
  const listing = LISTINGS.get(method);
  if (listing !== undefined) {
    const subject = listing.subject === "tasks" ? "tools" : listing.subject;
    return decideSubject(permissions, subject, name, circumstances);
  }
  const line = utf8(lineOf(typed));
  const message = scanLine(line, "towards_server");
  if (message.kind === "request" || message.kind === "notification") {
    return decide(permissions, requestOf(message, line, () => name), circumstances);
  }
  const why = message.kind === "invalid"
    ? `the line ${REFUSALS[message.reason]}`
    : "it is no request";
  return { verdict: "deny", rule: "scanner", why };
}

function lineOf({ method, name, args }: TypedRequest): string {
  const known = METHODS.get(method);
  const id = known?.isRequest === false ? {} : { id: 1 };
  const head = JSON.stringify({ jsonrpc: "2.0", ...id, method }).slice(0, -1);
  return `${head},"params":${paramsOf(known?.kind, name, args)}}`;
}

function paramsOf(kind: string | undefined, name: string, args: string | null): string {
  const text = JSON.stringify(name);
  switch (kind) {
    case "named":
      // Line breaks between JSON tokens mean nothing; no other may stand in a line.
      return `{"name":${text}${
        args === null ? "" : `,"arguments":${args.replace(/[\r\n]/g, " ")}`
      }}`;
    case "uri":
      return `{"uri":${text}}`;
    case "reference":
      return name.includes("://")
        ? `{"ref":{"type":"ref/resource","uri":${text}}}`
        : `{"ref":{"type":"ref/prompt","name":${text}}}`;
    case "listen":
      return `{"notifications":{"resourceSubscriptions":[${text}]}}`;
    case "task":
      return `{"taskId":"1"}`;
    default:
      return "{}";
  }
}
