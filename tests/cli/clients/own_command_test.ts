import assert from "node:assert/strict";

import { CLIENT_IDS } from "../../../lib/cli/clients/client.ts";
import { addArguments, removeArguments } from "../../../lib/cli/clients/own_command.ts";

const ENTRY = { command: "/bin/talos", args: ["mcp-connect", "X", "--server", "r"], env: {} };
const WITH_ENV = { ...ENTRY, env: { A: "b=c" } };

Deno.test("addArguments() speaks each client's own language", () => {
  assert.deepEqual(addArguments("claude-code", "talos-box", ENTRY), [
    ...["mcp", "add-json", "--scope", "user", "talos-box"],
    '{"type":"stdio","command":"/bin/talos","args":["mcp-connect","X","--server","r"]}',
  ]);
  assert.deepEqual(addArguments("vscode", "talos-box", WITH_ENV), [
    "--add-mcp",
    '{"name":"talos-box","type":"stdio","command":"/bin/talos",' +
    '"args":["mcp-connect","X","--server","r"],"env":{"A":"b=c"}}',
  ]);
  assert.deepEqual(addArguments("gemini-cli", "talos-box", WITH_ENV), [
    ...["mcp", "add", "--scope", "user", "--env", "A=b=c", "talos-box", "/bin/talos", "--"],
    ...["mcp-connect", "X", "--server", "r"],
  ]);
  assert.deepEqual(addArguments("codex-cli", "talos-box", WITH_ENV), [
    ...["mcp", "add", "--env", "A=b=c", "talos-box", "--", "/bin/talos"],
    ...["mcp-connect", "X", "--server", "r"],
  ]);
});

Deno.test("removeArguments() speaks it, too", () => {
  const user = ["mcp", "remove", "--scope", "user", "talos-box"];
  assert.deepEqual(removeArguments("claude-code", "talos-box"), user);
  assert.deepEqual(removeArguments("gemini-cli", "talos-box"), user);
  assert.deepEqual(removeArguments("codex-cli", "talos-box"), ["mcp", "remove", "talos-box"]);
});

Deno.test("addArguments() and removeArguments() are null for clients without such a command", () => {
  const none = (add: boolean) =>
    CLIENT_IDS.filter((id) =>
      (add ? addArguments(id, "a", ENTRY) : removeArguments(id, "a")) === null
    );
  assert.deepEqual(none(true), ["claude-desktop", "cursor", "windsurf", "zed"]);
  assert.deepEqual(none(false), ["claude-desktop", "cursor", "vscode", "windsurf", "zed"]);
});
