/**
 * The access file as it is now, while a process runs.
 *
 * The operating system tells when something in the home changes (the file may not exist yet, and is
 * replaced by renaming, so the directory is watched); nothing polls. Only a file that can be read
 * takes effect: with a broken one the last good one stays, and the log says so. A file that vanishes
 * takes its grants along, but not its revocations: losing a file must not let anybody back in.
 * Nothing that is locked as POSIX has it, such as an SQLite file, may lie in the home itself: `Deno.watchFs`
 * opens and closes whatever changes there, which takes such locks away from this process.
 */

import { messageOf } from "../errors.ts";
import type { Log } from "../log.ts";
import { type Access, NO_ACCESS } from "./access.ts";
import { readAccessText } from "./access_file.ts";
import { parseAccess } from "./access_format.ts";
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
}

/**
 * Reads the access file and watches it from then on, until disposed of or aborted.
 *
 * Throws what `readAccess` throws, and IdentityError "access_unwatchable": without news of revocations
 * no service may run.
 */
export async function watchAccess(
  paths: Pick<HomePaths, "home" | "access">,
  options: WatchAccessOptions,
): Promise<AccessWatch> {
  // Watched before it is read, so that no change falls in between.
  const watcher = openWatcher(paths.home);
  try {
    const text = await readAccessText(paths);
    const access = text === null ? NO_ACCESS : parseAccess(text);
    return new Watch(paths, options, watcher, text, access);
  } catch (error) {
    watcher.close();
    throw error;
  }
}

class Watch implements AccessWatch {
  #current: Access;
  #text: string | null;
  #complaint = "";
  readonly #paths: Pick<HomePaths, "home" | "access">;
  readonly #options: WatchAccessOptions;
  readonly #watcher: Deno.FsWatcher;
  readonly #finished: Promise<void>;
  #closed = false;

  constructor(
    paths: Pick<HomePaths, "home" | "access">,
    options: WatchAccessOptions,
    watcher: Deno.FsWatcher,
    text: string | null,
    access: Access,
  ) {
    this.#paths = paths;
    this.#options = options;
    this.#watcher = watcher;
    this.#text = text;
    this.#current = access;
    this.#finished = this.#follow();
    if (options.signal?.aborted) this.#close();
    options.signal?.addEventListener("abort", this.#close, { once: true });
  }

  get current(): Access {
    return this.#current;
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
    try {
      for await (const event of this.#watcher) {
        // Names alone: some systems report paths with their symbolic links resolved. A rescan means
        // that the system lost events.
        const ours = event.paths.some((path) => nameOf(path) === name);
        if (ours || event.flag === "rescan") await this.#reread();
      }
    } catch (error) {
      if (!this.#closed) {
        this.#options.log.error("changes of access.json are no longer noticed", {
          reason: messageOf(error),
        });
      }
    }
  }

  async #reread(): Promise<void> {
    let text: string | null;
    let access: Access;
    try {
      text = await readAccessText(this.#paths);
      if (text === this.#text) {
        this.#complaint = "";
        return;
      }
      access = text === null ? this.#afterRemoval() : parseAccess(text);
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
