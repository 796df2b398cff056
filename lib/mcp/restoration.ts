/**
 * Bringing a new server into the state in which the agent left the one before. Pure.
 *
 *     initialize ──▶ initialized, settings ──▶ restored
 *         │ refused, or another server             (what the new server refuses is noted)
 *         └──▶ failed
 *
 * `initialize` is made again with the agent's own bytes, under an id of Talos. Where the answer differs from
 * the first one in protocol version or capabilities, the agent would be wrong about its server: that fails.
 * Then the new server is told what the agent has told the old one, and the agent that every list may have
 * changed. Replies to what Talos asks here never reach the agent.
 */

import { type Bytes, fromUtf8Lossy } from "../bytes.ts";
import { printable } from "../log.ts";
import type { AgentSnapshot } from "./agent_state.ts";
import { McpError } from "./errors.ts";
import {
  differences,
  type InitializeAnswer,
  initializeAnswerOf,
  LISTS,
} from "./initialize_answer.ts";
import { notification, type RememberedRequest } from "./remembered.ts";
import { scanLine } from "./scan.ts";

/** How far a restoration is. */
export type RestorationState = "initializing" | "setting" | "restored" | "failed";

/** What is to be done next. */
export interface RestorationStep {
  /** Lines for the server, in order. */
  readonly send: readonly Bytes[];
  /** What went not as it should, for the log. */
  readonly notes: readonly string[];
}

const NOTHING: RestorationStep = { send: [], notes: [] };

/** How much of a server's error text is repeated. */
const SHOWN_CHARACTERS = 200;

/** What a restoration takes. */
export interface RestorationOptions {
  /** What the new server is to be told. */
  readonly snapshot: AgentSnapshot;
  /** Returns the token of an id that nobody else uses. */
  readonly newId: () => Bytes;
  /** Who is restored, for errors: the host's Peer ID. */
  readonly host: string;
}

/** The restoration of one new server. */
export class Restoration {
  readonly #options: RestorationOptions;
  #state: RestorationState = "initializing";
  /** What each request sets, by the key of its id. */
  readonly #waiting = new Map<string, string>();
  #answer: InitializeAnswer | null = null;
  #error: McpError | null = null;

  /** Prepares it. */
  constructor(options: RestorationOptions) {
    this.#options = options;
  }

  /** How far it is. */
  get state(): RestorationState {
    return this.#state;
  }

  /** Why it failed. */
  get error(): McpError | null {
    return this.#error;
  }

  /** The keys of the requests that wait for a reply. */
  get waiting(): Iterable<string> {
    return this.#waiting.keys();
  }

  /** Begins. */
  begin(): RestorationStep {
    const { initialize } = this.#options.snapshot;
    if (initialize === null) return this.#set();
    return { ...NOTHING, send: [this.#ask(initialize)] };
  }

  /** Takes a line for the agent. Returns null when it is none of the replies that are waited for. */
  take(line: Bytes): RestorationStep | null {
    if (this.#waiting.size === 0) return null;
    const message = scanLine(line, "towards_agent");
    if (message.kind !== "response" || message.id === null) return null;
    const what = this.#waiting.get(message.id.key);
    if (what === undefined) return null;
    this.#waiting.delete(message.id.key);
    if (this.#state === "initializing") {
      return message.isError ? this.#refused(line) : this.#initialized(line);
    }
    if (this.#waiting.size === 0 && this.#state === "setting") this.#state = "restored";
    if (!message.isError) return NOTHING;
    return { ...NOTHING, notes: [`the new server refuses ${what}: ${errorTextOf(line)}`] };
  }

  /** Nothing more is waited for: without an answer to `initialize` it has failed. */
  giveUp(): RestorationStep {
    if (this.#state === "initializing") {
      return this.#fail("restoration_timeout", "has not answered initialize");
    }
    const notes = [...this.#waiting.values()].map((what) =>
      `the new server does not answer ${what}`
    );
    this.#waiting.clear();
    if (this.#state === "setting") this.#state = "restored";
    return { ...NOTHING, notes };
  }

  /** What the agent is told once all is restored: each list may have changed, where it knows such news. */
  get news(): readonly Bytes[] {
    const { answer, initialized } = this.#options.snapshot;
    if (initialized === null) return [];
    const announced = (answer ?? this.#answer)?.announces ?? [];
    return LISTS.filter((list) => announced.includes(list))
      .map((list) => notification(`notifications/${list}/list_changed`));
  }

  #initialized(line: Bytes): RestorationStep {
    const first = this.#options.snapshot.answer;
    this.#answer = initializeAnswerOf(line);
    if (first === null || this.#answer === null) return this.#set();
    const found = differences(first, this.#answer);
    if (found.length > 0) {
      const what = printable(found.join(", "), SHOWN_CHARACTERS);
      return this.#fail("server_changed", `is not the one that the agent knows: ${what}`);
    }
    const step = this.#set();
    if (first.description === this.#answer.description) return step;
    return { ...step, notes: ["the new server describes itself otherwise than the one before"] };
  }

  #set(): RestorationStep {
    const { initialized, settings } = this.#options.snapshot;
    const send = settings.map((request) => this.#ask(request));
    this.#state = send.length === 0 ? "restored" : "setting";
    return { ...NOTHING, send: initialized === null ? send : [initialized, ...send] };
  }

  #ask(request: RememberedRequest): Bytes {
    const line = request.withId(this.#options.newId());
    const message = scanLine(line, "towards_agent");
    if (message.kind !== "request") throw new TypeError("Cannot ask: this is no request");
    const of = message.uri === null ? message.method : `${message.method} ${message.uri}`;
    this.#waiting.set(message.id.key, of);
    return line;
  }

  #refused(line: Bytes): RestorationStep {
    return this.#fail("restoration_refused", `refuses initialize: ${errorTextOf(line)}`);
  }

  #fail(code: "restoration_refused" | "restoration_timeout" | "server_changed", how: string) {
    this.#state = "failed";
    this.#waiting.clear();
    const text = `Cannot go on with a new MCP server: that of ${this.#options.host} ${how}`;
    this.#error = new McpError(code, text, {
      hints: ["let the agent start its MCP servers anew: it then learns what has changed"],
    });
    return NOTHING;
  }
}

function errorTextOf(response: Bytes): string {
  const { error } = JSON.parse(fromUtf8Lossy(response));
  return typeof error?.message === "string"
    ? printable(error.message, SHOWN_CHARACTERS)
    : "an error";
}
