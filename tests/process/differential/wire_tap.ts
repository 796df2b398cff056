/**
 * A program that stands between a caller and an MCP server on stdio and keeps every byte that passes.
 *
 *     wire_tap.ts RECORD PROGRAM ARGUMENT…
 *
 * It starts the program, hands on its own stdin and the program's stdout as they come, and ends as the
 * program ends. `RECORD.to_server` and `RECORD.to_agent` get a line for each chunk, before it is handed
 * on: Unix time in milliseconds, a space, the bytes in base64. It adds nothing to the environment.
 */

import { fileURLToPath } from "node:url";

import { type Bytes, concat } from "../../../lib/bytes.ts";
import type { Direction } from "../../../lib/mcp/pipeline.ts";

/** What passed one tap in one direction. */
export interface Tapped {
  /** All bytes, in order. */
  readonly bytes: Bytes;
  /** When the line feed of each line was seen: Unix time in milliseconds. */
  readonly lineTimes: readonly number[];
}

const LF = 0x0a;

/** Returns the command that runs `command` behind a tap which records to `record`. */
export function tapped(
  record: string,
  command: readonly string[],
): readonly [string, ...string[]] {
  const flags = ["--allow-all", "--no-check", "--no-config", "--no-lock", "--quiet"];
  return [Deno.execPath(), "run", ...flags, fileURLToPath(import.meta.url), record, ...command];
}

/** Reads what the tap that records to `record` has seen in one direction. */
export async function readTap(record: string, direction: Direction): Promise<Tapped> {
  const chunks: Bytes[] = [];
  const lineTimes: number[] = [];
  const entries = (await Deno.readTextFile(`${record}.${direction}`)).trimEnd();
  for (const entry of entries === "" ? [] : entries.split("\n")) {
    const [at = "", base64 = ""] = entry.split(" ");
    const chunk = Uint8Array.fromBase64(base64);
    chunks.push(chunk);
    for (const byte of chunk) if (byte === LF) lineTimes.push(Number(at));
  }
  return { bytes: concat(...chunks), lineTimes };
}

async function main([record = "", program = "", ...args]: readonly string[]): Promise<number> {
  const child = new Deno.Command(program, { args, stdin: "piped", stdout: "piped" }).spawn();
  void pass(Deno.stdin.readable, child.stdin, `${record}.to_server`).catch(() => {}); // it ended first
  await pass(child.stdout, Deno.stdout.writable, `${record}.to_agent`);
  return (await child.status).code;
}

async function pass(
  from: ReadableStream<Uint8Array>,
  to: WritableStream<Uint8Array>,
  record: string,
): Promise<void> {
  using file = Deno.openSync(record, { write: true, createNew: true });
  const writer = to.getWriter();
  for await (const chunk of from) {
    const at = performance.timeOrigin + performance.now();
    writeAll(file, new TextEncoder().encode(`${at} ${chunk.toBase64()}\n`));
    await writer.write(chunk);
  }
  await writer.close();
}

function writeAll(file: Deno.FsFile, bytes: Bytes): void {
  for (let at = 0; at < bytes.length;) at += file.writeSync(bytes.subarray(at));
}

if (import.meta.main) Deno.exit(await main(Deno.args));
