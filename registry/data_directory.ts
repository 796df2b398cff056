/**
 * The registry's data directory: a home of its own, with a wallet that is made when there is none.
 *
 * The wallet is the registry's key. Who loses it, or starts elsewhere by mistake, is another registry to
 * everybody who pinned the old key; so a new one is reported. One process uses the directory at a time: each
 * would tell only of the peers that are connected to itself.
 */

import { fromUtf8, utf8 } from "../lib/bytes.ts";
import type { Clock } from "../lib/clock.ts";
import type { RandomBytes } from "../lib/crypto/random.ts";
import { IdentityError } from "../lib/identity/errors.ts";
import { joinPath, type OperatingSystem } from "../lib/identity/file_path.ts";
import { openLockFile } from "../lib/identity/file_lock.ts";
import {
  ensureHome,
  type Environment,
  exists,
  type HomePaths,
  homePaths,
  type HomeWords,
} from "../lib/identity/home.ts";
import { LocalIdentity } from "../lib/identity/local_identity.ts";
import type { PassphraseSource } from "../lib/identity/passphrase.ts";
import { createWallet, type Wallet } from "../lib/identity/wallet.ts";
import { loadWallet, saveWallet } from "../lib/identity/wallet_file.ts";
import type { Log } from "../lib/log.ts";
import { RegistryError } from "./errors.ts";

/** The name in a registry's wallet. */
const WALLET_NAME = "registry";

/** Not the name of a peer's database: a data directory that is used as a home by mistake mixes nothing. */
const DATABASE_NAME = "registry.db";

/** Held while a process uses the directory; the id of that process is in it. */
const LOCK_NAME = "registry.db.lock";

const WORDS: HomeWords = { name: "data directory", option: "--data-dir" };

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

/**
 * Makes the data directory if need be, and claims it for this process until that ends, however it ends, or
 * disposes of the claim. Throws RegistryError "directory_in_use", and what {@link ensureHome} throws.
 */
export async function claimDirectory(
  os: OperatingSystem,
  paths: HomePaths,
  log: Log,
): Promise<Disposable> {
  await ensureHome(paths, log, WORDS);
  const file = openLockFile(joinPath(os, paths.home, LOCK_NAME));
  if (!file.tryLockSync(true)) {
    using _file = file;
    throw inUse(paths, holderOf(file));
  }
  file.truncateSync();
  file.writeSync(utf8(`${Deno.pid}\n`));
  return file;
}

/** Returns the process id in a lock file; null where the system lets nobody but its holder read it. */
function holderOf(file: Deno.FsFile): number | null {
  const bytes = new Uint8Array(16);
  try {
    const count = file.readSync(bytes) ?? 0;
    const [pid] = /^\d+(?=\n)/.exec(fromUtf8(bytes.subarray(0, count))) ?? [];
    return pid === undefined ? null : Number(pid);
  } catch {
    return null;
  }
}

function inUse({ home }: HomePaths, holder: number | null): RegistryError {
  const who = holder === null ? "another process" : `process ${holder}`;
  return new RegistryError(
    "directory_in_use",
    `Cannot use the data directory ${home}: ${who} uses it`,
    {
      hints: [
        holder === null ? "stop that process first" : `stop it first: kill ${holder}`,
        "or run another registry, with a key of its own: --data-dir DIR",
      ],
    },
  );
}

/** Tells whether a registry was here before, whatever became of its key. */
export async function wasUsed(os: OperatingSystem, paths: HomePaths): Promise<boolean> {
  return await exists(databasePath(os, paths));
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

/** Returns the identity in the data directory, made if need be; the directory is there. Throws IdentityError. */
export async function openIdentity(
  paths: HomePaths,
  { passphrase, clock, random, log }: IdentitySources,
): Promise<{ readonly identity: LocalIdentity; readonly isNew: boolean }> {
  const known = await loadIfThere(paths, passphrase);
  if (known !== null) return { identity: new LocalIdentity(known.secretKey), isNew: false };
  const made = createWallet({ name: WALLET_NAME, now: clock.now(), random });
  await saveWallet(paths, made, { force: false, log });
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
