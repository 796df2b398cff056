/**
 * Starts `talos` from this checkout as a process of its own, for the demo, the tests and the benchmarks.
 * Runs under the Deno that runs this, so a machine with only one Deno needs no other.
 */

import { fileURLToPath } from "node:url";
import { ROOT } from "./source_files.ts";

/** The program and the arguments that come before those of `talos`. */
export const TALOS: readonly [string, ...string[]] = fromSource("main.ts");

/** The program and the arguments that come before those of `talos-server`. */
export const TALOS_SERVER: readonly [string, ...string[]] = fromSource("registry/main.ts");

function fromSource(main: string): readonly [string, ...string[]] {
  return [
    Deno.execPath(),
    "run",
    "--allow-all",
    "--no-check",
    `--config=${fileURLToPath(new URL("deno.json", ROOT))}`,
    fileURLToPath(new URL(main, ROOT)),
  ];
}

/** Only what hangs takes longer: a process that does not come to its end, or does not become ready. */
const PATIENCE_MS = 60_000;

/** What a command that ended printed. */
export interface Finished {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** How a process is run. */
export interface RunOptions {
  /** What is added to a minimal environment. */
  readonly env?: Record<string, string>;
  /** What it reads. */
  readonly stdin?: string;
  /** The program and what comes before its arguments: `talos` unless told otherwise. */
  readonly command?: readonly [string, ...string[]];
}

/** Runs `talos` with `args` to its end. Throws Error when it has none within a minute. */
export async function runTalosProcess(
  args: readonly string[],
  options: RunOptions = {},
): Promise<Finished> {
  const [program, ...before] = options.command ?? TALOS;
  const child = new Deno.Command(program, {
    args: [...before, ...args],
    env: environment(options.env),
    clearEnv: true,
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  const writing = writer.write(new TextEncoder().encode(options.stdin ?? ""))
    .then(() => writer.close())
    .catch(() => {}); // it ended without reading all
  using patience = killAfter(child, PATIENCE_MS);
  const { code, stdout, stderr } = await child.output();
  await writing;
  if (patience.over) {
    throw new Error(`${args.join(" ")} did not end in ${PATIENCE_MS / 1000} s:\n${text(stderr)}`);
  }
  return { code, stdout: text(stdout), stderr: text(stderr) };
}

/** A long-running process that is ready. */
export interface RunningProcess extends AsyncDisposable {
  /** Its process id. */
  readonly pid: number;
  /** The port it listens on. */
  readonly port: number;
  /** The `ready` event that it printed. */
  readonly ready: Readonly<Record<string, unknown>>;
  /** What it wrote to stderr so far. */
  readonly log: () => string;
  /** Resolves when its log contains `part`, so many times (once by default), or when it has ended. */
  readonly logged: (part: string, times?: number) => Promise<void>;
  /** Resolves with its exit status when it has ended. */
  readonly exited: Promise<number>;
  /** Sends it a signal. */
  readonly signal: (signal: Deno.Signal) => void;
}

/** A `talos mcp-serve` that is ready. */
export type RunningHost = RunningProcess;

/** Starts `talos mcp-serve` with `args` on a free port and waits until it is ready. Throws if it ends. */
export async function startHost(
  home: string,
  args: readonly string[],
  env?: Record<string, string>,
): Promise<RunningHost> {
  const words = ["--home", home, "--json", "mcp-serve", "--port", "0", ...args];
  return await startReady([...TALOS, ...words], env);
}

/** Starts `talos-server` with `args` on a free port and waits until it is ready. Throws if it ends. */
export async function startServer(
  dataDir: string,
  args: readonly string[] = [],
  env?: Record<string, string>,
): Promise<RunningProcess> {
  const words = ["--data-dir", dataDir, "--json", "--port", "0", ...args];
  return await startReady([...TALOS_SERVER, ...words], env);
}

/** Starts `argv`, which prints a `ready` event as its first line, and waits for that. Throws if it ends. */
export async function startReady(
  argv: readonly [string, ...string[]],
  env?: Record<string, string>,
): Promise<RunningProcess> {
  const [program, ...args] = argv;
  const child = new Deno.Command(program, {
    args,
    env: environment(env),
    clearEnv: true,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const log = new GrowingText();
  const logging = log.readFrom(child.stderr);
  const out = new GrowingText();
  const printing = out.readFrom(child.stdout);
  const exited = child.status.then(({ code }) => code);
  {
    using _patience = killAfter(child, PATIENCE_MS);
    await Promise.race([out.contains("\n"), exited]);
  }
  const line = out.text.split("\n")[0] ?? "";
  if (line === "") {
    await logging;
    await printing;
    throw new Error(`${args.join(" ")} ended before it was ready:\n${log.text}`);
  }
  const ready = JSON.parse(line);
  return {
    pid: child.pid,
    port: ready.port,
    ready,
    log: () => log.text,
    logged: (part, times) => log.contains(part, times),
    exited,
    signal: (signal) => child.kill(signal),
    async [Symbol.asyncDispose]() {
      try {
        child.kill("SIGTERM");
      } catch {
        // it has ended already
      }
      using _patience = killAfter(child, PATIENCE_MS);
      await exited;
      await logging;
      await printing;
    },
  };
}

/** Kills `child` in `ms` milliseconds, unless that is disposed of before. */
function killAfter(child: Deno.ChildProcess, ms: number): Disposable & { readonly over: boolean } {
  let over = false;
  const timer = setTimeout(() => {
    over = true;
    try {
      child.kill("SIGKILL");
    } catch {
      // It has ended; what it started holds its pipes.
    }
  }, ms);
  return {
    get over() {
      return over;
    },
    [Symbol.dispose]: () => clearTimeout(timer),
  };
}

/** Makes an identity in `home` and returns its Peer ID. */
export async function initHome(home: string, name: string): Promise<string> {
  const { code, stdout, stderr } = await runTalosProcess([
    "--home",
    home,
    "--json",
    "init",
    "--name",
    name,
  ]);
  if (code !== 0) throw new Error(`talos init failed: ${stderr}`);
  return JSON.parse(stdout).peer_id;
}

/** Text that grows, and can be waited for. */
class GrowingText {
  text = "";
  #grown = Promise.withResolvers<void>();
  #ended = false;

  async readFrom(stream: ReadableStream<Uint8Array>): Promise<void> {
    for await (const chunk of stream.pipeThrough(new TextDecoderStream())) {
      this.text += chunk;
      this.#signal();
    }
    this.#ended = true;
    this.#signal();
  }

  async contains(part: string, times = 1): Promise<void> {
    while (this.text.split(part).length <= times && !this.#ended) await this.#grown.promise;
  }

  #signal(): void {
    const { resolve } = this.#grown;
    this.#grown = Promise.withResolvers();
    resolve();
  }
}

function text(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}

/** What says where packages come from and where they are kept; a child without it would fetch them anew. */
const PACKAGE_VARIABLES = [
  "DENO_DIR",
  "DENO_CERT",
  "DENO_TLS_CA_STORE",
  "NPM_CONFIG_REGISTRY",
  "NPM_CONFIG_USERCONFIG",
  "HTTP_PROXY",
  "HTTPS_PROXY",
  "NO_PROXY",
];

/** Returns those variables about packages that are set here. */
export function packageEnvironment(): Record<string, string> {
  return variables(PACKAGE_VARIABLES);
}

/** What a child of ours needs to find its packages and its user, and nothing that would change it. */
function environment(added: Record<string, string> = {}): Record<string, string> {
  const own = variables(["PATH", "HOME", "SystemRoot", "TEMP"]);
  return { ...own, ...packageEnvironment(), NO_COLOR: "1", ...added };
}

function variables(names: readonly string[]): Record<string, string> {
  const found: Record<string, string> = {};
  for (const name of names) {
    const value = Deno.env.get(name);
    if (value !== undefined) found[name] = value;
  }
  return found;
}
