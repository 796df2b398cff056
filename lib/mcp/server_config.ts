/**
 * A standard `mcpServers` file, as Claude Desktop, Cursor and others read it: a service per key.
 *
 *     {"mcpServers": {"files": {"command": "npx", "args": ["-y", "…"], "env": {"KEY": "value"}, "cwd": "…"}}}
 *
 * Services have plainer names than keys: `GitHub` becomes `github`, `My Files` `my-files`; two keys that
 * become one name are refused. Only servers on standard input and output can be shared. One that its file says is disabled is left out;
 * other fields that we do not know are ignored, as the programs that write such files have their own. Pure.
 */

import {
  isJsonArray,
  isJsonObject,
  type Json,
  type JsonObject,
  parseJson,
} from "../identity/strict_json.ts";
import { foldServerName, type ServerName } from "../identity/names.ts";
import { messageOf } from "../errors.ts";
import { printable } from "../log.ts";
import { McpError } from "./errors.ts";

const MAX_SHOWN_CHARACTERS = 80;

/** One server of the file. */
export interface ConfiguredServer {
  /** The name under which it is shared: its key, in lower case and with hyphens for what no name has. */
  readonly name: ServerName;
  /** The program and its arguments, as written. */
  readonly words: readonly string[];
  /** What its environment has besides, as `NAME=VALUE`. */
  readonly env: readonly string[];
  /** Its working directory. */
  readonly cwd?: string;
}

/** Reads such a file. Throws McpError "config_invalid" with the place. */
export function parseServerConfig(text: string): ConfiguredServer[] {
  const root = parsed(text);
  const configured = isJsonObject(root) ? root["mcpServers"] : undefined;
  if (!isJsonObject(configured)) throw invalid("it has no object mcpServers");
  const entries = Object.entries(configured);
  const servers = entries.flatMap(([key, value]) =>
    isDisabled(value) ? [] : [{ key, server: serverOf(key, value) }]
  );
  if (servers.length === 0) throw invalid("no server is in mcpServers that is not disabled");
  requireDistinct(servers.map(({ key, server }) => ({ key, name: server.name })));
  return servers.map(({ server }) => server);
}

function requireDistinct(
  names: readonly { readonly key: string; readonly name: ServerName }[],
): void {
  const first = new Map<ServerName, string>();
  for (const { key, name } of names) {
    const before = first.get(name);
    if (before !== undefined) {
      throw invalid(`${placeOf(before)} and ${placeOf(key)} would both be shared as "${name}"`);
    }
    first.set(name, key);
  }
}

function placeOf(key: string): string {
  return `mcpServers.${printable(key, MAX_SHOWN_CHARACTERS)}`;
}

function isDisabled(value: Json): boolean {
  return isJsonObject(value) && value["disabled"] === true;
}

function parsed(text: string): Json {
  try {
    return parseJson(text);
  } catch (error) {
    throw invalid(messageOf(error));
  }
}

function serverOf(key: string, value: Json): ConfiguredServer {
  const at = placeOf(key);
  const name = serverName(key, at);
  if (!isJsonObject(value)) throw invalid(`${at} is no object`);
  const { command, cwd, type = "stdio" } = value;
  if (type !== "stdio" || (command === undefined && value["url"] !== undefined)) {
    throw invalid(`${at} is reached by a URL; only servers with a command can be shared`);
  }
  if (typeof command !== "string" || command === "") throw invalid(`${at}.command is missing`);
  if (cwd !== undefined && typeof cwd !== "string") throw invalid(`${at}.cwd is no text`);
  return {
    name,
    words: [command, ...texts(value["args"], `${at}.args`)],
    env: variables(value["env"], `${at}.env`),
    ...(cwd === undefined ? {} : { cwd }),
  };
}

function serverName(key: string, at: string): ServerName {
  const name = foldServerName(key);
  if (name === null) throw invalid(`${at}: no service can be named so`);
  return name;
}

function texts(value: Json | undefined, at: string): string[] {
  if (value === undefined) return [];
  if (!isJsonArray(value)) throw invalid(`${at} is no list`);
  return value.map((item, index) => {
    if (typeof item !== "string") throw invalid(`${at}[${index}] is no text`);
    return item;
  });
}

function variables(value: Json | undefined, at: string): string[] {
  if (value === undefined) return [];
  if (!isJsonObject(value)) throw invalid(`${at} is no object`);
  return Object.entries(value satisfies JsonObject).map(([name, text]) => {
    if (typeof text !== "string") throw invalid(`${at}.${name} is no text`);
    return `${name}=${text}`;
  });
}

function invalid(state: string): McpError {
  return new McpError("config_invalid", `Cannot read the configuration: ${state}`, {
    hints: [
      'it looks like this: {"mcpServers": {"files": {"command": "npx", "args": ["-y", "…"]}}}',
    ],
  });
}
