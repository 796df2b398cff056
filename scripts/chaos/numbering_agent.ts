/**
 * An agent under the MCP SDK's own client, with numbered calls under way at all times.
 *
 * Its transport starts `talos mcp-connect`. Between the two every message is looked at, so that an answer
 * that comes twice, which the client would drop, is noticed. When its `mcp-connect` is killed, a new client
 * starts.
 */

import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import {
  type CreateMessageRequest,
  CreateMessageRequestSchema,
  type JSONRPCMessage,
} from "@modelcontextprotocol/sdk/types.js";
import { messageOf } from "../../lib/errors.ts";
import { pause } from "../pause.ts";
import { SeededRandom } from "../seeded_random.ts";
import type { CountArguments, CountResult } from "./counting_server.ts";
import type { Outcome, Tally } from "./tally.ts";

/** Any answer takes less, faults included: what takes longer is lost. */
export const CALL_PATIENCE_MS = 60_000;

/** So that an agent whose calls fail at once does not send thousands. */
const AFTER_ERROR_MS = 50;

/** What an agent needs. */
export interface NumberingAgentOptions {
  /** What it is called in reports. */
  readonly name: string;
  /** Starts `mcp-connect`. */
  readonly argv: readonly [string, ...string[]];
  readonly env: Record<string, string>;
  readonly tally: Tally;
  readonly random: SeededRandom;
  /** How many calls are under way at all times. */
  readonly inFlight: number;
  /** After how many milliseconds a call without an answer is lost; {@link CALL_PATIENCE_MS} by default. */
  readonly patienceMs?: number;
}

/** One life of an agent: a client and its `mcp-connect`. */
interface Life {
  readonly client: Client;
  readonly transport: StdioClientTransport;
  readonly ended: Promise<void>;
  killed: boolean;
}

/** An agent; see above. */
export class NumberingAgent {
  readonly name: string;
  readonly #options: NumberingAgentOptions;
  #life: Promise<Life> | undefined;
  #current: Life | undefined;
  #stopping = false;
  #workers: Promise<void>[] = [];
  /** The process that answered last, as it calls itself; undefined when none has in this life. */
  serverPid: number | undefined;
  /** What `mcp-connect` said on stderr, in all its lives. */
  stderr = "";
  /** Lives that a kill, or the end of a life, began. */
  lives = 0;

  /** Prepares one. */
  constructor(options: NumberingAgentOptions) {
    this.#options = options;
    this.name = options.name;
  }

  /** Connects, and begins to call. Throws when it cannot connect. */
  async start(): Promise<void> {
    await this.#alive();
    this.#workers = Array.from({ length: this.#options.inFlight }, () => this.#work());
  }

  /** The process id of its `mcp-connect`; undefined while there is none. */
  get pid(): number | undefined {
    const life = this.#current;
    return life === undefined || life.killed ? undefined : life.transport.pid ?? undefined;
  }

  /** Times that `mcp-connect` said that it resumed. */
  get resumptions(): number {
    return this.stderr.split(/\bresumed after\b/).length - 1;
  }

  /** Makes one call, and resolves when it has ended, however. */
  async call(rest: Omit<CountArguments, "n">): Promise<void> {
    const life = await this.#alive();
    if (life !== null) await this.#call(life, rest);
  }

  /** When `mcp-connect` last said anything to its client, in milliseconds as `performance.now` has it. */
  lastHeardAt = 0;

  /** Ends `mcp-connect` as nothing else does. Returns false when there is none. */
  kill(): boolean {
    const { pid } = this;
    const life = this.#current;
    if (life === undefined || pid === undefined) return false;
    life.killed = true;
    signal(pid, "SIGKILL");
    return true;
  }

  /** Begins no more calls, and waits until those under way have ended. */
  async stop(): Promise<void> {
    this.#stopping = true;
    await Promise.all(this.#workers);
  }

  /** Lets go of `mcp-connect`, and waits for its end. */
  async close(): Promise<void> {
    const life = this.#current;
    if (life === undefined) return;
    life.killed = true; // its end is wanted
    await life.client.close();
  }

  async #work(): Promise<void> {
    const { random } = this.#options;
    while (!this.#stopping) {
      const life = await this.#alive();
      if (life === null) return;
      await this.#call(life, {
        delay: random.pick([0, 0, 5, 30, 120, 300, 500]),
        size: random.chance(0.1) ? random.below(200_000) : 0,
        question: random.pick(["none", "none", "none", "ping", "sampling"] as const),
        pad: random.chance(0.1) ? "p".repeat(random.below(200_000)) : "",
      });
    }
  }

  async #call(life: Life, rest: Omit<CountArguments, "n">): Promise<void> {
    const { tally, patienceMs = CALL_PATIENCE_MS } = this.#options;
    const n = tally.sent(this.name, performance.now());
    const arguments_: CountArguments = { n, ...rest };
    try {
      const result = await life.client.callTool(
        { name: "count", arguments: { ...arguments_ } },
        undefined,
        { timeout: patienceMs, onprogress: () => {} },
      );
      const { pid } = countResultOf(result, n);
      tally.ended(n, "result", performance.now());
      if (life === this.#current) this.serverPid = pid;
    } catch (error) {
      const outcome = life.killed ? "abandoned" : outcomeOf(error);
      tally.ended(n, outcome, performance.now(), messageOf(error));
      await Promise.race([life.ended, pause(AFTER_ERROR_MS)]);
    }
  }

  /** Returns the living client, after its birth if need be; null when none is wanted any more. */
  async #alive(): Promise<Life | null> {
    this.#life ??= this.#begin();
    try {
      return await this.#life;
    } catch (error) {
      if (this.lives === 0) throw error;
      return null;
    }
  }

  async #begin(): Promise<Life> {
    for (;;) {
      const began = performance.now();
      try {
        const life = await this.#connect();
        this.lives++;
        void life.ended.then(() => {
          if (!life.killed && !this.#stopping) {
            this.#options.tally.fail(`${this.name}: mcp-connect ended: ${this.stderr.slice(-500)}`);
          }
          this.#life = undefined;
        });
        return life;
      } catch (error) {
        const now = performance.now();
        if (this.lives === 0 || this.#stopping) throw error;
        if (this.#current?.killed || this.#options.tally.isExcused(this.name, began, now)) continue;
        this.#options.tally.fail(`${this.name}: cannot connect anew: ${messageOf(error)}`);
      }
    }
  }

  async #connect(): Promise<Life> {
    const { argv: [command, ...args], env, name, tally } = this.#options;
    const transport = new StdioClientTransport({ command, args, env, stderr: "pipe" });
    const decoder = new TextDecoder();
    transport.stderr?.on("data", (chunk: Uint8Array) => {
      this.stderr += decoder.decode(chunk, { stream: true });
    });
    const client = new Client(
      { name, version: "1.0.0" },
      { capabilities: { sampling: {} } },
    );
    client.setRequestHandler(CreateMessageRequestSchema, ({ params }: CreateMessageRequest) => {
      const content = params.messages[0]?.content;
      const text = content !== undefined && "text" in content ? content.text : "";
      return { model: "none", role: "assistant", content: { type: "text", text } };
    });
    const ended = Promise.withResolvers<void>();
    client.onclose = () => ended.resolve();
    const life: Life = { client, transport, ended: ended.promise, killed: false };
    this.#current = life;
    this.serverPid = undefined;
    const connecting = client.connect(transport, { timeout: CALL_PATIENCE_MS });
    observe(transport, tally, name, () => this.lastHeardAt = performance.now());
    await connecting;
    return life;
  }
}

/** Looks at every message before the client does. */
function observe(
  transport: StdioClientTransport,
  tally: Tally,
  name: string,
  onHeard: () => void,
): void {
  const next = transport.onmessage;
  const answered = new Set<number | string>();
  transport.onmessage = (message: JSONRPCMessage) => {
    onHeard();
    if (!("method" in message) && "id" in message && message.id !== undefined) {
      if (answered.has(message.id)) tally.duplicated(`${name}: the answer to ${message.id}`);
      answered.add(message.id);
    }
    if ("method" in message && message.method === "notifications/message") {
      const { generation, number } = notificationOf(message.params?.["data"]);
      tally.notified(name, generation, number);
    }
    next?.(message);
  };
}

function notificationOf(data: unknown): { generation: string; number: number } {
  const { generation, number } = Object(data);
  return { generation: String(generation), number: Number(number) };
}

function countResultOf(result: unknown, n: number): CountResult {
  const text: unknown = Object(result).content?.[0]?.text;
  const counted: CountResult = JSON.parse(String(text));
  if (counted.n !== n) throw new Error(`the result of call ${counted.n} came to call ${n}`);
  return counted;
}

function outcomeOf(error: unknown): Outcome {
  const { code, data } = Object(error);
  if (code === -32001) return "no_answer"; // the client gave up
  const run: unknown = Object(data).run;
  if (run === "no") return "not_run";
  return run === "unknown" ? "outcome_unknown" : "other_error";
}

/** Sends a signal to a process that may be gone; returns whether it was there. */
export function signal(pid: number, name: Deno.Signal): boolean {
  try {
    Deno.kill(pid, name);
    return true;
  } catch {
    return false;
  }
}
