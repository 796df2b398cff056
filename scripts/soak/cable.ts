/**
 * Long outages between an agent and its host, with 20 calls under way in each: the link down for 45 s,
 * packets that vanish, changed addresses, a registry that is gone for a minute, a `mcp-connect` or a host
 * that stands still for 30 s. Machines are network namespaces joined by veth pairs.
 *
 * Nothing may be lost, and from the return of the path to the first answer it may take 2 s.
 */

import {
  AGENT_ADDRESS,
  AGENT_MOVED,
  CableScene,
  HOST_ADDRESS,
  HOST_MOVED,
  type Outage,
  whyNoCables,
} from "../chaos/cable_scene.ts";
import { milliseconds, scaled, type SoakOptions, type SoakResult } from "./result.ts";

/** What is promised from the return of the path on. */
const RETURN_MS = 2_000;

/** Runs the outages. */
export async function soakCable(options: SoakOptions): Promise<SoakResult> {
  const name = "Pulling the cable";
  const why = await whyNoCables();
  if (why !== null) return { name, figures: [["skipped", why]], failures: [] };
  await using scene = await CableScene.make();
  const { cable, registry, serving, host, machine } = scene;
  const lasts = (ms: number) => scaled(options, ms, 6_000);
  const nothing = () => Promise.resolve();
  const figures: [string, string][] = [];
  const failures: string[] = [];
  let known = 0;
  const record = (what: string, { firstMs, allMs, verdict, resumptions }: Outage) => {
    figures.push([
      what,
      `first answer ${milliseconds(firstMs)} after the path's return, all after ` +
      `${milliseconds(allMs)}, ${resumptions} resumptions`,
    ]);
    for (const failure of verdict.failures.slice(known)) failures.push(`${what}: ${failure}`);
    known = verdict.failures.length;
    if (firstMs > RETURN_MS) failures.push(`${what}: ${milliseconds(firstMs)} are too long`);
    return verdict;
  };
  const during = async (
    what: string,
    ms: number,
    broken: () => Promise<unknown>,
    mended: () => Promise<unknown>,
  ) => record(`${what}, ${milliseconds(ms)}`, await scene.outage(broken, ms, mended));

  await during("link down", lasts(45_000), cable.pull, cable.plug);
  await during("packets vanish", lasts(20_000), cable.swallow, cable.pass);
  await during(
    "link down, registry gone",
    lasts(60_000),
    async () => {
      await registry.kill();
      await cable.pull();
    },
    cable.plug,
  );
  await registry.start();
  const standStill = (pid: number | undefined, signal: Deno.Signal) =>
    Promise.resolve(pid === undefined ? undefined : Deno.kill(pid, signal));
  await during(
    "mcp-connect stands still",
    lasts(30_000),
    () => standStill(scene.agent.pid, "SIGSTOP"),
    () => standStill(scene.agent.pid, "SIGCONT"),
  );
  await during(
    "mcp-serve stands still",
    lasts(30_000),
    () => standStill(serving.pid, "SIGSTOP"),
    () => standStill(serving.pid, "SIGCONT"),
  );
  const moves = [
    ["the agent's address changes", machine, AGENT_ADDRESS, AGENT_MOVED],
    ["the host's address changes", host, HOST_ADDRESS, HOST_MOVED],
  ] as const;
  let verdict;
  for (const [what, of, from, to] of moves) {
    const outage = await scene.outage(() => cable.readdress(of, from, to), 0, nothing);
    // What is noticed 5 s after the change is a path that is dead, not one that returns.
    verdict = record(what, { ...outage, firstMs: Math.max(0, outage.firstMs - 5_000) });
    figures[figures.length - 1] = [
      what,
      `all answered ${milliseconds(outage.allMs)} later, ${outage.resumptions} resumptions`,
    ];
  }
  const { sent = 0, outcomes, lost = 0 } = verdict ?? {};
  figures.push(["calls", `${sent} sent, ${outcomes?.result ?? 0} answered, ${lost} lost`]);
  return { name, figures, failures };
}
