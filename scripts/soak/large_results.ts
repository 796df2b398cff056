/**
 * Large messages beside small ones: what a result of 60 MiB on its way costs a small call and a `cancelled`
 * in the other direction, and whether a link of 1 Mbit/s with 4 MiB queued is taken for a broken one.
 *
 * The counting server writes the time at which it runs a call or hears a notification; all clocks are
 * those of one machine.
 */

import { FaultyProxy } from "../chaos/faulty_proxy.ts";
import { RawAgent } from "../chaos/raw_agent.ts";
import { agentEnvironment, connectByAddress, countingServer, hostOf } from "../chaos/stage.ts";
import { pause } from "../pause.ts";
import { initHome } from "../talos_process.ts";
import { residentBytes } from "./processes.ts";
import { mebibytes, milliseconds, scaled, type SoakOptions, type SoakResult } from "./result.ts";

const LARGE_BYTES = 60 * 1024 * 1024;
const QUEUED_BYTES = 4 * 1024 * 1024;
const SLOW_BYTES_PER_SECOND = 125_000;
/** Beyond what the same message takes without the large one. */
const DELAY_LIMIT_MS = 50;
const PROBES = 40;
const PROBE_PAUSE_MS = 10;

/** Measures both. */
export async function soakLargeResults(options: SoakOptions): Promise<SoakResult> {
  const figures: [string, string][] = [];
  const failures: string[] = [];
  const folder = await Deno.makeTempDir({ prefix: "talos-soak-" });
  try {
    const journal = `${folder}/journal`;
    await Deno.writeTextFile(journal, "");
    const host = { folder: `${folder}/host`, id: await initHome(`${folder}/host`, "host") };
    const home = { folder: `${folder}/agent`, id: await initHome(`${folder}/agent`, "agent") };
    await using serving = hostOf(host, [home], countingServer("talos-soak", journal));
    await serving.start();
    const connect = (port: number) =>
      new RawAgent(connectByAddress(home, host.id, port), agentEnvironment());
    {
      await using agent = connect(serving.port);
      await greet(agent);
      const idle = await delays(agent, journal, 1_000);
      const size = scaled(options, LARGE_BYTES, 8 * 1024 * 1024);
      const large = agent.answer(500_000);
      const began = performance.now();
      await call(agent, 500_000, size);
      const started = agent.received;
      while (agent.received < started + 1024 * 1024) await pause(1);
      const busy = await delays(agent, journal, 2_000);
      const { at, length } = await large;
      figures.push([`a result of ${mebibytes(length)}`, `${milliseconds(at - began)}`]);
      figures.push(["small calls towards the host without it", figuresOf(idle)]);
      figures.push(["small calls towards the host beside it", figuresOf(busy)]);
      const beyond = Math.max(...busy.delays) - Math.max(...idle.delays);
      if (busy.last > at) figures.push(["of those", "some were sent when it had come"]);
      if (beyond > DELAY_LIMIT_MS) {
        failures.push(`a small call waited ${milliseconds(beyond)} more`);
      }
      const memory = [await residentBytes(serving.pid ?? 0), await residentBytes(agent.pid)];
      figures.push(["memory of mcp-serve and mcp-connect after it", shown(memory)]);
    }
    {
      await using proxy = await FaultyProxy.start(serving.port, SLOW_BYTES_PER_SECOND);
      await using agent = connect(proxy.port);
      await greet(agent);
      const size = scaled(options, QUEUED_BYTES, 1024 * 1024);
      const large = agent.answer(500_000);
      const began = performance.now();
      await call(agent, 500_000, size);
      await pause(3_000);
      const busy = await delays(agent, journal, 3_000);
      const { at, length } = await large;
      figures.push([`a result of ${mebibytes(length)} at 1 Mbit/s`, milliseconds(at - began)]);
      figures.push(["small calls towards the host beside it", figuresOf(busy)]);
      figures.push(["connections made", String(proxy.accepted)]);
      if (proxy.accepted !== 1) failures.push(`a slow link was dialled ${proxy.accepted} times`);
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
  return { name: "Large results and a slow link", figures, failures };
}

async function greet(agent: RawAgent): Promise<void> {
  const answered = agent.answer(0);
  await agent.send({
    id: 0,
    method: "initialize",
    params: {
      protocolVersion: "2025-11-25",
      capabilities: {},
      clientInfo: { name: "soak", version: "1" },
    },
  });
  await answered;
  await agent.send({ method: "notifications/initialized" });
}

async function call(agent: RawAgent, n: number, size: number): Promise<void> {
  await agent.send({
    id: n,
    method: "tools/call",
    params: { name: "count", arguments: { n, delay: 0, size, question: "none", pad: "" } },
  });
}

interface Delays {
  /** From writing to the server's hearing it, in milliseconds. */
  readonly delays: readonly number[];
  /** When the last was sent, as `performance.now` has it. */
  readonly last: number;
}

/** Sends small calls and `cancelled` in turn, and returns how long they took to the server. */
async function delays(agent: RawAgent, journal: string, from: number): Promise<Delays> {
  const sent = new Map<string, number>();
  let last = 0;
  for (let n = from; n < from + PROBES; n++) {
    const at = performance.timeOrigin + performance.now();
    if (n % 2 === 0) {
      sent.set(`run ${n}`, at);
      await call(agent, n, 0);
    } else {
      sent.set(`cancelled ${n}`, at);
      const params = { requestId: n, reason: "not needed" };
      await agent.send({ method: "notifications/cancelled", params });
    }
    last = performance.now();
    await pause(PROBE_PAUSE_MS);
  }
  for (;;) {
    const heard = new Map<string, number>();
    for (const line of (await Deno.readTextFile(journal)).split("\n")) {
      const [kind, n, , time] = line.split(" ");
      heard.set(`${kind} ${n}`, Number(time));
    }
    const found = [...sent].flatMap(([key, at]) => {
      const time = heard.get(key);
      return time === undefined ? [] : [time - at];
    });
    if (found.length === sent.size) return { delays: found, last };
    await pause(20);
  }
}

function figuresOf({ delays }: Delays): string {
  const sorted = delays.toSorted((a, b) => a - b);
  const middle = sorted[Math.floor(sorted.length / 2)] ?? 0;
  const of = (ms: number) => `${ms.toFixed(1)} ms`;
  return `median ${of(middle)}, worst ${of(sorted.at(-1) ?? 0)}, of ${sorted.length}`;
}

function shown(memory: readonly (number | null)[]): string {
  return memory.map((bytes) => bytes === null ? "unknown" : mebibytes(bytes)).join(", ");
}
