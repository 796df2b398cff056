/** From two bare machines behind NAT, with no port open, to the first tool call: two commands each. */

import assert from "node:assert/strict";

import { fromUtf8 } from "../../lib/bytes.ts";
import { LineSplitter } from "../../lib/mcp/lines.ts";
import { whyNoNamespaces } from "../../scripts/network_namespaces.ts";
import { runTalosProcess, startReady, TALOS, TALOS_SERVER } from "../../scripts/talos_process.ts";
import { fixture, soon } from "./mcp_tunnel.ts";
import { REGISTRY, twoHomes } from "./two_homes.ts";

const why = whyNoNamespaces();

Deno.test({
  name: "invite, join and a tool call between two homes behind NAT, through a public registry" +
    (why === null ? "" : ` (skipped: ${why})`),
  ignore: why !== null,
  async fn() {
    const folder = await Deno.realPath(await Deno.makeTempDir({ prefix: "talos-nat-" }));
    await using cleaning = new AsyncDisposableStack();
    cleaning.defer(() => Deno.remove(folder, { recursive: true }));
    const homes = await twoHomes();
    cleaning.use(homes.resources);
    const registry = cleaning.use(
      await startReady([
        ...homes.internet.exec,
        ...TALOS_SERVER,
        ...["--data-dir", `${folder}/registry`, "--json", "--port", "0"],
      ]),
    );
    const server = ["--server", `${registry.ready["peer_id"]}@${REGISTRY}:${registry.port}`];
    const host = cleaning.use(
      await startReady([
        ...homes.host.exec,
        ...TALOS,
        ...["--home", `${folder}/host`, "--json", "mcp-serve", ...server, "--port", "0"],
        ...["--", ...fixture("puppet_server")],
      ]),
    );
    await soon(host.logged('"registered"'), "the registration");
    const { ticket, registry: named } = JSON.parse(
      await run(homes.host.exec, ["--home", `${folder}/host`, "--json", "invite", ...server]),
    );
    assert.equal(named, `${registry.ready["peer_id"]}@${REGISTRY}:${registry.port}`);

    const joined = JSON.parse(
      await run(homes.agent.exec, ["--home", `${folder}/agent`, "--json", "join", ticket]),
    );
    assert.match(joined.path, /^relay /);
    await soon(host.logged(`"words":"${joined.words.join(" ")}"`), "the same words");
    const answered = await ask(
      [...homes.agent.exec, ...TALOS, "--home", `${folder}/agent`, "mcp-connect", joined.target],
      '{"jsonrpc":"2.0","id":1,"method":"puppet/facts"}',
    );
    const { id, result } = JSON.parse(answered);
    assert.equal(id, 1);
    assert.ok(result !== undefined, answered);
  },
});

/** Runs `talos` on a machine to its end and returns what it prints. Fails where it fails. */
async function run(exec: readonly [string, ...string[]], words: readonly string[]) {
  const { code, stdout, stderr } = await runTalosProcess(words, { command: [...exec, ...TALOS] });
  assert.equal(code, 0, stderr);
  return stdout;
}

/** Starts an MCP server, writes one line to it, and returns the line that it answers. */
async function ask([program, ...args]: readonly [string, ...string[]], line: string) {
  const child = new Deno.Command(program, { args, stdin: "piped", stdout: "piped" }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(`${line}\n`));
  const lines = new LineSplitter(2 ** 20);
  let answer = "";
  for await (const chunk of child.stdout) {
    for (const piece of lines.feed(new Uint8Array(chunk))) {
      if (piece.kind === "line") answer ||= fromUtf8(piece.bytes);
    }
    if (answer !== "") await writer.close().catch(() => {}); // closed already
  }
  await child.status;
  return answer;
}
