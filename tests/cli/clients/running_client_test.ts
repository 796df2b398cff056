import assert from "node:assert/strict";

import { isClaudeDesktop, parseProcessList } from "../../../lib/cli/clients/running_client.ts";
import type { OperatingSystem } from "../../../lib/identity/file_path.ts";

function is(os: OperatingSystem, name: string, ...words: string[]): boolean {
  return isClaudeDesktop(os, { pid: 1, name, words });
}

Deno.test("isClaudeDesktop() knows it on Linux and does not take Claude Code for it", () => {
  assert.ok(is("linux", "claude-desktop", "/usr/bin/claude-desktop"));
  assert.ok(is("linux", "Claude", "/opt/Claude/Claude", "--no-sandbox"));
  assert.ok(is("linux", "MainThread", "/usr/lib/claude-desktop/claude-desktop", "--type=x"));
  assert.ok(
    is("linux", "electron", "/usr/lib/electron/electron", "/usr/lib/claude-desktop/app.asar"),
  );
  assert.ok(
    is(
      "linux",
      "electron",
      "electron",
      "/usr/lib/claude-desktop/node_modules/x/resources/app.asar",
    ),
  );
  assert.ok(!is("linux", "claude", "claude"));
  assert.ok(!is("linux", "node", "node", "/usr/lib/node_modules/@anthropic-ai/claude-code/cli.js"));
  assert.ok(!is("linux", "vim", "vim", "/home/anna/claude-desktop/notes.txt"));
  assert.ok(!is("linux", "kthreadd", ""));
});

Deno.test("isClaudeDesktop() knows it on a Mac by its name alone", () => {
  assert.ok(is("darwin", "Claude"));
  assert.ok(!is("darwin", "claude"));
  assert.ok(!is("darwin", "Claude Helper"));
});

Deno.test("isClaudeDesktop() knows it on Windows by where its program is", () => {
  const local = "C:\\Users\\Anna\\AppData\\Local";
  assert.ok(is("windows", `${local}\\AnthropicClaude\\app-0.9.1\\claude.exe`));
  assert.ok(is("windows", `${local}\\AnthropicClaude\\claude.exe`));
  assert.ok(
    is(
      "windows",
      "C:\\Program Files\\WindowsApps\\Claude_1.1.0.0_x64__pzs8sxrjxfjjc\\app\\Claude.exe",
    ),
  );
  assert.ok(!is("windows", "C:\\Users\\Anna\\.local\\bin\\claude.exe"));
  assert.ok(!is("windows", ""));
});

Deno.test("parseProcessList() reads ids and names, with spaces in them", () => {
  assert.deepEqual(parseProcessList("12 Claude\n 345 C:\\Program Files\\x.exe \r\n7 \n\nnone\n"), [
    { pid: 12, name: "Claude", words: [] },
    { pid: 345, name: "C:\\Program Files\\x.exe", words: [] },
  ]);
});
