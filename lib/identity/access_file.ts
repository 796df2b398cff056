/**
 * `access.json` on disk: read whole, changed under an exclusive lock, replaced atomically.
 *
 * Whoever changes it re-reads it inside the lock, so two commands at once never lose a revocation. A
 * file that cannot be read is an error and stays untouched; only a file that is not there means that
 * nobody is granted anything. A file that others can write is refused: they could grant themselves.
 */

import { fromUtf8, utf8 } from "../bytes.ts";
import { MAX_ACCESS_FILE_BYTES } from "../limits.ts";
import { type Access, NO_ACCESS } from "./access.ts";
import { corruptedAccess, parseAccess, serialiseAccess } from "./access_format.ts";
import { readFileBoundedSync, unusable, writeFileAtomic } from "./atomic_file.ts";
import { IdentityError } from "./errors.ts";
import { withFileLock } from "./file_lock.ts";
import { ownUid, permissionFault, WRITABLE_BY_OTHERS } from "./file_permissions.ts";
import type { HomePaths } from "./home.ts";

/**
 * Returns what the file says; {@link NO_ACCESS} when there is none.
 *
 * Throws IdentityError "access_corrupted", "access_permissions" or "home_unusable".
 */
export function readAccess(paths: Pick<HomePaths, "access">): Access {
  const text = readAccessText(paths);
  return text === null ? NO_ACCESS : parseAccess(text, paths.access);
}

/** Returns the text of the file, null when there is none. Throws as {@link readAccess} does. */
export function readAccessText({ access: path }: Pick<HomePaths, "access">): string | null {
  try {
    const file = readFileBoundedSync(path, MAX_ACCESS_FILE_BYTES, (info) => {
      requireOwnersAlone(path, info);
    });
    return file === null ? null : fromUtf8(file.bytes);
  } catch (error) {
    if (error instanceof TypeError) throw corruptedAccess("it is not UTF-8", path);
    if (!(error instanceof IdentityError)) throw unusable(`read ${path}`, error);
    if (error.code === "file_irregular") throw corruptedAccess("it is not a regular file", path);
    if (error.code === "file_too_large") {
      throw corruptedAccess(`it is longer than ${MAX_ACCESS_FILE_BYTES} bytes`, path);
    }
    throw error;
  }
}

/**
 * Replaces what the file says by what `change` makes of it, and returns that.
 *
 * Writes nothing when `change` returns its argument. Throws what `change` throws, what
 * {@link readAccess} throws, and IdentityError "home_unusable".
 */
export async function updateAccess(
  paths: Pick<HomePaths, "access" | "accessLock">,
  change: (access: Access) => Access,
): Promise<Access> {
  return await withFileLock(paths.accessLock, async () => {
    const before = readAccess(paths);
    const after = change(before);
    if (after === before) return before;
    const bytes = utf8(serialiseAccess(after));
    if (bytes.length > MAX_ACCESS_FILE_BYTES) {
      throw new IdentityError(
        "file_too_large",
        `Cannot write ${paths.access}: it would have ${bytes.length} bytes, ` +
          `the limit is ${MAX_ACCESS_FILE_BYTES}`,
        { hints: ["remove grants that have expired"] },
      );
    }
    try {
      await writeFileAtomic(paths.access, bytes);
    } catch (error) {
      throw unusable(`write ${paths.access}`, error);
    }
    return after;
  });
}

function requireOwnersAlone(path: string, info: Deno.FileInfo): void {
  const uid = ownUid();
  const fault = permissionFault(path, info, WRITABLE_BY_OTHERS, uid);
  if (fault === null) return;
  throw new IdentityError("access_permissions", `Cannot trust ${path}: ${fault.state}`, {
    hints: ["see that its grants are yours: talos access list", fault.hint],
  });
}
