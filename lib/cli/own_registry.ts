/**
 * `mcp-serve --with-registry`: a registry in this very process, for machines that have no other.
 *
 * It is private: its token is made with it and goes out in tickets, so only who was invited uses it. It is remembered
 * as the registry of this home, as `talos register` would, so that `talos invite` names it. `lib/` knows no
 * registry: the main module puts one into the context.
 */

import { base64url, fromUtf8, utf8 } from "../bytes.ts";
import type { Clock } from "../clock.ts";
import type { RandomBytes } from "../crypto/random.ts";
import { formatRegistryAddress, type RegistryAddress } from "../discovery/registry_address.ts";
import { TalosError } from "../errors.ts";
import { readFileBounded, writeFileAtomic } from "../identity/atomic_file.ts";
import type { Database } from "../identity/database.ts";
import { joinPath } from "../identity/file_path.ts";
import { ensureHome, homePaths } from "../identity/home.ts";
import { DEFAULT_REGISTRY_PORT } from "../identity/host_port.ts";
import type { PassphraseSource } from "../identity/passphrase.ts";
import type { PeerId } from "../identity/peer_id.ts";
import { MAX_JOIN_TOKEN_FILE_BYTES } from "../limits.ts";
import type { Log } from "../log.ts";
import { type Context, interactivePassphrase } from "./context.ts";
import { CliError } from "./errors.ts";
import { chooseRegistry, type RegistryFlags, rememberRegistry } from "./registry_choice.ts";

/** What a registry in this process needs. */
export interface OwnRegistryOptions {
  /** Where its key and its database lie. */
  readonly dataDir: string;
  /** The port; 0 for any free one. */
  readonly port: number;
  /** The address to listen on, if it is not all of them. */
  readonly host?: string;
  /** The token of those who may use it. */
  readonly joinToken: string;
  /** Gives the passphrase of a wallet that somebody sealed. */
  readonly passphrase: PassphraseSource;
  /** Time. */
  readonly clock: Clock;
  /** Randomness. */
  readonly random: RandomBytes;
  /** What happens to it. */
  readonly log: Log;
}

/** A registry that runs until it is disposed of. */
export interface OwnRegistry extends AsyncDisposable {
  /** Its key. */
  readonly peerId: PeerId;
  /** The port it listens on. */
  readonly port: number;
}

/** Starts a registry in this process. Throws TalosError. */
export type StartRegistry = (options: OwnRegistryOptions) => Promise<OwnRegistry>;

/** What `mcp-serve` is told about it. */
export interface WithRegistryOptions extends RegistryFlags {
  /** Whether there is to be one. */
  readonly withRegistry?: boolean;
  /** Its port. */
  readonly registryPort?: number;
}

/** Nobody guesses it, and a ticket has room for its 22 characters. */
const TOKEN_BYTES = 16;

/**
 * Starts the registry and remembers it. Returns it with the flags by which this process uses it, or null where none is
 * asked for. Throws CliError and what starting it throws.
 */
export async function startOwnRegistry(
  context: Context,
  database: Database,
  options: WithRegistryOptions,
  host: string | undefined,
): Promise<(OwnRegistry & { readonly flags: RegistryFlags }) | null> {
  const { clock, random, log, startRegistry } = context;
  if (options.withRegistry !== true) {
    if (options.registryPort === undefined) return null;
    throw new CliError("usage", "Cannot use --registry-port without --with-registry");
  }
  if ((options.server ?? options.registry) !== undefined) {
    throw new CliError("usage", "Cannot use --with-registry with --server: which one is meant?");
  }
  if (startRegistry === undefined) {
    throw new CliError("usage", "Cannot use --with-registry: this program has no registry in it", {
      hints: ["run talos-server beside it, and register there: talos register --server localhost"],
    });
  }
  const dataDir = joinPath(context.os, context.paths.home, "registry");
  const { path, token } = await ownToken(context, dataDir, options.joinTokenFile);
  const port = options.registryPort ?? DEFAULT_REGISTRY_PORT;
  const registry = await startRegistry({
    dataDir,
    port,
    ...(host === undefined ? {} : { host }),
    joinToken: token,
    passphrase: interactivePassphrase(context),
    clock,
    random,
    log,
  }).catch((error: unknown) => {
    const isTaken = error instanceof TalosError && error.code === "port_taken";
    throw isTaken ? error.advise("choose another port: --registry-port N") : error;
  });
  const address = { id: registry.peerId, host: localHost(host), port: registry.port };
  remember(context, database, address, path);
  return Object.assign(registry, {
    flags: { server: formatRegistryAddress(address), joinTokenFile: path },
  });
}

/** Where this process reaches what listens on `host`. */
function localHost(host: string | undefined): string {
  if (host === undefined || host === "0.0.0.0") return "127.0.0.1";
  return host === "::" ? "::1" : host;
}

function remember(
  context: Context,
  database: Database,
  address: RegistryAddress,
  joinTokenFile: string,
): void {
  const { address: before, chosenBy } = chooseRegistry(context, database, {});
  const isAnother = before.host !== address.host || before.port !== address.port;
  if (chosenBy === "register" && isAnother) {
    const { host, port } = before;
    context.log.warn("this home's registry is its own one now; before, it was another", {
      before: formatRegistryAddress({ host, port }),
    });
  }
  rememberRegistry(context, database, address, { unlisted: false, joinTokenFile });
}

/** Returns the token in the file that was named, else in the registry's own, which is made if need be. */
async function ownToken(
  { os, paths, log, random }: Context,
  dataDir: string,
  named: string | undefined,
): Promise<{ readonly path: string; readonly token: string }> {
  const path = named ?? joinPath(os, dataDir, "join-token");
  const file = await readFileBounded(path, MAX_JOIN_TOKEN_FILE_BYTES);
  if (file !== null) return { path, token: fromUtf8(file.bytes).trim() };
  if (named !== undefined) {
    throw new CliError("usage", `Cannot use the join token: there is no file ${path}`);
  }
  await ensureHome(paths, log);
  await ensureHome(homePaths(os, () => undefined, dataDir), log);
  const token = base64url(random(TOKEN_BYTES));
  await writeFileAtomic(path, utf8(`${token}\n`));
  return { path, token };
}
