/**
 * Three machines in miniature, joined by cables that can be pulled: a registry, a host with the counting
 * server, an agent with numbered calls.
 *
 * The cable between host and agent is the one that suffers. The registry has cables of its own to both, so
 * that either may have lost its way to the other alone.
 */

import { messageOf } from "../../lib/errors.ts";
import { SeededRandom } from "../seeded_random.ts";
import {
  type Cable,
  createNetwork,
  type Network,
  type NetworkNamespace,
  whyNoNamespaces,
} from "../network_namespaces.ts";
import { pause } from "../pause.ts";
import { runTalosProcess, TALOS, TALOS_SERVER } from "../talos_process.ts";
import { NumberingAgent, signal } from "./numbering_agent.ts";
import { agentEnvironment, countingServer, Revivable } from "./stage.ts";
import { journalOf, Tally, type Verdict } from "./tally.ts";

/** Where the host is on the cable to the agent. */
export const HOST_ADDRESS = "10.78.1.1/24";
/** Where it is after it moved. */
export const HOST_MOVED = "10.78.1.101/24";
/** Where the agent is on the cable to the host. */
export const AGENT_ADDRESS = "10.78.1.2/24";
/** Where it is after it moved. */
export const AGENT_MOVED = "10.78.1.102/24";

const CALLS = 20;
/** The longest outage, and as much again. */
const OUTAGE_PATIENCE_MS = 120_000;

/** Returns why no cable can be pulled here, or null when it can. Tries it out. */
export async function whyNoCables(): Promise<string | null> {
  const why = whyNoNamespaces();
  if (why !== null) return why;
  try {
    await using network = await createNetwork();
    const [one, other] = [await network.machine("one"), await network.machine("other")];
    const cable = await network.cable([one, other], [[HOST_ADDRESS], [AGENT_ADDRESS]]);
    await cable.swallow();
    await cable.pass();
    return null;
  } catch (error) {
    return messageOf(error).split("\n")[0] ?? "no nft command";
  }
}

/** What an outage cost. */
export interface Outage {
  /** Milliseconds from the return of the path until the first answer came through. */
  readonly firstMs: number;
  /** Milliseconds from the return of the path until every call was answered. */
  readonly allMs: number;
  /** The accounts. */
  readonly verdict: Verdict;
  /** How often a session was resumed. */
  readonly resumptions: number;
}

/** The machines, ready for one outage after the other. */
export class CableScene implements AsyncDisposable {
  /** Between host and agent. */
  readonly cable: Cable;
  /** The host's machine. */
  readonly host: NetworkNamespace;
  /** The agent's machine. */
  readonly machine: NetworkNamespace;
  /** The registry's process. */
  readonly registry: Revivable;
  /** The process of `mcp-serve`. */
  readonly serving: Revivable;
  /** The agent. */
  readonly agent: NumberingAgent;
  readonly #resources: AsyncDisposableStack;
  readonly #tally: Tally;
  readonly #journal: string;

  private constructor(parts: {
    readonly cable: Cable;
    readonly host: NetworkNamespace;
    readonly machine: NetworkNamespace;
    readonly registry: Revivable;
    readonly serving: Revivable;
    readonly agent: NumberingAgent;
    readonly resources: AsyncDisposableStack;
    readonly tally: Tally;
    readonly journal: string;
  }) {
    ({
      cable: this.cable,
      host: this.host,
      machine: this.machine,
      registry: this.registry,
      serving: this.serving,
      agent: this.agent,
      resources: this.#resources,
      tally: this.#tally,
      journal: this.#journal,
    } = parts);
  }

  /** Lays the cables and starts everything. The agent finds the host in the registry. */
  static async make(): Promise<CableScene> {
    await using building = new AsyncDisposableStack();
    const folder = await Deno.realPath(await Deno.makeTempDir({ prefix: "talos-cable-" }));
    building.defer(() => Deno.remove(folder, { recursive: true }));
    const network: Network = building.use(await createNetwork());
    const [registryMachine, host, machine] = [
      await network.machine("registry"),
      await network.machine("host"),
      await network.machine("agent"),
    ];
    const cable = await network.cable([host, machine], [[HOST_ADDRESS], [AGENT_ADDRESS]]);
    await network.cable([host, registryMachine], [["10.78.2.1/24"], ["10.78.2.2/24"]]);
    await network.cable([machine, registryMachine], [["10.78.3.1/24"], ["10.78.3.2/24"]]);

    const registry = building.use(
      new Revivable((port) => [
        ...registryMachine.exec,
        ...TALOS_SERVER,
        ...["--data-dir", `${folder}/registry`, "--json", "--port", String(port)],
      ]),
    );
    await registry.start();
    const home = async (on: NetworkNamespace, name: string, server: string) => {
      const path = `${folder}/${name}`;
      const talos = { command: [...on.exec, ...TALOS] as const };
      const init = await runTalosProcess(
        ["--home", path, "--json", "init", "--name", name],
        talos,
      );
      const words = ["--home", path, "register", "--server", `${server}:${registry.port}`];
      const { code, stderr } = await runTalosProcess(words, talos);
      if (code !== 0) throw new Error(`talos register failed: ${stderr}`);
      return { folder: path, id: String(JSON.parse(init.stdout).peer_id) };
    };
    const hosting = await home(host, "host", "10.78.2.2");
    const calling = await home(machine, "agent", "10.78.3.2");
    const journal = `${folder}/journal`;
    await Deno.writeTextFile(journal, "");
    const serving = building.use(
      new Revivable((port) => [
        ...host.exec,
        ...TALOS,
        ...["--home", hosting.folder, "--json", "--verbose", "mcp-serve"],
        ...["--port", String(port), "--authorized-peer", calling.id],
        ...["--", ...countingServer("talos-cable", journal)],
      ]),
    );
    await serving.start();
    const tally = new Tally();
    const agent = new NumberingAgent({
      name: "agent",
      argv: [
        ...machine.exec,
        ...TALOS,
        // A relay would go on where the direct path is broken.
        ...["--home", calling.folder, "--verbose", "mcp-connect", "--via", "direct", hosting.id],
      ],
      env: agentEnvironment(),
      tally,
      random: new SeededRandom("cable"),
      inFlight: 0,
      patienceMs: OUTAGE_PATIENCE_MS,
    });
    await agent.start();
    building.defer(() => agent.close());
    return new CableScene({
      ...{ cable, host, machine, registry, serving, agent, tally, journal },
      resources: building.move(),
    });
  }

  /**
   * Sends 20 calls, waits until the server runs them, breaks the path for so long, and waits for all
   * answers. The calls end while the path is broken, as far as it is broken for 2 s or more.
   */
  async outage(
    broken: () => Promise<unknown>,
    ms: number,
    mended: () => Promise<unknown>,
  ): Promise<Outage> {
    const before = journalOf(await Deno.readTextFile(this.#journal)).runs.size;
    const resumed = this.agent.resumptions;
    const calls = Array.from({ length: CALLS }, (_, number) =>
      this.agent.call({
        delay: 500 + number * 75,
        size: number * 1_000,
        question: number % 5 === 4 ? "sampling" : "none",
        pad: "",
      }));
    await this.#untilRun(before + CALLS);
    await broken();
    await pause(ms);
    await mended();
    const mendedAt = performance.now();
    this.agent.lastHeardAt = 0;
    const all = Promise.all(calls);
    const first = this.#untilHeard(all);
    await all;
    const allMs = performance.now() - mendedAt;
    return {
      firstMs: Math.max(0, await first - mendedAt),
      allMs,
      verdict: this.#tally.verdict(journalOf(await Deno.readTextFile(this.#journal))),
      resumptions: this.agent.resumptions - resumed,
    };
  }

  /** Stops `mcp-connect` where it is, as a laptop that is shut. */
  sleep(): void {
    signal(this.agent.pid ?? 0, "SIGSTOP");
  }

  /** Lets it go on. */
  wake(): void {
    signal(this.agent.pid ?? 0, "SIGCONT");
  }

  /** Ends everything. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.wake();
    await this.#resources.disposeAsync();
  }

  async #untilRun(count: number): Promise<void> {
    const deadline = performance.now() + 10_000;
    while (journalOf(await Deno.readTextFile(this.#journal)).runs.size < count) {
      if (performance.now() > deadline) throw new Error(`the server has not run ${count} calls`);
      await pause(5);
    }
  }

  /** Returns when the next answer came; 0 where the path brought `all` before it was mended. */
  async #untilHeard(all: Promise<unknown>): Promise<number> {
    let over = false;
    void all.then(() => over = true);
    while (this.agent.lastHeardAt === 0 && !over) await pause(5);
    return this.agent.lastHeardAt;
  }
}
