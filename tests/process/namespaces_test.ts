/** The demo's path between machines that share nothing but a cable: network namespaces and veth pairs. */

import assert from "node:assert/strict";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { FILESYSTEM_SERVER, prepareServer } from "../../scripts/mcp_servers.ts";
import {
  createNetwork,
  type NetworkNamespace,
  whyNoNamespaces,
} from "../../scripts/network_namespaces.ts";
import { initHome, runTalosProcess, startReady, TALOS } from "../../scripts/talos_process.ts";

const why = whyNoNamespaces();

const HOST = { toAgent: ["10.77.1.1/24", "fd77:1::1/64"], toStranger: ["10.77.2.1/24"] };
const AGENT = ["10.77.1.2/24", "fd77:1::2/64"];
const STRANGER = ["10.77.2.2/24"];

/** Connects the MCP SDK's client to `talos mcp-connect` as it runs on `machine`. */
async function connectClient(
  machine: NetworkNamespace,
  home: string,
  target: string,
): Promise<Client> {
  const [command, ...before] = machine.exec;
  const client = new Client({ name: "talos-test", version: "1.0.0" });
  await client.connect(
    new StdioClientTransport({
      command,
      args: [...before, ...TALOS, "--home", home, "mcp-connect", target],
      stderr: "ignore",
    }),
  );
  return client;
}

/** Tells whether anything at all gets from `machine` to the address. */
async function canConnect(
  { exec: [command, ...before] }: NetworkNamespace,
  hostname: string,
  port: number,
): Promise<boolean> {
  const code = `(await Deno.connect(${JSON.stringify({ hostname, port })})).close()`;
  const { success } = await new Deno.Command(command, {
    args: [...before, Deno.execPath(), "eval", code],
    stderr: "null",
  }).output();
  return success;
}

Deno.test({
  name: "mcp-connect uses a real MCP server when it runs on another machine" +
    (why === null ? "" : ` (skipped: ${why})`),
  ignore: why !== null,
  // The SDK's client leaves timers behind when it is closed.
  sanitizeOps: false,
  sanitizeResources: false,
  async fn(t) {
    const server = await prepareServer(FILESYSTEM_SERVER);
    const folder = await Deno.realPath(await Deno.makeTempDir({ prefix: "talos-test-" }));
    try {
      await using network = await createNetwork();
      const host = await network.machine("host");
      const agent = await network.machine("agent");
      const stranger = await network.machine("stranger");
      await network.cable([host, agent], [HOST.toAgent, AGENT]);
      await network.cable([host, stranger], [HOST.toStranger, STRANGER]);

      const hostId = await initHome(`${folder}/host`, "host");
      const agentId = await initHome(`${folder}/agent`, "agent");
      await initHome(`${folder}/stranger`, "stranger");
      const sample = `${folder}/projects`;
      await Deno.mkdir(sample);
      await Deno.writeTextFile(`${sample}/notes.txt`, "from the host");

      await using serving = await startReady([
        ...host.exec,
        ...TALOS,
        ...["--home", `${folder}/host`, "--json", "mcp-serve", "--port", "0"],
        ...["--authorized-peer", agentId, "--", ...server, sample],
      ]);
      const at = (address: string) => `${hostId}@${address}:${serving.port}`;

      for (const [version, address] of [["IPv4", "10.77.1.1"], ["IPv6", "[fd77:1::1]"]] as const) {
        await t.step(`over ${version}`, async () => {
          const client = await connectClient(agent, `${folder}/agent`, at(address));
          const { tools } = await client.listTools();
          assert.ok(tools.length > 5);
          const read = await client.callTool({
            name: "read_text_file",
            arguments: { path: `${sample}/notes.txt` },
          });
          assert.match(JSON.stringify(read), /from the host/);
          const path = `${sample}/${version}.txt`;
          const content = `by the agent over ${version}`;
          await client.callTool({ name: "write_file", arguments: { path, content } });
          assert.equal(await Deno.readTextFile(path), content);

          const [command, ...before] = host.exec;
          const { stdout } = await runTalosProcess(
            ["--home", `${folder}/host`, "--json", "status"],
            { command: [command, ...before, ...TALOS] },
          );
          const from = version === "IPv4" ? "10.77.1.2:" : "[fd77:1::2]:";
          assert.ok(stdout.includes(`direct ${from}`), `status shows ${from}: ${stdout}`);
          await client.close();
        });
      }

      await t.step("and a stranger from a third one is refused, and told so", async () => {
        await assert.rejects(
          connectClient(stranger, `${folder}/stranger`, at("10.77.2.1")),
          /not authorised/,
        );
      });

      await t.step("and where no cable leads there is no way", async () => {
        assert.equal(await canConnect(agent, "10.77.1.1", serving.port), true);
        assert.equal(await canConnect(stranger, "10.77.1.1", serving.port), false);
      });
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
    const left = await new Deno.Command("ip", { args: ["netns", "list"] }).output();
    assert.ok(!new TextDecoder().decode(left.stdout).includes(`talos-${Deno.pid}-`));
  },
});
