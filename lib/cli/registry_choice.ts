/** Which registry a command uses, and how it is reached. */

import { fromUtf8, utf8 } from "../bytes.ts";
import {
  formatRegistryAddress,
  parseRegistryAddress,
  type RegistryAddress,
} from "../discovery/registry_address.ts";
import { DiscoveryError } from "../discovery/errors.ts";
import { RegistryClient, type RegistryOptions } from "../discovery/registry_client.ts";
import { messageOf } from "../errors.ts";
import { readFileBounded, writeFileAtomic } from "../identity/atomic_file.ts";
import type { Database } from "../identity/database.ts";
import { isAbsolutePath, joinPath } from "../identity/file_path.ts";
import { ACCESSIBLE_BY_OTHERS, ownUid, permissionFault } from "../identity/file_permissions.ts";
import { DEFAULT_REGISTRY_PORT, formatHostPort } from "../identity/host_port.ts";
import type { LocalIdentity } from "../identity/local_identity.ts";
import { MAX_JOIN_TOKEN_FILE_BYTES } from "../limits.ts";
import type { Log } from "../log.ts";
import { connectTcp } from "../transport/tcp.ts";
import { INSTANCE_BYTES } from "../wire/frames.ts";
import type { Context } from "./context.ts";
import { CliError } from "./errors.ts";

/** The options of commands that use a registry. */
export interface RegistryFlags {
  /** `HOST[:PORT]`, or `PEER-ID@HOST[:PORT]`. */
  readonly server?: string;
  /** The same under its other name. */
  readonly registry?: string;
  /** A file that holds the token of a private registry. */
  readonly joinTokenFile?: string;
}

/** A registry and why it is that one. */
export interface RegistryChoice {
  /** Where it is. */
  readonly address: RegistryAddress;
  /** Who chose it: a flag, the environment, an earlier `talos register`, or nobody. */
  readonly chosenBy: "flag" | "environment" | "register" | "default";
}

const SERVER_SETTING = "server";
const UNLISTED_SETTING = "unlisted";

/** Returns the registry: flag, then `$TALOS_SERVER`, then what `register` saved, then `localhost:8765`. */
export function chooseRegistry(
  { env }: Pick<Context, "env">,
  database: Database,
  flags: RegistryFlags,
): RegistryChoice {
  const flag = flags.server ?? flags.registry;
  if (flags.registry !== undefined && flags.registry !== flag) {
    throw new CliError("usage", "Cannot use both --server and --registry: they are one option");
  }
  if (flag !== undefined) return { address: parseRegistryAddress(flag), chosenBy: "flag" };
  const variable = env("TALOS_SERVER");
  if (variable !== undefined && variable !== "") {
    return { address: parseRegistryAddress(variable), chosenBy: "environment" };
  }
  const saved = database.setting(SERVER_SETTING);
  if (saved !== undefined) return { address: parseRegistryAddress(saved), chosenBy: "register" };
  return { address: { host: "localhost", port: DEFAULT_REGISTRY_PORT }, chosenBy: "default" };
}

/** Connects to a registry that was chosen, or to the usual one. Throws as {@link RegistryClient.connect} does. */
export async function connectChosen(
  context: Context,
  identity: LocalIdentity,
  database: Database,
  { address, chosenBy }: RegistryChoice,
  flags: RegistryFlags,
): Promise<RegistryClient> {
  const options = await registryOptions(context, identity, database, address, flags);
  try {
    return await RegistryClient.connect(options);
  } catch (error) {
    const isGone = error instanceof DiscoveryError && error.code === "registry_unreachable";
    throw isGone && chosenBy === "default" ? noneChosen(address, error) : error;
  }
}

function noneChosen(address: RegistryAddress, error: DiscoveryError): DiscoveryError {
  const place = formatHostPort(address);
  const state = error.message.replace(/^Cannot reach the registry \S+: /, "");
  return new DiscoveryError(
    error.code,
    `Cannot reach a registry: none was chosen, so ${place} was tried: ${state}`,
    { cause: error, hints: ["choose one, and remember it: talos register --server HOST[:PORT]"] },
  );
}

/** Remembers a registry, and where its token lies, for the commands that come after. */
export function rememberRegistry(
  { os }: Pick<Context, "os">,
  database: Database,
  address: RegistryAddress,
  { unlisted, joinTokenFile }: { readonly unlisted: boolean; readonly joinTokenFile?: string },
): void {
  database.transaction(() => {
    database.put(SERVER_SETTING, formatRegistryAddress(address));
    database.put(UNLISTED_SETTING, unlisted ? "yes" : "no");
    if (joinTokenFile === undefined) return;
    // A token is its registry's secret: it is never shown to another one.
    database.put(tokenSetting(address), absolutePath(os, joinTokenFile));
  });
}

function tokenSetting({ host, port }: RegistryAddress): string {
  return `join_token_file ${formatHostPort({ host, port })}`;
}

function absolutePath(os: Context["os"], path: string): string {
  return isAbsolutePath(os, path) ? path : joinPath(os, Deno.cwd(), path);
}

/** Whether `talos register --unlisted` was said. */
export function isUnlisted(database: Database): boolean {
  return database.setting(UNLISTED_SETTING) === "yes";
}

/** Returns what connecting to `address` takes. Throws CliError when the token file cannot be read. */
export async function registryOptions(
  context: Context,
  identity: LocalIdentity,
  database: Database,
  address: RegistryAddress,
  flags: RegistryFlags,
): Promise<RegistryOptions> {
  const token = await joinToken(context, database, address, flags);
  return {
    address,
    identity,
    instance: context.random(INSTANCE_BYTES),
    database,
    random: context.random,
    clock: context.clock,
    log: context.log,
    connect: connectTcp,
    ...(token === undefined ? {} : { token }),
  };
}

/** Returns the token for `address`, if there is one. Throws CliError when its file cannot be read. */
export async function joinToken(
  context: Context,
  database: Database,
  address: RegistryAddress,
  flags: RegistryFlags,
): Promise<string | undefined> {
  const file = joinTokenFile(context, database, address, flags);
  if (file === undefined && context.env("TALOS_JOIN_TOKEN_FILE")) {
    const registry = formatHostPort(address);
    context.log.info("TALOS_JOIN_TOKEN_FILE is the token of another registry", { registry });
  }
  return file === undefined ? undefined : await readToken(file, context.log);
}

/** Keeps the token of a registry in a file of the home, for the commands that come after. Returns its path. */
export async function keepJoinToken(
  { os, paths }: Pick<Context, "os" | "paths">,
  database: Database,
  address: RegistryAddress,
  token: string,
): Promise<string> {
  const place = formatHostPort({ host: address.host, port: address.port });
  const path = joinPath(os, paths.home, `join-token-${place.replace(/[^A-Za-z0-9.]+/g, "-")}`);
  await writeFileAtomic(path, utf8(`${token}\n`));
  database.transaction(() => database.put(tokenSetting(address), path));
  return path;
}

/** Returns where the token for `address` lies: flag, `$TALOS_JOIN_TOKEN_FILE`, what `register` saved. */
export function joinTokenFile(
  context: Pick<Context, "env">,
  database: Database,
  address: RegistryAddress,
  flags: RegistryFlags,
): string | undefined {
  return flags.joinTokenFile ?? environmentToken(context, database, address) ??
    database.setting(tokenSetting(address));
}

/**
 * Returns the token file that the environment names, where it is meant for this registry: a token is the
 * secret of one. It belongs to `$TALOS_SERVER`, or to the registry of `talos register` where that is unset.
 */
function environmentToken(
  { env }: Pick<Context, "env">,
  database: Database,
  address: RegistryAddress,
): string | undefined {
  const file = env("TALOS_JOIN_TOKEN_FILE");
  if (file === undefined || file === "") return undefined;
  const usual = env("TALOS_SERVER") || database.setting(SERVER_SETTING);
  if (usual === undefined) return file; // the first registry of this machine
  const { host, port } = parseRegistryAddress(usual);
  return formatHostPort({ host, port }) === formatHostPort(address) ? file : undefined;
}

/** Reads a token. One that others can read is warned about alone: containers mount secrets so. */
async function readToken(path: string, log: Log): Promise<string> {
  try {
    const file = await readFileBounded(path, MAX_JOIN_TOKEN_FILE_BYTES);
    if (file === null) throw unusableToken(path, "it is not there");
    const token = fromUtf8(file.bytes).trim();
    if (token === "") throw unusableToken(path, "it is empty");
    const fault = permissionFault(path, file.info, ACCESSIBLE_BY_OTHERS, ownUid());
    if (fault !== null) log.warn("others can read the join token", { path, cure: fault.hint });
    return token;
  } catch (error) {
    throw error instanceof CliError ? error : unusableToken(path, messageOf(error), error);
  }
}

function unusableToken(path: string, state: string, cause?: unknown): CliError {
  return new CliError("usage", `Cannot use the join token file ${path}: ${state}`, {
    cause,
    hints: ["put the registry's token into a file and name that: --join-token-file FILE"],
  });
}
