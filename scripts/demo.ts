/**
 * The main job on real parts, told step by step: two homes, the real filesystem MCP server behind
 * `talos mcp-serve`, the real MCP SDK client in front of `talos mcp-connect`, a stranger, and somebody
 * who records the wire. Everything lies in a temporary folder that is removed at the end.
 */

// deno-lint-ignore-file no-console -- printing is what this script is for.

import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import {
  getDefaultEnvironment,
  StdioClientTransport,
} from "@modelcontextprotocol/sdk/client/stdio.js";
import { recordingProxy } from "./recording_proxy.ts";
import { FILESYSTEM_SERVER, prepareServer } from "./mcp_servers.ts";
import { initHome, packageEnvironment, startHost, TALOS } from "./talos_process.ts";

let step = 0;
function tell(what: string): void {
  console.log(`\n${++step}. ${what}`);
}

function show(what: string): void {
  for (const line of what.trimEnd().split("\n")) console.log(`   ${line}`);
}

function insist(holds: boolean, what: string): void {
  if (!holds) throw new Error(`not true: ${what}`);
  show(`✓ ${what}`);
}

/** Starts `talos mcp-connect` in `home` and connects the MCP SDK's client to it. */
async function connectClient(home: string, target: string): Promise<Client> {
  const [command, ...args] = TALOS;
  const transport = new StdioClientTransport({
    command,
    args: [...args, "--home", home, "mcp-connect", target],
    env: { ...getDefaultEnvironment(), ...packageEnvironment() },
    stderr: "pipe",
  });
  let said = "";
  transport.stderr?.on("data", (chunk: Uint8Array) => said += new TextDecoder().decode(chunk));
  const client = new Client({ name: "talos-demo", version: "1.0.0" });
  try {
    await client.connect(transport);
  } catch (error) {
    throw new Error(`${error instanceof Error ? error.message : error}\n${said}`.trimEnd());
  }
  return client;
}

function textOf(result: unknown): string {
  return JSON.stringify(result);
}

async function main(folder: string): Promise<void> {
  const started = performance.now();
  const secret = `secret-${crypto.randomUUID()}`;
  const sample = `${folder}/projects`;
  await Deno.mkdir(sample);
  await Deno.writeTextFile(`${sample}/notes.txt`, `The password is ${secret}.\n`);

  tell("Three identities, as on three machines. No account, no vendor.");
  const hostHome = `${folder}/host`;
  const agentHome = `${folder}/agent`;
  const strangerHome = `${folder}/stranger`;
  const host = await initHome(hostHome, "host");
  const agent = await initHome(agentHome, "agent");
  const stranger = await initHome(strangerHome, "stranger");
  show(`host      ${host}\nagent     ${agent}\nstranger  ${stranger}`);

  tell("The host shares a real MCP server, the filesystem one, with the agent alone:");
  const server = await prepareServer(FILESYSTEM_SERVER);
  show(`talos mcp-serve --authorized-peer ${agent} -- deno run -A ${FILESYSTEM_SERVER} ${sample}`);
  await using serving = await startHost(hostHome, [
    "--authorized-peer",
    agent,
    ...Object.keys(packageEnvironment()).flatMap((name) => ["--env", name]),
    "--",
    ...server,
    sample,
  ]);
  show(`listening on port ${serving.port}`);

  tell("Somebody sits on the wire between them and records every byte.");
  using wire = recordingProxy(serving.port);

  tell("The agent's real MCP client uses it through the tunnel:");
  const target = `${host}@127.0.0.1:${wire.port}`;
  show(`talos mcp-connect ${host}@127.0.0.1:${wire.port}`);
  const client = await connectClient(agentHome, target);
  const { tools } = await client.listTools();
  insist(
    tools.length > 5,
    `it lists ${tools.length} tools: ${tools[0]?.name}, ${tools[1]?.name}, …`,
  );
  const read = await client.callTool({
    name: "read_text_file",
    arguments: { path: `${sample}/notes.txt` },
  });
  insist(textOf(read).includes(secret), "it reads notes.txt, with a secret in it");
  await client.callTool({
    name: "write_file",
    arguments: { path: `${sample}/answer.txt`, content: `I know: ${secret}` },
  });
  const written = await Deno.readTextFile(`${sample}/answer.txt`);
  insist(written === `I know: ${secret}`, "it writes answer.txt on the host");

  tell("A stranger tries the same:");
  const refused = await connectClient(strangerHome, target).then(
    async (unexpected) => {
      await unexpected.close();
      return null;
    },
    (error: unknown) => error instanceof Error ? error.message.split("\n")[0] ?? "" : String(error),
  );
  insist(refused !== null && refused.includes("not authorised"), "it is refused, and told why:");
  show(`  ${refused ?? ""}`);

  tell("What did the one on the wire see?");
  await client.close();
  const seen = new TextDecoder("latin1").decode(wire.bytes());
  insist(seen.length > 4_000, `${seen.length} bytes`);
  insist(!seen.includes(secret), "the secret is not among them");
  insist(!seen.includes("jsonrpc") && !seen.includes("notes.txt"), "nor is any word of MCP");

  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  console.log(`\nThat is Talos, in ${seconds} s. Now on two machines of your own: see the README.`);
}

if (import.meta.main) {
  const folder = await Deno.realPath(await Deno.makeTempDir({ prefix: "talos-demo-" }));
  let status = 0;
  try {
    await main(folder);
  } catch (error) {
    console.error(`\nthe demo failed: ${error instanceof Error ? error.message : error}`);
    status = 1;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
  Deno.exit(status);
}
