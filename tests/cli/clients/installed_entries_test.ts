import assert from "node:assert/strict";

import { parseClient } from "../../../lib/cli/clients/client.ts";
import { clientConfigs, entriesOf } from "../../../lib/cli/clients/installed_entries.ts";

const OURS = { command: "/bin/talos", args: ["mcp-connect", "X/notes", "--home", "/h"] };

Deno.test("entriesOf() finds Talos's entries in JSON and in TOML, and no others", () => {
  const found = [{ name: "box", target: "X/notes", entry: { ...OURS, env: { A: "b" } } }];
  const json = JSON.stringify({
    servers: { a: { command: "npx" }, box: { ...OURS, env: { A: "b" } } },
  });
  assert.deepEqual(entriesOf(parseClient("vscode"), `// mine\n${json}`), found);
  assert.deepEqual(entriesOf(parseClient("cursor"), json), [], "another section");
  const toml = '[mcp_servers.a]\nurl = "x"\n[mcp_servers.box]\ncommand = "/bin/talos"\n' +
    'args = ["mcp-connect", "X/notes", "--home", "/h"]\n[mcp_servers.box.env]\nA = "b"\n';
  assert.deepEqual(entriesOf(parseClient("codex-cli"), toml), found);
  assert.deepEqual(entriesOf(parseClient("zed"), ""), []);
});

Deno.test("clientConfigs() reads what is there, and tells which file cannot be read", async () => {
  const home = await Deno.realPath(await Deno.makeTempDir({ prefix: "talos-clients-" }));
  try {
    await Deno.mkdir(`${home}/.cursor`);
    await Deno.writeTextFile(
      `${home}/.cursor/mcp.json`,
      JSON.stringify({ mcpServers: { box: OURS } }),
    );
    await Deno.writeTextFile(`${home}/.claude.json`, "{");
    const env = (name: string) => ({ HOME: home, USERPROFILE: home })[name];
    const configs = await clientConfigs({ os: Deno.build.os, env });
    assert.deepEqual(
      configs.map((
        { client, entries, fault },
      ) => [client.id, entries.map(({ name }) => name), fault]),
      [
        ["claude-code", [], "the text ends too early at line 1, column 2"],
        ["cursor", ["box"], null],
      ],
    );
  } finally {
    await Deno.remove(home, { recursive: true });
  }
});
