import assert from "node:assert/strict";

import { parseClient } from "../../../lib/cli/clients/client.ts";
import { clientFindings } from "../../../lib/cli/doctor/client_findings.ts";

const PEER = "z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK";
const entry = {
  command: "/usr/bin/deno",
  args: ["run", "/src/main.ts", "mcp-connect", PEER],
  env: {},
};
const config = {
  client: parseClient("cursor"),
  file: "/home/anna/.cursor/mcp.json",
  entries: [{ name: "talos-a", target: `${PEER}/notes`, entry }],
  fault: null,
};
const nothingMissing = () => false;

Deno.test("clientFindings() names the entries of a peer, of all services of it", () => {
  const well = {
    check: "client",
    status: "ok",
    fact: 'Cursor has "talos-a" in /home/anna/.cursor/mcp.json',
    fixes: [],
  };
  assert.deepEqual(clientFindings([config], PEER, nothingMissing), [well]);
  assert.deepEqual(clientFindings([config], undefined, nothingMissing), [well]);
});

Deno.test("clientFindings() warns when no entry is of the peer, and says nothing of others", () => {
  assert.deepEqual(clientFindings([config], "z6MkOther", nothingMissing), [{
    check: "client",
    status: "warn",
    fact: "no MCP client here has an entry for this peer",
    fixes: ["write one: talos mcp-install z6MkOther --client claude-desktop"],
  }]);
  assert.deepEqual(clientFindings([], undefined, nothingMissing).map(({ status }) => status), [
    "skip",
  ]);
});

Deno.test("clientFindings() fails when the program or the main module of an entry is gone", () => {
  for (const gone of ["/usr/bin/deno", "/src/main.ts"]) {
    const [found] = clientFindings([config], PEER, (path) => path === gone);
    assert.equal(found?.status, "fail");
    assert.equal(found?.fact, `Cursor has "talos-a", which starts ${gone}: that is not there`);
    assert.deepEqual(found?.fixes, [
      `write it anew: talos mcp-install ${PEER}/notes --client cursor`,
    ]);
  }
});

Deno.test("clientFindings() leaves a program alone that is looked for on PATH", () => {
  const onPath = { name: "a", target: PEER, entry: { command: "talos", args: [], env: {} } };
  const findings = clientFindings([{ ...config, entries: [onPath] }], PEER, () => true);
  assert.deepEqual(findings.map(({ status }) => status), ["ok"]);
});

Deno.test("clientFindings() warns of a file that cannot be read, and goes on", () => {
  const broken = { ...config, entries: [], fault: "line 3: no comma" };
  const findings = clientFindings([broken, config], PEER, nothingMissing);
  assert.deepEqual(findings.map(({ status }) => status), ["warn", "ok"]);
  assert.equal(findings[0]?.fact, "Cursor: line 3: no comma");
});
