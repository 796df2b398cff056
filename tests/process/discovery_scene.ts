/**
 * What the tests of discovery share: a registry whose process can be killed and started again at the same
 * port, homes, hosts and agents, each a real process.
 */

import assert from "node:assert/strict";
import {
  type Finished,
  type RunningProcess,
  runTalosProcess,
  startHost,
  startReady,
  TALOS_SERVER,
} from "../../scripts/talos_process.ts";
import { fixture, type Party, RawAgent, Sandbox } from "./mcp_tunnel.ts";

/** A registry, and machines around it. */
export class DiscoveryScene implements AsyncDisposable {
  /** Holds the homes and the registry's data. */
  readonly sandbox: Sandbox;
  readonly #resources = new AsyncDisposableStack();
  #port = 0;
  #registry: RunningProcess | undefined;

  private constructor(sandbox: Sandbox) {
    this.sandbox = sandbox;
    this.#resources.use(sandbox);
  }

  /** Starts a registry on this machine. */
  static async make(...args: readonly string[]): Promise<DiscoveryScene> {
    const scene = new DiscoveryScene(await Sandbox.make());
    try {
      await scene.startRegistry(...args);
      return scene;
    } catch (error) {
      await scene[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Where the registry is, as `--server` takes it. */
  get server(): string {
    return `127.0.0.1:${this.#port}`;
  }

  /** The registry's Peer ID, as its running process says. */
  get registryId(): string {
    return String(this.#registry?.ready["peer_id"]);
  }

  /** Where the registry keeps its key and its database. */
  get dataDirectory(): string {
    return `${this.sandbox.folder}/registry`;
  }

  /** Starts the registry, at the port that it had before if it ran already. */
  async startRegistry(...args: readonly string[]): Promise<void> {
    assert.equal(this.#registry, undefined, "the registry runs");
    this.#registry = await startReady([
      ...TALOS_SERVER,
      ...["--data-dir", this.dataDirectory, "--host", "127.0.0.1", "--json"],
      ...["--port", String(this.#port), ...args],
    ]);
    this.#port = this.#registry.port;
  }

  /** Kills the registry as a power cut does. */
  async killRegistry(): Promise<void> {
    this.#registry?.signal("SIGKILL");
    await this.#registry?.[Symbol.asyncDispose]();
    this.#registry = undefined;
  }

  /** Makes an identity, registered here unless told otherwise. */
  async party(name: string, registered = true): Promise<Party> {
    const party = await this.sandbox.party(name);
    if (registered) await this.json(party, "register", "--server", this.server);
    return party;
  }

  /** Starts `talos mcp-serve` of `party` with the puppet behind it, and waits until it is registered. */
  async host(
    party: Party,
    args: readonly string[],
    command: readonly string[] = ["--", ...fixture("puppet_server")],
  ): Promise<RunningProcess> {
    const host = this.#resources.use(await startHost(party.home, [...args, ...command]));
    await host.logged('"registered"');
    return host;
  }

  /** Runs `talos` with these words in the home of `party`. */
  run(party: Party, ...words: readonly string[]): Promise<Finished> {
    return runTalosProcess(["--home", party.home, ...words]);
  }

  /** Runs `talos --json` in the home of `party` and returns what it prints. Fails when it fails. */
  // deno-lint-ignore no-explicit-any -- a test reads what it expects and fails otherwise
  async json(party: Party, ...words: readonly string[]): Promise<any> {
    const { code, stdout, stderr } = await this.run(party, "--json", ...words);
    assert.equal(code, 0, `talos ${words.join(" ")}: ${stderr}`);
    return JSON.parse(stdout);
  }

  /** Runs `talos --json` in the home of `party`, which fails, and returns the error. */
  async error(party: Party, ...words: readonly string[]): Promise<Failure> {
    const { code, stderr } = await this.run(party, "--json", ...words);
    const line = stderr.trimEnd().split("\n").at(-1) ?? "";
    assert.notEqual(code, 0, `talos ${words.join(" ")} succeeded`);
    const failure: Failure = JSON.parse(line);
    assert.equal(failure.exit_status, code);
    return failure;
  }

  /** Starts `talos mcp-connect` with these words in the home of `party`. */
  agent(party: Party, ...words: readonly string[]): RawAgent {
    return this.#resources.use(RawAgent.run(party, ["mcp-connect", ...words]));
  }

  /** Ends what runs and removes everything. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.killRegistry();
    await this.#resources.disposeAsync();
  }
}

/** An error of a command, as `--json` prints it. */
export interface Failure {
  readonly error: string;
  readonly message: string;
  readonly hints: readonly string[];
  readonly exit_status: number;
}

/** Asks the puppet behind an agent for its facts: its environment and arguments. */
export async function facts(agent: RawAgent) {
  const { result, error } = await agent.ask(1, "puppet/facts");
  assert.equal(error, undefined, JSON.stringify(error));
  return result;
}

/** Asks the puppet behind an agent and fails unless it answers. */
export async function works(agent: RawAgent): Promise<void> {
  const { result, error } = await agent.ask(1, "puppet/echo", { text: "hello" });
  assert.equal(error, undefined, JSON.stringify(error));
  assert.deepEqual(result, { text: "hello" });
}
