import assert from "node:assert/strict";

import { EVERYTHING_SERVER, prepareServer } from "../../scripts/mcp_servers.ts";
import { runTalosProcess } from "../../scripts/talos_process.ts";
import { modernServer, TwoWays } from "./differential/two_ways.ts";

type Command = readonly [string, ...string[]];

const PACKAGE = "@modelcontextprotocol/inspector@2.12.0";

/** The keychain of whoever runs the tests is none of its business. */
const INSPECTOR_ENVIRONMENT = { MCP_INSPECTOR_SECRET_STORE: "memory" };

const INSPECTOR = await findInspector();

/** Returns how the Inspector's command line starts here: under Deno, else under Node, else not at all. */
async function findInspector(): Promise<Command | null> {
  const ways: readonly (() => Promise<readonly string[]>)[] = [
    () => prepareServer(`npm:${PACKAGE}`),
    () => Promise.resolve(["npx", "-y", PACKAGE]),
  ];
  for (const way of ways) {
    try {
      const [program = "", ...words] = await way();
      const command: Command = [program, ...words, "--cli"];
      const { code } = await runTalosProcess(["--help"], { command });
      if (code === 0) return command;
    } catch {
      // there is no such program, or no such package: the next way
    }
  }
  return null;
}

/** What the Inspector prints with `--format json`, as far as a test looks into it. */
interface Printed {
  readonly result: {
    readonly structuredContent?: unknown;
    readonly resultType?: string;
    readonly content?: unknown;
    readonly tools?: readonly Named[];
    readonly resources?: readonly Named[];
    readonly prompts?: readonly Named[];
  };
}

interface Named {
  readonly name: string;
}

/** Both ways to a server in an `mcpServers` file. */
async function configOf(ways: TwoWays): Promise<string> {
  const path = `${ways.folder}/mcp.json`;
  const mcpServers = { direct: ways.direct, talos: ways.untapped };
  await Deno.writeTextFile(path, JSON.stringify({ mcpServers }));
  return path;
}

/** Runs the Inspector with `args` on both servers of `config`, and returns what both print alike. */
async function inspectBoth(config: string, ...args: readonly string[]): Promise<Printed> {
  const inspect = (server: string) =>
    runTalosProcess(["--config", config, "--server", server, "--format", "json", ...args], {
      command: INSPECTOR!,
      env: INSPECTOR_ENVIRONMENT,
    });
  const [direct, talos] = await Promise.all([inspect("direct"), inspect("talos")]);
  assert.equal(direct.code, 0, direct.stderr);
  assert.equal(talos.code, 0, talos.stderr);
  assert.equal(talos.stdout, direct.stdout);
  return JSON.parse(talos.stdout);
}

const ignore = INSPECTOR === null;
const skipped = ignore ? ` (skipped: neither Deno nor npx can run ${PACKAGE})` : "";

Deno.test({
  name: `the MCP Inspector prints through talos what it prints without it${skipped}`,
  ignore,
  async fn() {
    const [deno = "", ...words] = await prepareServer(EVERYTHING_SERVER);
    await using ways = await TwoWays.open([deno, ...words], { tap: false });
    const config = await configOf(ways);
    const sum = ["--tool-name", "get-sum", "--tool-args-json", '{"a":1,"b":2}'];
    const [tools, called, resources, prompts] = await Promise.all([
      inspectBoth(config, "--method", "tools/list"),
      inspectBoth(config, "--method", "tools/call", ...sum),
      inspectBoth(config, "--method", "resources/list"),
      inspectBoth(config, "--method", "prompts/list"),
    ]);
    const text = "The sum of 1 and 2 is 3.";
    assert.deepEqual(called, { result: { content: [{ type: "text", text }] } });
    assert.equal(tools.result.tools?.[0]?.name, "echo");
    assert.equal(resources.result.resources?.[0]?.name, "architecture.md");
    assert.equal(prompts.result.prompts?.[0]?.name, "simple-prompt");
  },
});

Deno.test({
  name: `the MCP Inspector speaks the 2026-07-28 revision through talos${skipped}`,
  ignore,
  async fn() {
    await using ways = await TwoWays.open(modernServer(), { tap: false });
    const { result } = await inspectBoth(
      await configOf(ways),
      "--protocol-era",
      "modern",
      "--method",
      "tools/call",
      "--tool-name",
      "add",
      "--tool-args-json",
      '{"a":1,"b":2}',
    );
    assert.deepEqual(result.structuredContent, { sum: 3 });
    assert.equal(result.resultType, "complete");
  },
});
