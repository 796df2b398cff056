import assert from "node:assert/strict";

import { withOptionsInForce } from "../../lib/cli/talos_command.ts";

const BOTH = { home: "/srv/my home", server: "registry.example:9765" };

const RENDERED: readonly (readonly [hint: string, rendered: string])[] = [
  [
    "make one: talos init --name NAME",
    "make one: talos --home '/srv/my home' init --name NAME",
  ],
  [
    "name the service: talos mcp-connect linux/notes",
    "name the service: talos --home '/srv/my home' mcp-connect linux/notes " +
    "--server registry.example:9765",
  ],
  [
    "see who is registered, and compare the Peer ID: talos peers",
    "see who is registered, and compare the Peer ID: talos --home '/srv/my home' peers " +
    "--server registry.example:9765",
  ],
  ["talos peers", "talos --home '/srv/my home' peers --server registry.example:9765"],
  [
    "next, use one: talos mcp-connect PEER-ID@HOST:8766",
    "next, use one: talos --home '/srv/my home' mcp-connect PEER-ID@HOST:8766",
  ],
  [
    "use another registry: talos register --server HOST[:PORT]",
    "use another registry: talos --home '/srv/my home' register --server HOST[:PORT]",
  ],
  [
    "try it: talos mcp-connect linux --server other.example",
    "try it: talos --home '/srv/my home' mcp-connect linux --server other.example",
  ],
  // What is meant for another machine, or only spoken of.
  ["on the host, see what runs: talos status", "on the host, see what runs: talos status"],
  [
    "next, on the agent's machine: talos mcp-connect X --server R",
    "next, on the agent's machine: talos mcp-connect X --server R",
  ],
  [
    "192.0.2.1:8766 may belong to another: on the host, compare Peer ID and port: talos status",
    "192.0.2.1:8766 may belong to another: on the host, compare Peer ID and port: talos status",
  ],
  ["as the other side's `talos status` shows it", "as the other side's `talos status` shows it"],
  ["see what it takes: talos mcp-serve --help", "see what it takes: talos mcp-serve --help"],
  ["start it again: talos-server --port 1", "start it again: talos-server --port 1"],
  ["leave one of them out", "leave one of them out"],
];

for (const [hint, rendered] of RENDERED) {
  Deno.test(`withOptionsInForce() renders "${hint}" as it has to be typed`, () => {
    assert.equal(withOptionsInForce("linux", BOTH, hint), rendered);
    assert.equal(withOptionsInForce("linux", BOTH, rendered), rendered, "once more changes it");
    assert.equal(withOptionsInForce("linux", {}, hint), hint);
  });
}

Deno.test("withOptionsInForce() quotes as Windows takes it when it runs there", () => {
  assert.equal(
    withOptionsInForce("windows", { home: "C:\\my home" }, "see: talos status"),
    'see: talos --home "C:\\my home" status',
  );
});
