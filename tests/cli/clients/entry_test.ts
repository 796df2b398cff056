import assert from "node:assert/strict";

import {
  defaultEntryName,
  entryMembers,
  isOurs,
  likeness,
  parseEntryName,
} from "../../../lib/cli/clients/entry.ts";
import { parsePeerId } from "../../../lib/identity/peer_id.ts";

const PEER = parsePeerId("z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK");

Deno.test("defaultEntryName() takes the petname, else the beginning of the ID, and the service", () => {
  assert.equal(defaultEntryName(PEER, undefined, undefined), "talos-z6MkhaXgBZDv");
  assert.equal(defaultEntryName(PEER, "linuxbox", undefined), "talos-linuxbox");
  assert.equal(defaultEntryName(PEER, "linuxbox", "notes"), "talos-linuxbox-notes");
  assert.equal(defaultEntryName(PEER, "Annas.Büro", "my.files_2"), "talos-Annas-Buro-my-files_2");
  assert.equal(defaultEntryName(PEER, "机器", "notes"), "talos-z6MkhaXgBZDv-notes");
});

Deno.test("defaultEntryName() keeps to 40 characters", () => {
  const name = defaultEntryName(PEER, "a".repeat(33), "notes");
  assert.equal(name, `talos-${"a".repeat(33)}`);
  assert.equal(parseEntryName(name), name);
});

Deno.test("parseEntryName() refuses what some client would not take", () => {
  assert.equal(parseEntryName("my_files-2"), "my_files-2");
  for (const text of ["", "-a", "_a", "a b", "a.b", "ä", "a/b", "a".repeat(41)]) {
    assert.throws(() => parseEntryName(text), { code: "usage" }, text);
  }
});

const ENTRY = { command: "/usr/bin/talos", args: ["mcp-connect", "X"], env: {} };

Deno.test("entryMembers() says the type where the client wants it, and the environment where there is one", () => {
  assert.deepEqual(entryMembers({ typed: false }, ENTRY), {
    command: "/usr/bin/talos",
    args: ["mcp-connect", "X"],
  });
  assert.deepEqual(entryMembers({ typed: true }, { ...ENTRY, env: { A: "b" } }), {
    type: "stdio",
    command: "/usr/bin/talos",
    args: ["mcp-connect", "X"],
    env: { A: "b" },
  });
});

Deno.test("likeness() tells the same, ours and others apart; further members are the user's", () => {
  const members = entryMembers({ typed: false }, ENTRY);
  assert.equal(likeness(undefined, members), "absent");
  assert.equal(likeness({ ...members }, members), "same");
  assert.equal(likeness({ ...members, disabled: true, env: {} }, members), "same");
  assert.equal(likeness({ ...members, args: ["mcp-connect", "Y"] }, members), "ours");
  assert.equal(likeness({ command: "npx", args: ["-y", "x"] }, members), "foreign");
  assert.equal(likeness({ url: "https://example.com" }, members), "foreign");
  assert.equal(likeness("text", members), "foreign");
  assert.equal(likeness(null, members), "foreign");
});

Deno.test("isOurs() knows Talos as an executable and from source, on all systems", () => {
  const ours = (command: string, ...args: string[]) => isOurs({ command, args });
  assert.ok(ours("talos", "mcp-connect", "X"));
  assert.ok(ours("/opt/talos/talos", "--home", "/h", "mcp-connect", "X"));
  assert.ok(ours("C:\\Program Files\\Talos\\talos.exe", "mcp-connect", "X"));
  assert.ok(ours("/usr/bin/deno", "run", "/src/main.ts", "mcp-connect", "X"));
  assert.ok(!ours("/usr/bin/deno", "run", "other.ts"));
  assert.ok(!ours("/usr/bin/node", "mcp-connect"));
  assert.ok(!ours("talos", "mcp-serve"));
  assert.ok(!isOurs({ command: "talos" }));
});
