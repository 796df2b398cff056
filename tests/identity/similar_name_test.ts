import assert from "node:assert/strict";

import { nearestName } from "../../lib/identity/similar_name.ts";

Deno.test("nearestName() returns what was probably meant, and nothing when nothing is near", () => {
  const commands = ["mcp-serve", "mcp-connect", "peers", "status"];
  const typed: [string, string | undefined][] = [
    ["mcp-conect", "mcp-connect"],
    ["mpc-connect", "mcp-connect"],
    ["MCP-Serve", "mcp-serve"],
    ["perrs", "peers"],
    ["stat", "status"],
    ["lunix", undefined],
    ["frobnicate", undefined],
    ["", undefined],
  ];
  for (const [text, meant] of typed) assert.equal(nearestName(text, commands), meant, text);
});
