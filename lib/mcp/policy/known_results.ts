/**
 * What results of a server mean for requests to come: which tool made a task, and whether an answer to a
 * question of the server is awaited. Bounded; what is forgotten is a task of nobody, or a request that counts.
 */

import { Buffer } from "node:buffer";

import type { Bytes } from "../../bytes.ts";
import { MAX_OWED_RETRIES, MAX_REMEMBERED_TASKS } from "../../limits.ts";
import type { PendingCall } from "../pending.ts";
import { memberOf, type PolicyRequest, textOf } from "./request.ts";

/** What the results of one session meant so far. */
export class KnownResults {
  /** Which tool made a task, the oldest first. */
  readonly #tasks = new Map<string, string>();
  /** How many answers to questions of the server are to come, by what was called. */
  readonly #owedRetries = new Map<string, number>();

  /** Returns the tool whose call made a task; null where none of this session did. */
  toolOf(taskId: string): string | null {
    return this.#tasks.get(taskId) ?? null;
  }

  /** Takes note of the result of a call. */
  remember(response: Bytes, call: PendingCall, request: PolicyRequest): void {
    if (call.method === "tools/call" && call.name !== null && holds(response, "taskId")) {
      const id = textOf(memberOf(response, ["result", "task", "taskId"])) ??
        textOf(memberOf(response, ["result", "taskId"]));
      if (id !== null) this.#rememberTask(id, call.name);
    }
    if (!holds(response, "input_required")) return;
    if (textOf(memberOf(response, ["result", "resultType"])) !== "input_required") return;
    const key = retryKey(request);
    if (key === null || this.#owedRetries.size >= MAX_OWED_RETRIES) return;
    this.#owedRetries.set(key, (this.#owedRetries.get(key) ?? 0) + 1);
  }

  /** Tells whether a request answers what the server asked about an earlier one; each question counts once. */
  takeRetry(request: PolicyRequest, bytes: Bytes): boolean {
    const key = this.#owedRetries.size === 0 ? null : retryKey(request);
    const owed = key === null ? 0 : this.#owedRetries.get(key) ?? 0;
    if (key === null || owed === 0) return false;
    const isRetry = ["inputResponses", "requestState"].some((member) =>
      memberOf(bytes, ["params", member]) !== null
    );
    if (!isRetry) return false;
    if (owed === 1) this.#owedRetries.delete(key);
    else this.#owedRetries.set(key, owed - 1);
    return true;
  }

  #rememberTask(id: string, tool: string): void {
    this.#tasks.set(id, tool);
    for (const oldest of this.#tasks.keys()) {
      if (this.#tasks.size <= MAX_REMEMBERED_TASKS) break;
      this.#tasks.delete(oldest);
    }
  }
}

/** Returns what a call and its retry have in common; null for what is not retried. */
function retryKey(request: PolicyRequest): string | null {
  return request.kind === "use" ? JSON.stringify([request.method, ...request.names]) : null;
}

/** Tells whether a text stands anywhere in a line: most lines need no closer look. */
function holds(line: Bytes, text: string): boolean {
  return Buffer.from(line.buffer, line.byteOffset, line.length).includes(text);
}
