/**
 * A thousand connections that never finish their handshake, against a real `talos mcp-serve`.
 *
 * A third says nothing, a third says the preface, a third begins message 1. On Linux each comes from an
 * address of its own (all of 127.0.0.0/8 is this machine), so that the bound on all half-open connections
 * is what holds; elsewhere they share one, and the bound per source turns most of them away. Meanwhile an
 * agent is served, over IPv6 where the machine has it; three seconds later all must be gone.
 */

import { connect, type Socket } from "node:net";
import { fromHex } from "../../lib/bytes.ts";
import { initHome, startHost } from "../talos_process.ts";
import { Agent } from "./agent.ts";
import { answeringServer } from "./answering_server.ts";
import { residentBytes } from "./processes.ts";
import { mebibytes, milliseconds, scaled, type SoakOptions, type SoakResult } from "./result.ts";

const CONNECTIONS = 1000;
/** The limit for message 1 is 3 s. */
const PATIENCE_MS = 20_000;

const PREFACE = fromHex("54414c4f53010000");
const BEGINNING = fromHex("54414c4f5301000005a0" + "00".repeat(700));

/** Opens them, asks, waits and measures. */
export async function soakHalfOpen(options: SoakOptions): Promise<SoakResult> {
  const count = scaled(options, CONNECTIONS, 50);
  const folder = await Deno.makeTempDir({ prefix: "talos-soak-" });
  const failures: string[] = [];
  const figures: [string, string][] = [];
  try {
    const hostId = await initHome(`${folder}/host`, "host");
    const agentId = await initHome(`${folder}/agent`, "agent");
    await using host = await startHost(`${folder}/host`, [
      "--authorized-peer",
      agentId,
      "--",
      ...answeringServer("talos-soak"),
    ]);
    const ask = async (address: string) => {
      const began = performance.now();
      await using agent = new Agent(`${folder}/agent`, `${hostId}@${address}:${host.port}`);
      if (!await agent.ask()) failures.push(`an agent over ${address} got an error`);
      return milliseconds(performance.now() - began);
    };
    figures.push(["an agent's first answer, before", await ask("127.0.0.1")]);
    const before = await residentBytes(host.pid);

    const opening = performance.now();
    const flood = await Promise.all(
      Array.from({ length: count }, (_, index) => halfOpen(host.port, index)),
    );
    const closed = Promise.all(flood.map((socket) => endOf(socket)));
    figures.push([`${count} half-finished connections`, milliseconds(performance.now() - opening)]);
    const address = hasIpv6() ? "[::1]" : "127.0.0.1";
    figures.push([`an agent's first answer beside them, over ${address}`, await ask(address)]);
    const during = await residentBytes(host.pid);

    const late = await within(closed, PATIENCE_MS);
    if (late) failures.push(`connections were still open ${PATIENCE_MS / 1000} s later`);
    figures.push(["until all were closed", milliseconds(performance.now() - opening)]);
    for (const socket of flood) socket.destroy();
    figures.push(["an agent's first answer, after", await ask("127.0.0.1")]);
    const after = await residentBytes(host.pid);
    if (before !== null && during !== null && after !== null) {
      const memory = `${mebibytes(before)}, ${mebibytes(during)}, ${mebibytes(after)}`;
      figures.push(["memory of the host before, beside, after", memory]);
    }
    if (/error/i.test(host.log())) failures.push("the host logged an error");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
  return { name: "Half-finished connections", figures, failures };
}

function halfOpen(port: number, index: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({
      host: "127.0.0.1",
      port,
      ...(Deno.build.os === "linux" ? { localAddress: ownAddress(index) } : {}),
    });
    socket.once("connect", () => {
      const says = [null, PREFACE, BEGINNING][index % 3];
      if (says === null || says === undefined) return resolve(socket);
      socket.write(says, () => resolve(socket));
    });
    socket.once("error", reject);
    socket.resume();
  });
}

/** Returns the address of this machine from which connection `index` comes. */
function ownAddress(index: number): string {
  return `127.0.${1 + Math.floor(index / 250)}.${1 + index % 250}`;
}

function endOf(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    if (socket.readableEnded || socket.destroyed) return resolve();
    socket.once("end", () => resolve());
    socket.once("close", () => resolve());
    socket.on("error", () => resolve()); // reset: closed too
  });
}

async function within(work: Promise<unknown>, ms: number): Promise<boolean> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(true), ms);
  });
  try {
    return await Promise.race([work.then(() => false), late]);
  } finally {
    clearTimeout(timer);
  }
}

function hasIpv6(): boolean {
  try {
    Deno.listen({ hostname: "::1", port: 0 }).close();
    return true;
  } catch {
    return false;
  }
}
