/**
 * The methods that an agent may send, in MCP 2024-11-05 to 2026-07-28, and what a policy does with each.
 *
 * What is not in this table is a foreign method: permitted by its own name (`methods`) or not at all.
 */

import type { Subject } from "./policy.ts";

/** What a policy does with a method. */
export type MethodKind =
  /** Passes: it opens, keeps up or describes the session. */
  | "session"
  /** Passes, and its result is filtered. */
  | "list"
  /** Uses what `params.name` names. */
  | "named"
  /** Uses what `params.uri` names. */
  | "uri"
  /** Uses what `params.ref` names. */
  | "reference"
  /** Uses every resource of `params.notifications`. */
  | "listen"
  /** Concerns what tool made the task that `params.taskId` names. */
  | "task";

/** A method. */
export interface Method {
  /** What is done with it. */
  readonly kind: MethodKind;
  /** What it uses. */
  readonly subject?: Subject;
  /** Whether it comes with an id; else it is a notification. */
  readonly isRequest: boolean;
  /** Whether it counts: as one of the requests per minute, one of the concurrent calls. */
  readonly counts?: "request" | "call";
}

const SESSION: Method = { kind: "session", isRequest: true };
const NOTIFICATION: Method = { kind: "session", isRequest: false };
const LIST: Method = { kind: "list", isRequest: true, counts: "call" };
const TASK: Method = { kind: "task", subject: "tools", isRequest: true, counts: "call" };
const RESOURCE: Method = { kind: "uri", subject: "resources", isRequest: true, counts: "call" };

/** Every method that is known. */
export const METHODS: ReadonlyMap<string, Method> = new Map<string, Method>([
  ["initialize", SESSION],
  ["ping", SESSION],
  ["server/discover", SESSION],
  ["logging/setLevel", { ...SESSION, counts: "request" }],
  ["notifications/initialized", NOTIFICATION],
  ["notifications/cancelled", NOTIFICATION],
  ["notifications/progress", NOTIFICATION],
  ["notifications/roots/list_changed", NOTIFICATION],
  ["notifications/tasks/status", NOTIFICATION],
  ["tools/list", LIST],
  ["resources/list", LIST],
  ["resources/templates/list", LIST],
  ["prompts/list", LIST],
  ["tasks/list", LIST],
  ["tools/call", { kind: "named", subject: "tools", isRequest: true, counts: "call" }],
  ["prompts/get", { kind: "named", subject: "prompts", isRequest: true, counts: "call" }],
  ["resources/read", RESOURCE],
  ["resources/subscribe", RESOURCE],
  ["resources/unsubscribe", RESOURCE],
  ["completion/complete", { kind: "reference", isRequest: true, counts: "call" }],
  // It lasts as long as the session: one of the requests, none of the calls.
  ["subscriptions/listen", {
    kind: "listen",
    subject: "resources",
    isRequest: true,
    counts: "request",
  }],
  ["tasks/get", TASK],
  ["tasks/result", TASK],
  ["tasks/update", TASK],
  ["tasks/cancel", TASK],
]);

/** What counts for a method: foreign ones are calls. */
export function countsAs(method: string): "request" | "call" | undefined {
  const known = METHODS.get(method);
  return known === undefined ? "call" : known.counts;
}
