/** `talos policy`: whether a policy file can be used, and what it decides. */

import { petnameOf } from "../../identity/contacts.ts";
import type { Database } from "../../identity/database.ts";
import { exists } from "../../identity/home.ts";
import { parseTypedService } from "../../identity/names.ts";
import { parsePeerReference } from "../../identity/peer_address.ts";
import { parsePeerId, type PeerId } from "../../identity/peer_id.ts";
import { LIMIT_FIELDS, type Permissions } from "../../mcp/policy/decide.ts";
import { explain, type Explanation } from "../../mcp/policy/explain.ts";
import { readPolicy } from "../../mcp/policy/policy_file.ts";
import type { LimitName, PolicyCaller } from "../../mcp/policy/policy.ts";
import type { Context } from "../context.ts";
import { openOwnDatabase } from "../own_database.ts";
import { knownPeer } from "../peer_argument.ts";
import { strangersIn } from "../serve_policy.ts";

/** `talos policy check FILE`. Throws McpError when it cannot be used. */
export async function checkPolicyCommand(context: Context, file: string): Promise<void> {
  const policy = readPolicy(file);
  using database = await databaseIfAny(context);
  const unknown = database === null ? [] : strangersIn(policy, database);
  for (const name of unknown) {
    context.log.warn("no contact has this name: rules for it are for nobody", { contact: name });
  }
  const count = policy.rules.length;
  context.output.result(
    `${file} can be used: ${count} ${count === 1 ? "rule" : "rules"}`,
    { valid: true, rules: policy.rules.map(({ label }) => label), unknown_contacts: unknown },
    [{
      purpose: "see what it decides",
      command: `talos policy explain ${file} PEER tools/call TOOL`,
    }],
  );
}

/** What `talos policy explain` is asked about. */
export interface ExplainArguments {
  /** The policy. */
  readonly file: string;
  /** Who calls: a Peer ID, or a contact. */
  readonly peer: string;
  /** The method. */
  readonly method: string;
  /** The tool, prompt or URI. */
  readonly name: string;
  /** The tool's arguments, as JSON. */
  readonly args: string | undefined;
  /** The service, as people type it. */
  readonly service: string;
}

/** `talos policy explain FILE PEER METHOD NAME [ARGS-JSON]`. Throws McpError, IdentityError. */
export async function explainPolicyCommand(
  context: Context,
  { file, peer, method, name, args, service }: ExplainArguments,
): Promise<void> {
  const policy = readPolicy(file);
  using database = await databaseIfAny(context);
  const caller = callerOf(database, peer, parseTypedService(service));
  const typed = { method, name, args: args ?? null };
  const explanation = explain(policy, caller, typed, context.clock.now());
  const { decision, unlessReadOnly, permissions } = explanation;
  context.output.result(textOf(explanation), {
    decision: decision.verdict,
    rule: decision.rule,
    why: decision.why,
    unless_read_only: unlessReadOnly === null
      ? null
      : { decision: unlessReadOnly.verdict, rule: unlessReadOnly.rule },
    rules: permissions.rules,
    limits: limitsOf(permissions),
  });
}

async function databaseIfAny({ paths }: Context): Promise<Database | null> {
  // Looking must not make a database.
  if (!await exists(paths.wallet) || !await exists(paths.database)) return null;
  return await openOwnDatabase(paths);
}

function callerOf(database: Database | null, text: string, service: string): PolicyCaller {
  const peer = peerOf(database, text);
  const name = database === null ? undefined : petnameOf(database, peer);
  return { peer, service, ...(name === undefined ? {} : { name }) };
}

function peerOf(database: Database | null, text: string): PeerId {
  if (database !== null) return knownPeer(database, text);
  const reference = parsePeerReference(text);
  return reference.kind === "id" ? reference.id : parsePeerId(text);
}

function textOf({ decision, unlessReadOnly, permissions }: Explanation): string {
  const limits = Object.entries(limitsOf(permissions)).map(([name, { value, rule }]) =>
    `limit: ${name} ${value} (${rule.slice(0, rule.lastIndexOf(":"))})`
  );
  const verdict = decision.verdict;
  const lines = unlessReadOnly === null ? [`${verdict}: ${decision.why}`] : [
    `${verdict}, if the server lists it as read-only: ${decision.why}`,
    `else ${unlessReadOnly.verdict}: ${unlessReadOnly.why} (${unlessReadOnly.rule})`,
  ];
  return [
    ...lines,
    `rule: ${decision.rule}`,
    ...(permissions.rules === 0 ? ["no rule is for this peer and service"] : []),
    ...(verdict === "deny" ? [] : limits),
  ].join("\n");
}

function limitsOf(
  { limits }: Permissions,
): Readonly<Record<string, { readonly value: number; readonly rule: string }>> {
  const names: readonly LimitName[] = [
    "requestsPerMinute",
    "concurrentCalls",
    "bytesPerDay",
    "secondsPerCall",
  ];
  return Object.fromEntries(names.flatMap((name) => {
    const limit = limits[name];
    return limit === undefined ? [] : [[LIMIT_FIELDS[name], limit]];
  }));
}
