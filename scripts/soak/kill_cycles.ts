/**
 * `kill -9` again and again: of `mcp-connect`, of `mcp-serve`, of both, as chance decides, with a scan for
 * orphans behind each.
 *
 * When an agent's side dies, its server on the host must end. When the host dies, its servers lose their
 * stdin and must end, the agents' side must still leave when it is asked to, and the next host must find
 * nothing in its way. A server that ignores the end of its stdin is not covered: see docs/PLATFORMS.md.
 */

import { messageOf } from "../../lib/errors.ts";
import { SeededRandom } from "../seeded_random.ts";
import { initHome, type RunningHost, startHost } from "../talos_process.ts";
import { Agent } from "./agent.ts";
import { answeringServer } from "./answering_server.ts";
import { processesWith } from "./processes.ts";
import { milliseconds, scaled, type SoakOptions, type SoakResult, spread } from "./result.ts";

/** Who is killed. */
const VICTIMS = ["agents", "host", "both"] as const;
type Victims = typeof VICTIMS[number];

const CYCLES = 60;
const TIME_MS = 240_000;
/** Two graces of 2 s, and as much again for a busy machine. */
const PATIENCE_MS = 10_000;
/** What is promised once stdin is closed, and as much again for a busy machine. */
const LEAVING_MS = 2_000;

/** What the cycles found. */
interface Findings {
  readonly failures: string[];
  readonly cycles: Record<Victims, number>;
  /** From the kill until no server was left, in milliseconds. */
  readonly gone: Record<Victims, number[]>;
  /** How long surviving agents' sides took to leave, in milliseconds. */
  readonly leaving: number[];
  orphans: number;
}

/** Runs the cycles. */
export async function soakKills(options: SoakOptions): Promise<SoakResult> {
  const random = new SeededRandom(`${options.seed}/kills`);
  const cycles = scaled(options, CYCLES, 6);
  const folder = await Deno.makeTempDir({ prefix: "talos-soak-" });
  const found: Findings = {
    failures: [],
    cycles: { agents: 0, host: 0, both: 0 },
    gone: { agents: [], host: [], both: [] },
    leaving: [],
    orphans: 0,
  };
  try {
    const hostId = await initHome(`${folder}/host`, "host");
    const agentId = await initHome(`${folder}/agent`, "agent");
    const began = performance.now();
    for (let number = 0; number < cycles && performance.now() - began < TIME_MS; number++) {
      const victims = random.pick(VICTIMS);
      const agents = random.between(1, 3);
      found.cycles[victims]++;
      await cycle({ folder, hostId, agentId, number, victims, agents }, found)
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
      ...VICTIMS.map((victims): [string, string] => [
        `${victims} killed`,
        `${found.cycles[victims]} times, servers gone after ${spread(found.gone[victims])}`,
      ]),
      ["mcp-connect without its host ended, once asked, in", spread(found.leaving)],
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
  readonly victims: Victims;
  /** How many agents. */
  readonly agents: number;
}

async function cycle(
  { folder, hostId, agentId, number, victims, agents: count }: Cycle,
  found: Findings,
): Promise<void> {
  const fail = (what: string) => found.failures.push(`cycle ${number}, ${victims} killed: ${what}`);
  const marker = `talos-soak-${Deno.pid}-${number}-`;
  const args = ["--authorized-peer", agentId, "--", ...answeringServer(marker)];
  await using host = await startHost(`${folder}/host`, args);
  const target = `${hostId}@127.0.0.1:${host.port}`;
  const agents = Array.from({ length: count }, () => new Agent(`${folder}/agent`, target));
  try {
    const answers = await Promise.all(agents.map((agent) => agent.ask()));
    if (answers.includes(false)) fail("an agent got an error before");
    const servers = await serversOf(marker, host);
    if (servers !== null && servers.length !== count) {
      fail(`${servers.length} servers ran for ${count} agents`);
    }
    const killed = performance.now();
    if (victims !== "agents") host.signal("SIGKILL");
    if (victims !== "host") { for (const agent of agents) agent.kill(); }
    const left = await whatIsLeft(marker, host);
    found.gone[victims].push(performance.now() - killed);
    found.orphans += left.length;
    if (left.length > 0) fail(`${left.length} servers were left`);
    for (const pid of left) Deno.kill(pid, "SIGKILL");
    if (victims !== "host") return;
    for (const took of await Promise.all(agents.map((agent) => agent.leave()))) {
      if (took === null || took > LEAVING_MS) {
        fail(`mcp-connect stayed for ${took === null ? "ever" : milliseconds(took)}`);
      }
      if (took !== null) found.leaving.push(took);
    }
  } finally {
    for (const agent of agents) await agent.leave();
  }
}

/** The servers that run: the host's own command line holds the marker too. Null where nobody can tell. */
async function serversOf(marker: string, host: RunningHost): Promise<readonly number[] | null> {
  const found = await processesWith(marker);
  return found === null ? null : found.filter((pid) => pid !== host.pid);
}

/** Waits until no server runs any more; returns those that do when patience ends. */
async function whatIsLeft(marker: string, host: RunningHost): Promise<readonly number[]> {
  const deadline = performance.now() + PATIENCE_MS;
  for (;;) {
    const left = await serversOf(marker, host) ?? [];
    if (left.length === 0 || performance.now() > deadline) return left;
    // The system tells nobody about the end of a process that is not its child.
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
