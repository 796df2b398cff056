/**
 * The entry for a peer: `talos mcp-connect` as a client has to start it, whatever its own environment is.
 *
 * Clients with a window know no PATH and no variable of a shell. So the program and every file is written in full,
 * and what the environment says here (home, registry, token, passphrase file) stands in the entry. The peer is
 * written as its whole Peer ID: a contact that is renamed later breaks nothing, and leads nowhere else.
 * {@link connectEntry} is pure.
 */

import { formatRegistryAddress } from "../../discovery/registry_address.ts";
import { petnameOf, resolvePeer } from "../../identity/contacts.ts";
import { isAbsolutePath, joinPath, type OperatingSystem } from "../../identity/file_path.ts";
import { homePaths } from "../../identity/home.ts";
import { DEFAULT_PEER_PORT, formatHostPort } from "../../identity/host_port.ts";
import { serviceLabel } from "../../identity/names.ts";
import { parsePeerAddress } from "../../identity/peer_address.ts";
import type { PeerId } from "../../identity/peer_id.ts";
import type { Context } from "../context.ts";
import { openOwnDatabase } from "../own_database.ts";
import { mainModule } from "../own_program.ts";
import { denoArguments, type PermissionFacts, permissionsOf } from "../permissions.ts";
import { chooseRegistry, joinTokenFile, type RegistryFlags } from "../registry_choice.ts";
import { defaultEntryName, type ServerEntry } from "./entry.ts";

/** What an entry is made of. */
export interface ConnectFacts {
  /** The system. */
  readonly os: OperatingSystem;
  /** The executable: Talos, or Deno. */
  readonly program: string;
  /** The main module, from source; null in an executable. */
  readonly main: string | null;
  /** `PEER-ID[/SERVICE][@HOST:PORT]`. */
  readonly target: string;
  /** Options for the command, with full paths. */
  readonly options: readonly string[];
  /** What decides which permissions the command needs, from source. */
  readonly permissions: PermissionFacts;
  /** What the client has to put into the environment. */
  readonly env: Readonly<Record<string, string>>;
}

/** Returns the entry. */
export function connectEntry(facts: ConnectFacts): ServerEntry {
  const { os, program, main, target, options, env } = facts;
  const words = ["mcp-connect", target, ...options];
  if (main === null) return { command: program, args: words, env };
  const permissions = permissionsOf(os, "mcp-connect", facts.permissions);
  if (permissions === null) throw new TypeError("mcp-connect has its permissions");
  const [, ...args] = denoArguments(permissions, main, words);
  return { command: program, args, env };
}

/** A peer's entry, and what it is called when nobody named it. */
export interface PeerEntry {
  /** The entry. */
  readonly entry: ServerEntry;
  /** Its name. */
  readonly name: string;
  /** `PEER-ID[/SERVICE]`, for hints. */
  readonly peer: string;
}

/** Returns the entry for what `target` names. Throws TalosError. */
export async function peerEntry(
  context: Context,
  flags: RegistryFlags,
  target: string,
): Promise<PeerEntry> {
  const { os, env, paths } = context;
  const { peer: reference, service, address } = parsePeerAddress(target, DEFAULT_PEER_PORT);
  using database = await openOwnDatabase(paths);
  const peer: PeerId = resolvePeer(database, reference);
  const label = service === undefined ? undefined : serviceLabel(service);
  const shown = `${peer}${label === undefined ? "" : `/${label}`}`;
  const absolute = (path: string) =>
    isAbsolutePath(os, path) ? path : joinPath(os, Deno.cwd(), path);

  const { address: registry, chosenBy } = chooseRegistry(context, database, flags);
  const usesRegistry = address === undefined;
  const savedToken = joinTokenFile({ env: () => undefined }, database, registry, {});
  const token = joinTokenFile(context, database, registry, flags);
  const passphrase = env("TALOS_PASSPHRASE_FILE") || undefined;
  const denoDirectory = Deno.build.standalone ? undefined : env("DENO_DIR") || undefined;
  const isUsualHome = paths.home === usualHome(context);
  const entry = connectEntry({
    os,
    program: Deno.execPath(),
    main: Deno.build.standalone ? null : mainModule(),
    target: address === undefined ? shown : `${shown}@${formatHostPort(address)}`,
    options: [
      ...(isUsualHome ? [] : ["--home", paths.home]),
      ...(usesRegistry && (chosenBy === "flag" || chosenBy === "environment")
        ? ["--server", formatRegistryAddress(registry)]
        : []),
      ...(usesRegistry && token !== undefined && token !== savedToken
        ? ["--join-token-file", absolute(token)]
        : []),
    ],
    permissions: {
      home: paths.home,
      ...(passphrase === undefined ? {} : { passphraseFile: absolute(passphrase) }),
      ...(usesRegistry && token !== undefined ? { tokenFile: absolute(token) } : {}),
      ...(address === undefined ? {} : { address }),
    },
    env: {
      ...(passphrase === undefined ? {} : { TALOS_PASSPHRASE_FILE: absolute(passphrase) }),
      ...(denoDirectory === undefined ? {} : { DENO_DIR: absolute(denoDirectory) }),
    },
  });
  return { entry, name: defaultEntryName(peer, petnameOf(database, peer), label), peer: shown };
}

/** The home that `mcp-connect` takes without an option and with no variable of ours. */
function usualHome({ os, env }: Context): string {
  return homePaths(os, (name) => name === "TALOS_HOME" ? undefined : env(name)).home;
}
