/**
 * A registry inside another process: what `talos mcp-serve --with-registry` runs beside the servers that it shares.
 *
 * It is the registry of `talos-server`, with a data directory, a key and a log like there; who runs it decides
 * where it listens and when it ends. `main.ts`, which alone knows both sides, hands it to the command line.
 */

import type { Clock } from "../lib/clock.ts";
import type { RandomBytes } from "../lib/crypto/random.ts";
import { homePaths } from "../lib/identity/home.ts";
import type { PassphraseSource } from "../lib/identity/passphrase.ts";
import type { PeerId } from "../lib/identity/peer_id.ts";
import type { Log } from "../lib/log.ts";
import { listenOnAllInterfaces } from "../lib/transport/all_interfaces.ts";
import { listenTcp } from "../lib/transport/tcp.ts";
import { claimDirectory, databasePath, openIdentity } from "./data_directory.ts";
import { JoinToken } from "./join_token.ts";
import { Registry } from "./server.ts";
import { SqliteStore } from "./sqlite_store.ts";

/** What a registry inside another process needs. */
export interface EmbeddedOptions {
  /** Its data directory, an absolute path. */
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
export interface EmbeddedRegistry extends AsyncDisposable {
  /** Its key. */
  readonly peerId: PeerId;
  /** The port it listens on. */
  readonly port: number;
}

/** Starts a registry. Throws RegistryError, IdentityError and TransportError. */
export async function startRegistry(options: EmbeddedOptions): Promise<EmbeddedRegistry> {
  const { os } = Deno.build;
  const { dataDir, port, host, log } = options;
  const paths = homePaths(os, () => undefined, dataDir);
  await using begun = new AsyncDisposableStack();
  begun.use(await claimDirectory(os, paths, log));
  const { identity } = await openIdentity(paths, options);
  const store = begun.use(new SqliteStore(databasePath(os, paths)));
  const joinToken = new JoinToken(options.joinToken);
  const registry = begun.use(new Registry({ ...options, identity, store, joinToken }));
  const listener = begun.use(
    host === undefined ? listenOnAllInterfaces(os, port) : listenTcp({ host, port }),
  );
  const serving = registry.serve(listener);
  begun.defer(async () => {
    listener.close();
    await serving;
  });
  const running = begun.move();
  return {
    peerId: identity.peerId,
    port: listener.address.port,
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}
