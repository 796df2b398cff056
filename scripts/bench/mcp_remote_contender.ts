/**
 * mcp-remote in front of supergateway, both from npm: the usual way to give a local agent a stdio server
 * that runs elsewhere. Plain HTTP on 127.0.0.1, so nothing is spent on encryption. Both run under Node
 * where it is installed, as their authors mean them to, else under Deno.
 */

import {
  type Contender,
  endProgram,
  findProgram,
  freePort,
  runToEnd,
  type ServerCommand,
  Unavailable,
  untilSaid,
} from "./contender.ts";

/** Pinned, so that runs of different days are about the same programs. */
const MCP_REMOTE = "mcp-remote@0.15.1";
const SUPERGATEWAY = "supergateway@4.0.0";

/** Throws Unavailable when the packages cannot be had or do not run. */
export async function mcpRemoteContender(server: ServerCommand): Promise<Contender> {
  await using stack = new AsyncDisposableStack();
  const folder = await Deno.realPath(await Deno.makeTempDir({ prefix: "talos-bench-mcp-remote-" }));
  stack.defer(() => Deno.remove(folder, { recursive: true }));
  const { mcpRemote, supergateway } = await install(folder);
  const port = freePort();
  const [program, ...args] = supergateway;
  const gateway = new Deno.Command(program, {
    args: [
      ...args,
      ...["--stdio", server.map(quoted).join(" "), "--port", String(port)],
      ...["--outputTransport", "streamableHttp", "--stateful"],
    ],
    stdin: "null",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  stack.defer(() => endProgram(gateway));
  await untilSaid("supergateway", gateway.stdout, /Listening on port/i);
  const disposables = stack.move();
  return {
    name: "mcp-remote",
    label: "mcp-remote + supergateway",
    command: [
      ...mcpRemote,
      `http://127.0.0.1:${port}/mcp`,
      "--allow-http",
      "--transport",
      "http-only",
      "--silent",
    ],
    env: { MCP_REMOTE_CONFIG_DIR: folder },
    processes: [gateway.pid],
    [Symbol.asyncDispose]: () => disposables[Symbol.asyncDispose](),
  };
}

interface Installed {
  readonly mcpRemote: readonly [string, ...string[]];
  readonly supergateway: readonly [string, ...string[]];
}

async function install(folder: string): Promise<Installed> {
  const [node, npm] = [await findProgram("node"), await findProgram("npm")];
  try {
    if (node !== null && npm !== null) {
      const flags = ["--no-audit", "--no-fund", "--silent", "--prefix", folder];
      await runToEnd(npm, ["install", ...flags, MCP_REMOTE, SUPERGATEWAY]);
      return {
        mcpRemote: [node, `${folder}/node_modules/mcp-remote/dist/proxy.js`],
        supergateway: [node, `${folder}/node_modules/supergateway/dist/index.js`],
      };
    }
    const flags = ["--no-config", "--no-lock", "--quiet"];
    const deno = Deno.execPath();
    await runToEnd(deno, ["cache", ...flags, `npm:${MCP_REMOTE}`, `npm:${SUPERGATEWAY}`]);
    return {
      mcpRemote: [deno, "run", "--allow-all", ...flags, `npm:${MCP_REMOTE}`],
      supergateway: [deno, "run", "--allow-all", ...flags, `npm:${SUPERGATEWAY}`],
    };
  } catch (error) {
    const why = error instanceof Error ? error.message.split("\n")[0] : String(error);
    throw new Unavailable(`cannot install ${MCP_REMOTE} and ${SUPERGATEWAY}: ${why}`);
  }
}

/** supergateway hands its command to a shell. */
function quoted(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`;
}
