/**
 * `talos service install|status|uninstall`: has the system keep `mcp-serve` running, after a reboot too.
 *
 * Installing again replaces what was installed. The file is the user's alone, for it holds the values of the
 * variables that `--env NAME` asks for.
 */

import type { Command } from "commander";
import {
  PRIVATE_DIRECTORY_MODE,
  PRIVATE_FILE_MODE,
  unusable,
  writeFileAtomic,
} from "../../identity/atomic_file.ts";
import { utf8 } from "../../bytes.ts";
import { isAbsolutePath, joinPath, splitPath } from "../../identity/file_path.ts";
import { exists, homePaths } from "../../identity/home.ts";
import { LockedWallet } from "../../identity/wallet.ts";
import { readWallet } from "../../identity/wallet_file.ts";
import type { Context } from "../context.ts";
import { CliError } from "../errors.ts";
import { directoryAt } from "../executable.ts";
import type { NextStep } from "../output.ts";
import { mainModule } from "../own_program.ts";
import { denoArguments, permissionsOf } from "../permissions.ts";
import { lastWords, runSystem } from "../service/run_system.ts";
import {
  parseServiceInstance,
  type ServiceFacts,
  type UserFacts,
  USUAL_NAME,
} from "../service/service_facts.ts";
import {
  type Argv,
  type ServicePlace,
  servicePlace,
  type ServiceState,
  serviceState,
  serviceText,
} from "../service/service_plan.ts";
import { userFacts } from "../service/user_facts.ts";
import { permissionFacts, type PermissionOptions } from "./permissions.ts";

/** Which service. */
export interface ServiceOptions {
  /** Its name; the usual one when absent. */
  readonly name?: string;
}

/** The options of `talos service install`. */
export interface InstallServiceOptions extends ServiceOptions {
  /** The only directories, beside the home, that it may write. */
  readonly writable: readonly string[];
}

/** Variables that say where Talos's things are, and that a service has to be told. */
const OWN_VARIABLES = ["TALOS_SERVER"];

/** The same, where they name files. */
const FILE_VARIABLES = ["TALOS_JOIN_TOKEN_FILE", "TALOS_PASSPHRASE_FILE", "DENO_DIR"];

/** Writes the service's file and starts it. Throws TalosError. */
export async function installServiceCommand(
  context: Context,
  options: InstallServiceOptions,
  words: readonly string[],
  serve: Command,
): Promise<void> {
  const { output, os } = context;
  const { user, name, place } = placeOf(context, options);
  const facts = await factsOf(context, user, name, options, words, serve);
  const text = serviceText(user, facts);
  await requireManager(context, place);
  const replaced = await exists(place.file);
  await writeServiceFile(context, place.file, text);
  for (const argv of place.clear) await runSystem(argv);
  for (const argv of place.start) await required(argv);
  const state = serviceState(os, await runSystem(place.status));
  output.result(
    [
      `${replaced ? "Replaced" : "Installed"}: ${place.id}, ${place.file}`,
      `State:     ${stateText(state)}`,
    ].join("\n"),
    { name, id: place.id, file: place.file, replaced, ...state },
    [
      { command: `talos logs${nameFlag(name)}`, purpose: "see what it prints" },
      ...(os === "linux" ? [lingering(user)] : []),
    ],
  );
}

/** Prints how the service stands. Throws CliError "service_missing" where there is none. */
export async function serviceStatusCommand(
  context: Context,
  options: ServiceOptions,
): Promise<void> {
  const { output, os } = context;
  const { name, place } = placeOf(context, options);
  if (!await exists(place.file)) throw missing(place, name);
  await requireManager(context, place);
  const state = serviceState(os, await runSystem(place.status));
  output.result(
    [`Service: ${place.id}, ${place.file}`, `State:   ${stateText(state)}`].join("\n"),
    { name, id: place.id, file: place.file, ...state },
    [
      { command: `talos logs${nameFlag(name)}`, purpose: "see what it prints" },
      ...(state.state === "running"
        ? [{ command: "talos status", purpose: "see what it shares" }]
        : []),
    ],
  );
}

/** Stops the service and removes its file. Throws CliError "service_missing" where there is none. */
export async function uninstallServiceCommand(
  context: Context,
  options: ServiceOptions,
): Promise<void> {
  const { output } = context;
  const { name, place } = placeOf(context, options);
  if (!await exists(place.file)) throw missing(place, name);
  await requireManager(context, place);
  for (const argv of place.stop) await runSystem(argv); // it may have been stopped by hand
  await Deno.remove(place.file);
  for (const argv of place.afterwards) await runSystem(argv);
  output.result(`Removed: ${place.id}, ${place.file}`, { name, id: place.id, file: place.file }, [
    {
      command: `talos service install${nameFlag(name)} -- MCP-SERVE-OPTIONS`,
      purpose: "have it back",
    },
  ]);
}

/** Returns where a service lies that the options name. */
export function placeOf(
  context: Context,
  { name: given = USUAL_NAME }: ServiceOptions,
): { readonly user: UserFacts; readonly name: string; readonly place: ServicePlace } {
  const name = parseServiceInstance(given);
  const user = userFacts(context);
  return { user, name, place: servicePlace(user, name, context.paths.home) };
}

/** Returns a service's name as an option, where it has one of its own. */
export function nameFlag(name: string): string {
  return name === USUAL_NAME ? "" : ` --name ${name}`;
}

async function factsOf(
  context: Context,
  user: UserFacts,
  name: string,
  { writable }: InstallServiceOptions,
  words: readonly string[],
  serve: Command,
): Promise<ServiceFacts> {
  const { os, env, paths } = context;
  await requireOpenable(context);
  const { operands, unknown } = serve.parseOptions([...words]);
  if (unknown.length > 0) {
    throw new CliError("usage", `Cannot install the service: mcp-serve takes no ${unknown[0]}`, {
      hints: ["see what it takes: talos mcp-serve --help"],
    });
  }
  const options: PermissionOptions & { readonly home?: string } = serve.opts();
  if (options.home !== undefined) {
    throw new CliError("usage", "Cannot install the service: --home stands behind --", {
      hints: [`name it first: talos --home ${options.home} service install -- …`],
    });
  }
  // This resolves the MCP server's program, so that a wrong command fails now.
  const permissionsFor = await permissionFacts(context, "mcp-serve", options, operands);
  const permissions = permissionsOf(os, "mcp-serve", permissionsFor);
  if (permissions === null) throw new TypeError("mcp-serve has its permissions");
  const usual = homePaths(os, (variable) => variable === "TALOS_HOME" ? undefined : env(variable));
  const args = [
    ...(usual.home === paths.home ? [] : ["--home", paths.home]),
    "mcp-serve",
    ...words,
  ];
  const [, ...denoWords] = denoArguments(permissions, mainModule(), args);
  if (/[\\/]_npx[\\/]/.test(Deno.execPath())) {
    context.log.warn(
      "this Deno lies in a cache of npx, which may be emptied: install Deno, and run this again",
    );
  }
  return {
    name,
    argv: [Deno.execPath(), ...(Deno.build.standalone ? args : denoWords)],
    directory: Deno.cwd(),
    env: serviceEnvironment(context, permissionsFor.variables ?? []),
    home: paths.home,
    writable: writable.length === 0 ? null : writable.map((one) => writableDirectory(user, one)),
  };
}

/** A service cannot ask for a passphrase. */
async function requireOpenable({ env, paths }: Context): Promise<void> {
  if (!(await readWallet(paths) instanceof LockedWallet) || env("TALOS_PASSPHRASE_FILE")) return;
  throw new CliError(
    "usage",
    "Cannot install the service: the wallet is sealed, and a service has nobody to ask",
    {
      hints: [
        "put the passphrase into a file that is yours alone, and name it in TALOS_PASSPHRASE_FILE",
      ],
    },
  );
}

function serviceEnvironment(
  { os, env }: Context,
  passedOn: readonly string[],
): Record<string, string> {
  const absolute = (path: string) =>
    isAbsolutePath(os, path) ? path : joinPath(os, Deno.cwd(), path);
  // The system starts services with a short PATH; Windows gives a task the user's own.
  const names = [...(os === "windows" ? [] : ["PATH"]), ...OWN_VARIABLES, ...passedOn];
  const files = Deno.build.standalone
    ? FILE_VARIABLES.filter((name) => name !== "DENO_DIR")
    : FILE_VARIABLES;
  return Object.fromEntries([
    ...names.map((name) => [name, env(name)] as const),
    ...files.map((name) => {
      const path = env(name);
      return [name, path ? absolute(path) : undefined] as const;
    }),
  ].flatMap(([name, value]) => value === undefined || value === "" ? [] : [[name, value]]));
}

function writableDirectory({ os }: UserFacts, path: string): string {
  if (os !== "linux") {
    throw new CliError("usage", "Cannot hold the service to --writable: only Linux can do that", {
      hints: ["leave it out; what the server may do is up to the server and its arguments"],
    });
  }
  const directory = directoryAt(path);
  if (directory !== null) return directory;
  throw new CliError("usage", `Cannot use --writable ${path}: it is no directory`);
}

/** Throws CliError "service_unavailable" where the system's manager of services does not answer. */
async function requireManager({ os }: Context, { probe }: ServicePlace): Promise<void> {
  if (probe === null) return;
  const ended = await runSystem(probe);
  if (ended.code === 0) return;
  throw new CliError(
    "service_unavailable",
    `Cannot reach this user's service manager: ${lastWords(ended)}`,
    {
      hints: os === "darwin"
        ? ["log in at the screen of this Mac: agents run in such a session"]
        : [
          "log in as this user itself (by ssh, or at the screen): su and sudo make no session",
          "without systemd, start it from what this system has: talos mcp-serve …",
        ],
    },
  );
}

async function writeServiceFile({ os }: Context, file: string, text: string): Promise<void> {
  try {
    const [directory] = splitPath(os, file);
    await Deno.mkdir(directory, { recursive: true, mode: PRIVATE_DIRECTORY_MODE });
    await writeFileAtomic(file, os === "windows" ? utf16(text) : utf8(text), PRIVATE_FILE_MODE);
  } catch (error) {
    throw unusable(`write ${file}`, error);
  }
}

/** Windows reads a task in the encoding that it declares: UTF-16, with a byte order mark. */
function utf16(text: string): Uint8Array<ArrayBuffer> {
  const units = [0xfeff, ...Array.from({ length: text.length }, (_, at) => text.charCodeAt(at))];
  return new Uint8Array(units.flatMap((unit) => [unit & 0xff, unit >>> 8]));
}

async function required(argv: Argv): Promise<void> {
  const ended = await runSystem(argv);
  if (ended.code === 0) return;
  throw new CliError(
    "service_unavailable",
    `Cannot start the service: ${argv.slice(0, 3).join(" ")} failed: ${lastWords(ended)}`,
    { hints: ["see what it printed: talos logs"] },
  );
}

function missing({ file }: ServicePlace, name: string): CliError {
  return new CliError("service_missing", `There is no service ${name}: no ${file}`, {
    hints: [
      `make one: talos service install${
        nameFlag(name)
      } -- --authorized-peer PEER-ID --command COMMAND`,
    ],
  });
}

function stateText({ state, pid, why }: ServiceState): string {
  return `${state}${pid === undefined ? "" : `, process ${pid}`}${
    why === undefined ? "" : `: ${why}`
  }`;
}

function lingering({ user }: UserFacts): NextStep {
  return {
    command: `loginctl enable-linger${user === "" ? "" : ` ${user}`}`,
    purpose: "have it run before anybody logs in, and after",
  };
}
