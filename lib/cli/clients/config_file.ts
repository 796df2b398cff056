/**
 * A client's configuration file on disk: read, backed up, replaced.
 *
 * A file that is a symbolic link, as people have who keep their settings elsewhere, is followed: what it points
 * to is replaced, the link stays. The mode stays. The backup lies beside the file, with the date in its name, and
 * never takes the place of an older one. A file that changed since it was read is not replaced.
 */

import { equalBytes, utf8 } from "../../bytes.ts";
import { messageOf } from "../../errors.ts";
import {
  PRIVATE_DIRECTORY_MODE,
  PRIVATE_FILE_MODE,
  readFileBounded,
  writeFileAtomic,
} from "../../identity/atomic_file.ts";
import { splitPath } from "../../identity/file_path.ts";
import { exists } from "../../identity/home.ts";
import { MAX_CLIENT_CONFIG_BYTES } from "../../limits.ts";
import { CliError } from "../errors.ts";

/** A configuration as it was read. */
export interface ConfigFile {
  /** Where the client looks for it. */
  readonly path: string;
  /** Where it is: the same but for symbolic links. */
  readonly target: string;
  /** What it held; null when there was none. */
  readonly bytes: Uint8Array | null;
  /** Its text, a byte order mark included; empty when there was none. */
  readonly text: string;
  /** Its permission bits; those of a new one when there was none. */
  readonly mode: number;
}

const PERMISSION_BITS = 0o777;

/** Reads the file at `path`. Throws CliError "client_config" for what cannot be read as UTF-8 text. */
export async function readConfigFile(path: string): Promise<ConfigFile> {
  try {
    const target = await exists(path) ? await Deno.realPath(path) : path;
    const file = await readFileBounded(target, MAX_CLIENT_CONFIG_BYTES);
    if (file === null) {
      return { path, target, bytes: null, text: "", mode: PRIVATE_FILE_MODE };
    }
    const { bytes, info } = file;
    const mode = (info.mode ?? PRIVATE_FILE_MODE) & PERMISSION_BITS;
    return { path, target, bytes, text: decoded(bytes), mode };
  } catch (error) {
    throw unusable("read", path, error);
  }
}

/** Copies what was read beside the file and returns the copy's path; null when there was no file. */
export async function backUp(
  { path, bytes, mode }: ConfigFile,
  now: number,
): Promise<string | null> {
  if (bytes === null) return null;
  const date = new Date(now).toISOString().slice(0, 10);
  for (let number = 1;; number++) {
    const backup = `${path}.${date}${number === 1 ? "" : `-${number}`}.bak`;
    try {
      await Deno.writeFile(backup, bytes, { createNew: true, mode });
      return backup;
    } catch (error) {
      if (error instanceof Deno.errors.AlreadyExists) continue;
      throw unusable("back up", path, error);
    }
  }
}

/** Replaces the file by `text`. Throws CliError "client_config", also when it changed since it was read. */
export async function replaceConfigFile(file: ConfigFile, text: string): Promise<void> {
  const { path, target, bytes, mode } = file;
  const now = (await readConfigFile(path)).bytes;
  const unchanged = now === null || bytes === null ? now === bytes : equalBytes(now, bytes);
  if (!unchanged) {
    throw new CliError(
      "client_config",
      `Cannot change ${path}: something else changed it just now`,
      {
        hints: ["close the program that it belongs to, and run this again"],
      },
    );
  }
  try {
    const [directory] = splitPath(Deno.build.os, target);
    await Deno.mkdir(directory, { recursive: true, mode: PRIVATE_DIRECTORY_MODE });
    await writeFileAtomic(target, utf8(text), mode);
    // The process's umask took bits away that the file had.
    if (Deno.build.os !== "windows") await Deno.chmod(target, mode);
  } catch (error) {
    throw unusable("write", path, error);
  }
}

function decoded(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new TypeError("it is no UTF-8 text");
  }
}

function unusable(action: string, path: string, error: unknown): unknown {
  if (error instanceof CliError || error instanceof Deno.errors.NotCapable) return error;
  return new CliError("client_config", `Cannot ${action} ${path}: ${messageOf(error)}`, {
    cause: error,
  });
}
