/**
 * The access file as it is now, while a process runs.
 *
 * The operating system tells when something in the home changes (the file may not exist yet, and is
 * replaced by renaming, so the directory is watched); nothing polls. Only a file that can be read
 * takes effect: with a broken one the last good one stays, and the log says so. A file that vanishes
 * takes its grants along, but not its revocations: losing a file must not let anybody back in.
 * A home that is moved away or removed takes the watch along, and a watch that the system ends tells nothing
 * any more: then {@link AccessWatch.lost} resolves, and who serves has to stop. Whoever is about to decide
 * looks at the file once more ({@link AccessWatch.refresh}), so that no decision stands on old news.
 * Nothing that is locked as POSIX has it, such as an SQLite file, may lie in the home itself: `Deno.watchFs`
 * opens and closes whatever changes there, which takes such locks away from this process.
 */

import { messageOf } from "../errors.ts";
import type { Log } from "../log.ts";
import { type Access, NO_ACCESS } from "./access.ts";
import { readAccessText } from "./access_file.ts";
import { parseAccess } from "./access_format.ts";
import { fileStamp } from "./atomic_file.ts";
import { IdentityError } from "./errors.ts";
import { splitPath } from "./file_path.ts";
import type { HomePaths } from "./home.ts";

/** What watching needs. */
export interface WatchAccessOptions {
  /** Is told of each change that took effect, with the new state; must not throw. */
  readonly onChange: (access: Access) => void;
  /** Takes what is wrong with the file. */
  readonly log: Log;
  /** Ends the watch, as disposing of it does. */
  readonly signal?: AbortSignal;
}

/** A watch over the access file. */
export interface AccessWatch extends AsyncDisposable {
  /** What holds now. */
  readonly current: Access;
  /** Looks whether the file is another one, and puts that into force first: a system call if it is not. */
  refresh(): void;
  /** Resolves with the reason when changes are no longer noticed, though nobody ended the watch. */
  readonly lost: Promise<IdentityError>;
}

/**
 * Reads the access file and watches it from then on, until disposed of or aborted.
 *
 * Throws what `readAccess` throws, and IdentityError "access_unwatchable": without news of revocations
 * no service may run.
 */
export function watchAccess(
  paths: Pick<HomePaths, "home" | "access">,
  options: WatchAccessOptions,
): AccessWatch {
  // Watched before it is read, so that no change falls in between.
  const watcher = openWatcher(paths.home);
  try {
    const home = directoryStamp(paths.home);
    const stamp = fileStamp(paths.access);
    const text = readAccessText(paths);
    const access = text === null ? NO_ACCESS : parseAccess(text, paths.access);
    return new Watch(paths, options, watcher, { home, stamp, text, access });
  } catch (error) {
    watcher.close();
    throw error;
  }
}

/** What a watch begins with. */
interface Seen {
  /** Which directory the home is. */
  readonly home: string | null;
  /** What the file looked like from outside, and what it held. */
  readonly stamp: string | null;
  readonly text: string | null;
  readonly access: Access;
}

class Watch implements AccessWatch {
  #current: Access;
  #text: string | null;
  #stamp: string | null;
  #complaint = "";
  readonly #home: string | null;
  readonly #lost = Promise.withResolvers<IdentityError>();
  readonly #paths: Pick<HomePaths, "home" | "access">;
  readonly #options: WatchAccessOptions;
  readonly #watcher: Deno.FsWatcher;
  readonly #finished: Promise<void>;
  #closed = false;

  constructor(
    paths: Pick<HomePaths, "home" | "access">,
    options: WatchAccessOptions,
    watcher: Deno.FsWatcher,
    { home, stamp, text, access }: Seen,
  ) {
    this.#paths = paths;
    this.#options = options;
    this.#watcher = watcher;
    this.#home = home;
    this.#stamp = stamp;
    this.#text = text;
    this.#current = access;
    this.#finished = this.#follow();
    if (options.signal?.aborted) this.#close();
    options.signal?.addEventListener("abort", this.#close, { once: true });
  }

  get current(): Access {
    return this.#current;
  }

  get lost(): Promise<IdentityError> {
    return this.#lost.promise;
  }

  refresh(): void {
    if (!this.#closed && fileStamp(this.#paths.access) !== this.#stamp) this.#reread();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#close();
    await this.#finished;
  }

  readonly #close = (): void => {
    if (this.#closed) return;
    this.#closed = true;
    this.#options.signal?.removeEventListener("abort", this.#close);
    this.#watcher.close();
  };

  async #follow(): Promise<void> {
    const nameOf = (path: string) => splitPath(Deno.build.os, path)[1];
    const name = nameOf(this.#paths.access);
    const home = nameOf(this.#paths.home);
    let reason = "the system has ended the watch";
    try {
      for await (const event of this.#watcher) {
        // Names alone: some systems report paths with their symbolic links resolved. A rescan means
        // that the system lost events.
        const ours = event.paths.some((path) => nameOf(path) === name);
        if (ours || event.flag === "rescan") this.#reread();
        // What happens to the home itself is told with its own path.
        const isHome = event.paths.some((path) => nameOf(path) === home);
        if (isHome && directoryStamp(this.#paths.home) !== this.#home) {
          reason = "the home was moved or removed";
          break;
        }
      }
    } catch (error) {
      reason = messageOf(error);
    }
    if (this.#closed) return;
    this.#close();
    this.#lost.resolve(unwatched(this.#paths.access, reason));
  }

  #reread(): void {
    let text: string | null;
    let access: Access;
    this.#stamp = fileStamp(this.#paths.access); // before it is read: a later change is seen as one
    try {
      text = readAccessText(this.#paths);
      if (text === this.#text) {
        this.#complaint = "";
        return;
      }
      access = text === null ? this.#afterRemoval() : parseAccess(text, this.#paths.access);
    } catch (error) {
      this.#complain(messageOf(error));
      return;
    }
    if (this.#closed) return;
    this.#text = text;
    this.#current = access;
    this.#complaint = "";
    this.#options.onChange(access);
  }

  #afterRemoval(): Access {
    const { revocations } = this.#current;
    this.#options.log.warn("access.json was removed: its grants no longer hold", {
      revocations_kept: revocations.length,
    });
    return { grants: [], revocations };
  }

  /** Says it once per fault: one write makes several events. */
  #complain(reason: string): void {
    if (reason === this.#complaint) return;
    this.#complaint = reason;
    this.#options.log.error("access.json is not used, the last good one stays in force", {
      reason,
    });
  }
}

function openWatcher(home: string): Deno.FsWatcher {
  try {
    return Deno.watchFs(home, { recursive: false });
  } catch (error) {
    throw new IdentityError(
      "access_unwatchable",
      `Cannot watch ${home} for changes of access.json: ${messageOf(error)}`,
      {
        cause: error,
        hints: ["on Linux, raise fs.inotify.max_user_instances and fs.inotify.max_user_watches"],
      },
    );
  }
}

/** Returns which directory is at `path`; null when that cannot be told. */
function directoryStamp(path: string): string | null {
  try {
    const { dev, ino } = Deno.statSync(path);
    return `${dev} ${ino}`;
  } catch {
    return null;
  }
}

function unwatched(path: string, reason: string): IdentityError {
  return new IdentityError(
    "access_unwatchable",
    `Cannot serve without news of revocations: changes of ${path} are no longer noticed, since ${reason}`,
    { hints: ["see that the home is where it was, and start it again"] },
  );
}
