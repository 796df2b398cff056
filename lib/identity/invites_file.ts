/**
 * `invites.json` on disk: read whole, changed under an exclusive lock, replaced atomically, like `access.json`.
 *
 * Whoever redeems one re-reads it inside the lock, so of two who race for the last use one is let in, in
 * whichever processes that happens. A file that others can read is refused: they could use what is pending.
 */

import { fromUtf8, utf8 } from "../bytes.ts";
import { MAX_INVITES_FILE_BYTES } from "../limits.ts";
import { readFileBoundedSync, unusable, writeFileAtomic } from "./atomic_file.ts";
import { IdentityError } from "./errors.ts";
import { withFileLock } from "./file_lock.ts";
import { ACCESSIBLE_BY_OTHERS, ownUid, permissionFault } from "./file_permissions.ts";
import type { HomePaths } from "./home.ts";
import type { Invite } from "./invites.ts";
import { corruptedInvites, parseInvites, serialiseInvites } from "./invites_format.ts";

/** Where invites lie. */
export type InvitePaths = Pick<HomePaths, "invites" | "invitesLock">;

/**
 * Returns what the file says; none when there is no file. Throws IdentityError "invites_corrupted",
 * "invites_permissions" or "home_unusable".
 */
export function readInvites({ invites: path }: Pick<InvitePaths, "invites">): readonly Invite[] {
  try {
    const file = readFileBoundedSync(path, MAX_INVITES_FILE_BYTES, (info) => {
      requirePrivate(path, info);
    });
    return file === null ? [] : parseInvites(fromUtf8(file.bytes), path);
  } catch (error) {
    if (error instanceof TypeError) throw corruptedInvites("it is not UTF-8", path);
    if (!(error instanceof IdentityError)) throw unusable(`read ${path}`, error);
    if (error.code === "file_irregular") throw corruptedInvites("it is not a regular file", path);
    if (error.code === "file_too_large") {
      throw corruptedInvites(`it is longer than ${MAX_INVITES_FILE_BYTES} bytes`, path);
    }
    throw error;
  }
}

/**
 * Replaces what the file says by what `change` makes of it, and returns what else `change` returns. Nobody else
 * changes it meanwhile; nothing is written when `change` returns the invites that it got. Throws what `change` and
 * {@link readInvites} throw, and IdentityError "home_unusable".
 */
export async function updateInvites<T>(
  paths: InvitePaths,
  change: (invites: readonly Invite[]) => readonly [after: readonly Invite[], result: T],
): Promise<T> {
  return await withFileLock(paths.invitesLock, async () => {
    const before = readInvites(paths);
    const [after, result] = change(before);
    if (after === before) return result;
    try {
      await writeFileAtomic(paths.invites, utf8(serialiseInvites(after)));
    } catch (error) {
      throw unusable(`write ${paths.invites}`, error);
    }
    return result;
  });
}

function requirePrivate(path: string, info: Deno.FileInfo): void {
  const fault = permissionFault(path, info, ACCESSIBLE_BY_OTHERS, ownUid());
  if (fault === null) return;
  throw new IdentityError("invites_permissions", `Cannot trust ${path}: ${fault.state}`, {
    hints: ["withdraw what others may have read: talos access revoke INVITE", fault.hint],
  });
}
