/** What the tests of the policy share: policies from their text, and a session under one with a server of the test's own. */

import assert from "node:assert/strict";

import { type Bytes, fromUtf8, utf8 } from "../../../lib/bytes.ts";
import { SILENT } from "../../../lib/log.ts";
import type { Ask } from "../../../lib/mcp/policy/asking.ts";
import { decide, type Decision, permissionsOf } from "../../../lib/mcp/policy/decide.ts";
import { PolicyEnforcement } from "../../../lib/mcp/policy/enforcement.ts";
import type { Policy, PolicyCaller } from "../../../lib/mcp/policy/policy.ts";
import { parsePolicy } from "../../../lib/mcp/policy/policy_format.ts";
import { requestOf } from "../../../lib/mcp/policy/request.ts";
import { UsageBook, type UsageBookOptions } from "../../../lib/mcp/policy/usage_book.ts";
import { type Passage, Pipeline } from "../../../lib/mcp/pipeline.ts";
import { scanLine } from "../../../lib/mcp/scan.ts";
import { FakeClock } from "../../session/fake_clock.ts";
import { ALICE } from "../../session/peers.ts";
import { SeededRandom } from "../../../scripts/seeded_random.ts";

/** Whom most tests are about. */
export const CALLER: PolicyCaller & { readonly peer: typeof ALICE.peerId } = {
  peer: ALICE.peerId,
  service: "mcp/default",
  name: "alice",
};

/** Returns the policy with these rules, as a file would say them. */
export function policyOf(...rules: readonly unknown[]): Policy {
  return parsePolicy(JSON.stringify({ version: 1, rules }));
}

/** Decides about one line of the agent. */
export function decideLine(
  policy: Policy,
  line: string,
  { caller = CALLER as PolicyCaller, now = 0, readOnly = [] as readonly string[] } = {},
): Decision {
  const bytes = utf8(line);
  const message = scanLine(bytes, "towards_server");
  assert.ok(message.kind === "request" || message.kind === "notification", line);
  const request = requestOf(message, bytes, () => null);
  return decide(permissionsOf(policy, caller), request, {
    now,
    isReadOnly: (tool) => readOnly.includes(tool),
  });
}

/** Returns a request as a line. */
export function request(id: number | string, method: string, params: unknown = {}): string {
  return JSON.stringify({ jsonrpc: "2.0", id, method, params });
}

/** Returns a call of a tool as a line. */
export function call(name: string, args: unknown = {}, id: number | string = 1): string {
  return request(id, "tools/call", { name, arguments: args });
}

/** A database that forgets. */
export const FORGETFUL: UsageBookOptions["database"] = {
  owner: ALICE.peerId,
  row: () => undefined,
  run: () => 1,
  transaction: (body) => body(),
};

/** What a session is made of. */
export interface PolicySessionOptions {
  readonly policy: Policy;
  readonly ask?: Ask;
  readonly usage?: UsageBook;
  readonly clock?: FakeClock;
}

/** An agent, a policy, and a server that is the test. */
export class PolicySession implements Disposable {
  readonly clock: FakeClock;
  readonly enforcement: PolicyEnforcement;
  readonly pipeline: Pipeline;
  /** What reached the server. */
  readonly atServer: string[] = [];
  /** What reached the agent. */
  // deno-lint-ignore no-explicit-any -- a test reads what it expects and fails otherwise
  readonly atAgent: any[] = [];
  /** The same as text. */
  readonly linesAtAgent: string[] = [];
  readonly usage: UsageBook;
  readonly #held: Promise<void>[] = [];

  constructor({ policy, ask, usage, clock = new FakeClock() }: PolicySessionOptions) {
    this.clock = clock;
    this.usage = usage ?? new UsageBook({ database: FORGETFUL, clock, log: SILENT });
    const pending = () => this.pipeline.pending.to_server;
    this.enforcement = new PolicyEnforcement({
      caller: CALLER,
      policy,
      usage: this.usage,
      clock,
      random: new SeededRandom("policy").bytes,
      log: SILENT,
      ...(ask === undefined ? {} : { ask }),
      lines: {
        get calls() {
          return pending();
        },
        toServer: (line) => void this.atServer.push(fromUtf8(line)),
        toAgent: (line) => this.#toAgent(line),
      },
    });
    this.pipeline = new Pipeline({
      strictness: { to_server: "towards_server", to_agent: "towards_agent" },
      interceptors: [this.enforcement],
      clock,
    });
  }

  /** The agent says a line. */
  agent(line: string | Bytes): void {
    this.#carryOut(
      this.pipeline.pass("to_server", typeof line === "string" ? utf8(line) : line),
      true,
    );
  }

  /** The server says a line. */
  server(line: string): void {
    this.#carryOut(this.pipeline.pass("to_agent", utf8(line)), false);
  }

  /** The server answers a request with a result. */
  answer(id: number | string, result: unknown): void {
    this.server(JSON.stringify({ jsonrpc: "2.0", id, result }));
  }

  /** Resolves when nothing is held any more. */
  async settled(): Promise<void> {
    while (this.#held.length > 0) await this.#held.shift();
  }

  /** What the agent was told last. */
  get last() {
    return this.atAgent.at(-1);
  }

  [Symbol.dispose](): void {
    this.enforcement.ended();
    this.usage[Symbol.dispose]();
  }

  #toAgent(line: Bytes): void {
    this.linesAtAgent.push(fromUtf8(line));
    this.atAgent.push(JSON.parse(fromUtf8(line)));
  }

  #carryOut({ forward, back, held }: Passage, fromAgent: boolean): void {
    const [on, home] = fromAgent ? [forward, back] : [back, forward];
    for (const line of on) this.atServer.push(fromUtf8(line));
    for (const line of home) this.#toAgent(line);
    for (const one of held) this.#held.push(one.then((later) => this.#carryOut(later, fromAgent)));
  }
}
