/**
 * Whether only the owner can touch a file, on systems with POSIX modes.
 *
 * On Windows nothing is checked: a file in the user's profile inherits an access list that admits the
 * user, administrators and the system.
 */

/** What is wrong with the permissions of a file, and how it is cured. */
export interface PermissionFault {
  /** The state, to follow "Cannot …: ". */
  readonly state: string;
  /** What to run. */
  readonly hint: string;
}

/** Any access of group or others. */
export const ACCESSIBLE_BY_OTHERS = 0o077;

/** Write access of group or others. */
export const WRITABLE_BY_OTHERS = 0o022;

/** Returns the user that runs this process; null on Windows, which has no such number. */
export function ownUid(): number | null {
  return Deno.build.os === "windows" ? null : Deno.uid();
}

/**
 * Returns what is wrong with a file, or null: it belongs to another user than `uid`, or its mode has a
 * bit of `forbidden`.
 *
 * @param info Facts about the file; a system that gives no mode or owner passes.
 * @param uid The user that runs this process, null where there is none (Windows).
 */
export function permissionFault(
  path: string,
  info: Pick<Deno.FileInfo, "mode" | "uid" | "isDirectory">,
  forbidden: number,
  uid: number | null,
): PermissionFault | null {
  if (uid === null) return null;
  if (info.uid !== null && info.uid !== uid) {
    return {
      state: `it belongs to user ${info.uid}, this process runs as user ${uid}`,
      hint: `run as that user, or: chown ${uid} ${quotedPath(path)}`,
    };
  }
  if (info.mode === null || (info.mode & forbidden) === 0) return null;
  const mode = (info.mode & 0o7777).toString(8).padStart(4, "0");
  const right = info.isDirectory ? "700" : "600";
  const who = forbidden === WRITABLE_BY_OTHERS ? "others can write it" : "others can read it";
  return { state: `${who} (mode ${mode})`, hint: `run: chmod ${right} ${quotedPath(path)}` };
}

/** Returns `path` as a POSIX shell takes it. */
export function quotedPath(path: string): string {
  return /^[A-Za-z0-9_./~+:@%,=-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`;
}
