/**
 * The registry's data directory: a home of its own, with a wallet that is made when there is none.
 *
 * The wallet is the registry's key. Who loses it, or starts elsewhere by mistake, is another registry to
 * everybody who pinned the old key; so a new one is reported. All nodes of one registry share one key:
 * several processes may use one directory.
 */

import type { Clock } from "../lib/clock.ts";
import type { RandomBytes } from "../lib/crypto/random.ts";
import { IdentityError } from "../lib/identity/errors.ts";
import { joinPath, type OperatingSystem } from "../lib/identity/file_path.ts";
import { ensureHome, type Environment, type HomePaths, homePaths } from "../lib/identity/home.ts";
import { LocalIdentity } from "../lib/identity/local_identity.ts";
import type { PassphraseSource } from "../lib/identity/passphrase.ts";
import { createWallet, type Wallet } from "../lib/identity/wallet.ts";
import { loadWallet, saveWallet } from "../lib/identity/wallet_file.ts";
import type { Log } from "../lib/log.ts";

/** The name in a registry's wallet. */
const WALLET_NAME = "registry";

/** Not the name of a peer's database: a data directory that is used as a home by mistake mixes nothing. */
const DATABASE_NAME = "registry.db";

/**
 * Returns the paths below `dataDir`, or below `registry` in the home that `$TALOS_HOME` or `~/.talos`
 * is. Throws IdentityError "home_unknown" or "home_invalid".
 */
export function dataPaths(
  os: OperatingSystem,
  env: Environment,
  dataDir: string | undefined,
  cwd: string,
): HomePaths {
  const directory = dataDir ?? joinPath(os, homePaths(os, env, undefined, cwd).home, "registry");
  return homePaths(os, env, directory, cwd);
}

/** Returns the path of the registry's database in its data directory. */
export function databasePath(os: OperatingSystem, { home }: HomePaths): string {
  return joinPath(os, home, DATABASE_NAME);
}

/** What {@link openIdentity} works with. */
export interface IdentitySources {
  /** Gives the passphrase of a wallet that somebody sealed. */
  readonly passphrase: PassphraseSource;
  /** Time, for the wallet's date. */
  readonly clock: Clock;
  /** Makes the key. */
  readonly random: RandomBytes;
  /** Takes what is wrong with the directory. */
  readonly log: Log;
}

/** Returns the identity in the data directory, made if need be. Throws IdentityError. */
export async function openIdentity(
  paths: HomePaths,
  { passphrase, clock, random, log }: IdentitySources,
): Promise<{ readonly identity: LocalIdentity; readonly isNew: boolean }> {
  await ensureHome(paths, log);
  const known = await loadIfThere(paths, passphrase);
  if (known !== null) return { identity: new LocalIdentity(known.secretKey), isNew: false };
  const made = createWallet({ name: WALLET_NAME, now: clock.now(), random });
  try {
    await saveWallet(paths, made, { force: false, log });
  } catch (error) {
    // Another node of this registry was faster: its key is ours.
    if (!(error instanceof IdentityError) || error.code !== "wallet_exists") throw error;
    const { secretKey } = await loadWallet(paths, passphrase);
    return { identity: new LocalIdentity(secretKey), isNew: false };
  }
  return { identity: new LocalIdentity(made.secretKey), isNew: true };
}

async function loadIfThere(
  paths: HomePaths,
  passphrase: PassphraseSource,
): Promise<Wallet | null> {
  try {
    return await loadWallet(paths, passphrase);
  } catch (error) {
    if (error instanceof IdentityError && error.code === "wallet_missing") return null;
    throw error;
  }
}
