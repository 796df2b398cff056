/** `talos permissions COMMAND [ARGUMENTS…]`: how to run a command with the permissions it needs alone. */

import type { Command } from "commander";
import { exists } from "../../identity/home.ts";
import {
  DEFAULT_PEER_PORT,
  DEFAULT_REGISTRY_PORT,
  type HostPort,
  parseHostPort,
} from "../../identity/host_port.ts";
import { readRunFiles } from "../../identity/run_files.ts";
import { splitPath } from "../../identity/file_path.ts";
import { CLIENT_IDS, configFile, parseClient } from "../clients/client.ts";
import { directoriesIn, isThere } from "../clients/config_facts.ts";
import { type Context, systemContext } from "../context.ts";
import { CliError } from "../errors.ts";
import { openOwnDatabase } from "../own_database.ts";
import { mainModule } from "../own_program.ts";
import {
  denoArguments,
  type PermissionFacts,
  permissionsOf,
  PERMITTED_COMMANDS,
} from "../permissions.ts";
import { parseRegistryAddress } from "../../discovery/registry_address.ts";
import { chooseRegistry, type RegistryFlags } from "../registry_choice.ts";
import { sharedServers } from "../shared_servers.ts";
import { USUAL_NAME } from "../service/service_facts.ts";
import { servicePlace } from "../service/service_plan.ts";
import { userFacts } from "../service/user_facts.ts";
import { shellLine } from "../shell_line.ts";
import type { McpInstallOptions } from "./mcp_install.ts";
import type { McpServeOptions } from "./mcp_serve.ts";

/** The command that is asked about. */
export interface AskedCommand {
  /** As it was typed. */
  readonly name: string;
  /** What was typed behind it. */
  readonly words: readonly string[];
  /** The parser's command; null where there is none of that name. */
  readonly command: Command | null;
}

/** Prints the command line. Throws CliError for an unknown command, and what its arguments are wrong for. */
export async function permissionsCommand(context: Context, asked: AskedCommand): Promise<void> {
  const { os, output } = context;
  const { name, words, command } = asked;
  if (command === null) throw unknown(name);
  const { operands } = command.parseOptions([...words]);
  const options = command.opts();
  const its = options.home === undefined ? context : systemContext({ home: options.home });
  const permissions = permissionsOf(os, name, await permissionFacts(its, name, options, operands));
  if (permissions === null) throw unknown(name);
  const argv = denoArguments(permissions, mainModule(), [name, ...words]);
  if (permissions.run === true && !output.json) {
    output.say(
      `${name} may start any program, since ending a process group takes that: ` +
        "Deno's permissions are no wall for what it starts",
    );
  }
  output.result(shellLine(os, argv), { argv, permissions });
}

/** Returns what decides how much a command needs that was typed with these options. Throws TalosError. */
export async function permissionFacts(
  context: Context,
  name: string,
  options: PermissionOptions,
  operands: readonly string[],
): Promise<PermissionFacts> {
  const { paths: { home, former }, env } = context;
  const facts = {
    home,
    former,
    passphraseFile: env("TALOS_PASSPHRASE_FILE"),
    tokenFile: options.joinTokenFile ?? env("TALOS_JOIN_TOKEN_FILE"),
    registry: await chosenRegistry(context, options, name),
    ...(name === "status" ? { listening: listening(context) } : {}),
    ...(name === "mcp-connect" ? { address: addressIn(operands[0] ?? "") } : {}),
    ...(name === "policy" ? { looksAt: operands.slice(1, 2) } : {}),
    ...(name === "mcp-install" || (name === "join" && options.client !== undefined)
      ? installFacts(context, options)
      : {}),
    ...(name === "service" || name === "logs" ? serviceFacts(context) : {}),
    ...(name === "doctor" ? { looksAt: clientFiles(context) } : {}),
    ...(name === "mcp-serve" ? await serveFacts(context, options, operands) : {}),
  };
  return withoutUndefined(facts);
}

/** What the options of any command may say. */
export type PermissionOptions =
  & RegistryFlags
  & Partial<McpServeOptions>
  & Partial<McpInstallOptions>;

/** Returns the registry that the command will use, as far as that can be told. */
async function chosenRegistry(
  context: Context,
  flags: RegistryFlags,
  name: string,
): Promise<HostPort | undefined> {
  const { paths } = context;
  // Looking must not make a database.
  if (!await exists(paths.wallet) || !await exists(paths.database)) {
    const chosen = flags.server ?? flags.registry ?? context.env("TALOS_SERVER") ?? "";
    return chosen === "" ? undefined : parseRegistryAddress(chosen);
  }
  using database = await openOwnDatabase(paths);
  const { address, chosenBy } = chooseRegistry(context, database, flags);
  const needsOne = name === "register" || name === "peers";
  return chosenBy === "default" && !needsOne ? undefined : address;
}

/** Returns where processes of the home listen that do not listen everywhere. */
function listening({ paths }: Context): readonly string[] {
  return readRunFiles(paths).flatMap(({ host }) => host === undefined ? [] : [host]);
}

function addressIn(target: string): HostPort | undefined {
  const at = target.indexOf("@");
  return at < 0 ? undefined : parseHostPort(target.slice(at + 1), DEFAULT_PEER_PORT);
}

/** What `mcp-serve` looks at and listens on. Without a command: wherever programs are looked for. */
async function serveFacts(
  context: Context,
  options: PermissionOptions,
  operands: readonly string[],
): Promise<Partial<PermissionFacts>> {
  const { env = [], command, config, policy, cwd, listen } = options;
  const { host, port } = listen === undefined || listen === false ? options : listen;
  const registryPort = options.withRegistry === true
    ? options.registryPort ?? DEFAULT_REGISTRY_PORT
    : undefined;
  const listens = {
    listenHost: host,
    port,
    registryPort,
    listens: listen === false ? false : undefined,
    variables: env.filter((one) => !one.includes("=")),
  };
  const looksAt = [
    cwd ?? Deno.cwd(),
    ...(config === undefined ? [] : [config]),
    // Its directory is watched: a file is often replaced.
    ...(policy === undefined ? [] : [splitPath(context.os, policy)[0]]),
  ];
  if (command === undefined && config === undefined && operands.length === 0) {
    return { ...withoutUndefined(listens), looksAt: [...looksAt, ...searchPath(context)] };
  }
  const servers = await sharedServers(context, { ...options, env }, operands);
  return {
    ...withoutUndefined(listens),
    looksAt: [...looksAt, ...servers.map(({ program }) => program)],
  };
}

/** What `mcp-install` looks at: the folder of the client's configuration, and the clients' own programs. */
function installFacts(context: Context, { client }: PermissionOptions): Partial<PermissionFacts> {
  const path = { searchPath: searchPath(context) };
  if (client === undefined) return path;
  const facts = { directories: directoriesIn, exists: isThere };
  const { id } = parseClient(client);
  const [folder] = splitPath(context.os, configFile(context.os, context.env, facts, id));
  return { ...path, looksAt: [folder.slice(0, -1)] };
}

/** What `service` looks at: where its file belongs, and wherever programs are looked for. */
function serviceFacts(context: Context): Partial<PermissionFacts> {
  const { file } = servicePlace(userFacts(context), USUAL_NAME, context.paths.home);
  const [folder] = splitPath(context.os, file);
  return { looksAt: [folder.slice(0, -1)], searchPath: [Deno.cwd(), ...searchPath(context)] };
}

/** Returns where clients keep their configurations. */
function clientFiles({ os, env }: Context): readonly string[] {
  const facts = { directories: directoriesIn, exists: isThere };
  return CLIENT_IDS.map((id) => configFile(os, env, facts, id));
}

function searchPath({ os, env }: Context): readonly string[] {
  return (env("PATH") ?? "").split(os === "windows" ? ";" : ":").filter((part) => part !== "");
}

function withoutUndefined<T extends object>(
  facts: T,
): { [Key in keyof T]: Exclude<T[Key], undefined> } {
  const known = Object.entries(facts).filter(([, value]) => value !== undefined);
  // The type follows from the filter, which the compiler cannot see.
  return Object.fromEntries(known) as { [Key in keyof T]: Exclude<T[Key], undefined> };
}

function unknown(name: string): CliError {
  return new CliError("usage", `Cannot tell what ${JSON.stringify(name)} needs`, {
    hints: [`these are known: ${PERMITTED_COMMANDS.join(", ")}`],
  });
}
