/**
 * One MCP server, two ways to it: started by the client itself, and through `talos mcp-connect` and
 * `talos mcp-serve`. What passes at both ends of the tunnel is recorded to the byte.
 */

import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";

// @ts-types="@modelcontextprotocol/sdk/client/stdio"
import { getDefaultEnvironment } from "@modelcontextprotocol/sdk/client/stdio.js";
import { equalBytes } from "../../../lib/bytes.ts";
import type { PeerId } from "../../../lib/identity/peer_id.ts";
import type { Direction } from "../../../lib/mcp/pipeline.ts";
import { type RunningHost, startHost, TALOS } from "../../../scripts/talos_process.ts";
import { Sandbox } from "../mcp_tunnel.ts";
import { type Normalisation, normalise } from "./normalisations.ts";
import type { Transcript } from "./recording.ts";
import { readTap, tapped } from "./wire_tap.ts";

/** How a client starts what it speaks to. */
export interface Way {
  /** The program. */
  readonly command: string;
  /** Its arguments. */
  readonly args: string[];
  /** Added to what the MCP SDK hands down. */
  readonly env: Record<string, string>;
}

/** What a comparison covered. */
export interface Compared {
  /** Messages from the client. */
  readonly sent: number;
  /** Messages to the client. */
  readonly received: number;
}

/** Where a server that Deno runs finds its packages, if it is not the usual place. */
const PACKAGE_VARIABLES = ["DENO_DIR", "NPM_CONFIG_REGISTRY"];

/** Returns the command of `modern_server.ts`, with the packages that this checkout pins. */
export function modernServer(): readonly [string, ...string[]] {
  const path = (name: string) => fileURLToPath(new URL(name, import.meta.url));
  const config = `--config=${path("../../../deno.json")}`;
  const flags = ["run", "--allow-all", "--no-check", "--quiet", config];
  return [Deno.execPath(), ...flags, path("modern_server.ts")];
}

/** A server that can be reached both ways. */
export class TwoWays implements AsyncDisposable {
  /** The client starts the server. */
  readonly direct: Way;
  /** The client starts `talos mcp-connect`. */
  readonly throughTalos: Way;
  /** The same, without a record of the bytes: for clients that start more than one process. */
  readonly untapped: Way;
  /** The agent's identity. */
  readonly agent: PeerId;
  readonly #sandbox: Sandbox;
  readonly #host: RunningHost;

  private constructor(
    sandbox: Sandbox,
    host: RunningHost,
    agent: PeerId,
    server: readonly [string, ...string[]],
    connect: readonly [string, ...string[]],
  ) {
    this.#sandbox = sandbox;
    this.#host = host;
    this.agent = agent;
    this.direct = way(server);
    this.untapped = way(connect);
    this.throughTalos = way(tapped(this.#record("agent"), connect));
  }

  /** Starts a host for `server`, with `args` for `mcp-serve` and `secrets` in its environment. */
  static async open(
    server: readonly [string, ...string[]],
    { tap = true, args = [], secrets = {} }: {
      readonly tap?: boolean;
      readonly args?: readonly string[];
      readonly secrets?: Record<string, string>;
    } = {},
  ): Promise<TwoWays> {
    const sandbox = await Sandbox.make();
    try {
      const hosting = await sandbox.party("host");
      const agent = await sandbox.party("agent");
      const command = tap ? tapped(`${sandbox.folder}/server`, server) : server;
      const env = Object.keys(packageEnvironment()).flatMap((name) => ["--env", name]);
      const host = await startHost(
        hosting.home,
        ["--authorized-peer", agent.id, ...env, ...args, "--", ...command],
        { ...getDefaultEnvironment(), ...packageEnvironment(), ...secrets },
      );
      const target = `${hosting.id}@127.0.0.1:${host.port}`;
      const [talos, ...words] = TALOS;
      return new TwoWays(sandbox, host, agent.id, server, [
        talos,
        ...words,
        "--home",
        agent.home,
        "mcp-connect",
        target,
      ]);
    } catch (error) {
      await sandbox[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** A temporary folder, gone when this is disposed of. */
  get folder(): string {
    return this.#sandbox.folder;
  }

  /** The host, for its log. */
  get host(): RunningHost {
    return this.#host;
  }

  /** Runs `script` both ways at once, each to its end. Throws what either threw. */
  async run<T>(script: (way: Way) => Promise<T>): Promise<readonly [direct: T, throughTalos: T]> {
    const runs = [script(this.direct), script(this.throughTalos)] as const;
    await Promise.allSettled(runs);
    return await Promise.all(runs);
  }

  /**
   * Asserts that the bytes which entered the tunnel are those which left it, in both directions and
   * without any normalisation. Returns the milliseconds that each line took from end to end. The client
   * must have closed.
   */
  async assertSameBytes(): Promise<number[]> {
    const server = await this.#took("to_server", "agent", "server");
    const agent = await this.#took("to_agent", "server", "agent");
    return [...server, ...agent];
  }

  async #took(direction: Direction, from: string, to: string): Promise<number[]> {
    const entered = await readTap(this.#record(from), direction);
    const left = await readTap(this.#record(to), direction);
    assert.ok(entered.bytes.length > 0, `something went ${direction}`);
    if (!equalBytes(entered.bytes, left.bytes)) {
      const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes).split("\n");
      assert.deepEqual(text(left.bytes), text(entered.bytes), `the same bytes ${direction}`);
      assert.fail(`bytes differ ${direction} that are the same as text`);
    }
    return left.lineTimes.map((at, line) => at - (entered.lineTimes[line] ?? at));
  }

  #record(end: string): string {
    return `${this.#sandbox.folder}/${end}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#host[Symbol.asyncDispose]();
    await this.#sandbox[Symbol.asyncDispose]();
  }
}

/**
 * Asserts that both transcripts are equal after `table`, every entry of which must have been needed.
 * Returns how much was compared.
 */
export function assertSameTranscripts(
  direct: Transcript,
  throughTalos: Transcript,
  table: readonly Normalisation[],
): Compared {
  const expected = normalise(direct, table);
  const actual = normalise(throughTalos, table);
  assert.deepEqual(actual.transcript.sent, expected.transcript.sent, "what the client sent");
  assert.deepEqual(actual.transcript.received, expected.transcript.received, "what it received");
  for (const [name, count] of actual.changed) {
    assert.ok(count > 0, `the normalisation "${name}" is needed`);
    assert.equal(count, expected.changed.get(name), `messages with ${name}`);
  }
  return { sent: direct.sent.length, received: direct.received.length };
}

/** Returns the value in the middle. */
export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? NaN;
}

function way([command, ...args]: readonly [string, ...string[]]): Way {
  return { command, args, env: packageEnvironment() };
}

function packageEnvironment(): Record<string, string> {
  const found: Record<string, string> = {};
  for (const name of PACKAGE_VARIABLES) {
    const value = Deno.env.get(name);
    if (value !== undefined) found[name] = value;
  }
  return found;
}
