/** The commands by which clients add and remove a server themselves. See `client.ts` for the sources. Pure. */

import type { ClientId } from "./client.ts";
import { type ServerEntry } from "./entry.ts";

/** Returns the arguments of the client's own program that add a server; null where it has no such command. */
export function addArguments(
  client: ClientId,
  name: string,
  { command, args, env }: ServerEntry,
): readonly string[] | null {
  const variables = (flag: string) =>
    Object.entries(env).flatMap(([key, value]) => [flag, `${key}=${value}`]);
  const typed = {
    type: "stdio",
    command,
    args,
    ...(Object.keys(env).length === 0 ? {} : { env }),
  };
  switch (client) {
    case "claude-code":
      return ["mcp", "add-json", "--scope", "user", name, JSON.stringify(typed)];
    case "vscode":
      return ["--add-mcp", JSON.stringify({ name, ...typed })];
    case "gemini-cli": {
      const scope = ["--scope", "user"];
      return ["mcp", "add", ...scope, ...variables("--env"), name, command, "--", ...args];
    }
    case "codex-cli":
      return ["mcp", "add", ...variables("--env"), name, "--", command, ...args];
    default:
      return null;
  }
}

/** Returns the arguments that remove a server; null where the client has no such command. */
export function removeArguments(client: ClientId, name: string): readonly string[] | null {
  switch (client) {
    case "claude-code":
    case "gemini-cli":
      return ["mcp", "remove", "--scope", "user", name];
    case "codex-cli":
      return ["mcp", "remove", name];
    default:
      return null;
  }
}
