/**
 * What the tests of the tunnel share: homes, agents that speak raw lines, the SDK's client, and a look at
 * the processes of this machine. Nothing here sleeps: it waits for lines, events and exits, and gives up
 * after a generous deadline.
 */

import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";

import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import type { ClientCapabilities } from "@modelcontextprotocol/sdk/types.js";
import { type Bytes, concat, fromUtf8, utf8 } from "../../lib/bytes.ts";
import { systemRandom } from "../../lib/crypto/random.ts";
import { homePaths } from "../../lib/identity/home.ts";
import type { PeerId } from "../../lib/identity/peer_id.ts";
import { createWallet } from "../../lib/identity/wallet.ts";
import { saveWallet } from "../../lib/identity/wallet_file.ts";
import { isExecutable } from "../../lib/cli/executable.ts";
import { systemClock } from "../../lib/clock.ts";
import { SILENT } from "../../lib/log.ts";
import { LineSplitter } from "../../lib/mcp/lines.ts";
import { reaperHere } from "../../lib/mcp/reaper_trial.ts";
import { type RunningHost, startHost, TALOS } from "../../scripts/talos_process.ts";

/** How long anything may take before a test gives up. */
const DEADLINE_MS = 20_000;

/** `mcp-connect` is gone within 1 s of the end of its stdin; a busy machine is given more. */
export const GONE_WITHIN_MS = 3_000;

/** A JSON-RPC message, as far as a test looks into it. */
export interface Message {
  readonly jsonrpc?: string;
  readonly id?: number | string;
  readonly method?: string;
  // deno-lint-ignore no-explicit-any -- a test reads what it expects and fails otherwise
  readonly params?: any;
  // deno-lint-ignore no-explicit-any -- the same
  readonly result?: any;
  // deno-lint-ignore no-explicit-any -- the same
  readonly error?: { readonly code: number; readonly message: string; readonly data: any };
}

/** Returns what `promise` gives; fails when it takes too long. */
export async function soon<T>(promise: Promise<T>, what: string, ms = DEADLINE_MS): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`too late: ${what} took more than ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** An identity in a home of its own. */
export interface Party {
  readonly home: string;
  readonly id: PeerId;
}

/** A temporary folder with identities in it. */
export class Sandbox implements AsyncDisposable {
  /** The folder. */
  readonly folder: string;

  private constructor(folder: string) {
    this.folder = folder;
  }

  /** Makes an empty one. */
  static async make(): Promise<Sandbox> {
    return new Sandbox(
      await Deno.realPath(await Deno.makeTempDir({ prefix: "talos-test-" })),
    );
  }

  /** Makes an identity. */
  async party(name: string): Promise<Party> {
    const home = `${this.folder}/${name}`;
    const wallet = createWallet({ name, now: Date.now(), random: systemRandom });
    const paths = homePaths(Deno.build.os, () => undefined, home, this.folder);
    await saveWallet(paths, wallet, { force: false, log: SILENT });
    return { home, id: wallet.peerId };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.folder, { recursive: true });
  }
}

/** The command of a fixture in `tests/process/fixtures/`. */
export function fixture(name: string, ...args: readonly string[]): string[] {
  const path = fileURLToPath(new URL(`fixtures/${name}.ts`, import.meta.url));
  return [
    Deno.execPath(),
    "run",
    "--allow-all",
    "--no-check",
    "--no-config",
    "--quiet",
    path,
    ...args,
  ];
}

/** A host, one agent that may use it, and the puppet behind it. */
export interface Tunnel extends AsyncDisposable {
  readonly sandbox: Sandbox;
  readonly host: RunningHost;
  readonly hosting: Party;
  readonly agent: Party;
  /** What `mcp-connect` is told. */
  readonly target: string;
  /** Waits until a line of the host's log contains `part`. */
  readonly logged: (part: string) => Promise<void>;
}

/** What a tunnel leads to. */
export interface TunnelOptions {
  /** What is shared, given a folder for its files; the puppet by default. */
  readonly command?: (folder: string) => readonly string[];
  /** What `mcp-serve` is told besides. */
  readonly args?: readonly string[];
}

/** Starts a host that shares a server with one agent. */
export async function tunnel(options: TunnelOptions = {}): Promise<Tunnel> {
  const sandbox = await Sandbox.make();
  try {
    const hosting = await sandbox.party("host");
    const agent = await sandbox.party("agent");
    const command = options.command?.(sandbox.folder) ?? fixture("puppet_server");
    const args = ["--authorized-peer", agent.id, ...options.args ?? [], "--", ...command];
    const host = await startHost(hosting.home, args);
    return {
      sandbox,
      host,
      hosting,
      agent,
      target: `${hosting.id}@127.0.0.1:${host.port}`,
      logged: (part) => soon(host.logged(part), `"${part}" in the host's log`),
      async [Symbol.asyncDispose]() {
        await host[Symbol.asyncDispose]();
        await sandbox[Symbol.asyncDispose]();
      },
    };
  } catch (error) {
    await sandbox[Symbol.asyncDispose]();
    throw error;
  }
}

/** How an agent's `mcp-connect` ended. */
export interface Farewell {
  /** Its exit status. */
  readonly code: number;
  /** Milliseconds from the end of its stdin to its exit. */
  readonly ms: number;
}

/** An agent that writes and reads raw lines. Whatever reaches its stdout is checked to be MCP. */
export class RawAgent implements AsyncDisposable {
  readonly #process: Deno.ChildProcess;
  readonly #stdin: WritableStreamDefaultWriter<Uint8Array>;
  readonly #lines: Bytes[] = [];
  #arrival = Promise.withResolvers<void>();
  #ended = false;
  #stderr = "";
  readonly #reading: Promise<unknown>;
  /** Resolves with the exit status. */
  readonly exited: Promise<number>;
  #closed = false;
  /** What reached stdout that is no MCP; must stay empty. */
  readonly impurities: string[] = [];

  private constructor(args: readonly string[]) {
    const [program, ...before] = TALOS;
    this.#process = new Deno.Command(program, {
      args: [...before, ...args],
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
      env: { NO_COLOR: "1" },
    }).spawn();
    this.#stdin = this.#process.stdin.getWriter();
    this.#stdin.closed.catch(() => {}); // it ended without reading all
    this.exited = this.#process.status.then(({ code }) => code);
    this.#reading = Promise.all([this.#readStdout(), this.#readStderr()]);
  }

  /** Starts `talos mcp-connect`. */
  static start(party: Party, target: string, ...options: readonly string[]): RawAgent {
    return RawAgent.run(party, [...options, "mcp-connect", target]);
  }

  /** Starts `talos` with these words: `mcp-connect` among them. */
  static run(party: Party, words: readonly string[]): RawAgent {
    return new RawAgent(["--home", party.home, ...words]);
  }

  /** The process id of `mcp-connect`. */
  get pid(): number {
    return this.#process.pid;
  }

  /** What it wrote to stderr so far. */
  get stderr(): string {
    return this.#stderr;
  }

  /** Waits until its stderr contains `part`. */
  async said(part: string): Promise<void> {
    await soon(this.#said(part), `"${part}" on the stderr of mcp-connect`);
  }

  async #said(part: string): Promise<void> {
    while (!this.#stderr.includes(part) && !this.#ended) await this.#arrival.promise;
  }

  /** Waits until its stderr contains `part`. */
  async says(part: string): Promise<void> {
    await soon(this.#says(part), `"${part}" on stderr`);
  }

  async #says(part: string): Promise<void> {
    while (!this.#stderr.includes(part)) {
      if (this.#ended) throw new Error(`mcp-connect ended; stderr: ${this.#stderr}`);
      await this.#arrival.promise;
    }
  }

  /** Sends one line, with a line feed. */
  async send(line: string | Bytes | Message): Promise<void> {
    const bytes = line instanceof Uint8Array
      ? line
      : utf8(typeof line === "string" ? line : JSON.stringify({ jsonrpc: "2.0", ...line }));
    await this.sendBytes(concat(bytes, utf8("\n")));
  }

  /** Sends bytes as they are. */
  async sendBytes(bytes: Bytes): Promise<void> {
    await this.#stdin.write(bytes);
  }

  /** Returns the next line, without its line feed. Fails when there is none. */
  async line(): Promise<Bytes> {
    return await soon(this.#line(), `a line of mcp-connect; stderr: ${this.#stderr}`);
  }

  async #line(): Promise<Bytes> {
    for (;;) {
      const line = this.#lines.shift();
      if (line !== undefined) return line;
      if (this.#ended) throw new Error(`mcp-connect ended; stderr: ${this.#stderr}`);
      await this.#arrival.promise;
    }
  }

  /** Returns the next message. */
  async message(): Promise<Message> {
    return JSON.parse(fromUtf8(await this.line()));
  }

  /** Sends a request and returns the next message, which must be its reply. */
  async ask(id: number | string, method: string, params?: unknown): Promise<Message> {
    await this.send({ id, method, params });
    const reply = await this.message();
    assert.equal(reply.id, id, `a reply to ${method}`);
    return reply;
  }

  /** All lines that nobody asked for yet. */
  get unread(): string[] {
    return this.#lines.map((line) => fromUtf8(line));
  }

  /** Sends it a signal. */
  signal(signal: Deno.Signal): void {
    this.#process.kill(signal);
  }

  /** Closes its stdin, waits for its exit, and checks that its stdout carried MCP alone. */
  async finish(): Promise<Farewell> {
    const started = performance.now();
    if (!this.#closed) {
      this.#closed = true;
      await this.#stdin.close().catch(() => {}); // it ended before
    }
    const code = await soon(this.exited, "the end of mcp-connect");
    const ms = performance.now() - started;
    await soon(this.#reading, "the end of its output");
    assert.deepEqual(this.impurities, [], "stdout carries MCP and nothing else");
    return { code, ms };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#closed) {
      this.#closed = true;
      await this.#stdin.close().catch(() => {}); // it ended before
    }
    await this.exited;
    await this.#reading;
    assert.deepEqual(this.impurities, [], "stdout carries MCP and nothing else");
  }

  async #readStdout(): Promise<void> {
    const splitter = new LineSplitter(2 ** 30);
    for await (const chunk of this.#process.stdout) {
      for (const line of splitter.feed(chunk as Bytes)) {
        if (line.kind === "line") this.#take(line.bytes);
        else this.impurities.push("a line without end");
      }
    }
    const last = splitter.end();
    if (last !== null) this.impurities.push(`a last line without line feed`);
    this.#ended = true;
    this.#signalArrival();
  }

  #take(line: Bytes): void {
    if (!isMcp(line)) this.impurities.push(new TextDecoder().decode(line.subarray(0, 1000)));
    this.#lines.push(line);
    this.#signalArrival();
  }

  #signalArrival(): void {
    const { resolve } = this.#arrival;
    this.#arrival = Promise.withResolvers();
    resolve();
  }

  async #readStderr(): Promise<void> {
    for await (const text of this.#process.stderr.pipeThrough(new TextDecoderStream())) {
      this.#stderr += text;
      this.#signalArrival();
      this.#signalArrival();
    }
  }
}

/** Tells whether a line of stdout is a JSON-RPC message, or a batch of them. */
function isMcp(line: Bytes): boolean {
  try {
    const parsed: unknown = JSON.parse(fromUtf8(line));
    const messages = Array.isArray(parsed) ? parsed : [parsed];
    return messages.length > 0 && messages.every((message) => message.jsonrpc === "2.0");
  } catch {
    return false;
  }
}

/** The SDK's client behind `mcp-connect`, and whatever it took for an error on its stdout. */
export interface SdkAgent extends AsyncDisposable {
  readonly client: Client;
  readonly errors: readonly string[];
  /** Milliseconds from the spawn of `mcp-connect` until `initialize` was answered. */
  readonly startMs: number;
}

/** Connects the SDK's client through `mcp-connect`. `prepare` sets its handlers. */
export async function sdkAgent(
  party: Party,
  target: string,
  options: {
    readonly capabilities?: ClientCapabilities;
    readonly prepare?: (client: Client) => void;
    readonly flags?: readonly string[];
  } = {},
): Promise<SdkAgent> {
  const [command, ...before] = TALOS;
  const client = new Client({ name: "test", version: "1.0.0" }, {
    capabilities: options.capabilities ?? {},
  });
  const errors: string[] = [];
  client.onerror = (error: Error) => {
    // Servers may report progress on a call that was cancelled; all else is no MCP.
    if (!error.message.includes("for an unknown token")) errors.push(String(error));
  };
  options.prepare?.(client);
  const started = performance.now();
  const transport = new StdioClientTransport({
    command,
    args: [...before, "--home", party.home, ...options.flags ?? [], "mcp-connect", target],
    stderr: "ignore",
  });
  await soon(client.connect(transport), "initialize through the tunnel");
  return {
    client,
    errors,
    startMs: performance.now() - started,
    async [Symbol.asyncDispose]() {
      await soon(client.close(), "the end of the SDK's client");
      assert.deepEqual(errors, [], "the SDK's client met nothing but MCP");
    },
  };
}

/** What works here to end the servers of a `mcp-serve` that is killed outright; null for nothing. */
export const REAPER = await reaperHere({
  os: Deno.build.os,
  path: Deno.env.get("PATH"),
  exists: isExecutable,
  clock: systemClock,
});

/** The puppet behind an agent, as this machine knows it. */
export interface PuppetProcess {
  readonly pid: number;
  /** Returns the id by which this machine knows what the puppet knows as `pid`. */
  readonly here: (pid: number) => number;
}

/** Asks the puppet behind `agent` for its process id. */
export async function puppetOf(agent: RawAgent): Promise<PuppetProcess> {
  const { pid, namespace } = (await agent.ask("facts", "puppet/facts")).result;
  const here = (pid: number) => namespace === null ? pid : pidHere(pid, namespace);
  return { pid: here(pid), here };
}

/** Returns the id that the process `pid` of a PID namespace has here. Linux only. */
function pidHere(pid: number, namespace: string): number {
  for (const { name } of Deno.readDirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      if (Deno.readLinkSync(`/proc/${name}/ns/pid`) !== namespace) continue;
      const status = Deno.readTextFileSync(`/proc/${name}/status`);
      if (Number(/^NSpid:.*\s(\d+)$/m.exec(status)?.[1]) === pid) return Number(name);
    } catch {
      // it ended while we looked
    }
  }
  throw new Error(`there is no process ${pid} in ${namespace}`);
}

/** Tells whether the process `pid` lives and is no zombie. */
export function lives(pid: number): boolean {
  switch (Deno.build.os) {
    case "linux":
      return !["", "Z"].includes(stateOf(pid));
    case "windows":
      return printed("tasklist", "/NH", "/FI", `PID eq ${pid}`).includes(String(pid));
    default:
      return /^[^Z]/.test(printed("ps", "-o", "stat=", "-p", String(pid)));
  }
}

/** Returns the state of a process as `/proc` has it, or nothing. */
function stateOf(pid: number): string {
  try {
    const stat = Deno.readTextFileSync(`/proc/${pid}/stat`);
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[0] ?? "";
  } catch {
    return ""; // it is gone
  }
}

function printed(program: string, ...args: readonly string[]): string {
  const { stdout } = new Deno.Command(program, { args: [...args], stderr: "null" }).outputSync();
  return new TextDecoder().decode(stdout).trim();
}

/** Returns the ids of the live processes whose command line contains `part`. Linux only. */
export function processesWith(part: string): number[] {
  const found: number[] = [];
  for (const { name } of Deno.readDirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const line = Deno.readTextFileSync(`/proc/${name}/cmdline`);
      if (line.includes(part) && lives(Number(name))) found.push(Number(name));
    } catch {
      // it ended while we looked
    }
  }
  return found;
}

/** Waits until `pid` is gone: it is not our child, so there is no event to wait for. */
export async function gone(pid: number, what: string): Promise<void> {
  await soon(untilGone(pid), `the end of ${what} ${pid}`);
}

async function untilGone(pid: number): Promise<void> {
  while (lives(pid)) await new Promise((resolve) => setTimeout(resolve, 10));
}

/** The most memory that `pid` ever had resident, in MiB. Linux only. */
export function peakMemory(pid: number): number {
  const status = Deno.readTextFileSync(`/proc/${pid}/status`);
  return Math.round(Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1] ?? 0) / 1024);
}
