import assert from "node:assert/strict";
import { Known, parseRunbook } from "./runbook.ts";

const SAMPLE = `# Title

## First

Words, \`inline$ code\`.

\`\`\`console
linux$ talos status
Peer ID:  <LINUX_PEER_ID>
…
mac$ talos peers | wc -l
\`\`\`

## Second

\`\`\`console running
linux$ talos mcp-serve
\`\`\`

\`\`\`console not run: no Mac is here
mac$ open -e file
\`\`\`

\`\`\`json servers.json linux
{"mcpServers": {}}
\`\`\`

\`\`\`ini
[Unit]
\`\`\`
`;

Deno.test("parseRunbook() returns every block with its section and its commands", () => {
  assert.deepEqual(parseRunbook(SAMPLE), [
    {
      section: "First",
      line: 7,
      kind: "commands",
      where: "home",
      commands: [
        {
          machine: "linux",
          typed: "talos status",
          expected: ["Peer ID:  <LINUX_PEER_ID>", "…"],
        },
        { machine: "mac", typed: "talos peers | wc -l", expected: [] },
      ],
    },
    {
      section: "Second",
      line: 16,
      kind: "running",
      commands: [{ machine: "linux", typed: "talos mcp-serve", expected: [] }],
    },
    {
      section: "Second",
      line: 20,
      kind: "not run",
      reason: "no Mac is here",
      commands: [{ machine: "mac", typed: "open -e file", expected: [] }],
    },
    {
      section: "Second",
      line: 24,
      kind: "file",
      name: "servers.json",
      machine: "linux",
      text: '{"mcpServers": {}}\n',
    },
    { section: "Second", line: 28, kind: "other", language: "ini" },
  ]);
});

Deno.test("parseRunbook() throws when it does not understand a block", () => {
  assert.throws(() => parseRunbook("```console sometimes\na$ b\n```\n"), /line 1/);
  assert.throws(() => parseRunbook("```console\nno prompt\n```\n"), /line 1/);
  assert.throws(() => parseRunbook("text\n```console\na$ b\n"), /line 2 does not end/);
});

const ID = `z6Mk${"a".repeat(44)}`;
const OTHER = `z6Mk${"b".repeat(44)}`;

Deno.test("Known.missing() learns what names stand for, and holds later lines to it", () => {
  const known = new Known({ HOST: "10.0.0.1" });
  assert.deepEqual(known.missing(["Peer ID: <A_ID>"], `Peer ID: ${ID}\n`), []);
  assert.equal(known.fill("talos mcp-connect <A_ID>@<HOST>"), `talos mcp-connect ${ID}@10.0.0.1`);
  assert.deepEqual(known.missing(["Peer ID: <A_ID>"], `Peer ID: ${OTHER}\n`), ["Peer ID: <A_ID>"]);
  assert.throws(() => known.fill("<B_ID>"), /nobody knows what <B_ID> is/);
});

Deno.test("Known.missing() takes lines in any order, each printed line once, and … for anything", () => {
  const known = new Known({});
  assert.deepEqual(known.missing(["b", "a"], "a\nb\n"), []);
  assert.deepEqual(known.missing(["a", "a"], "a\nb\n"), ["a"]);
  assert.deepEqual(known.missing(["…", "a … c (d)"], "x\na b c (d)  \n"), []);
  assert.deepEqual(known.missing(["a"], "ab\n"), ["a"]);
});
