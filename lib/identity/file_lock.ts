/**
 * Mutual exclusion between processes, by the operating system's lock on an open file.
 *
 * The system frees such a lock when its holder ends, however it ends: kill -9 leaves nothing behind
 * that blocks anybody. Deno opens files close-on-exec, so children do not inherit a lock. The lock file
 * itself stays: removing it while another process waits for it would let two in. On network file
 * systems this is as good as their `flock`.
 */

import { PRIVATE_FILE_MODE, unusable } from "./atomic_file.ts";

/**
 * Runs `body` while this process, and in it this call, is the only one that holds the lock at `path`;
 * waits for the others first. Throws what `body` throws, and IdentityError "home_unusable" when the
 * lock file cannot be opened or locked.
 */
export async function withFileLock<T>(path: string, body: () => Promise<T>): Promise<T> {
  using file = openLockFile(path);
  try {
    await file.lock(true);
  } catch (error) {
    throw unusable(`lock ${path}`, error);
  }
  return await body();
}

/**
 * Like {@link withFileLock}, without yielding: for bodies of a few small system calls. Never called
 * inside another lock on the same path, that would wait for itself.
 */
export function withFileLockSync<T>(path: string, body: () => T): T {
  using file = openLockFile(path);
  try {
    file.lockSync(true);
  } catch (error) {
    throw unusable(`lock ${path}`, error);
  }
  return body();
}

/** Opens a lock file, made if need be. Throws IdentityError "home_unusable". */
export function openLockFile(path: string): Deno.FsFile {
  try {
    return Deno.openSync(path, {
      read: true,
      write: true,
      create: true,
      mode: PRIVATE_FILE_MODE,
    });
  } catch (error) {
    throw unusable(`open ${path}`, error);
  }
}
