/**
 * Small files that are either the old one or the new one, never half of one, even after a power cut.
 *
 * Writing: a temporary file in the same directory, made new (`O_EXCL`) with its final mode, written,
 * fsynced, renamed over the target, the directory fsynced where the system allows it. A symbolic link
 * at the target is *replaced*, not followed: the bytes of a secret never land where a link of somebody
 * else points. A process killed in between may leave a `.name.<pid>.<n>.tmp` of the same mode behind;
 * nothing reads it. Reading: a regular file only, its size checked before anything is allocated.
 */

import type { Bytes } from "../bytes.ts";
import { messageOf } from "../errors.ts";
import { IdentityError } from "./errors.ts";
import { splitPath } from "./file_path.ts";

/** Owner may read and write, others nothing. */
export const PRIVATE_FILE_MODE = 0o600;

/** Owner may list and enter, others nothing. */
export const PRIVATE_DIRECTORY_MODE = 0o700;

const MAX_TEMPORARY_NAMES = 64;

let lastTemporary = 0;

/**
 * Replaces the file at `path` by one of exactly `bytes`, atomically, and returns when it is on disk.
 *
 * On failure the target is as before, the temporary file is removed, and the system's error is thrown.
 *
 * @param mode The permission bits of the new file; ignored on Windows.
 */
export async function writeFileAtomic(
  path: string,
  bytes: Uint8Array,
  mode = PRIVATE_FILE_MODE,
): Promise<void> {
  const [directory, name] = splitPath(Deno.build.os, path);
  const temporary = await createTemporary(directory, name, mode);
  try {
    try {
      await writeAll(temporary.file, bytes);
      await temporary.file.sync();
    } finally {
      temporary.file.close();
    }
    await Deno.rename(temporary.path, path);
  } catch (error) {
    await Deno.remove(temporary.path).catch(() => {}); // the first error counts
    throw error;
  }
  await syncDirectory(directory);
}

/** What {@link readFileBounded} found. */
export interface BoundedFile {
  /** The whole content. */
  readonly bytes: Bytes;
  /** Facts about the very file that was read, a symbolic link followed. */
  readonly info: Deno.FileInfo;
}

/**
 * Returns the content of the regular file at `path`, or null when there is none.
 *
 * Throws IdentityError "file_irregular" for anything but a regular file (a pipe is never opened),
 * "file_too_large" beyond `maxBytes`, and the system's error otherwise.
 *
 * @param check Sees the facts before the file is opened and those of the opened file, and may throw.
 */
export async function readFileBounded(
  path: string,
  maxBytes: number,
  check: (info: Deno.FileInfo) => void = () => {},
): Promise<BoundedFile | null> {
  try {
    // Look before: opening a pipe would wait for a writer, and a file that may not be read is better
    // explained by its mode. Look again: it may have been another file.
    const before = await Deno.stat(path);
    requireRegular(path, before);
    check(before);
    using file = await Deno.open(path, { read: true });
    const info = await file.stat();
    requireRegular(path, info);
    check(info);
    return { bytes: await readOpenFile(file, path, maxBytes, info.size), info };
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
}

/** Does what {@link readFileBounded} does, at once: for a few kilobytes that a decision waits for. */
export function readFileBoundedSync(
  path: string,
  maxBytes: number,
  check: (info: Deno.FileInfo) => void = () => {},
): BoundedFile | null {
  try {
    const before = Deno.statSync(path);
    requireRegular(path, before);
    check(before);
    using file = Deno.openSync(path, { read: true });
    const info = file.statSync();
    requireRegular(path, info);
    check(info);
    if (info.size > maxBytes) throw tooLarge(path, maxBytes);
    const buffer = new Uint8Array(maxBytes + 1); // one byte more tells that there is more
    let length = 0;
    while (length < buffer.length) {
      const read = file.readSync(buffer.subarray(length));
      if (read === null) return { bytes: buffer.slice(0, length), info };
      length += read;
    }
    throw tooLarge(path, maxBytes);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
}

/**
 * Returns what remains to be read of `file`, a pipe for instance. Throws IdentityError
 * "file_too_large" beyond `maxBytes`.
 *
 * @param path The name for the error.
 * @param expected How much there probably is, so that one read suffices.
 */
export async function readOpenFile(
  file: Deno.FsFile,
  path: string,
  maxBytes: number,
  expected = maxBytes,
): Promise<Bytes> {
  if (expected > maxBytes) throw tooLarge(path, maxBytes);
  // One byte more than there should be tells that there is more.
  let buffer = new Uint8Array(expected + 1);
  let length = 0;
  for (;;) {
    const read = await file.read(buffer.subarray(length));
    if (read === null) return buffer.slice(0, length);
    length += read;
    if (length > maxBytes) throw tooLarge(path, maxBytes);
    if (length === buffer.length) {
      const larger = new Uint8Array(Math.min(2 * buffer.length, maxBytes + 1));
      larger.set(buffer);
      buffer = larger;
    }
  }
}

/**
 * Returns what tells one state of the file at `path` from another, at the price of one look; null when it
 * cannot be looked at.
 */
export function fileStamp(path: string): string | null {
  try {
    const { dev, ino, size, mode, uid, mtime, ctime } = Deno.statSync(path);
    return [dev, ino, size, mode, uid, mtime?.getTime(), ctime?.getTime()].join(" ");
  } catch {
    return null;
  }
}

/**
 * Makes the file at `path`, empty and private, unless it is there. SQLite would make it by the umask; it takes
 * over the mode of a file that is there. Throws what the system does.
 */
export function makePrivateFileSync(path: string): void {
  try {
    Deno.openSync(path, { write: true, createNew: true, mode: PRIVATE_FILE_MODE }).close();
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
  }
}

/** Returns an IdentityError "home_unusable" for an error of the operating system. */
export function unusable(action: string, error: unknown): IdentityError {
  if (error instanceof IdentityError) return error;
  return new IdentityError("home_unusable", `Cannot ${action}: ${messageOf(error)}`, {
    cause: error,
    hints: ["see that the disk is not full and that the directory belongs to you"],
  });
}

async function createTemporary(
  directory: string,
  name: string,
  mode: number,
): Promise<{ path: string; file: Deno.FsFile }> {
  for (let attempt = 1;; attempt++) {
    const path = `${directory}.${name}.${Deno.pid}.${lastTemporary++}.tmp`;
    try {
      return { path, file: await Deno.open(path, { write: true, createNew: true, mode }) };
    } catch (error) {
      // Left behind by a killed process that had our number: take the next name.
      const taken = error instanceof Deno.errors.AlreadyExists;
      if (!taken || attempt === MAX_TEMPORARY_NAMES) throw error;
    }
  }
}

async function writeAll(file: Deno.FsFile, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await file.write(bytes.subarray(at));
}

/** Makes a rename durable. Windows cannot open directories; there the file system's journal must do. */
async function syncDirectory(directory: string): Promise<void> {
  try {
    using handle = await Deno.open(directory, { read: true });
    await handle.sync();
  } catch {
    // The file is complete and in place; only its survival of a power cut is the system's affair.
  }
}

function requireRegular(path: string, info: Deno.FileInfo): void {
  if (info.isFile) return;
  throw new IdentityError("file_irregular", `Cannot read ${path}: it is not a regular file`);
}

function tooLarge(path: string, maxBytes: number): IdentityError {
  return new IdentityError(
    "file_too_large",
    `Cannot read ${path}: it is longer than ${maxBytes} bytes`,
  );
}
