/**
 * The processes of a chaos run: a registry, hosts that share the counting server, agents, and a proxy in
 * front of each agent's way to its host. All are real processes; each can be killed and comes back at the
 * same port with the same data.
 */

import { fileURLToPath } from "node:url";
import { packageEnvironment } from "../talos_process.ts";
import { initHome, type RunningProcess, runTalosProcess, startReady } from "../talos_process.ts";
import { TALOS, TALOS_SERVER } from "../talos_process.ts";
import { ROOT } from "../source_files.ts";

/** A server process that can be killed and started again. */
export class Revivable implements AsyncDisposable {
  readonly #argv: (port: number) => readonly [string, ...string[]];
  readonly #env: Record<string, string> | undefined;
  #process: RunningProcess | undefined;
  #log = "";
  /** Where it listens; fixed from its first start on. */
  port = 0;

  /** Prepares one; `argv` gives the command for a port, 0 for any. */
  constructor(
    argv: (port: number) => readonly [string, ...string[]],
    env?: Record<string, string>,
  ) {
    this.#argv = argv;
    this.#env = env;
  }

  /** Starts it and waits until it is ready. */
  async start(): Promise<void> {
    this.#process = await startReady(this.#argv(this.port), this.#env);
    this.port = this.#process.port;
  }

  /** Its process id; undefined while it is dead. */
  get pid(): number | undefined {
    return this.#process?.pid;
  }

  /** What all its processes said on stderr. */
  get log(): string {
    return this.#log + (this.#process?.log() ?? "");
  }

  /** Kills it as a power cut does. */
  async kill(): Promise<void> {
    const dying = this.#process;
    this.#process = undefined;
    dying?.signal("SIGKILL");
    await dying?.[Symbol.asyncDispose]();
    this.#log += dying?.log() ?? "";
  }

  /** Ends it in order. */
  async [Symbol.asyncDispose](): Promise<void> {
    const leaving = this.#process;
    this.#process = undefined;
    await leaving?.[Symbol.asyncDispose]();
    this.#log += leaving?.log() ?? "";
  }
}

/** A registry whose data lie in `folder`. */
export function registryIn(folder: string): Revivable {
  return new Revivable((port) => [
    ...TALOS_SERVER,
    ...["--data-dir", folder, "--host", "127.0.0.1", "--json", "--port", String(port)],
  ]);
}

/** A home with an identity that knows the registry. */
export interface Home {
  readonly folder: string;
  readonly id: string;
}

/** Makes an identity and registers it. */
export async function registeredHome(
  folder: string,
  name: string,
  registry: Revivable,
): Promise<Home> {
  const id = await initHome(folder, name);
  const words = ["--home", folder, "register", "--server", `127.0.0.1:${registry.port}`];
  const { code, stderr } = await runTalosProcess(words);
  if (code !== 0) throw new Error(`talos register failed: ${stderr}`);
  return { folder, id };
}

/** A `talos mcp-serve` with the counting server behind it. */
export function hostOf(home: Home, agents: readonly Home[], server: readonly string[]): Revivable {
  const authorized = agents.flatMap(({ id }) => ["--authorized-peer", id]);
  return new Revivable((port) => [
    ...TALOS,
    ...["--home", home.folder, "--json", "--verbose", "mcp-serve", "--port", String(port)],
    ...[...authorized, "--", ...server],
  ]);
}

/** The command of the counting server; `marker` makes its process easy to find. */
export function countingServer(marker: string, journal: string): readonly string[] {
  const path = fileURLToPath(new URL("scripts/chaos/counting_server.ts", ROOT));
  const flags = ["run", "--allow-all", "--no-check", "--no-config", "--no-lock", "--quiet"];
  return [Deno.execPath(), ...flags, path, marker, journal];
}

/** The command of `mcp-connect` for a host behind a proxy, by the address of the proxy. */
export function connectByAddress(home: Home, hostId: string, proxyPort: number) {
  return [...TALOS, ...connectWords(home), `${hostId}@127.0.0.1:${proxyPort}`] as const;
}

/** The same for a host that is found in the registry. */
export function connectByRegistry(
  home: Home,
  hostId: string,
  hostPort: number,
  proxyPort: number,
): readonly [string, ...string[]] {
  const [program, ...before] = TALOS;
  const redirected = fileURLToPath(new URL("scripts/chaos/redirected_talos.ts", ROOT));
  return [
    program,
    ...before.slice(0, -1),
    redirected,
    ...[String(hostPort), String(proxyPort), ...connectWords(home), hostId],
  ];
}

function connectWords({ folder }: Home): readonly string[] {
  return ["--home", folder, "--verbose", "mcp-connect"];
}

/** The environment of agents' commands. */
export function agentEnvironment(): Record<string, string> {
  const path = Deno.env.get("PATH") ?? "";
  const home = Deno.env.get("HOME") ?? "";
  return { PATH: path, HOME: home, ...packageEnvironment(), NO_COLOR: "1" };
}
