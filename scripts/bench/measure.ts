/**
 * The measuring: rounds that alternate among the contenders, so that whatever else this machine does hits
 * all of them alike.
 *
 * First start and end: each round starts every contender anew. Then the rest, with all of them connected:
 * each round puts each load on one after the other, beginning with another contender every time. What is
 * idle meanwhile costs next to nothing. A contender that fails is left out with a note; the others go on.
 */

import { messageOf } from "../../lib/errors.ts";
import { Agent, echoRequest, produceRequest, swallowRequest, type Volley } from "./agent.ts";
import type { Contender } from "./contender.ts";
import { type Figures, median, percentile, type Result } from "./figures.ts";
import { cpuMsBetween, KNOWS_USAGE, peakMemory, processTree, threadTimes } from "./usage.ts";

/** How much is measured. */
export interface Extent {
  /** Rounds of starting and ending. */
  readonly startRounds: number;
  /** Rounds of everything else. */
  readonly rounds: number;
  /** Small calls before anything counts. */
  readonly warmUpCalls: number;
  /** Small calls back to back, per round. */
  readonly calls: number;
  /** Small calls each 10 ms, per round. */
  readonly pacedCalls: number;
  /** Small calls with 64 in flight, per round. */
  readonly volleyCalls: number;
  /** Large results, and as many large requests, per round. */
  readonly largeCalls: number;
  /** What a volley may take at most, in milliseconds. */
  readonly volleyLimitMs: number;
}

/** A thorough run, of about two minutes. */
export const FULL: Extent = {
  startRounds: 12,
  rounds: 8,
  warmUpCalls: 400,
  calls: 400,
  pacedCalls: 60,
  volleyCalls: 20_000,
  largeCalls: 200,
  volleyLimitMs: 500,
};

/** A short run. */
export const QUICK: Extent = {
  startRounds: 4,
  rounds: 3,
  warmUpCalls: 200,
  calls: 200,
  pacedCalls: 30,
  volleyCalls: 6_000,
  largeCalls: 60,
  volleyLimitMs: 250,
};

/** What came out. */
export interface Measured {
  /** In the order of the contenders. */
  readonly results: readonly Result[];
  /** What was left out, and why. */
  readonly notes: readonly string[];
}

const PERIOD_MS = 10;
const IN_FLIGHT = 64;
const LARGE_BYTES = 1024 * 1024;
const LARGE_IN_FLIGHT = 4;

/** Measures all `contenders`. `progress` hears what is being done. */
export async function measure(
  contenders: readonly Contender[],
  extent: Extent,
  progress: (what: string) => void,
): Promise<Measured> {
  const notes: string[] = [];
  let runs = contenders.map((contender) => new Run(contender));
  const forEach = async (round: number, load: (run: Run) => Promise<void>) => {
    for (const run of rotated(runs, round)) {
      try {
        await load(run);
      } catch (error) {
        notes.push(`${run.contender.label} was left out: ${messageOf(error)}`);
        runs = runs.filter((other) => other !== run);
        await run.kill();
      }
    }
  };
  try {
    for (let round = 0; round < extent.startRounds; round++) {
      progress(`start and end, round ${round + 1} of ${extent.startRounds}`);
      await forEach(round, (run) => run.startAndStop());
    }
    progress("warming up");
    await forEach(0, (run) => run.warmUp(extent));
    const loads = [
      (run: Run) => run.callOneByOne(extent),
      (run: Run) => run.callPaced(extent),
      (run: Run) => run.callAtOnce(extent),
      (run: Run) => run.takeLargeResults(extent),
      (run: Run) => run.sendLargeRequests(extent),
    ];
    for (let round = 0; round < extent.rounds; round++) {
      progress(`calls, round ${round + 1} of ${extent.rounds}`);
      for (const load of loads) await forEach(round, load);
    }
    await forEach(0, (run) => run.stop());
  } finally {
    for (const run of runs) await run.kill();
  }
  return { results: runs.map((run) => run.result), notes };
}

/** Returns `items`, beginning with another one in each round. */
function rotated<T>(items: readonly T[], round: number): T[] {
  const first = items.length === 0 ? 0 : round % items.length;
  return [...items.slice(first), ...items.slice(0, first)];
}

/** One contender, while it is measured. */
class Run {
  readonly contender: Contender;
  #agent: Agent | undefined;
  readonly #startMs: number[] = [];
  readonly #exitMs: number[] = [];
  readonly #callMs: number[] = [];
  readonly #pacedMs: number[] = [];
  readonly #callsPerS: number[] = [];
  readonly #resultMbPerS: number[] = [];
  readonly #requestMbPerS: number[] = [];
  #callCpuMs = 0;
  #pacedCpuMs = 0;
  #peakBytes = 0;

  constructor(contender: Contender) {
    this.contender = contender;
  }

  async startAndStop(): Promise<void> {
    this.#agent = await Agent.start(this.contender);
    this.#startMs.push(this.#agent.startMs);
    await this.stop();
  }

  async warmUp({ warmUpCalls, volleyLimitMs }: Extent): Promise<void> {
    const agent = this.#agent = await Agent.start(this.contender);
    await agent.callOneByOne(echoRequest, warmUpCalls);
    const some = { inFlight: IN_FLIGHT, count: 10 * warmUpCalls, limitMs: volleyLimitMs };
    await agent.callAtOnce(echoRequest, some);
    const few = { inFlight: LARGE_IN_FLIGHT, count: 8, limitMs: volleyLimitMs };
    await agent.callAtOnce(produceRequest(LARGE_BYTES), few);
    await agent.callAtOnce(swallowRequest(LARGE_BYTES), few);
  }

  async callOneByOne({ calls }: Extent): Promise<void> {
    const cpu = this.#cpu();
    this.#callMs.push(...await this.#running.callOneByOne(echoRequest, calls));
    this.#callCpuMs += cpu();
  }

  async callPaced({ pacedCalls }: Extent): Promise<void> {
    const cpu = this.#cpu();
    this.#pacedMs.push(...await this.#running.callOneByOne(echoRequest, pacedCalls, PERIOD_MS));
    this.#pacedCpuMs += cpu();
  }

  async callAtOnce({ volleyCalls, volleyLimitMs }: Extent): Promise<void> {
    const volley = await this.#running.callAtOnce(echoRequest, {
      inFlight: IN_FLIGHT,
      count: volleyCalls,
      limitMs: volleyLimitMs,
    });
    this.#callsPerS.push(volley.calls / volley.seconds);
  }

  async takeLargeResults(extent: Extent): Promise<void> {
    this.#resultMbPerS.push(megabytesPerSecond(await this.#large(produceRequest, extent)));
  }

  async sendLargeRequests(extent: Extent): Promise<void> {
    this.#requestMbPerS.push(megabytesPerSecond(await this.#large(swallowRequest, extent)));
  }

  async #large(request: typeof produceRequest, extent: Extent): Promise<Volley> {
    return await this.#running.callAtOnce(request(LARGE_BYTES), {
      inFlight: LARGE_IN_FLIGHT,
      count: extent.largeCalls,
      limitMs: extent.volleyLimitMs,
    });
  }

  async stop(): Promise<void> {
    const agent = this.#running;
    if (KNOWS_USAGE) this.#peakBytes = Math.max(this.#peakBytes, peakMemory(this.#processes()));
    this.#exitMs.push(await agent.stop());
    this.#agent = undefined;
  }

  async kill(): Promise<void> {
    await this.#agent?.kill();
    this.#agent = undefined;
  }

  get result(): Result {
    const { name, label } = this.contender;
    return { name, label, figures: this.#figures };
  }

  get #figures(): Figures {
    const cpu = (ms: number, calls: number) => KNOWS_USAGE ? 1000 * ms / calls : null;
    return {
      start_ms: median(this.#startMs),
      call_p50_us: 1000 * median(this.#callMs),
      call_p99_us: 1000 * percentile(this.#callMs, 0.99),
      paced_p50_us: 1000 * median(this.#pacedMs),
      paced_p99_us: 1000 * percentile(this.#pacedMs, 0.99),
      calls_per_s: median(this.#callsPerS),
      result_mb_s: median(this.#resultMbPerS),
      request_mb_s: median(this.#requestMbPerS),
      cpu_us: cpu(this.#callCpuMs, this.#callMs.length),
      paced_cpu_us: cpu(this.#pacedCpuMs, this.#pacedMs.length),
      peak_rss_mb: KNOWS_USAGE ? this.#peakBytes / 1e6 : null,
      exit_ms: median(this.#exitMs),
    };
  }

  get #running(): Agent {
    if (this.#agent === undefined) throw new Error(`${this.contender.label} does not run`);
    return this.#agent;
  }

  #processes(): number[] {
    return processTree([this.#running.pid, ...this.contender.processes]);
  }

  /** Returns what tells how much CPU time the contender used since now, in milliseconds. */
  #cpu(): () => number {
    if (!KNOWS_USAGE) return () => 0;
    const pids = this.#processes();
    const before = threadTimes(pids);
    return () => cpuMsBetween(before, threadTimes(pids));
  }
}

function megabytesPerSecond({ calls, seconds }: Volley): number {
  return calls * LARGE_BYTES / 1e6 / seconds;
}
