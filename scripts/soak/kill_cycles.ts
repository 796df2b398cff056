/**
 * `kill -9` again and again, at random moments: of the agent, of `mcp-connect`, of `mcp-serve`, of a process
 * of the server, with a scan of the process table for orphans behind each.
 *
 * Every server starts a grandchild that hears neither the end of stdin nor SIGTERM; every fifth server is
 * as deaf itself. Where this machine has a reaper, the grandchild also leaves its process group and nothing
 * at all may be left of a killed `mcp-serve`. Where it has none, deaf processes outlive that one kill, so
 * there the servers are obedient and have no grandchild when `mcp-serve` is to be killed.
 */

import { fileURLToPath } from "node:url";
import { isExecutable } from "../../lib/cli/executable.ts";
import { systemClock } from "../../lib/clock.ts";
import { messageOf } from "../../lib/errors.ts";
import { reaperHere } from "../../lib/mcp/reaper_trial.ts";
import { SeededRandom } from "../seeded_random.ts";
import { initHome, startHost, TALOS } from "../talos_process.ts";
import { answeringServer } from "./answering_server.ts";
import { processesMarked, whatIsLeft } from "./processes.ts";
import { scaled, type SoakOptions, type SoakResult, spread } from "./result.ts";

/** Who is killed. */
const VICTIMS = ["agent", "mcp-connect", "mcp-serve", "child"] as const;
type Victim = typeof VICTIMS[number];

const CYCLES = 1_000;
const TIME_MS = 3_600_000;
/** A start takes some 400 ms here: kills come before, during and after it. */
const LATEST_KILL_MS = 800;
/** Two graces of 2 s, and as much again for a busy machine. */
const PATIENCE_MS = 10_000;

/** What the cycles found. */
interface Findings {
  readonly failures: string[];
  readonly cycles: Record<Victim, number>;
  /** From the kill until the victim's server was gone, in milliseconds. */
  readonly gone: number[];
  /** Cycles in which the agent had an answer before the kill. */
  answered: number;
  /** Kills that found nobody: no server ran yet. */
  early: number;
  orphans: number;
}

/** Runs the cycles. */
export async function soakKills(options: SoakOptions): Promise<SoakResult> {
  const random = new SeededRandom(`${options.seed}/kills`);
  const cycles = scaled(options, CYCLES, 8);
  const folder = await Deno.makeTempDir({ prefix: "talos-soak-" });
  const reaper = await reaperHere({
    os: Deno.build.os,
    path: Deno.env.get("PATH"),
    exists: isExecutable,
    clock: systemClock,
  });
  const found: Findings = {
    failures: [],
    cycles: { "agent": 0, "mcp-connect": 0, "mcp-serve": 0, "child": 0 },
    gone: [],
    answered: 0,
    early: 0,
    orphans: 0,
  };
  try {
    const hostId = await initHome(`${folder}/host`, "host");
    const agentId = await initHome(`${folder}/agent`, "agent");
    const began = performance.now();
    for (let number = 0; number < cycles && performance.now() - began < TIME_MS; number++) {
      const cycle: Cycle = {
        folder,
        hostId,
        agentId,
        number,
        victim: random.pick(VICTIMS),
        killAfterMs: random.below(LATEST_KILL_MS),
        prewarm: random.below(3),
        deaf: random.chance(0.2),
        reaped: reaper !== null,
        random,
      };
      found.cycles[cycle.victim]++;
      await run(cycle, found)
        .catch((error: unknown) => found.failures.push(`cycle ${number}: ${messageOf(error)}`));
      if (found.failures.length >= 5) break;
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
  const looked = Deno.build.os === "linux";
  return {
    name: "kill -9",
    figures: [
      ["reaper", reaper?.name ?? "none here"],
      ...VICTIMS.map((victim): [string, string] => [
        `${victim} killed`,
        `${found.cycles[victim]} times`,
      ]),
      ["agents that had been answered before", String(found.answered)],
      ["kills of a child before there was one", String(found.early)],
      ["servers of a killed mcp-serve, or of nobody, gone after", spread(found.gone)],
      ["orphans", looked ? String(found.orphans) : "not looked for on this system"],
    ],
    failures: found.failures,
  };
}

interface Cycle {
  readonly folder: string;
  readonly hostId: string;
  readonly agentId: string;
  readonly number: number;
  readonly victim: Victim;
  readonly killAfterMs: number;
  readonly prewarm: number;
  /** The server ignores the end of its stdin. */
  readonly deaf: boolean;
  readonly reaped: boolean;
  readonly random: SeededRandom;
}

async function run(cycle: Cycle, found: Findings): Promise<void> {
  const { folder, hostId, agentId, number, victim, killAfterMs, reaped, random } = cycle;
  const marker = `talos-soak-${Deno.pid}-${number}-`;
  const named = { SOAK_MARKER: marker };
  const args = ["--authorized-peer", agentId, "--env", "SOAK_MARKER"];
  const host = await startHost(
    `${folder}/host`,
    [...args, "--prewarm", String(cycle.prewarm), "--", ...serverOf(cycle)],
    named,
  );
  const agent = new AgentProcess(`${folder}/agent`, `${hostId}@127.0.0.1:${host.port}`, named);
  try {
    const connect = await agent.connect;
    await new Promise((resolve) => setTimeout(resolve, killAfterMs));
    if (agent.answers > 0) found.answered++;
    const servers = (await processesMarked(marker) ?? [])
      .filter((pid) => ![host.pid, agent.pid, connect].includes(pid));
    const killed = performance.now();
    if (victim === "agent") kill(agent.pid);
    if (victim === "mcp-connect") kill(connect);
    if (victim === "mcp-serve") kill(host.pid);
    if (victim === "child") {
      if (servers.length === 0) found.early++;
      else kill(random.pick(servers));
    }
    if (victim === "mcp-serve") {
      await none(cycle, found, marker, () => [agent.pid, connect], "after mcp-serve was killed");
      found.gone.push(performance.now() - killed);
    }
    agent.leave();
    await none(cycle, found, marker, () => childrenOf(host.pid), "of the agent");
  } finally {
    agent.leave();
    await host[Symbol.asyncDispose]();
    await agent.gone();
    await none(
      cycle,
      found,
      marker,
      () => [],
      reaped ? "at the end" : "at the end, without a reaper",
    );
  }
}

/** Counts, reports and ends what is left but should not be. */
async function none(
  { number, victim }: Cycle,
  found: Findings,
  marker: string,
  except: () => readonly number[] | Promise<readonly number[]>,
  when: string,
): Promise<void> {
  const left = await whatIsLeft(marker, except, PATIENCE_MS);
  if (left.length === 0) return;
  found.orphans += left.length;
  const lines = left.map((pid) => commandLine(pid)).join("; ");
  found.failures.push(`cycle ${number}, ${victim} killed: left ${when}: ${lines}`);
  for (const pid of left) kill(pid);
}

/** A host, what it has started, and so on: while it runs they are its own business. */
async function childrenOf(host: number): Promise<readonly number[]> {
  const found = [host];
  for (const pid of found) {
    const path = `/proc/${pid}/task/${pid}/children`;
    const text = await Deno.readTextFile(path).catch(() => "");
    found.push(...text.split(" ").filter((word) => word !== "").map(Number));
  }
  return found;
}

function serverOf({ deaf, reaped, victim }: Cycle): readonly string[] {
  if (!reaped && victim === "mcp-serve") return answeringServer("");
  const grandchild = `trap "" TERM; exec ${reaped ? "setsid " : ""}sleep 600`;
  const start = `(${grandchild}) </dev/null >/dev/null 2>&1 & `;
  const server = deaf ? 'trap "" TERM; "$@"; exec sleep 600' : 'exec "$@"';
  return ["/bin/sh", "-c", start + server, "sh", ...answeringServer("")];
}

function commandLine(pid: number): string {
  try {
    return `${pid} ${Deno.readTextFileSync(`/proc/${pid}/cmdline`).replaceAll("\0", " ").trim()}`;
  } catch {
    return `${pid}, which has ended since`;
  }
}

function kill(pid: number): void {
  try {
    Deno.kill(pid, "SIGKILL");
  } catch {
    // it has ended already
  }
}

/** An agent in a process of its own, with its `mcp-connect`. */
class AgentProcess {
  readonly #process: Deno.ChildProcess;
  readonly #reading: Promise<void>;
  readonly #connect = Promise.withResolvers<number>();
  #left = false;
  answers = 0;

  constructor(home: string, target: string, env: Record<string, string>) {
    const script = fileURLToPath(new URL("agent_process.ts", import.meta.url));
    this.#process = new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "--allow-run",
        "--no-check",
        "--no-config",
        script,
        ...TALOS,
        "--home",
        home,
        "mcp-connect",
        target,
      ],
      env,
      stdin: "piped",
      stdout: "piped",
      stderr: "null",
    }).spawn();
    this.#reading = this.#read();
  }

  get pid(): number {
    return this.#process.pid;
  }

  /** The process id of its `mcp-connect`. */
  get connect(): Promise<number> {
    return this.#connect.promise;
  }

  /** Closes its stdin. */
  leave(): void {
    if (this.#left) return;
    this.#left = true;
    this.#process.stdin.close().catch(() => {}); // it has ended already
  }

  /** Waits for its end. */
  async gone(): Promise<void> {
    await this.#process.status;
    await this.#reading;
  }

  async #read(): Promise<void> {
    let text = "";
    for await (const part of this.#process.stdout.pipeThrough(new TextDecoderStream())) {
      text += part;
      const lines = text.split("\n");
      if (lines.length > 1) this.#connect.resolve(Number(lines[0]));
      this.answers = Math.max(0, lines.filter((line) => line.includes('"result"')).length);
    }
    this.#connect.reject(new Error("the agent did not start"));
  }
}
