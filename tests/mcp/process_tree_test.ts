import assert from "node:assert/strict";
import { leadsGroup, treeSignal } from "../../lib/mcp/process_tree.ts";

for (const os of ["linux", "darwin"]) {
  Deno.test(`treeSignal() asks the group first and kills it then on ${os}`, () => {
    const facts = { pid: 4711, childRuns: true };
    assert.deepEqual(treeSignal(os, { ...facts, force: false }), {
      how: "group",
      group: 4711,
      signal: "SIGTERM",
    });
    assert.deepEqual(treeSignal(os, { ...facts, force: true }), {
      how: "group",
      group: 4711,
      signal: "SIGKILL",
    });
  });

  Deno.test(`treeSignal() reaches what a child left behind on ${os}`, () => {
    assert.deepEqual(treeSignal(os, { pid: 4711, childRuns: false, force: true }), {
      how: "group",
      group: 4711,
      signal: "SIGKILL",
    });
  });
}

for (const force of [false, true]) {
  Deno.test(`treeSignal() ends the whole tree on windows when force is ${force}`, () => {
    const facts = { pid: 4711, childRuns: true, force, systemRoot: "D:\\Win" };
    assert.deepEqual(treeSignal("windows", facts), {
      how: "command",
      argv: ["D:\\Win\\System32\\taskkill.exe", "/T", "/F", "/PID", "4711"],
    });
  });
}

Deno.test("treeSignal() finds taskkill when SystemRoot is not set on windows", () => {
  const signal = treeSignal("windows", { pid: 1, childRuns: true, force: true });
  assert.equal(signal?.how === "command" && signal.argv[0], "C:\\Windows\\System32\\taskkill.exe");
});

Deno.test("treeSignal() leaves an id alone on windows once the child is gone", () => {
  assert.equal(treeSignal("windows", { pid: 4711, childRuns: false, force: true }), null);
});

Deno.test("leadsGroup() keeps a child attached on windows alone", () => {
  assert.equal(leadsGroup("linux"), true);
  assert.equal(leadsGroup("darwin"), true);
  assert.equal(leadsGroup("windows"), false);
});
