/** What `mcp-serve` shares: one server from its command line, or those of an `mcpServers` file. */

import { fromUtf8 } from "../bytes.ts";
import { messageOf } from "../errors.ts";
import { readFileBounded } from "../identity/atomic_file.ts";
import {
  ownUid,
  type PermissionFault,
  permissionFault,
  WRITABLE_BY_OTHERS,
} from "../identity/file_permissions.ts";
import { IdentityError } from "../identity/errors.ts";
import {
  DEFAULT_SERVER,
  foldServerName,
  mcpService,
  parseServerName,
  type ServerName,
  type ServiceName,
} from "../identity/names.ts";
import { MAX_CONFIG_FILE_BYTES } from "../limits.ts";
import { childEnvironment, INHERITED_POSIX, INHERITED_WINDOWS } from "../mcp/child_environment.ts";
import { splitPosix, splitWindows } from "../mcp/command_line.ts";
import type { Caller, LaunchPlan } from "../mcp/launcher.ts";
import { resolveProgram } from "../mcp/program.ts";
import { parseServerConfig } from "../mcp/server_config.ts";
import type { Context } from "./context.ts";
import { CliError } from "./errors.ts";
import { directoryAt, isExecutable } from "./executable.ts";

/** The options that say what is shared. */
export interface SharedServerOptions {
  /** The server's command line, as one text. */
  readonly command?: string;
  /** An `mcpServers` file. */
  readonly config?: string;
  /** The service's name, with a command. */
  readonly service?: string;
  /** What every server's environment has besides, `NAME` or `NAME=VALUE`. */
  readonly env: readonly string[];
  /** The server's working directory, with a command. */
  readonly cwd?: string;
}

/** A server to share. */
export interface SharedServer {
  /** Under which name. */
  readonly service: ServiceName;
  /** The program that is started, by its full path. */
  readonly program: string;
  /** What runs for a caller. */
  readonly plan: (caller: Caller) => LaunchPlan;
}

/**
 * Returns what is shared. Programs are resolved now, so that a wrong command fails at the start and not at
 * the first call. Throws CliError, McpError.
 */
export async function sharedServers(
  context: Context,
  options: SharedServerOptions,
  words: readonly string[],
): Promise<SharedServer[]> {
  if (options.config === undefined) {
    const service = mcpService(serverName(options.service ?? DEFAULT_SERVER));
    const { env, cwd } = options;
    return [{ service, ...launched(context, commandWords(context, options, words), env, cwd) }];
  }
  if (options.command !== undefined || words.length > 0 || options.service !== undefined) {
    throw new CliError("usage", "Cannot use --config together with a command or --service", {
      hints: ["--config shares every server of the file under its own name"],
    });
  }
  const configured = parseServerConfig(await readConfig(options.config));
  return configured.map(({ name, words, env, cwd }) => ({
    service: mcpService(name),
    ...launched(context, words, [...options.env, ...env], cwd ?? options.cwd),
  }));
}

/** Reads the name of a service; one that cannot be is answered with how it is probably written. */
function serverName(text: string): ServerName {
  try {
    return parseServerName(text);
  } catch (error) {
    if (!(error instanceof IdentityError)) throw error;
    throw error.advise(`choose one like --service ${foldServerName(text) ?? "my-files"}`);
  }
}

/** Reads what says which programs run: nobody else may have written it. */
async function readConfig(path: string): Promise<string> {
  try {
    const file = await readFileBounded(path, MAX_CONFIG_FILE_BYTES, (info) => {
      const fault = permissionFault(path, info, WRITABLE_BY_OTHERS, ownUid());
      if (fault !== null) throw unsafeConfig(path, fault);
    });
    if (file === null) throw unreadableConfig(`there is no file ${path}`);
    return fromUtf8(file.bytes);
  } catch (error) {
    if (error instanceof CliError) throw error;
    throw unreadableConfig(messageOf(error), error);
  }
}

function unsafeConfig(path: string, { state, hint }: PermissionFault): CliError {
  return new CliError("config_permissions", `Cannot trust ${path}: ${state}`, {
    hints: ["see that the commands in it are yours: they would run as this user", hint],
  });
}

function unreadableConfig(state: string, cause?: unknown): CliError {
  return new CliError("usage", `Cannot read --config: ${state}`, {
    cause,
    hints: ["name an mcpServers file: talos mcp-serve --authorized-peer PEER-ID --config FILE"],
  });
}

function commandWords(
  { os }: Context,
  { command }: SharedServerOptions,
  words: readonly string[],
): readonly string[] {
  if (command !== undefined && words.length > 0) {
    throw new CliError("usage", "Cannot use both --command and a command behind --", {
      hints: ["leave one of them out"],
    });
  }
  if (words.length > 0) return words;
  if (command === undefined) {
    throw new CliError("usage", "Cannot share anything: there is no command", {
      hints: [
        'name the MCP server: talos mcp-serve --authorized-peer PEER-ID --command "npx -y @modelcontextprotocol/server-filesystem /home/me/projects"',
      ],
    });
  }
  return os === "windows" ? splitWindows(command) : splitPosix(command);
}

function launched(
  context: Context,
  words: readonly string[],
  additions: readonly string[],
  cwd: string | undefined,
): Pick<SharedServer, "program" | "plan"> {
  const parent = visibleEnvironment(context, additions);
  const { os } = context;
  const directory = directoryAt(cwd ?? ".");
  if (directory === null) {
    const where = cwd ?? "the current directory";
    throw new CliError("usage", `Cannot start the MCP server in ${where}: it is no directory`, {
      hints: ["name a directory that is there with --cwd"],
    });
  }
  const command = resolveProgram(os, parent, { exists: isExecutable }, words, directory);
  const environment = (peerId: string, peerName?: string) =>
    childEnvironment(os, parent, additions, {
      peerId,
      ...(peerName === undefined ? {} : { peerName }),
    });
  environment(""); // a wrong --env fails now, too
  return {
    program: command.argv[0],
    plan: ({ peer, name }) => ({
      ...command,
      env: environment(peer, name),
      ...(cwd === undefined ? {} : { cwd: directory }),
    }),
  };
}

/** Returns the variables that a child may get, and those that say where programs are. */
function visibleEnvironment(
  { os, env }: Context,
  additions: readonly string[],
): Record<string, string> {
  const names = [
    ...(os === "windows" ? INHERITED_WINDOWS : INHERITED_POSIX),
    ...additions.filter((addition) => VARIABLE.test(addition)),
  ];
  return Object.fromEntries(names.flatMap((name) => {
    const value = env(name);
    return value === undefined ? [] : [[name, value]];
  }));
}

/** What can be asked for; whether it is a name is checked where it is used. */
const VARIABLE = /^[^=\0]+$/;
