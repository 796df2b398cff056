/**
 * A chaos run: agents that call at all times, and faults beside each other in several lanes.
 *
 * Each agent has a lane of its own: its path, its `mcp-connect`, the server's process that it talks to. One
 * host is killed again and again, in a lane of its own; the other only stands still now and then, so that
 * long silences are survived, too. The registry has a lane. All agents but the first of each host find
 * their host in the registry.
 */

import { messageOf } from "../../lib/errors.ts";
import { pause } from "../pause.ts";
import { SeededRandom } from "../seeded_random.ts";
import { processesWith } from "../soak/processes.ts";
import { FaultyProxy } from "./faulty_proxy.ts";
import { CALL_PATIENCE_MS, NumberingAgent, signal } from "./numbering_agent.ts";
import { type Fault, type FaultKind, FAULTS, lane } from "./schedule.ts";
import { serverProcess } from "./server_process.ts";
import {
  agentEnvironment,
  connectByAddress,
  connectByRegistry,
  countingServer,
  type Home,
  hostOf,
  registeredHome,
  registryIn,
  type Revivable,
} from "./stage.ts";
import { journalOf, Tally, type Verdict } from "./tally.ts";

/** What is run. */
export interface ChaosOptions {
  readonly seed: string;
  /** How long faults come, in milliseconds; starting and settling take longer. */
  readonly durationMs: number;
  /** Agents of each of the two hosts. */
  readonly agentsPerHost: number;
  /** Calls under way of each agent. */
  readonly inFlight: number;
  /** Learns of every fault and of what goes on. */
  readonly log: (line: string) => void;
}

/** How often a kind of fault happened. */
export interface FaultCount {
  times: number;
  /** With calls under way of those that it hit. */
  withCalls: number;
}

/** What a run found out. */
export interface ChaosReport {
  readonly verdict: Verdict;
  readonly faults: Readonly<Record<FaultKind, FaultCount>>;
  readonly resumptions: number;
  readonly lives: number;
  /** Processes that were left; null where that cannot be seen. */
  readonly orphans: number | null;
}

/** What a lane of an agent hits. Cuts are cheap and the point of it all. */
const AGENT_DECK = { "cut": 6, "silence": 2, "suspend": 1, "kill-agent": 2, "kill-child": 4 };
const AGENT_PAUSE_MS = [50, 1_000] as const;
const MORTAL_HOST_DECK = { "kill-host": 5, "suspend": 1 };
const LASTING_HOST_DECK = { "suspend": 1 };
const LASTING_HOST_PAUSE_MS = [4_000, 10_000] as const;
const HOST_PAUSE_MS = [500, 2_500] as const;
const REGISTRY_DECK = { "kill-registry": 1 };
const REGISTRY_PAUSE_MS = [1_000, 4_000] as const;

/** A cut that waits for a byte which does not come is made after so long. */
const CUT_PATIENCE_MS = 400;
/** Two graces of 2 s for a child, and as much again for a busy machine. */
const SETTLING_MS = 10_000;

interface Player {
  readonly agent: NumberingAgent;
  readonly proxy: FaultyProxy;
  readonly host: Revivable;
  /** The agent's Peer ID. */
  readonly id: string;
}

/** Runs it. */
export async function runChaos(options: ChaosOptions): Promise<ChaosReport> {
  await using resources = new AsyncDisposableStack();
  const folder = await Deno.makeTempDir({ prefix: "talos-chaos-" });
  resources.defer(() => Deno.remove(folder, { recursive: true }));
  return await new Conductor(options, folder).run();
}

class Conductor {
  readonly #options: ChaosOptions;
  readonly #folder: string;
  readonly #tally = new Tally();
  readonly #faults = Object.fromEntries(
    FAULTS.map((kind) => [kind, { times: 0, withCalls: 0 }]),
  ) as Record<FaultKind, FaultCount>;
  readonly #marker = `talos-chaos-${Deno.pid}-${crypto.randomUUID().slice(0, 8)}`;
  readonly #players: Player[] = [];

  constructor(options: ChaosOptions, folder: string) {
    this.#options = options;
    this.#folder = folder;
  }

  async run(): Promise<ChaosReport> {
    const journal = `${this.#folder}/journal`;
    await Deno.writeTextFile(journal, "");
    {
      await using resources = new AsyncDisposableStack();
      const { registry, mortal, lasting } = await this.#setUp(resources, journal);
      await Promise.all(this.#players.map(({ agent }) => agent.start()));
      this.#log(`${this.#players.length} agents are connected`);
      const until = AbortSignal.timeout(this.#options.durationMs);
      await Promise.all([
        ...this.#players.map((player) => this.#agentLane(player, until)),
        this.#hostLane("mortal host", mortal, MORTAL_HOST_DECK, HOST_PAUSE_MS, until),
        this.#hostLane("lasting host", lasting, LASTING_HOST_DECK, LASTING_HOST_PAUSE_MS, until),
        this.#registryLane(registry, until),
      ]);
      this.#log(`faults have ended, ${this.#tally.inFlight()} calls are under way`);
      const stopping = Promise.all(this.#players.map(({ agent }) => agent.stop()));
      await Promise.race([stopping, pause(CALL_PATIENCE_MS + 5_000)]);
      this.#log(`${this.#tally.inFlight()} calls are left`);
      await Promise.all(this.#players.map(({ agent }) => agent.close()));
      this.#log("the agents have left");
    }
    this.#log("everything was stopped");
    const orphans = await this.#orphans();
    this.#log(`${orphans ?? "an unknown number of"} processes are left`);
    const verdict = this.#tally.verdict(journalOf(await Deno.readTextFile(journal)));
    const sum = (of: (agent: NumberingAgent) => number) =>
      this.#players.reduce((total, { agent }) => total + of(agent), 0);
    return {
      verdict,
      faults: this.#faults,
      resumptions: sum(({ resumptions }) => resumptions),
      lives: sum(({ lives }) => lives),
      orphans,
    };
  }

  async #setUp(resources: AsyncDisposableStack, journal: string) {
    const { agentsPerHost, inFlight, seed } = this.#options;
    const registry = resources.use(registryIn(`${this.#folder}/registry`));
    await registry.start();
    const hosts: Revivable[] = [];
    for (const name of ["mortal", "lasting"]) {
      const home = await this.#home(name, registry);
      const agents: Home[] = [];
      for (let number = 0; number < agentsPerHost; number++) {
        agents.push(await this.#home(`${name}-${number}`, registry));
      }
      const host = resources.use(hostOf(home, agents, countingServer(this.#marker, journal)));
      await host.start();
      hosts.push(host);
      for (const [number, agentHome] of agents.entries()) {
        const proxy = resources.use(await FaultyProxy.start(host.port));
        const argv = number === 0
          ? connectByAddress(agentHome, home.id, proxy.port)
          : connectByRegistry(agentHome, home.id, host.port, proxy.port);
        const agent = new NumberingAgent({
          name: `${name}-${number}`,
          argv,
          env: agentEnvironment(),
          tally: this.#tally,
          random: new SeededRandom(`${seed}/calls/${name}/${number}`),
          inFlight,
        });
        this.#players.push({ agent, proxy, host, id: agentHome.id });
      }
    }
    const [mortal, lasting] = hosts;
    if (mortal === undefined || lasting === undefined) throw new Error("there are two hosts");
    return { registry, mortal, lasting };
  }

  async #home(name: string, registry: Revivable): Promise<Home> {
    return await registeredHome(`${this.#folder}/${name}`, name, registry);
  }

  async #agentLane(player: Player, until: AbortSignal): Promise<void> {
    const { agent, proxy } = player;
    await this.#lane(agent.name, AGENT_DECK, AGENT_PAUSE_MS, until, async (fault) => {
      const hit = () => this.#count(fault, agent.name, [agent]);
      switch (fault.kind) {
        case "cut":
          if (proxy.connections === 0) return;
          hit();
          await Promise.race([
            proxy.cutAfter(fault.direction, fault.bytes),
            pause(CUT_PATIENCE_MS),
          ]);
          return proxy.cut();
        case "silence":
          hit();
          proxy.silence();
          await pause(fault.lastsMs);
          if (fault.thenCut) proxy.cut();
          return proxy.speak();
        case "suspend":
          return await this.#suspend(agent.pid, fault.lastsMs, hit);
        case "kill-agent":
          if (agent.pid === undefined) return;
          hit();
          return void agent.kill();
        default: {
          if (agent.serverPid === undefined) return;
          const pid = await this.#serverOf(player, agent.serverPid);
          if (pid === null) return;
          hit();
          agent.serverPid = undefined;
          this.#tally.killed(agent.name, performance.now());
          return void signal(pid, "SIGKILL");
        }
      }
    });
  }

  async #hostLane(
    name: string,
    host: Revivable,
    deck: Partial<Record<FaultKind, number>>,
    pauseMs: readonly [number, number],
    until: AbortSignal,
  ): Promise<void> {
    const agents = this.#players.filter((player) => player.host === host)
      .map(({ agent }) => agent);
    await this.#lane(name, deck, pauseMs, until, async (fault) => {
      const hit = () => this.#count(fault, name, agents);
      if (fault.kind === "suspend") return await this.#suspend(host.pid, fault.lastsMs, hit);
      hit();
      for (const agent of agents) this.#tally.killed(agent.name, performance.now());
      await host.kill();
      await pause(fault.lastsMs);
      await host.start();
    });
  }

  async #registryLane(registry: Revivable, until: AbortSignal): Promise<void> {
    const agents = this.#players.map(({ agent }) => agent);
    await this.#lane("registry", REGISTRY_DECK, REGISTRY_PAUSE_MS, until, async (fault) => {
      this.#count(fault, "registry", agents);
      await registry.kill();
      await pause(fault.lastsMs);
      await registry.start();
    });
  }

  async #lane(
    name: string,
    deck: Partial<Record<FaultKind, number>>,
    pauseMs: readonly [number, number],
    until: AbortSignal,
    apply: (fault: Fault) => Promise<void>,
  ): Promise<void> {
    const random = new SeededRandom(`${this.#options.seed}/faults/${name}`);
    for (const fault of lane(random, deck, pauseMs)) {
      await pause(fault.afterMs);
      if (until.aborted) return;
      try {
        await apply(fault);
      } catch (error) {
        this.#tally.fail(`${name}: ${fault.kind} could not be made: ${messageOf(error)}`);
        return;
      }
    }
  }

  /** Returns the process of the server that `player` talks to; null if there is none. */
  async #serverOf({ id }: Player, ownName: number): Promise<number | null> {
    if (Deno.build.os !== "linux") return ownName;
    return await serverProcess(Deno.execPath(), this.#marker, id);
  }

  async #suspend(pid: number | undefined, ms: number, hit: () => void): Promise<void> {
    if (pid === undefined || !signal(pid, "SIGSTOP")) return;
    hit();
    await pause(ms);
    signal(pid, "SIGCONT");
  }

  #count(fault: Fault, whom: string, agents: readonly NumberingAgent[]): void {
    const calls = agents.reduce((sum, { name }) => sum + this.#tally.inFlight(name), 0);
    const count = this.#faults[fault.kind];
    count.times++;
    if (calls > 0) count.withCalls++;
    const lasting = fault.lastsMs > 0 ? ` for ${fault.lastsMs} ms` : "";
    this.#log(`${fault.kind} of ${whom}${lasting}, ${calls} calls under way`);
  }

  /** Waits until no process of the run is left, for a while, and counts those that are. */
  async #orphans(): Promise<number | null> {
    const deadline = performance.now() + SETTLING_MS;
    for (;;) {
      const found = [await processesWith(this.#marker), await processesWith(this.#folder)];
      if (found.includes(null)) return null;
      const left = new Set(found.flatMap((pids) => pids ?? []));
      if (left.size === 0 || performance.now() > deadline) return left.size;
      await pause(50);
    }
  }

  #log(line: string): void {
    const at = performance.now() / 1000;
    this.#options.log(`${at.toFixed(2).padStart(7)} s  ${line}`);
  }
}
