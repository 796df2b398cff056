/**
 * The agent behind our stdin and stdout: one of the thin executors.
 *
 * Pipes and sockets are read and written without blocking, as Node does with its own: nothing waits in
 * another thread, which would cost two more wake-ups a message, and an agent that stops reading never
 * stops the tunnel from answering the host. Files and terminals, and everything on Windows, are read and
 * written by a thread, and that is awaited.
 */

import type { Bytes } from "../bytes.ts";
import type { AgentStdio } from "../mcp/connect.ts";
import { LineWriter } from "../mcp/line_writer.ts";

const READ_BUFFER_BYTES = 256 * 1024;
const STDIN = 0;
const STDOUT = 1;

/** The agent at this process's stdin and stdout. */
export function processStdio(): AgentStdio {
  let opening: Promise<(bytes: Bytes) => Promise<void>> | undefined;
  const output = new LineWriter(async (bytes) => {
    opening ??= openOutput();
    await (await opening)(bytes);
  });
  return { input: readInput(), writeLine: (line) => output.write(line) };
}

/** Loaded when it is needed: by then a connection has begun, and what it needs has loaded most of this. */
const loadSockets = () => import("node:net");

async function* readInput(): AsyncGenerator<Bytes> {
  const { Socket } = await loadSockets();
  const buffer: Bytes = new Uint8Array(READ_BUFFER_BYTES);
  let filled = 0;
  let isOver = false;
  let changed = Promise.withResolvers<void>();
  const socket = ifPossible(() =>
    new Socket({
      fd: STDIN,
      writable: false,
      onread: {
        buffer,
        callback(count) {
          filled = count;
          changed.resolve();
          return false; // the buffer is not read into again before it was used
        },
      },
    })
  );
  if (socket === null) return yield* readAll(buffer);
  const end = () => {
    isOver = true;
    changed.resolve();
  };
  socket.on("end", end).on("close", end).on("error", end); // a broken stdin is a closed one
  while (!isOver) {
    socket.resume();
    await changed.promise;
    changed = Promise.withResolvers();
    if (filled > 0) yield buffer.subarray(0, filled);
    filled = 0;
  }
}

async function* readAll(buffer: Bytes): AsyncGenerator<Bytes> {
  for (;;) {
    const count = await Deno.stdin.read(buffer).catch(() => null); // a broken stdin is a closed one
    if (count === null) return;
    yield buffer.subarray(0, count);
  }
}

async function openOutput(): Promise<(bytes: Bytes) => Promise<void>> {
  const { Socket } = await loadSockets();
  const socket = ifPossible(() => new Socket({ fd: STDOUT, readable: false }));
  if (socket === null) return writeAll;
  socket.on("error", () => {}); // the write that failed tells
  return (bytes) =>
    new Promise((resolve, reject) => {
      socket.write(bytes, (error) => error ? reject(error) : resolve());
    });
}

async function writeAll(bytes: Bytes): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await Deno.stdout.write(bytes.subarray(at));
}

/** Returns the socket that `open` makes, or null where there can be none. */
function ifPossible<Socket>(open: () => Socket): Socket | null {
  if (Deno.build.os === "windows") return null;
  try {
    return open();
  } catch {
    return null; // neither a pipe nor a socket
  }
}
