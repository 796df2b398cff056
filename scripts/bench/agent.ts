/**
 * The agent that measures: starts a contender's command and speaks MCP over its stdin and stdout.
 *
 * Requests are made before the clock starts, and replies are only counted and looked at as far as it takes
 * to know that they are the right ones; what all contenders share in cost is this agent and the server.
 * A command that ends too early, or takes longer than the deadline, is an error, never a hang.
 */

import type { Contender } from "./contender.ts";

const LINE_FEED = 0x0a;
const READ_BUFFER_BYTES = 256 * 1024;
/** Whatever takes longer than this hangs. */
const DEADLINE_MS = 60_000;
const PROTOCOL_VERSION = "2025-06-18";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Makes the request with the given id. */
export type MakeRequest = (id: number) => Uint8Array;

/** A call of `echo` with a text of a hundred bytes: what most calls of agents are like. */
export function echoRequest(id: number): Uint8Array {
  return toolCall(id, "echo", { text: "x".repeat(100) });
}

/** A call whose result has a text of `bytes` bytes. */
export function produceRequest(bytes: number): MakeRequest {
  return (id) => toolCall(id, "produce", { bytes });
}

/** A call whose argument is a text of `bytes` bytes. */
export function swallowRequest(bytes: number): MakeRequest {
  const [head, tail] = decoder.decode(toolCall(0, "swallow", { text: "\0" })).split("\\u0000");
  const body = encoder.encode("x".repeat(bytes) + tail);
  return (id) => {
    const start = encoder.encode(head!.replace('"id":0', `"id":${id}`));
    const line = new Uint8Array(start.length + body.length);
    line.set(start);
    line.set(body, start.length);
    return line;
  };
}

function toolCall(id: number, name: string, args: Record<string, unknown>): Uint8Array {
  return message({ jsonrpc: "2.0", id, method: "tools/call", params: { name, arguments: args } });
}

function message(value: unknown): Uint8Array {
  return encoder.encode(JSON.stringify(value) + "\n");
}

/** What many calls at once came to. */
export interface Volley {
  /** How many calls were answered. */
  readonly calls: number;
  /** How long that took. */
  readonly seconds: number;
}

/** A running contender that was initialized. */
export class Agent {
  readonly #child: Deno.ChildProcess;
  readonly #name: string;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #reader: ReadableStreamBYOBReader;
  #buffer = new ArrayBuffer(READ_BUFFER_BYTES);
  #nextId = 1;
  /** How long it took from before the spawn until `initialize` was answered. */
  startMs = 0;

  private constructor(contender: Contender) {
    const [program, ...args] = contender.command;
    this.#name = contender.label;
    this.#child = new Deno.Command(program, {
      args,
      env: { ...contender.env },
      stdin: "piped",
      stdout: "piped",
      stderr: "null",
    }).spawn();
    this.#writer = this.#child.stdin.getWriter();
    this.#writer.closed.catch(() => {}); // the pending write tells
    this.#reader = this.#child.stdout.getReader({ mode: "byob" });
  }

  /** Starts a contender and initializes the session. Throws Error when it ends or hangs. */
  static async start(contender: Contender): Promise<Agent> {
    const began = performance.now();
    const agent = new Agent(contender);
    using _deadline = agent.#deadline();
    const params = {
      protocolVersion: PROTOCOL_VERSION,
      capabilities: {},
      clientInfo: { name: "talos-bench", version: "1.0.0" },
    };
    const initialize = { jsonrpc: "2.0", id: 0, method: "initialize", params };
    const reply = await agent.#exchange(message(initialize));
    agent.startMs = performance.now() - began;
    agent.#check(reply, 0);
    await agent.#writer.write(message({ jsonrpc: "2.0", method: "notifications/initialized" }));
    return agent;
  }

  /** The process that was started. */
  get pid(): number {
    return this.#child.pid;
  }

  /**
   * Makes `count` calls one after the other, each `periodMs` after the beginning of the one before (at
   * once where that is 0). Returns how long each took, in milliseconds.
   */
  async callOneByOne(make: MakeRequest, count: number, periodMs = 0): Promise<number[]> {
    using _deadline = this.#deadline();
    const took: number[] = [];
    let due = performance.now();
    for (let call = 0; call < count; call++) {
      const id = this.#nextId++;
      const request = make(id);
      if (periodMs > 0) {
        due += periodMs;
        await passed(due);
      }
      const began = performance.now();
      const reply = await this.#exchange(request);
      took.push(performance.now() - began);
      this.#check(reply, id);
    }
    return took;
  }

  /** Keeps `inFlight` calls under way until `count` were made or `limitMs` have passed. */
  async callAtOnce(
    make: MakeRequest,
    { inFlight, count, limitMs }: { inFlight: number; count: number; limitMs: number },
  ): Promise<Volley> {
    using _deadline = this.#deadline();
    // Making a request is not what is measured; an id is used again when its call was long answered.
    const requests: Uint8Array[] = [];
    const distinct = Math.min(count, 4 * inFlight);
    for (let at = 0; at < distinct; at++) requests.push(make(this.#nextId++));
    let sent = 0;
    let answered = 0;
    const writes: Promise<void>[] = [];
    const send = (howMany: number) => {
      const batch: Uint8Array[] = [];
      for (; howMany > 0 && sent < count; howMany--) batch.push(requests[sent++ % distinct]!);
      if (batch.length === 0) return;
      writes.push(this.#writer.write(batch.length === 1 ? batch[0]! : joined(batch)));
    };
    const began = performance.now();
    send(inFlight);
    let wanted = count;
    while (answered < wanted) {
      const replies = lineFeedsIn(await this.#read());
      answered += replies;
      if (performance.now() - began > limitMs) wanted = Math.min(wanted, sent);
      else send(replies);
    }
    const seconds = (performance.now() - began) / 1000;
    await Promise.all(writes);
    if (answered !== sent) {
      throw new Error(`${this.#name} gave ${answered} replies to ${sent} calls`);
    }
    return { calls: answered, seconds };
  }

  /** Closes its stdin and returns how long it took to exit, in milliseconds. */
  async stop(): Promise<number> {
    using _deadline = this.#deadline();
    const began = performance.now();
    await this.#writer.close().catch(() => {}); // gone already
    await this.#child.status;
    const took = performance.now() - began;
    await this.#reader.cancel();
    return took;
  }

  /** Ends it now. */
  async kill(): Promise<void> {
    this.#kill();
    await this.#child.status;
    await this.#reader.cancel().catch(() => {}); // its stdout broke
    await this.#writer.abort().catch(() => {}); // its stdin broke
  }

  #kill(): void {
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // it has ended already
    }
  }

  #deadline(): Disposable {
    const timer = setTimeout(() => this.#kill(), DEADLINE_MS);
    return { [Symbol.dispose]: () => clearTimeout(timer) };
  }

  /** Writes one request and returns the one line that follows. */
  async #exchange(request: Uint8Array): Promise<Uint8Array> {
    const writing = this.#writer.write(request);
    writing.catch(() => {}); // reading tells
    let line: Uint8Array | undefined;
    for (;;) {
      const chunk = await this.#read();
      if (chunk[chunk.length - 1] === LINE_FEED && line === undefined) return chunk;
      line = line === undefined ? chunk.slice() : joined([line, chunk]);
      if (line[line.length - 1] === LINE_FEED) return line;
    }
  }

  /** Returns what comes next; valid until the next call. */
  async #read(): Promise<Uint8Array> {
    const { value, done } = await this.#reader.read(new Uint8Array(this.#buffer));
    if (done || value === undefined) throw new Error(`${this.#name} ended, or hung and was ended`);
    this.#buffer = value.buffer;
    return value;
  }

  #check(line: Uint8Array, id: number): void {
    const reply = JSON.parse(decoder.decode(line));
    if (reply.id === id && reply.result !== undefined) return;
    throw new Error(
      `${this.#name} did not answer call ${id}: ${decoder.decode(line).slice(0, 200)}`,
    );
  }
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

function lineFeedsIn(chunk: Uint8Array): number {
  let count = 0;
  for (let at = chunk.indexOf(LINE_FEED); at >= 0; at = chunk.indexOf(LINE_FEED, at + 1)) count++;
  return count;
}

/** Resolves at `moment` of the monotonic clock. */
async function passed(moment: number): Promise<void> {
  const left = moment - performance.now();
  if (left > 0) await new Promise((resolve) => setTimeout(resolve, left));
}
