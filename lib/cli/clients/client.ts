/**
 * The MCP clients that `talos mcp-install` knows: where each keeps its servers, and in which form.
 *
 * Looked up in November 2026, not guessed: Claude Desktop (modelcontextprotocol.io; the Store's path in
 * anthropics/claude-code issues 26073 and 25579; that a running one rewrites its file, in 32345 and 34359);
 * Claude Code (code.claude.com/docs/en/mcp; `CLAUDE_CONFIG_DIR` in anthropics/claude-code issue 48448);
 * Cursor (cursor.com/docs/mcp); VS Code (code.visualstudio.com/docs/copilot/customization/mcp-servers);
 * Windsurf (docs.windsurf.com/windsurf/cascade/mcp); Zed (zed.dev/docs/ai/mcp, crates/paths of
 * zed-industries/zed); Gemini CLI (geminicli.com/docs/tools/mcp-server, commands/mcp/add.ts and
 * utils/paths.ts of google-gemini/gemini-cli); Codex CLI (developers.openai.com/codex/mcp, cli/src/mcp_cmd.rs
 * of openai/codex). Only the user's own configuration is written, never a project's. Pure.
 */

import type { OperatingSystem } from "../../identity/file_path.ts";
import { joinPath } from "../../identity/file_path.ts";
import type { Environment } from "../../identity/home.ts";
import { CliError } from "../errors.ts";

/** The clients, as `--client` names them. */
export const CLIENT_IDS = [
  "claude-desktop",
  "claude-code",
  "cursor",
  "vscode",
  "windsurf",
  "zed",
  "gemini-cli",
  "codex-cli",
] as const;

/** One of {@link CLIENT_IDS}. */
export type ClientId = typeof CLIENT_IDS[number];

/** How a client's file is written. */
export type ConfigFormat =
  /** JSON as in RFC 8259: with a comment in it, the client reads none of it. */
  | "json"
  /** JSON with comments. */
  | "json-with-comments"
  /** JSON with comments and commas behind the last of a list. */
  | "jsonc"
  /** TOML 1.0. */
  | "toml";

/** A client. */
export interface Client {
  /** As `--client` names it. */
  readonly id: ClientId;
  /** As people name it. */
  readonly title: string;
  /** How its file is written. */
  readonly format: ConfigFormat;
  /** The key under which its file lists servers. */
  readonly section: string;
  /** Whether an entry says `"type": "stdio"`. */
  readonly typed: boolean;
  /** The client's own program, which can add a server itself. */
  readonly program?: string;
  /** When it takes notice, and what to do for that. */
  readonly restart: string;
}

const CLIENTS: Readonly<Record<ClientId, Omit<Client, "id">>> = {
  "claude-desktop": {
    title: "Claude Desktop",
    format: "json",
    section: "mcpServers",
    typed: false,
    restart: "open Claude Desktop: it reads its servers at its start",
  },
  "claude-code": {
    title: "Claude Code",
    format: "json",
    section: "mcpServers",
    typed: true,
    program: "claude",
    restart: "Claude Code has it from its next session on",
  },
  cursor: {
    title: "Cursor",
    format: "jsonc",
    section: "mcpServers",
    typed: false,
    restart: "restart Cursor, or switch the server on under its MCP settings",
  },
  vscode: {
    title: "VS Code",
    format: "jsonc",
    section: "servers",
    typed: true,
    program: "code",
    restart: "in VS Code, start it: MCP: List Servers",
  },
  windsurf: {
    title: "Windsurf",
    format: "jsonc",
    section: "mcpServers",
    typed: false,
    restart: "in Windsurf, refresh its MCP servers",
  },
  zed: {
    title: "Zed",
    format: "jsonc",
    section: "context_servers",
    typed: false,
    restart: "Zed has it at once",
  },
  "gemini-cli": {
    title: "Gemini CLI",
    format: "json-with-comments",
    section: "mcpServers",
    typed: false,
    program: "gemini",
    restart: "Gemini CLI has it from its next session on",
  },
  "codex-cli": {
    title: "Codex CLI",
    format: "toml",
    section: "mcp_servers",
    typed: false,
    program: "codex",
    restart: "Codex CLI has it from its next session on",
  },
};

/** Returns the client that `--client` names. Throws CliError "usage". */
export function parseClient(text: string): Client {
  const id = CLIENT_IDS.find((known) => known === text);
  if (id === undefined) {
    throw new CliError("usage", `Cannot use --client: ${JSON.stringify(text)} is no client`, {
      hints: [`these are known: ${CLIENT_IDS.join(", ")}`],
    });
  }
  return { id, ...CLIENTS[id] };
}

/** What is asked about the machine. */
export interface ConfigFacts {
  /** Returns the names of the directories in `directory`; none where there is no such directory. */
  directories(directory: string): readonly string[];
  /** Tells whether something is at `path`. */
  exists(path: string): boolean;
}

const DESKTOP_FILE = "claude_desktop_config.json";

/** Returns the file in which `client` keeps the user's servers. Throws CliError "usage" without a home. */
export function configFile(
  os: OperatingSystem,
  env: Environment,
  facts: ConfigFacts,
  client: ClientId,
): string {
  const user = () => userDirectory(os, env);
  const inUser = (...names: string[]) => joinPath(os, user(), ...names);
  const applications = () => applicationData(os, env);
  switch (client) {
    case "claude-desktop":
      return storeFile(os, env, facts) ?? joinPath(os, applications(), "Claude", DESKTOP_FILE);
    case "claude-code":
      return joinPath(os, set(env, "CLAUDE_CONFIG_DIR") ?? user(), ".claude.json");
    case "cursor":
      return inUser(".cursor", "mcp.json");
    case "vscode":
      return joinPath(os, applications(), "Code", "User", "mcp.json");
    case "windsurf":
      return inUser(".codeium", "windsurf", "mcp_config.json");
    case "zed":
      if (os === "windows") return joinPath(os, applications(), "Zed", "settings.json");
      // On a Mac, too, Zed's settings are where Linux has them.
      if (os === "darwin") return inUser(".config", "zed", "settings.json");
      return joinPath(os, applications(), "zed", "settings.json");
    case "gemini-cli":
      return joinPath(os, set(env, "GEMINI_CLI_HOME") ?? user(), ".gemini", "settings.json");
    case "codex-cli":
      return joinPath(os, set(env, "CODEX_HOME") ?? inUser(".codex"), "config.toml");
  }
}

/** The variables that decide where a configuration is. */
export const CONFIG_VARIABLES: readonly string[] = [
  "XDG_CONFIG_HOME",
  "APPDATA",
  "LOCALAPPDATA",
  "CLAUDE_CONFIG_DIR",
  "GEMINI_CLI_HOME",
  "CODEX_HOME",
];

/**
 * Returns where Claude Desktop from the Store (and from its present installer) reads its file: Windows shows
 * such an app a directory of its own in place of %APPDATA%. Null where it is not installed so.
 */
function storeFile(os: OperatingSystem, env: Environment, facts: ConfigFacts): string | null {
  if (os !== "windows") return null;
  const local = set(env, "LOCALAPPDATA") ??
    joinPath(os, userDirectory(os, env), "AppData", "Local");
  const packages = joinPath(os, local, "Packages");
  const files = facts.directories(packages)
    .filter((name) => /^Claude_/i.test(name))
    .sort()
    .map((name) => joinPath(os, packages, name, "LocalCache", "Roaming", "Claude", DESKTOP_FILE));
  return files.find((file) => facts.exists(file)) ?? files[0] ?? null;
}

/** Where the system has applications keep what they remember. */
function applicationData(os: OperatingSystem, env: Environment): string {
  const user = () => userDirectory(os, env);
  if (os === "windows") {
    return set(env, "APPDATA") ?? joinPath(os, user(), "AppData", "Roaming");
  }
  if (os === "darwin") return joinPath(os, user(), "Library", "Application Support");
  const chosen = set(env, "XDG_CONFIG_HOME");
  // The XDG base directory specification has relative paths ignored.
  return chosen?.startsWith("/") ? chosen : joinPath(os, user(), ".config");
}

function userDirectory(os: OperatingSystem, env: Environment): string {
  const variable = os === "windows" ? "USERPROFILE" : "HOME";
  const directory = set(env, variable);
  if (directory !== undefined) return directory;
  throw new CliError("usage", `Cannot tell where clients are configured: ${variable} is not set`);
}

function set(env: Environment, name: string): string | undefined {
  return env(name) || undefined;
}
