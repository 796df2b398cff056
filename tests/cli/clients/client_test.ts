import assert from "node:assert/strict";

import {
  CLIENT_IDS,
  type ClientId,
  type ConfigFacts,
  configFile,
  parseClient,
} from "../../../lib/cli/clients/client.ts";
import type { OperatingSystem } from "../../../lib/identity/file_path.ts";

const NOTHING: ConfigFacts = { directories: () => [], exists: () => false };

function paths(
  os: OperatingSystem,
  variables: Record<string, string>,
  facts = NOTHING,
): Record<string, string> {
  const env = (name: string) => variables[name];
  return Object.fromEntries(CLIENT_IDS.map((id) => [id, configFile(os, env, facts, id)]));
}

Deno.test("configFile() knows every client's file on Linux", () => {
  assert.deepEqual(paths("linux", { HOME: "/home/anna" }), {
    "claude-desktop": "/home/anna/.config/Claude/claude_desktop_config.json",
    "claude-code": "/home/anna/.claude.json",
    cursor: "/home/anna/.cursor/mcp.json",
    vscode: "/home/anna/.config/Code/User/mcp.json",
    windsurf: "/home/anna/.codeium/windsurf/mcp_config.json",
    zed: "/home/anna/.config/zed/settings.json",
    "gemini-cli": "/home/anna/.gemini/settings.json",
    "codex-cli": "/home/anna/.codex/config.toml",
  });
});

Deno.test("configFile() knows every client's file on a Mac, whatever XDG_CONFIG_HOME says", () => {
  assert.deepEqual(paths("darwin", { HOME: "/Users/anna", XDG_CONFIG_HOME: "/xdg" }), {
    "claude-desktop": "/Users/anna/Library/Application Support/Claude/claude_desktop_config.json",
    "claude-code": "/Users/anna/.claude.json",
    cursor: "/Users/anna/.cursor/mcp.json",
    vscode: "/Users/anna/Library/Application Support/Code/User/mcp.json",
    windsurf: "/Users/anna/.codeium/windsurf/mcp_config.json",
    zed: "/Users/anna/.config/zed/settings.json",
    "gemini-cli": "/Users/anna/.gemini/settings.json",
    "codex-cli": "/Users/anna/.codex/config.toml",
  });
});

const WINDOWS = {
  USERPROFILE: "C:\\Users\\Anna",
  APPDATA: "C:\\Users\\Anna\\AppData\\Roaming",
  LOCALAPPDATA: "C:\\Users\\Anna\\AppData\\Local",
};

Deno.test("configFile() knows every client's file on Windows", () => {
  const expected = {
    "claude-desktop": "C:\\Users\\Anna\\AppData\\Roaming\\Claude\\claude_desktop_config.json",
    "claude-code": "C:\\Users\\Anna\\.claude.json",
    cursor: "C:\\Users\\Anna\\.cursor\\mcp.json",
    vscode: "C:\\Users\\Anna\\AppData\\Roaming\\Code\\User\\mcp.json",
    windsurf: "C:\\Users\\Anna\\.codeium\\windsurf\\mcp_config.json",
    zed: "C:\\Users\\Anna\\AppData\\Roaming\\Zed\\settings.json",
    "gemini-cli": "C:\\Users\\Anna\\.gemini\\settings.json",
    "codex-cli": "C:\\Users\\Anna\\.codex\\config.toml",
  };
  assert.deepEqual(paths("windows", WINDOWS), expected);
  assert.deepEqual(paths("windows", { USERPROFILE: "C:\\Users\\Anna" }), expected);
});

Deno.test("configFile() takes the Store's directory when Claude Desktop was installed from there", () => {
  const packages = "C:\\Users\\Anna\\AppData\\Local\\Packages";
  const inPackage = (name: string) =>
    `${packages}\\${name}\\LocalCache\\Roaming\\Claude\\claude_desktop_config.json`;
  const env = (name: string) => ({ ...WINDOWS })[name];
  const facts = (names: string[], there: string[]): ConfigFacts => ({
    directories: (directory) => directory === packages ? names : [],
    exists: (path) => there.includes(path),
  });
  const desktop = (names: string[], there: string[] = []) =>
    configFile("windows", env, facts(names, there), "claude-desktop");
  assert.equal(
    desktop(["Microsoft.Paint_8wekyb3d8bbwe", "Claude_pzs8sxrjxfjjc"]),
    inPackage("Claude_pzs8sxrjxfjjc"),
  );
  assert.equal(desktop(["Claude_b", "Claude_a"]), inPackage("Claude_a"));
  assert.equal(desktop(["Claude_a", "Claude_b"], [inPackage("Claude_b")]), inPackage("Claude_b"));
  assert.equal(
    desktop(["NotClaude_a", "ClaudeX"]),
    "C:\\Users\\Anna\\AppData\\Roaming\\Claude\\claude_desktop_config.json",
  );
});

Deno.test("configFile() follows the variables that the clients follow", () => {
  const at = (os: OperatingSystem, client: ClientId, variables: Record<string, string>) =>
    configFile(os, (name) => variables[name], NOTHING, client);
  const home = { HOME: "/home/anna" };
  assert.equal(
    at("linux", "claude-desktop", { ...home, XDG_CONFIG_HOME: "/xdg" }),
    "/xdg/Claude/claude_desktop_config.json",
  );
  assert.equal(
    at("linux", "zed", { ...home, XDG_CONFIG_HOME: "relative" }),
    "/home/anna/.config/zed/settings.json",
  );
  assert.equal(
    at("linux", "claude-code", { ...home, CLAUDE_CONFIG_DIR: "/srv/claude" }),
    "/srv/claude/.claude.json",
  );
  assert.equal(
    at("darwin", "gemini-cli", { HOME: "/Users/anna", GEMINI_CLI_HOME: "/g" }),
    "/g/.gemini/settings.json",
  );
  assert.equal(at("linux", "codex-cli", { ...home, CODEX_HOME: "/c" }), "/c/config.toml");
  assert.equal(
    at("linux", "codex-cli", { ...home, CODEX_HOME: "" }),
    "/home/anna/.codex/config.toml",
  );
});

Deno.test("configFile() throws when the user's directory is not known", () => {
  assert.throws(() => configFile("linux", () => undefined, NOTHING, "cursor"), {
    code: "usage",
    message: "Cannot tell where clients are configured: HOME is not set",
  });
});

Deno.test("parseClient() names the clients there are when it is none of them", () => {
  assert.equal(parseClient("zed").section, "context_servers");
  for (const text of ["", "constructor", "Cursor"]) {
    assert.throws(() => parseClient(text), { code: "usage" });
  }
});
