/**
 * The agent behind our stdin and stdout: one of the thin executors.
 *
 * stdin is read into one buffer that is used again and again. stdout is written with awaited writes, so
 * that an agent that stops reading never stops the tunnel from answering the host.
 */

import { type Bytes, concat } from "../bytes.ts";
import type { AgentStdio } from "../mcp/connect.ts";

const READ_BUFFER_BYTES = 256 * 1024;
/** Lines up to this size are copied behind their line feed into one write; longer ones take two. */
const ONE_WRITE_BYTES = 64 * 1024;
const LINE_FEED = Uint8Array.of(0x0a);

/** The agent at this process's stdin and stdout. */
export function processStdio(): AgentStdio {
  let writing: Promise<void> = Promise.resolve();
  return {
    input: readAll(Deno.stdin),
    writeLine(line: Bytes): Promise<void> {
      // Lines never mix: replies of our own come from elsewhere than those of the host.
      const write = writing.then(() => writeLine(line));
      writing = write.catch(() => {}); // the caller learns of it
      return write;
    },
  };
}

async function writeLine(line: Bytes): Promise<void> {
  if (line.length <= ONE_WRITE_BYTES) return await writeAll(concat(line, LINE_FEED));
  await writeAll(line);
  await writeAll(LINE_FEED);
}

async function writeAll(bytes: Bytes): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await Deno.stdout.write(bytes.subarray(at));
}

async function* readAll(from: typeof Deno.stdin): AsyncGenerator<Bytes> {
  const buffer: Bytes = new Uint8Array(READ_BUFFER_BYTES);
  for (;;) {
    const count = await from.read(buffer).catch(() => null); // a broken stdin is a closed one
    if (count === null) return;
    yield buffer.subarray(0, count);
  }
}
