/**
 * The home of an identity: one private directory, and what each file in it is called.
 *
 * {@link homePaths} is a pure function of the system, the environment and `--home`; {@link ensureHome}
 * makes the directory 0700. A home that others can enter is tightened, with a warning, when it is
 * empty or holds Talos's files only; a directory with anything else in it is never touched (somebody
 * wrote `--home /tmp`), and refused if others can write it: they could swap files under us.
 * Ancestor directories and access control lists are not looked at.
 */

import type { Log } from "../log.ts";
import { PRIVATE_DIRECTORY_MODE, unusable } from "./atomic_file.ts";
import { IdentityError } from "./errors.ts";
import { isAbsolutePath, joinPath, type OperatingSystem } from "./file_path.ts";
import {
  ACCESSIBLE_BY_OTHERS,
  ownUid,
  permissionFault,
  WRITABLE_BY_OTHERS,
} from "./file_permissions.ts";

/** Where everything of one identity lies. */
export interface HomePaths {
  /** The directory itself. */
  readonly home: string;
  /** The secret key (see `wallet_file.ts`). */
  readonly wallet: string;
  /** Whose state lies here; no secret (see `set_aside.ts`). */
  readonly owner: string;
  /** Held while the wallet or the owner changes. */
  readonly ownerLock: string;
  /** Grants and revocations (see `access_file.ts`). */
  readonly access: string;
  /** Held while the access file changes. */
  readonly accessLock: string;
  /** Invites, pending and spent (see `invites_file.ts`). */
  readonly invites: string;
  /** Held while the file of invites changes. */
  readonly invitesLock: string;
  /** The audit chain. */
  readonly chain: string;
  /** The SQLite database, in a directory of its own (see `database.ts`). */
  readonly database: string;
  /** What running processes say about themselves (see `run_files.ts`). */
  readonly run: string;
  /** Held while `run` changes. */
  readonly runLock: string;
  /** The home of the former program, which is never read. Undefined when its place is unknown. */
  readonly former?: string;
}

/** Reads one variable of the environment. */
export type Environment = (name: string) => string | undefined;

/** The sticky bit, which only directories of many users have. */
const STICKY = 0o1000;

const OWN_FILES =
  /^\.?(?:wallet\.json|identity\.json|access\.json|invites\.json|join-token-|blockchain|talos\.db|run$|registry(?:\.db|$)|policy)/;

/** How many entries of a home are looked at to tell whether it is Talos's alone. */
const MAX_LISTED_ENTRIES = 1024;

/**
 * Returns the paths of the home that `--home`, else `$TALOS_HOME`, else `~/.talos` names. A leading
 * `~` is the user's directory: configuration files and `--home=~/x` reach us unexpanded.
 *
 * @param os The system whose path syntax holds.
 * @param env Reads HOME (USERPROFILE on Windows) and TALOS_HOME; empty counts as unset.
 * @param homeFlag What `--home` says.
 * @param cwd Makes a relative path absolute; without it, it stays relative.
 * Throws IdentityError "home_unknown", or "home_invalid" for an empty `--home`.
 */
export function homePaths(
  os: OperatingSystem,
  env: Environment,
  homeFlag?: string,
  cwd?: string,
): HomePaths {
  if (homeFlag === "") {
    throw new IdentityError("home_invalid", "Cannot use --home: it is empty", {
      hints: ["name a directory, or leave it out for ~/.talos"],
    });
  }
  const user = userDirectory(os, env);
  const home = absolute(os, homeFlag ?? nonEmpty(env("TALOS_HOME")) ?? "~/.talos", user, cwd);
  const inHome = (name: string) => joinPath(os, home, name);
  const run = inHome("run");
  return {
    home,
    wallet: inHome("wallet.json"),
    owner: inHome("identity.json"),
    ownerLock: inHome("identity.json.lock"),
    access: inHome("access.json"),
    accessLock: inHome("access.json.lock"),
    invites: inHome("invites.json"),
    invitesLock: inHome("invites.json.lock"),
    chain: inHome("blockchain.json"),
    database: joinPath(os, inHome("talos.db"), "data.sqlite"),
    run,
    runLock: joinPath(os, run, ".lock"),
    ...(user === undefined ? {} : { former: joinPath(os, user, ".bmp") }),
  };
}

/** What a home is called in messages, and the option that names another one. */
export interface HomeWords {
  /** Without an article. */
  readonly name: string;
  /** With its hyphens. */
  readonly option: string;
}

const HOME_WORDS: HomeWords = { name: "home", option: "--home" };

/**
 * Makes the home if need be, private to its owner.
 *
 * @param words What messages call it: the registry's data directory is a home, too.
 * Throws IdentityError "home_invalid" (not a directory), "home_permissions" (others can write it and
 * it is not ours to tighten, or it belongs to another user), "home_unusable" (the system refuses).
 */
export async function ensureHome(
  paths: HomePaths,
  log: Log,
  words: HomeWords = HOME_WORDS,
): Promise<void> {
  const { name, option } = words;
  const info = await makeDirectory(paths.home, words);
  const uid = ownUid();
  const open = permissionFault(paths.home, info, ACCESSIBLE_BY_OTHERS, uid);
  if (open === null) return;
  const writable = permissionFault(paths.home, info, WRITABLE_BY_OTHERS, uid);
  if (await isOursAlone(paths.home, info, uid)) {
    await Deno.chmod(paths.home, PRIVATE_DIRECTORY_MODE);
    const mode = ((info.mode ?? 0) & 0o7777).toString(8).padStart(4, "0");
    log.warn(`the ${name} was open to others and is private now`, { home: paths.home, mode });
    return;
  }
  if (writable !== null) {
    throw new IdentityError(
      "home_permissions",
      `Cannot use the ${name} ${paths.home}: ${writable.state}`,
      { hints: [writable.hint, `or choose a directory of its own with ${option}`] },
    );
  }
  log.warn(`others can see which files the ${name} has`, { home: paths.home, cure: open.hint });
}

/**
 * Returns what to tell somebody who has a home of the former program, BMP, and no wallet of Talos yet;
 * null otherwise. So it is said until `init` was run, and not again. Nothing in that home is read.
 */
export async function formerHomeNotice(paths: HomePaths): Promise<string | null> {
  if (paths.former === undefined || await exists(paths.wallet)) return null;
  if (!await exists(paths.former)) return null;
  return `${paths.former} belongs to BMP, the former program. Talos does not read it: its keys lay ` +
    `there unprotected. A new identity is made in ${paths.home}; tell your peers its Peer ID, and ` +
    `remove ${paths.former} when nothing uses it any more.`;
}

/** Tells whether anything, a broken symbolic link included, is at `path`. */
export async function exists(path: string): Promise<boolean> {
  try {
    await Deno.lstat(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) {
      return false;
    }
    throw unusable(`look at ${path}`, error);
  }
}

function userDirectory(os: OperatingSystem, env: Environment): string | undefined {
  return nonEmpty(env(os === "windows" ? "USERPROFILE" : "HOME"));
}

function nonEmpty(text: string | undefined): string | undefined {
  return text === "" ? undefined : text;
}

function absolute(
  os: OperatingSystem,
  path: string,
  user: string | undefined,
  cwd: string | undefined,
): string {
  const below = /^~(?:[\\/]+(.*))?$/s.exec(path);
  if (below !== null) {
    if (user === undefined) {
      const variable = os === "windows" ? "USERPROFILE" : "HOME";
      throw new IdentityError(
        "home_unknown",
        `Cannot tell where the home is: ${variable} is not set`,
        { hints: ["name it with --home DIR or TALOS_HOME"] },
      );
    }
    const [, rest = ""] = below;
    return rest === "" ? user : joinPath(os, user, rest);
  }
  if (cwd === undefined || isAbsolutePath(os, path)) return path;
  return joinPath(os, cwd, path);
}

async function makeDirectory(path: string, { name, option }: HomeWords): Promise<Deno.FileInfo> {
  try {
    await Deno.mkdir(path, { recursive: true, mode: PRIVATE_DIRECTORY_MODE });
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw unusable(`make ${path}`, error);
  }
  let info: Deno.FileInfo;
  try {
    info = await Deno.stat(path);
  } catch (error) {
    throw unusable(`look at ${path}`, error);
  }
  if (info.isDirectory) return info;
  throw new IdentityError("home_invalid", `Cannot use the ${name} ${path}: it is not a directory`, {
    hints: [`name another one: ${option} DIR`],
  });
}

async function isOursAlone(
  path: string,
  info: Deno.FileInfo,
  uid: number | null,
): Promise<boolean> {
  if (info.uid !== uid || ((info.mode ?? 0) & STICKY) !== 0) return false;
  let count = 0;
  for await (const entry of Deno.readDir(path)) {
    if (++count > MAX_LISTED_ENTRIES || !OWN_FILES.test(entry.name)) return false;
  }
  return true;
}
