/**
 * The little that Talos needs to know about paths, for the system it is told about.
 *
 * Pure, so that the paths of Windows are tested on Linux and the other way round. `node:path` would do,
 * but only for the system at hand unless its two faces are imported, and start-up time counts.
 */

/** The operating systems as `Deno.build.os` names them. */
export type OperatingSystem = typeof Deno.build.os;

const WINDOWS_ABSOLUTE = /^(?:[A-Za-z]:[\\/]|[\\/]{2})/;

/** Returns what separates the parts of a path. */
export function separatorOf(os: OperatingSystem): "\\" | "/" {
  return os === "windows" ? "\\" : "/";
}

/** Tells whether `path` means the same in every working directory. */
export function isAbsolutePath(os: OperatingSystem, path: string): boolean {
  return os === "windows" ? WINDOWS_ABSOLUTE.test(path) : path.startsWith("/");
}

/** Returns `path` followed by `names`, each behind one separator. */
export function joinPath(os: OperatingSystem, path: string, ...names: readonly string[]): string {
  const separator = separatorOf(os);
  let joined = path;
  for (const name of names) {
    const closed = joined.endsWith("/") || (os === "windows" && joined.endsWith("\\"));
    joined += closed ? name : separator + name;
  }
  return joined;
}

/**
 * Returns the directory part of `path`, its last separator included (`./` where it has none), and the
 * name behind it. On Windows both separators count.
 */
export function splitPath(
  os: OperatingSystem,
  path: string,
): [directory: string, name: string] {
  const pattern = os === "windows" ? /^(.*[\\/])?([^\\/]*)$/s : /^(.*\/)?([^/]*)$/s;
  const [, directory = "./", name = ""] = pattern.exec(path) ?? [];
  return [directory, name];
}
