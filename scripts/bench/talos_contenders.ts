/** Talos itself: `mcp-serve` in one home, `mcp-connect` in another, from source and as an executable. */

import { fileURLToPath } from "node:url";
import { ROOT } from "../source_files.ts";
import { runTalosProcess, startReady, TALOS } from "../talos_process.ts";
import { type Contender, type ServerCommand, Unavailable } from "./contender.ts";

/** Talos from this checkout. */
export async function talosContender(server: ServerCommand): Promise<Contender> {
  return await contender("talos", "Talos, from source", TALOS, server);
}

/** The executable that `deno task compile` made for this system. Throws Unavailable when there is none. */
export async function compiledTalosContender(server: ServerCommand): Promise<Contender> {
  const extension = Deno.build.os === "windows" ? ".exe" : "";
  const path = fileURLToPath(new URL(`dist/${Deno.build.target}/talos${extension}`, ROOT));
  if (!await Deno.stat(path).then(({ isFile }) => isFile, () => false)) {
    throw new Unavailable("there is no executable: `deno task compile` makes it");
  }
  return await contender("talos-compiled", "Talos, compiled", [path], server);
}

async function contender(
  name: string,
  label: string,
  command: readonly [string, ...string[]],
  server: ServerCommand,
): Promise<Contender> {
  await using stack = new AsyncDisposableStack();
  const folder = await Deno.realPath(await Deno.makeTempDir({ prefix: "talos-bench-" }));
  stack.defer(() => Deno.remove(folder, { recursive: true }));
  const [hostHome, agentHome] = [`${folder}/host`, `${folder}/agent`];
  const hostId = await init(command, hostHome);
  const agentId = await init(command, agentHome);
  const host = stack.use(
    await startReady([
      ...command,
      ...["--home", hostHome, "--json", "mcp-serve", "--port", "0", "--host", "127.0.0.1"],
      ...["--authorized-peer", agentId, "--", ...server],
    ]),
  );
  const disposables = stack.move();
  return {
    name,
    label,
    command: [
      ...command,
      ...["--home", agentHome, "mcp-connect", `${hostId}@127.0.0.1:${host.port}`],
    ],
    processes: [host.pid],
    [Symbol.asyncDispose]: () => disposables[Symbol.asyncDispose](),
  };
}

/** Makes an identity and returns its Peer ID. */
async function init(command: readonly [string, ...string[]], home: string): Promise<string> {
  const args = ["--home", home, "--json", "init", "--name", "bench"];
  const { code, stdout, stderr } = await runTalosProcess(args, { command });
  if (code !== 0) throw new Error(`talos init failed: ${stderr}`);
  return JSON.parse(stdout).peer_id;
}
