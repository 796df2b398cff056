/**
 * `kill -9` of the MCP server and of its host at random moments, under an agent that goes on: the MCP SDK's
 * client behind one `mcp-connect` that lives through all of it.
 *
 * The server writes down what it executes. So it shows whether every call was answered once, whether a call
 * that was reported *not run* was ever executed, whether anything but repeatable calls was executed twice,
 * whether a reply reached a server that had not asked, and whether log level and subscriptions are restored.
 */

import { fileURLToPath } from "node:url";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import {
  type CreateMessageRequest,
  CreateMessageRequestSchema,
  ToolListChangedNotificationSchema,
} from "@modelcontextprotocol/sdk/types.js";
import { messageOf } from "../../lib/errors.ts";
import { pause } from "../pause.ts";
import { SeededRandom } from "../seeded_random.ts";
import { initHome, type RunningHost, startHost, TALOS } from "../talos_process.ts";
import { processesWith } from "./processes.ts";
import { scaled, type SoakOptions, type SoakResult, spread } from "./result.ts";

const SOAK_KILLS = 3_000;
const SOAK_TIME_MS = 1_800_000;
/** Of how many kills one is the host's. */
const HOST_SHARE = 8;
/** Nothing but hanging takes longer. */
const PATIENCE_MS = 60_000;
const CALLERS = 6;
const LEVELS = ["debug", "info", "notice", "warning", "error"] as const;
const RESOURCES = ["file:///a", "file:///b", "file:///c"];

/** How a run goes. */
export interface RestartsOptions {
  /** Where all randomness comes from. */
  readonly seed: string;
  /** Kills in all. */
  readonly kills: number;
  /** After this time no more follow, in milliseconds. */
  readonly timeMs: number;
}

/** What became of the calls. */
export type Outcome = "answered" | "not run" | "unknown" | "other error";

/** What a run found. */
export interface RestartsFindings {
  readonly failures: string[];
  readonly outcomes: Record<Outcome, number>;
  /** How often the server and the host were killed. */
  readonly killed: { server: number; host: number };
  /** From a kill until the next call was answered, in milliseconds. */
  readonly recoveries: number[];
  /** How often log level and subscriptions were looked at. */
  stateChecks: number;
  /** How often the agent heard that its tools may have changed. */
  listChanges: number;
  /** Calls of repeatable tools that were executed twice. */
  repeated: number;
}

/** Runs it. */
export async function runRestarts(options: RestartsOptions): Promise<RestartsFindings> {
  const folder = await Deno.makeTempDir({ prefix: "talos-restarts-" });
  try {
    const run = new RestartsRun(folder, options);
    await run.run();
    return run.found;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Runs it for long. */
export async function soakRestarts(options: SoakOptions): Promise<SoakResult> {
  if (Deno.build.os !== "linux") {
    return {
      name: "restarts",
      figures: [["not done", "only Linux tells processes"]],
      failures: [],
    };
  }
  const kills = scaled(options, SOAK_KILLS, 20);
  const found = await runRestarts({ seed: options.seed, kills, timeMs: SOAK_TIME_MS });
  return {
    name: "restarts",
    figures: [
      ["kill -9 of the server", String(found.killed.server)],
      ["kill -9 of the host", String(found.killed.host)],
      ...Object.entries(found.outcomes).map(([outcome, count]): [string, string] => [
        `calls: ${outcome}`,
        String(count),
      ]),
      ["calls made again", String(found.repeated)],
      ["an answer again after", spread(found.recoveries)],
      ["level and subscriptions looked at", `${found.stateChecks} times`],
    ],
    failures: found.failures,
  };
}

class RestartsRun {
  readonly #folder: string;
  readonly #options: RestartsOptions;
  readonly #random: SeededRandom;
  readonly #record: string;
  readonly #marker: string;
  /** By the number of the call. */
  readonly #calls = new Map<number, { readonly again: boolean; outcome: Outcome | null }>();
  readonly #answers = { count: 0, arrival: Promise.withResolvers<void>() };
  /** What the agent takes to answer the server's questions. */
  readonly #thinking = new Set<Promise<void>>();
  #over = false;
  #stderr = "";
  readonly found: RestartsFindings = {
    failures: [],
    outcomes: { "answered": 0, "not run": 0, "unknown": 0, "other error": 0 },
    killed: { server: 0, host: 0 },
    recoveries: [],
    stateChecks: 0,
    listChanges: 0,
    repeated: 0,
  };

  constructor(folder: string, options: RestartsOptions) {
    this.#folder = folder;
    this.#options = options;
    this.#random = new SeededRandom(`${options.seed}/restarts`);
    this.#record = `${folder}/executed`;
    this.#marker = `talos-restarts-${Deno.pid}-${Math.floor(performance.now() * 1000)}`;
  }

  async run(): Promise<void> {
    const hostId = await initHome(`${this.#folder}/host`, "host");
    const agentId = await initHome(`${this.#folder}/agent`, "agent");
    const server = fileURLToPath(new URL("stateful_server.ts", import.meta.url));
    const words = [Deno.execPath(), "run", "-A", "--no-check", "--no-config", "--quiet", server];
    const args = ["--max-message", "65536", "--authorized-peer", agentId, "--"];
    args.push(...words, this.#marker, this.#record);
    let host = await startHost(`${this.#folder}/host`, args);
    const port = String(host.port);
    const client = await this.#connect(`${hostId}@127.0.0.1:${port}`);
    try {
      const callers = Array.from({ length: CALLERS }, (_, n) => this.#makeCalls(client, n));
      const others = [this.#askBack(client), this.#set(client)];
      const began = performance.now();
      for (let kill = 0; kill < this.#options.kills; kill++) {
        if (performance.now() - began > this.#options.timeMs) break;
        if (this.found.failures.length > 0) break;
        const before = this.#answers.count;
        const killedAt = performance.now();
        if (this.#random.below(HOST_SHARE) === 0) host = await this.#killHost(host, port, args);
        else await this.#killServer(host);
        // Two in a row at most without an answer between them: a third might look like a server that always dies.
        if (kill % 2 === 0 || this.#random.chance(0.5)) {
          await this.#nextAnswer(before);
          this.found.recoveries.push(performance.now() - killedAt);
        }
        await pause(this.#random.below(120));
      }
      this.#over = true;
      await withPatience(Promise.all([...callers, ...others]), "the last answers");
    } catch (error) {
      this.#fail(messageOf(error));
    } finally {
      this.#over = true;
      await client.close();
      await Promise.all(this.#thinking);
      await host[Symbol.asyncDispose]();
    }
    await this.#judge();
  }

  #fail(what: string): void {
    this.found.failures.push(`${what}; mcp-connect said:\n${this.#stderr.slice(-2000)}`);
  }

  async #connect(target: string): Promise<Client> {
    const [command, ...before] = TALOS;
    const client = new Client({ name: "restarts", version: "1.0.0" }, {
      capabilities: { sampling: {} },
    });
    client.onerror = (error: Error) => {
      if (!this.#over) this.found.failures.push(`the client met ${error}`);
    };
    client.onclose = () => {
      if (!this.#over) this.#fail("mcp-connect ended");
      this.#over = true;
      this.#answers.arrival.resolve();
    };
    client.setNotificationHandler(ToolListChangedNotificationSchema, () => {
      this.found.listChanges++;
    });
    client.setRequestHandler(CreateMessageRequestSchema, async (
      { params }: CreateMessageRequest,
    ) => {
      const thinking = pause(this.#random.below(80));
      this.#thinking.add(thinking);
      await thinking;
      this.#thinking.delete(thinking);
      const [first] = params.messages;
      return { model: "m", role: "assistant", content: first!.content };
    });
    const home = ["--home", `${this.#folder}/agent`, "--verbose", "mcp-connect"];
    const flags = ["--max-message", "65536", "--retry-idempotent", "count_again"];
    const transport = new StdioClientTransport({
      command,
      args: [...before, ...home, ...flags, target],
      stderr: "pipe",
    });
    transport.stderr?.on("data", (chunk: Uint8Array) => {
      this.#stderr = (this.#stderr + new TextDecoder().decode(chunk)).slice(-20_000);
    });
    await withPatience(client.connect(transport), "initialize");
    return client;
  }

  /** Makes calls one after the other, and now and then many large ones at once. */
  async #makeCalls(client: Client, caller: number): Promise<void> {
    const random = new SeededRandom(`${this.#options.seed}/caller ${caller}`);
    while (!this.#over) {
      const count = random.chance(0.02) ? 60 : 1;
      const again = random.chance(0.3);
      await Promise.all(Array.from({ length: count }, () =>
        this.#call(client, {
          again,
          delay: random.chance(0.3) ? random.below(100) : 0,
          stall: count > 1 ? 20 : 0,
          padding: "x".repeat(count > 1 ? 60_000 : random.below(200)),
        })));
    }
  }

  async #call(
    client: Client,
    { again, ...words }: {
      readonly again: boolean;
      readonly delay: number;
      readonly stall: number;
      readonly padding: string;
    },
  ): Promise<void> {
    const n = this.#calls.size;
    const call = { again, outcome: null as Outcome | null };
    this.#calls.set(n, call);
    const params = { name: again ? "count_again" : "count", arguments: { ...words, n } };
    const outcome: Outcome = await client.callTool(params, undefined, { timeout: PATIENCE_MS })
      .then(
        ({ content }: { content?: unknown }) => this.#answered(content, String(n)),
        (error: unknown) => this.#failed(error),
      );
    call.outcome = outcome;
    this.found.outcomes[outcome]++;
  }

  #answered(content: unknown, expected: string): Outcome {
    const { text } = (content as { text?: string }[])[0] ?? {};
    if (text !== expected) this.found.failures.push(`call ${expected} was answered with ${text}`);
    this.#answers.count++;
    this.#answers.arrival.resolve();
    return "answered";
  }

  // deno-lint-ignore no-explicit-any -- whatever the client throws
  #failed(error: any): Outcome {
    if (error?.data?.run === "no") return "not run";
    if (error?.data?.run === "unknown") return "unknown";
    if (!this.#over) this.#fail(`a call failed otherwise: ${error}`);
    return "other error";
  }

  /** Lets the server ask the agent, all the time. */
  async #askBack(client: Client): Promise<void> {
    while (!this.#over) {
      const params = { name: "ask", arguments: {} };
      await client.callTool(params, undefined, { timeout: PATIENCE_MS })
        .then(() => {}, (error: unknown) => void this.#failed(error));
    }
  }

  /** Sets log level and subscriptions, and looks whether they hold whatever dies. */
  async #set(client: Client): Promise<void> {
    const random = new SeededRandom(`${this.#options.seed}/settings`);
    const expected = { level: "none", subscriptions: new Set<string>() };
    while (!this.#over) {
      if (random.chance(0.3)) {
        const level = random.pick(LEVELS);
        if (await this.#accepted(() => client.setLoggingLevel(level))) expected.level = level;
      }
      const uri = random.pick(RESOURCES);
      if (expected.subscriptions.has(uri)) {
        const done = await this.#accepted(() => client.unsubscribeResource({ uri }));
        if (done) expected.subscriptions.delete(uri);
      } else if (await this.#accepted(() => client.subscribeResource({ uri }))) {
        expected.subscriptions.add(uri);
      }
      for (let looks = 0; looks < 3 && !this.#over; looks++) {
        await this.#look(client, {
          level: expected.level,
          subscriptions: [...expected.subscriptions].sort(),
          initialized: 1,
          initializes: 1,
        });
        await pause(random.below(50));
      }
    }
  }

  /** Repeats `ask` until it is answered: what fails on the way is lost with the server that failed. */
  async #accepted(ask: () => Promise<unknown>): Promise<boolean> {
    while (!this.#over) {
      const done = await ask().then(() => true, (error: unknown) => {
        this.#failed(error);
        return false;
      });
      if (done) return true;
    }
    return false;
  }

  async #look(client: Client, expected: Readonly<Record<string, unknown>>): Promise<void> {
    const params = { name: "state", arguments: {} };
    const answer = await client.callTool(params, undefined, { timeout: PATIENCE_MS })
      .catch((error: unknown) => void this.#failed(error));
    if (answer === undefined) return;
    const { text = "" } = (answer.content as { text?: string }[])[0] ?? {};
    const state: unknown = JSON.parse(text);
    const [is, was] = [state, expected].map((value) => JSON.stringify(sorted(value)));
    if (is !== was) this.found.failures.push(`the server's state is ${is}, was ${was}`);
    this.found.stateChecks++;
  }

  async #killServer(host: RunningHost): Promise<void> {
    const pids = (await processesWith(this.#marker) ?? []).filter((pid) => pid !== host.pid);
    if (pids.length === 0) return;
    for (const pid of pids) killOutright(pid);
    this.found.killed.server++;
  }

  async #killHost(
    host: RunningHost,
    port: string,
    args: readonly string[],
  ): Promise<RunningHost> {
    host.signal("SIGKILL");
    await host[Symbol.asyncDispose]();
    this.found.killed.host++;
    await pause(this.#random.below(300));
    return await startHost(`${this.#folder}/host`, ["--port", port, ...args]);
  }

  async #nextAnswer(before: number): Promise<void> {
    await withPatience(
      (async () => {
        while (this.#answers.count === before && !this.#over) {
          this.#answers.arrival = Promise.withResolvers();
          await this.#answers.arrival.promise;
        }
      })(),
      "an answer after a kill",
    );
  }

  /** Compares what was answered with what was executed. */
  async #judge(): Promise<void> {
    const executed = new Map<string, number>();
    const text = await Deno.readTextFile(this.#record).catch(() => "");
    for (const line of text.trimEnd().split("\n")) {
      executed.set(line, (executed.get(line) ?? 0) + 1);
    }
    const { failures } = this.found;
    const strays = executed.get("stray") ?? 0;
    if (strays > 0) failures.push(`${strays} replies reached a server that had not asked`);
    for (const [n, { again, outcome }] of this.#calls) {
      const times = executed.get(String(n)) ?? 0;
      if (outcome === null) failures.push(`call ${n} was never answered`);
      if (outcome === "answered" && times === 0) {
        failures.push(`call ${n} was answered, not executed`);
      }
      if (outcome === "not run" && times > 0) failures.push(`call ${n}: not run, but executed`);
      if (times > (again ? 2 : 1)) failures.push(`call ${n} was executed ${times} times`);
      if (times === 2) this.found.repeated++;
    }
  }
}

async function withPatience<T>(promise: Promise<T>, what: string): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no ${what} in 60 s`)), PATIENCE_MS);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

function killOutright(pid: number): void {
  try {
    Deno.kill(pid, "SIGKILL");
  } catch {
    // it has ended meanwhile
  }
}

/** The members of an object by their names, so that two can be compared as text. */
function sorted(value: unknown): unknown {
  return Object.fromEntries(Object.entries(value as object).sort());
}
