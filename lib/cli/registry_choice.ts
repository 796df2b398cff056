/** Which registry a command uses, and how it is reached. */

import { systemRandom } from "../crypto/random.ts";
import { fromUtf8 } from "../bytes.ts";
import {
  DEFAULT_REGISTRY_PORT,
  formatRegistryAddress,
  parseRegistryAddress,
  type RegistryAddress,
} from "../discovery/registry_address.ts";
import type { RegistryOptions } from "../discovery/registry_client.ts";
import { readFileBounded } from "../identity/atomic_file.ts";
import type { Database } from "../identity/database.ts";
import type { LocalIdentity } from "../identity/local_identity.ts";
import { INSTANCE_BYTES } from "../wire/registry_messages.ts";
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
const TOKEN_SETTING = "join_token_file";
const UNLISTED_SETTING = "unlisted";
const MAX_TOKEN_FILE_BYTES = 1024;

/** Returns the registry: flag, then `$TALOS_SERVER`, then what `register` saved, then `localhost:8765`. */
export function chooseRegistry(
  { env }: Pick<Context, "env">,
  database: Database,
  flags: RegistryFlags,
): RegistryChoice {
  if (flags.server !== undefined && flags.registry !== undefined) {
    throw new CliError("usage", "Cannot use both --server and --registry: they are the same");
  }
  const flag = flags.server ?? flags.registry;
  if (flag !== undefined) return { address: parseRegistryAddress(flag), chosenBy: "flag" };
  const variable = env("TALOS_SERVER");
  if (variable !== undefined && variable !== "") {
    return { address: parseRegistryAddress(variable), chosenBy: "environment" };
  }
  const saved = database.setting(SERVER_SETTING);
  if (saved !== undefined) return { address: parseRegistryAddress(saved), chosenBy: "register" };
  return { address: { host: "localhost", port: DEFAULT_REGISTRY_PORT }, chosenBy: "default" };
}

/** Remembers a registry for the commands that come after. */
export function rememberRegistry(
  database: Database,
  address: RegistryAddress,
  unlisted: boolean,
  { joinTokenFile }: RegistryFlags,
): void {
  database.set(SERVER_SETTING, formatRegistryAddress(address));
  database.set(UNLISTED_SETTING, unlisted ? "yes" : "no");
  if (joinTokenFile !== undefined) database.set(TOKEN_SETTING, joinTokenFile);
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
  const file = flags.joinTokenFile ?? context.env("TALOS_JOIN_TOKEN_FILE") ??
    database.setting(TOKEN_SETTING);
  const token = file === undefined ? undefined : await readToken(file);
  return {
    address,
    identity,
    instance: systemRandom(INSTANCE_BYTES),
    database,
    random: context.random,
    clock: context.clock,
    log: context.log,
    ...(token === undefined ? {} : { token }),
  };
}

async function readToken(path: string): Promise<string> {
  const file = await readFileBounded(path, MAX_TOKEN_FILE_BYTES);
  if (file === null) {
    throw new CliError("usage", `Cannot read the join token: there is no file ${path}`);
  }
  return fromUtf8(file.bytes).trim();
}
