/**
 * Stand-ins: whole Deno executables from npm in the place of the runtime that `deno compile` downloads
 * from Deno's own host, which cannot be reached from everywhere.
 *
 * What is linked with one shows that the program, its packages and the system's file format fit together
 * and nothing more: it runs as `deno`, not as the program.
 */

import type { Target } from "./compile_targets.ts";
import { ROOT } from "./source_files.ts";

/** A stand-in for a runtime. */
export interface StandIn {
  /** The executable. */
  readonly path: string;
  /** Its version, as far as it is known. */
  readonly version: string;
}

/** Where stand-ins from npm are kept: a module cache of their own. */
const CACHE = new URL("dist/stand-in/.npm/", ROOT);

/** Packages lie no deeper than this: `npm/<registry>/@deno/<name>/<version>/deno`. */
const MAX_DEPTH = 6;

/**
 * Returns the stand-in for `target` from `folder`, which holds npm packages (`@deno/win32-x64/deno.exe`)
 * in whatever depth; null when it has none.
 */
export async function findStandIn(folder: string | URL, target: Target): Promise<StandIn | null> {
  const name = `deno${target.extension}`;
  const inPackage = new RegExp(
    `[\\\\/]${target.standIn.replace("/", "[\\\\/]")}(?:[\\\\/](\\d[^\\\\/]*))?[\\\\/]${
      name.replace(".", "\\.")
    }$`,
  );
  for await (const path of filesBelow(folder, MAX_DEPTH)) {
    const match = inPackage.exec(path);
    if (match !== null) return { path, version: match[1] ?? "unknown" };
  }
  return null;
}

/**
 * Returns a stand-in for `target`: this Deno itself for the system at hand, else the package from npm of
 * the same minor version, downloaded if need be. Throws Error when npm does not have it.
 */
export async function standInFromNpm(target: Target): Promise<StandIn> {
  if (target.triple === Deno.build.target) {
    return { path: await Deno.realPath(Deno.execPath()), version: Deno.version.deno };
  }
  const cached = await findStandIn(CACHE, target);
  if (cached !== null) return cached;
  await Deno.mkdir(CACHE, { recursive: true });
  const [major, minor] = Deno.version.deno.split(".");
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      "cache",
      "--no-config",
      "--no-lock",
      "--quiet",
      `npm:${target.standIn}@${major}.${minor}`,
    ],
    cwd: CACHE,
    env: { DENO_DIR: ".", NO_COLOR: "1" },
    stdout: "null",
    stderr: "piped",
  }).output();
  const downloaded = success ? await findStandIn(CACHE, target) : null;
  if (downloaded !== null) return downloaded;
  const why = new TextDecoder().decode(stderr).trim().split("\n")[0] ?? "";
  throw new Error(`Cannot get ${target.standIn} from npm: ${why}`);
}

async function* filesBelow(folder: string | URL, depth: number): AsyncGenerator<string> {
  const path = folder instanceof URL ? await pathOf(folder) : folder;
  if (path === null) return;
  for await (const entry of Deno.readDir(path)) {
    const below = `${path}/${entry.name}`;
    if (entry.isDirectory && depth > 0) yield* filesBelow(below, depth - 1);
    else if (entry.isFile) yield below;
  }
}

async function pathOf(folder: URL): Promise<string | null> {
  return await Deno.realPath(folder).catch(() => null);
}
