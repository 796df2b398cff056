/**
 * A contender: one way for an agent to reach the MCP server, prepared so that starting `command` is all
 * that an agent would do.
 */

/** One way to the server. */
export interface Contender extends AsyncDisposable {
  /** A stable name, for the history. */
  readonly name: string;
  /** What people read. */
  readonly label: string;
  /** What the agent starts. */
  readonly command: readonly [string, ...string[]];
  /** What the agent adds to the environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** Processes that run already and count as the contender's, with all that they start. */
  readonly processes: readonly number[];
}

/** Why a contender cannot take part. Its text goes into the notes. */
export class Unavailable extends Error {
  override readonly name = "Unavailable";
}

/** Time for a program in between to start. */
const START_TIMEOUT_MS = 30_000;

/** As much of what a program says is kept as it takes to see that it has started. */
const MAX_SAID_CHARACTERS = 4096;

/** How the MCP server is started. */
export type ServerCommand = readonly [string, ...string[]];

/** Returns a TCP port of this machine that was free a moment ago. */
export function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

/** Returns the path of `program` in `$PATH`, or null. */
export async function findProgram(program: string): Promise<string | null> {
  for (const folder of (Deno.env.get("PATH") ?? "").split(":")) {
    const path = `${folder}/${program}`;
    const info = await Deno.stat(path).catch(() => null); // not in this folder
    if (info?.isFile) return path;
  }
  return null;
}

/** Runs a command to its end. Throws Error with what it said when it failed. */
export async function runToEnd(command: string, args: readonly string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(command, {
    args: [...args],
    stdin: "null",
  }).output();
  const decoder = new TextDecoder();
  if (!success) throw new Error(`${command} failed: ${decoder.decode(stderr).trim()}`);
  return decoder.decode(stdout);
}

/**
 * Resolves when `output` has said what `pattern` matches, and goes on reading, so that the program never
 * waits for us. Throws Unavailable when it ends before, or says nothing like it in 30 s.
 */
export async function untilSaid(
  program: string,
  output: ReadableStream<Uint8Array>,
  pattern: RegExp,
): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const timer = setTimeout(
    () => reject(new Unavailable(`${program} does not start in time`)),
    START_TIMEOUT_MS,
  );
  let said = "";
  const reading = (async () => {
    for await (const chunk of output.pipeThrough(new TextDecoderStream())) {
      if (said.length < MAX_SAID_CHARACTERS) said += chunk;
      if (pattern.test(said)) resolve();
    }
    reject(new Unavailable(`${program} does not start: ${said.trim()}`));
  })();
  reading.catch(reject);
  try {
    await promise;
  } finally {
    clearTimeout(timer);
  }
}

/** Ends a program, unless it has ended by itself, and waits until it has. */
export async function endProgram(child: Deno.ChildProcess): Promise<void> {
  try {
    child.kill("SIGTERM");
  } catch {
    // it has ended already
  }
  await child.status;
}

/** The server alone, without anything in between: what the others are held against. */
export function directContender(server: ServerCommand): Contender {
  return {
    name: "direct",
    label: "direct stdio",
    command: server,
    processes: [],
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}
