/**
 * What happens to the calls of an agent and of its server when the server is lost for good.
 *
 * Each call of the agent is answered, as *not run* where that is certain. Three kinds are kept instead: what
 * an interceptor still holds, which no server has seen; `initialize`, which a new server must be told
 * anyway; and calls that may be repeated. Of the server's calls the agent hears that they are cancelled.
 */

import { type Bytes, concat, utf8 } from "../bytes.ts";
import type { AgentState } from "./agent_state.ts";
import { failureReply } from "./failure.ts";
import type { PathTaken } from "./path_taken.ts";
import type { PendingCall } from "./pending.ts";
import type { Pipeline } from "./pipeline.ts";
import type { RepeatableCalls } from "./repeatable_calls.ts";
import type { ServerIds } from "./server_ids.ts";

/** Whose calls these are. */
export interface LostCallsParts {
  /** Knows the calls. */
  readonly pipeline: Pipeline;
  /** Knows the agent. */
  readonly state: AgentState;
  /** Knows what may be repeated. */
  readonly repeatable: RepeatableCalls;
  /** How the agent sees the server's ids. */
  readonly serverIds: ServerIds;
}

/** How a server was lost. */
export interface ServerLoss extends PathTaken {
  /** What ended its session. */
  readonly error: unknown;
  /** Whether a call may have been run, for all that is known of the session. */
  readonly mayHaveRun: (call: PendingCall) => boolean;
}

/** A call that is made again. */
interface KeptCall {
  /** The call, as long as it waits. */
  readonly call: PendingCall;
  /** The request. */
  readonly line: Bytes;
  /** Whether the lost server may have run it. */
  readonly mayHaveRun: boolean;
}

/** The calls that wait for a new server. */
export class LostCalls {
  readonly #parts: LostCallsParts;
  #kept = new Map<string, KeptCall>();
  /** Calls that were made again, and may have been run the first time. */
  readonly #inDoubt = new WeakSet<PendingCall>();

  /** Begins with none. */
  constructor(parts: LostCallsParts) {
    this.#parts = parts;
  }

  /** Settles all calls of a server that is gone. Returns what the agent is to be told, in order. */
  serverLost({ error, mayHaveRun, ...path }: ServerLoss): Bytes[] {
    const { pipeline, state, repeatable, serverIds } = this.#parts;
    const calls = pipeline.pending.to_server;
    const lines: Bytes[] = [];
    repeatable.retain((key) => calls.get(key) !== null);
    for (const call of calls.waiting()) {
      if (pipeline.holds(call) || this.#kept.get(call.key)?.call === call) continue;
      const { key } = call;
      const uncertain = mayHaveRun(call) || this.mayHaveRun(call);
      const line = state.initializing?.key === key
        ? state.initializing.request?.line ?? null
        : repeatable.take(key);
      if (line !== null) {
        this.#kept.set(key, { call, line, mayHaveRun: uncertain });
        continue;
      }
      calls.settle(key);
      if (serverIds.isOwn(key)) continue;
      lines.push(failureReply(error, {
        call,
        handedOver: uncertain,
        goesOn: true,
        ...path,
      }));
    }
    calls.forgetCancelled();
    for (const call of pipeline.pending.to_agent.drain()) {
      if (!pipeline.holds(call)) lines.push(cancelled(serverIds.outwardToken(call.idToken)));
    }
    serverIds.replaced();
    return lines;
  }

  /** Answers the calls that wait for a new server, which has not come for `error`. Returns the replies. */
  answer(error: unknown): Bytes[] {
    const { pipeline, repeatable, serverIds } = this.#parts;
    const calls = pipeline.pending.to_server;
    return calls.waiting().flatMap((call) => {
      if (pipeline.holds(call) || serverIds.isOwn(call.key)) return [];
      const handedOver = this.mayHaveRun(call);
      calls.settle(call.key);
      repeatable.forget(call.key);
      return [failureReply(error, { call, handedOver, goesOn: true })];
    });
  }

  /** Whether a server that is gone may have run a call that waits, be it for the next one or at this one. */
  mayHaveRun(call: PendingCall): boolean {
    const kept = this.#kept.get(call.key);
    return this.#inDoubt.has(call) || (kept?.call === call && kept.mayHaveRun);
  }

  /** A new server is here: makes the calls again that were kept, by means of `pass`. Returns how many. */
  makeAgain(pass: (request: Bytes) => void): number {
    const calls = this.#parts.pipeline.pending.to_server;
    const kept = [...this.#kept.values()].filter(({ call }) => calls.get(call.key) === call);
    this.#kept = new Map();
    for (const { call, line, mayHaveRun } of kept) {
      calls.settle(call.key);
      pass(line);
      const again = calls.get(call.key);
      if (mayHaveRun && again !== null) this.#inDoubt.add(again);
    }
    return kept.length;
  }
}

const REASON = JSON.stringify("the MCP server that asked is gone");
const CANCELLED = utf8(
  '{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":',
);
const CANCELLED_END = utf8(`,"reason":${REASON}}}`);

function cancelled(idToken: Bytes): Bytes {
  return concat(CANCELLED, idToken, CANCELLED_END);
}
