/**
 * `wallet.json` on disk: written atomically and private, never replaced unasked, read only when nobody
 * else could have read or changed it.
 *
 * A wallet that is refused is left exactly as it is. Replacing one (`--force`) keeps the old file as
 * `wallet.json.<peer id>.bak` under a name that is not taken: no key is ever lost here. Reading follows
 * a symbolic link, since some keep secrets elsewhere and link them; writing replaces it.
 */

import { fromUtf8, utf8 } from "../bytes.ts";
import { messageOf } from "../errors.ts";
import { MAX_WALLET_FILE_BYTES } from "../limits.ts";
import type { Log } from "../log.ts";
import { PRIVATE_FILE_MODE, readFileBounded, unusable, writeFileAtomic } from "./atomic_file.ts";
import { IdentityError } from "./errors.ts";
import { withFileLock } from "./file_lock.ts";
import { ACCESSIBLE_BY_OTHERS, ownUid, permissionFault } from "./file_permissions.ts";
import { ensureHome, exists, type HomePaths } from "./home.ts";
import type { PassphraseSource } from "./passphrase.ts";
import type { PeerId } from "./peer_id.ts";
import { type Renamed, takeOverState } from "./set_aside.ts";
import { LockedWallet, Wallet } from "./wallet.ts";
import { corruptedWallet, parseWallet, serialiseWallet } from "./wallet_format.ts";

/** How a wallet is saved. */
export interface SaveWalletOptions {
  /** Replace a wallet that is there, keeping it as a `.bak`. */
  readonly force: boolean;
  /** Takes warnings about the home. */
  readonly log: Log;
}

/** What saving a wallet changed besides. */
export interface SavedWallet {
  /** The path of the old wallet's copy; null when there was none. */
  readonly backup: string | null;
  /** State of another identity that was set aside, or of this one that was brought back. */
  readonly renamed: readonly Renamed[];
}

/**
 * Writes `wallet` into the home, which is made if need be, and sets state of another identity aside.
 *
 * Throws IdentityError "wallet_exists" (without `force`), "home_in_use" (services run), and what
 * {@link ensureHome} throws. Of several processes that do this at once, one succeeds.
 */
export async function saveWallet(
  paths: HomePaths,
  wallet: Wallet | LockedWallet,
  { force, log }: SaveWalletOptions,
): Promise<SavedWallet> {
  await ensureHome(paths, log);
  return await withFileLock(paths.ownerLock, async () => {
    if (!force) await requireNoWallet(paths);
    const replaces = await exists(paths.wallet);
    const formerOwner = replaces ? await peerIdInFile(paths.wallet) : null;
    // The state first: it refuses while services run, and then nothing has happened yet.
    const renamed = await takeOverState(paths, formerOwner, wallet.peerId);
    try {
      const backup = replaces ? await keepBackup(paths, formerOwner) : null;
      await writeFileAtomic(paths.wallet, utf8(serialiseWallet(wallet)));
      return { backup, renamed };
    } catch (error) {
      throw unusable(`write ${paths.wallet}`, error);
    }
  });
}

/** Throws IdentityError "wallet_exists" when there is a wallet in the home, whatever its state. */
export async function requireNoWallet(paths: HomePaths): Promise<void> {
  if (!await exists(paths.wallet)) return;
  const state = await readWallet(paths).then(() => null, messageOf);
  throw new IdentityError(
    "wallet_exists",
    `There is a wallet in ${paths.home} already` +
      (state === null ? "" : `, a broken one: ${state}`),
    {
      hints: [
        state === null ? "see whose it is: talos status" : "restore it from your backup",
        "or replace it, keeping it as a .bak: talos init --force --name NAME",
      ],
    },
  );
}

/**
 * Returns the wallet as the file has it, without asking for a passphrase: enough to know who one is.
 *
 * Throws IdentityError "wallet_missing", "wallet_permissions", "wallet_corrupted", "wallet_version",
 * "wallet_mismatch" or "home_unusable". The file is never changed.
 */
export async function readWallet(paths: HomePaths): Promise<Wallet | LockedWallet> {
  const text = await readWalletText(paths.wallet);
  if (text === null) {
    throw new IdentityError("wallet_missing", `There is no wallet in ${paths.home}`, {
      hints: ["make one: talos init --name NAME"],
    });
  }
  return parseWallet(text, paths.wallet);
}

/**
 * Returns the open wallet; asks `source` for the passphrase of a locked one.
 *
 * Throws what {@link readWallet} and the source throw, and IdentityError "wrong_passphrase" when none
 * of the source's attempts opens it.
 */
export async function loadWallet(paths: HomePaths, source: PassphraseSource): Promise<Wallet> {
  const wallet = await readWallet(paths);
  if (wallet instanceof Wallet) return wallet;
  for (let attempt = 1;; attempt++) {
    const passphrase = await source.passphrase("unlock", attempt);
    try {
      return await wallet.unlock(passphrase);
    } catch (error) {
      const wrong = error instanceof IdentityError && error.code === "wrong_passphrase";
      if (!wrong || attempt >= source.attempts) throw error;
    }
  }
}

async function readWalletText(path: string): Promise<string | null> {
  try {
    const file = await readFileBounded(path, MAX_WALLET_FILE_BYTES, (info) => {
      requirePrivate(path, info);
    });
    return file === null ? null : fromUtf8(file.bytes);
  } catch (error) {
    if (error instanceof TypeError) throw corruptedWallet("it is not UTF-8", path);
    if (!(error instanceof IdentityError)) throw unusable(`read ${path}`, error);
    if (error.code === "file_irregular") throw corruptedWallet("it is not a regular file", path);
    if (error.code === "file_too_large") {
      throw corruptedWallet(`it is longer than ${MAX_WALLET_FILE_BYTES} bytes`, path);
    }
    throw error;
  }
}

function requirePrivate(path: string, info: Deno.FileInfo): void {
  const uid = ownUid();
  const fault = permissionFault(path, info, ACCESSIBLE_BY_OTHERS, uid);
  if (fault === null) return;
  throw new IdentityError("wallet_permissions", `Cannot use the wallet ${path}: ${fault.state}`, {
    hints: [
      fault.hint,
      "if somebody may have read it, make a new identity: talos init --force --name NAME",
    ],
  });
}

/** Returns whose wallet is about to be replaced; null when it cannot be read, whatever the reason. */
async function peerIdInFile(path: string): Promise<PeerId | null> {
  try {
    const file = await readFileBounded(path, MAX_WALLET_FILE_BYTES);
    return file === null ? null : parseWallet(fromUtf8(file.bytes)).peerId;
  } catch {
    return null; // replacing a wallet that is broken is what --force is for
  }
}

/** Gives the present wallet a second name and returns it. */
async function keepBackup(paths: HomePaths, owner: PeerId | null): Promise<string> {
  for (let number = 1;; number++) {
    const suffix = number === 1 ? "bak" : `${number}.bak`;
    const backup = `${paths.wallet}.${owner ?? "unreadable"}.${suffix}`;
    if (await exists(backup)) continue;
    try {
      // A second link keeps the wallet in place until the new one takes over.
      await Deno.link(paths.wallet, backup);
    } catch {
      // This file system has no links.
      await Deno.rename(paths.wallet, backup);
    }
    await makePrivate(backup);
    return backup;
  }
}

/** Closes a key that others could read to them, as far as we may; a link's target is not ours. */
async function makePrivate(path: string): Promise<void> {
  if (Deno.build.os === "windows" || !(await Deno.lstat(path)).isFile) return;
  // Not ours to change, or a file system without modes: it stays as private as the wallet was.
  await Deno.chmod(path, PRIVATE_FILE_MODE).catch(() => {});
}
