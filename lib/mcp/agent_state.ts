/**
 * What an agent has told its server that a new server must be told too: `initialize`, that it is
 * initialized, the log level, and which resources it has subscribed to. Pure.
 *
 * It watches as the last interceptor and lets everything pass. Only what the server accepted counts. Memory
 * is bounded: a setting that has no room is not remembered, and said so; an `initialize` beyond the limit
 * means that no other server can take this one's place.
 */

import type { Bytes } from "../bytes.ts";
import {
  MAX_REMEMBERED_INITIALIZE_BYTES,
  MAX_REMEMBERED_SETTINGS_BYTES,
  MAX_REMEMBERED_SUBSCRIPTIONS,
} from "../limits.ts";
import { type InitializeAnswer, initializeAnswerOf } from "./initialize_answer.ts";
import type { SettledCall } from "./pending.ts";
import type { Interceptor, Passing, Verdict } from "./pipeline.ts";
import { RememberedRequest } from "./remembered.ts";
import type { ScannedRequest } from "./scan.ts";

/** What a new server is to be told. */
export interface AgentSnapshot {
  /** `initialize`, once it was answered with a result. */
  readonly initialize: RememberedRequest | null;
  /** That result; null when it is not known. */
  readonly answer: InitializeAnswer | null;
  /** `notifications/initialized`, once the agent has said it. */
  readonly initialized: Bytes | null;
  /** `logging/setLevel`, `resources/subscribe`: each that holds, in the order of their making. */
  readonly settings: readonly RememberedRequest[];
}

/** An `initialize` that is not answered yet. */
export interface Initializing {
  /** The key of its id. */
  readonly key: string;
  /** The request; null when it was too long to be remembered. */
  readonly request: RememberedRequest | null;
}

/** A request under way that sets something. */
interface Setting {
  readonly kind: "level" | "subscribe" | "unsubscribe";
  /** The resource; empty for the level. */
  readonly uri: string;
  readonly request: RememberedRequest;
}

const KIND_OF_METHOD: ReadonlyMap<string, Setting["kind"]> = new Map([
  ["logging/setLevel", "level"],
  ["resources/subscribe", "subscribe"],
  ["resources/unsubscribe", "unsubscribe"],
]);

const FORWARD: Verdict = { action: "forward" };

/** Watches one agent. */
export class AgentState implements Interceptor {
  /** For logs. */
  readonly name = "agent state";
  readonly #isOwn: (key: string) => boolean;
  #initializing: Initializing | null = null;
  #initialize: RememberedRequest | null = null;
  #answer: InitializeAnswer | null = null;
  #initialized: Bytes | null = null;
  /** What holds: the level under the empty name, subscriptions under their resource. */
  readonly #settings = new Map<string, RememberedRequest>();
  /** What is asked for, by the key of the request's id. */
  readonly #asked = new Map<string, Setting>();
  #bytes = 0;
  #answers = 0;
  #isInitializeLost = false;
  #forgotten = 0;

  /** `isOwn` tells the keys of requests that Talos itself makes: they say nothing about the agent. */
  constructor(isOwn: (key: string) => boolean) {
    this.#isOwn = isOwn;
  }

  /** The agent's `initialize` that waits for its answer, if one does. */
  get initializing(): Initializing | null {
    return this.#initializing;
  }

  /** How many of the agent's requests a server has answered. */
  get answers(): number {
    return this.#answers;
  }

  /** Whether the agent was initialized by a server, and there was no room to remember how. */
  get isInitializeLost(): boolean {
    return this.#isInitializeLost;
  }

  /** How many settings had no room. */
  get forgotten(): number {
    return this.#forgotten;
  }

  /** Looks at one message, and lets it pass. */
  intercept(passing: Passing): Verdict {
    const { direction, message, bytes, call } = passing;
    if (direction === "to_agent") {
      if (call !== undefined && message.kind === "response" && !this.#isOwn(call.key)) {
        this.#answered(call, message.isError, bytes);
      }
    } else if (message.kind === "request") {
      if (!this.#isOwn(message.id.key)) this.#requested(message, bytes);
    } else if (message.kind === "notification") {
      if (message.method === "notifications/initialized") this.#initialized ??= bytes.slice();
      if (message.cancels !== null) this.#forgetAsked(message.cancels.key);
    }
    return FORWARD;
  }

  /** The server is gone: returns what the next one is to be told. What was under way is not part of it. */
  serverLost(): AgentSnapshot {
    this.#initializing = null;
    for (const key of this.#asked.keys()) this.#forgetAsked(key);
    return {
      initialize: this.#initialize,
      answer: this.#answer,
      initialized: this.#initialized,
      settings: [...this.#settings.values()],
    };
  }

  #requested(message: ScannedRequest, bytes: Bytes): void {
    const { id, method, uri } = message;
    if (method === "initialize") {
      const isSmall = bytes.length <= MAX_REMEMBERED_INITIALIZE_BYTES;
      const request = isSmall ? new RememberedRequest(bytes, id.token) : null;
      this.#initializing = { key: id.key, request };
      return;
    }
    const kind = KIND_OF_METHOD.get(method);
    if (kind === undefined || (kind !== "level" && uri === null)) return;
    this.#forgetAsked(id.key);
    const count = this.#settings.size + this.#asked.size;
    if (
      this.#bytes + bytes.length > MAX_REMEMBERED_SETTINGS_BYTES ||
      count >= MAX_REMEMBERED_SUBSCRIPTIONS
    ) {
      this.#forgotten++;
      if (kind !== "subscribe") this.#forget(uri ?? ""); // what held before may hold no more
      return;
    }
    this.#bytes += bytes.length;
    const request = new RememberedRequest(bytes, id.token);
    this.#asked.set(id.key, { kind, uri: uri ?? "", request });
  }

  #answered({ key }: SettledCall, isError: boolean, response: Bytes): void {
    this.#answers++;
    if (this.#initializing?.key === key) {
      const { request } = this.#initializing;
      this.#initializing = null;
      if (!isError) this.#takeInitialize(request, response);
      return;
    }
    const setting = this.#asked.get(key);
    if (setting === undefined) return;
    if (isError) return this.#forgetAsked(key);
    this.#asked.delete(key); // its bytes stay counted until it holds no more
    this.#forget(setting.uri);
    if (setting.kind === "unsubscribe") this.#bytes -= setting.request.line.length;
    else this.#settings.set(setting.uri, setting.request);
  }

  #takeInitialize(request: RememberedRequest | null, response: Bytes): void {
    this.#initialized = null;
    this.#initialize = request;
    this.#isInitializeLost = request === null ||
      response.length > MAX_REMEMBERED_INITIALIZE_BYTES;
    this.#answer = this.#isInitializeLost ? null : initializeAnswerOf(response);
  }

  #forget(uri: string): void {
    this.#bytes -= this.#settings.get(uri)?.line.length ?? 0;
    this.#settings.delete(uri);
  }

  #forgetAsked(key: string): void {
    const setting = this.#asked.get(key);
    if (setting === undefined) return;
    this.#asked.delete(key);
    this.#bytes -= setting.request.line.length;
  }
}
