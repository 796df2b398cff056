/**
 * State belongs to an identity: when the identity of a home changes, the old state makes way.
 *
 * After a rotation (`rm wallet.json`, `talos init`) nothing in the new wallet tells whose chain and
 * database lie here, so `identity.json` does: `{"version":1,"peer_id":…}`, no secret. State of another
 * identity is renamed, never removed: `talos.db` (a directory) to `talos.db.<peer id>`, `blockchain.json`
 * to `blockchain.json.<peer id>`, and what other programs put beside them likewise (`talos.db-old` to
 * `talos.db.<peer id>-old`). State that was set aside for the identity that comes back is brought
 * back. `access.json` stays: it speaks of *other* peers, and a revocation must not be forgotten.
 *
 * The owner is written last and every step can be repeated, so a process killed in between does no
 * harm. While services of the home run, nothing is moved: they would go on writing to moved files.
 */

import { fromUtf8, utf8 } from "../bytes.ts";
import { MAX_FACTS_FILE_BYTES } from "../limits.ts";
import { readFileBounded, unusable, writeFileAtomic } from "./atomic_file.ts";
import { IdentityError } from "./errors.ts";
import { withFileLock } from "./file_lock.ts";
import { joinPath } from "./file_path.ts";
import { type HomePaths } from "./home.ts";
import { fieldsOf, integerField, parsedField } from "./json_fields.ts";
import { parsePeerId, type PeerId } from "./peer_id.ts";
import { readRunFiles } from "./run_files.ts";
import { JsonError, parseJson } from "./strict_json.ts";

/** A file that got another name. */
export interface Renamed {
  /** Its name in the home. */
  readonly from: string;
  /** Its new name in the home. */
  readonly to: string;
}

/** What stands in a name where nobody knows whose state it was. */
const UNKNOWN_OWNER = "unknown";

// A state file: its stem, then what other programs put behind it (-wal, -shm, -journal, .damaged).
const STATE_FILE = /^(talos\.db|blockchain(?:-\d+)?\.json)(.*)$/s;

const SET_ASIDE = /^\.(?:z6Mk[1-9A-HJ-NP-Za-km-z]{44}|unknown)(?:\.\d+)?(?![0-9A-Za-z])/;

/**
 * Makes the state in the home that of `peerId` and returns what was renamed for it.
 *
 * State whose owner is not recorded counts as that of `peerId`: a backup that was put back by hand.
 * Costs one small read when the owner is right. Throws IdentityError "home_in_use" or "home_unusable".
 */
export async function settleState(paths: HomePaths, peerId: PeerId): Promise<readonly Renamed[]> {
  if (await stateOwner(paths) === peerId) return [];
  return await withFileLock(paths.ownerLock, async () => {
    const owner = await stateOwner(paths);
    return await changeOwner(paths, owner ?? peerId, peerId);
  });
}

/**
 * Like {@link settleState}, for a caller that holds `paths.ownerLock` and knows better whose the state
 * is when it is not recorded: `formerOwner`, or null for nobody knows.
 */
export async function takeOverState(
  paths: HomePaths,
  formerOwner: PeerId | null,
  peerId: PeerId,
): Promise<readonly Renamed[]> {
  const owner = await stateOwner(paths) ?? formerOwner;
  return await changeOwner(paths, owner, peerId);
}

/** Returns whose state lies in the home; null when that is not recorded, or not readably so. */
export async function stateOwner(paths: HomePaths): Promise<PeerId | null> {
  try {
    const file = await readFileBounded(paths.owner, MAX_FACTS_FILE_BYTES);
    if (file === null) return null;
    const fields = fieldsOf(parseJson(fromUtf8(file.bytes)), "", ["version", "peer_id"]);
    integerField(fields, "version", 1, 1);
    return parsedField(fields, "peer_id", parsePeerId);
  } catch (error) {
    // It only names files: a damaged one is as good as none.
    if (error instanceof JsonError || error instanceof TypeError) return null;
    if (error instanceof IdentityError) return null;
    throw unusable(`read ${paths.owner}`, error);
  }
}

/** Throws IdentityError "home_in_use" when services of the home run. */
export function requireNothingRuns(paths: HomePaths, action: string): void {
  const running = readRunFiles(paths);
  if (running.length === 0) return;
  const pids = running.map(({ pid }) => pid).join(", ");
  throw new IdentityError(
    "home_in_use",
    `Cannot ${action}: ${running.length} of this home's services run (process ${pids})`,
    { hints: [`stop what runs first: kill ${pids.replaceAll(",", "")}`] },
  );
}

async function changeOwner(
  paths: HomePaths,
  owner: PeerId | null,
  peerId: PeerId,
): Promise<readonly Renamed[]> {
  const renamed: Renamed[] = [];
  try {
    if (owner !== peerId) {
      requireNothingRuns(paths, "change the identity");
      const away = await awayNames(paths, owner ?? UNKNOWN_OWNER);
      for (const names of away) renamed.push(await rename(paths, names));
      for (const names of await backNames(paths, peerId)) renamed.push(await rename(paths, names));
    }
    const text = JSON.stringify({ version: 1, peer_id: peerId }) + "\n";
    await writeFileAtomic(paths.owner, utf8(text));
  } catch (error) {
    throw unusable(`change the identity of ${paths.home}`, error);
  }
  return renamed;
}

/** Returns the new names of all state that is in use; none of them is taken. */
async function awayNames(paths: HomePaths, owner: string): Promise<readonly Renamed[]> {
  const entries = await listHome(paths);
  const state = entries.flatMap((name) => {
    const [, stem, rest = ""] = STATE_FILE.exec(name) ?? [];
    // Locks stay, somebody may hold or await them.
    if (stem === undefined || rest.endsWith(".lock") || SET_ASIDE.test(rest)) return [];
    return [{ name, stem, rest }];
  });
  // A database and its log need the same number.
  for (let number = 1;; number++) {
    const suffix = number === 1 ? owner : `${owner}.${number}`;
    const names = state.map(({ name, stem, rest }) => ({
      from: name,
      to: `${stem}.${suffix}${rest}`,
    }));
    if (!names.some(({ to }) => entries.includes(to))) return names;
  }
}

/** Returns the names that give `peerId` its state back, where nothing has these names. */
async function backNames(paths: HomePaths, peerId: PeerId): Promise<readonly Renamed[]> {
  const entries = await listHome(paths);
  const marker = `.${peerId}`;
  return entries.flatMap((name) => {
    const [, stem, rest = ""] = STATE_FILE.exec(name) ?? [];
    if (stem === undefined || !rest.startsWith(marker)) return [];
    const to = stem + rest.slice(marker.length);
    // A numbered one is older still, and stays.
    return /\.\d+/.test(to.slice(stem.length)) || entries.includes(to) ? [] : [{ from: name, to }];
  });
}

async function rename(paths: HomePaths, names: Renamed): Promise<Renamed> {
  const inHome = (name: string) => joinPath(Deno.build.os, paths.home, name);
  await Deno.rename(inHome(names.from), inHome(names.to));
  return names;
}

async function listHome(paths: HomePaths): Promise<readonly string[]> {
  const names: string[] = [];
  for await (const { name } of Deno.readDir(paths.home)) names.push(name);
  return names.sort();
}
