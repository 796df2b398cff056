/**
 * The policy file, read whole, and watched while a process runs.
 *
 * The operating system tells when something changes in its directory (a file is often replaced by renaming),
 * and in that of the file which a symbolic link leads to. Where these are others than before, they are watched
 * anew. Only a file that can be read takes effect: with a
 * broken one, or none, the last good one stays in force, and the log says so as an error. A watch that the
 * system ends tells nothing any more: then {@link PolicyWatch.lost} resolves, and who serves has to stop.
 */

import { fromUtf8 } from "../../bytes.ts";
import { messageOf } from "../../errors.ts";
import { fileStamp, readFileBoundedSync } from "../../identity/atomic_file.ts";
import { splitPath } from "../../identity/file_path.ts";
import { ownUid, permissionFault, WRITABLE_BY_OTHERS } from "../../identity/file_permissions.ts";
import { MAX_POLICY_FILE_BYTES } from "../../limits.ts";
import type { Log } from "../../log.ts";
import { McpError } from "../errors.ts";
import type { Policy } from "./policy.ts";
import { invalidPolicy, parsePolicy } from "./policy_format.ts";

/** Returns the policy in a file. Throws McpError "policy_invalid" or "policy_permissions". */
export function readPolicy(path: string): Policy {
  return parsePolicy(readPolicyText(path), path);
}

function readPolicyText(path: string): string {
  try {
    const file = readFileBoundedSync(path, MAX_POLICY_FILE_BYTES, (info) => {
      const fault = permissionFault(path, info, WRITABLE_BY_OTHERS, ownUid());
      if (fault === null) return;
      throw new McpError("policy_permissions", `Cannot trust ${path}: ${fault.state}`, {
        hints: ["see that what it permits is yours to permit", fault.hint],
      });
    });
    if (file === null) throw invalidPolicy("there is no such file", path);
    return fromUtf8(file.bytes);
  } catch (error) {
    if (error instanceof McpError) throw error;
    if (error instanceof TypeError) throw invalidPolicy("it is not UTF-8", path, error);
    throw invalidPolicy(messageOf(error), path, error);
  }
}

/** What watching needs. */
export interface WatchPolicyOptions {
  /** Is told of each policy that takes effect; must not throw. */
  readonly onChange: (policy: Policy) => void;
  /** Takes what is wrong with the file. */
  readonly log: Log;
}

/** A watch over a policy file. */
export interface PolicyWatch extends AsyncDisposable {
  /** What holds now. */
  readonly current: Policy;
  /** Looks whether the file is another one, and puts that into force first: a system call if it is not. */
  refresh(): void;
  /** Resolves with the reason when changes are no longer noticed, though nobody ended the watch. */
  readonly lost: Promise<McpError>;
}

/**
 * Reads a policy file and watches it from then on, until disposed of. Throws what {@link readPolicy} throws,
 * and McpError "policy_unwatchable".
 */
export function watchPolicy(path: string, options: WatchPolicyOptions): PolicyWatch {
  // Watched before it is read, so that no change falls in between.
  const watched = openWatcher(path);
  try {
    const stamp = fileStamp(path);
    const text = readPolicyText(path);
    return new Watch(path, options, watched, { stamp, text, policy: parsePolicy(text, path) });
  } catch (error) {
    watched[1].close();
    throw error;
  }
}

interface Seen {
  readonly stamp: string | null;
  readonly text: string;
  readonly policy: Policy;
}

class Watch implements PolicyWatch {
  #current: Policy;
  #text: string;
  #stamp: string | null;
  #complaint = "";
  readonly #path: string;
  readonly #options: WatchPolicyOptions;
  readonly #lost = Promise.withResolvers<McpError>();
  #places: Places;
  #watcher: Deno.FsWatcher;
  readonly #finished: Promise<void>;
  #closed = false;

  constructor(
    path: string,
    options: WatchPolicyOptions,
    [places, watcher]: Watched,
    { stamp, text, policy }: Seen,
  ) {
    this.#path = path;
    this.#options = options;
    this.#places = places;
    this.#watcher = watcher;
    this.#stamp = stamp;
    this.#text = text;
    this.#current = policy;
    this.#finished = this.#follow();
  }

  get current(): Policy {
    return this.#current;
  }

  get lost(): Promise<McpError> {
    return this.#lost.promise;
  }

  refresh(): void {
    if (!this.#closed && fileStamp(this.#path) !== this.#stamp) this.#reread();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#closed) {
      this.#closed = true;
      close(this.#watcher);
    }
    await this.#finished;
  }

  async #follow(): Promise<void> {
    let lost: McpError | null = null;
    while (lost === null && !this.#closed) lost = await this.#watchOn();
    if (this.#closed || lost === null) return;
    this.#closed = true;
    close(this.#watcher);
    this.#lost.resolve(lost);
  }

  /** Looks at the file at every event, until other directories have to be watched; returns why that fails. */
  async #watchOn(): Promise<McpError | null> {
    try {
      // Whatever changes there: what a symbolic link leads through may have any name.
      for await (const _event of this.#watcher) {
        if (placesOf(this.#path).stamp === this.#places.stamp) {
          this.refresh();
          continue;
        }
        const [places, watcher] = openWatcher(this.#path);
        close(this.#watcher);
        [this.#places, this.#watcher] = [places, watcher];
        this.refresh();
        return null;
      }
    } catch (error) {
      return error instanceof McpError ? error : unwatchable(this.#path, messageOf(error));
    }
    return unwatchable(this.#path, "the system has ended the watch");
  }

  #reread(): void {
    const { log, onChange } = this.#options;
    this.#stamp = fileStamp(this.#path); // before it is read: a later change is seen as one
    let text: string;
    let policy: Policy;
    try {
      text = readPolicyText(this.#path);
      if (text === this.#text) {
        this.#complaint = "";
        return;
      }
      policy = parsePolicy(text, this.#path);
    } catch (error) {
      this.#complain(messageOf(error));
      return;
    }
    this.#text = text;
    this.#current = policy;
    this.#complaint = "";
    log.info("the policy has changed, and holds from now on", { rules: policy.rules.length });
    onChange(policy);
  }

  /** Says it once per fault: one write makes several events. */
  #complain(reason: string): void {
    if (reason === this.#complaint) return;
    this.#complaint = reason;
    this.#options.log.error("the policy file is not used, the last good one stays in force", {
      reason,
    });
  }
}

/** The directories whose changes matter, and what tells them from others. */
interface Places {
  readonly directories: readonly string[];
  readonly stamp: string;
  /** Whether the directory itself is not there. */
  readonly isGone: boolean;
}

type Watched = readonly [places: Places, watcher: Deno.FsWatcher];

function openWatcher(path: string): Watched {
  const places = placesOf(path);
  // Not every system refuses to watch what is not there.
  if (places.isGone) throw unwatchable(path, "there is no such directory");
  try {
    return [places, Deno.watchFs([...places.directories], { recursive: false })];
  } catch (error) {
    throw unwatchable(path, messageOf(error), error);
  }
}

/** Closes a watcher, which may be closed: leaving a loop over it does that. */
function close(watcher: Deno.FsWatcher): void {
  try {
    watcher.close();
  } catch (error) {
    if (!(error instanceof Deno.errors.BadResource)) throw error;
  }
}

function placesOf(path: string): Places {
  const own = directoryOf(path);
  const directories = new Set([own]);
  try {
    directories.add(directoryOf(Deno.realPathSync(path)));
  } catch {
    // there is no file now: what is there says when there is one again
  }
  const stamps = [...directories].map((directory) => {
    try {
      const { dev, ino } = Deno.statSync(directory);
      return `${directory} ${dev} ${ino}`;
    } catch {
      return `${directory} gone`;
    }
  });
  const isGone = stamps[0] === `${own} gone`;
  return { directories: [...directories], stamp: stamps.join("\n"), isGone };
}

/** Returns the directory of a file, links in it followed: one that is there is watched once. */
function directoryOf(path: string): string {
  const [directory] = splitPath(Deno.build.os, path);
  try {
    return Deno.realPathSync(directory);
  } catch {
    return directory;
  }
}

function unwatchable(path: string, reason: string, cause?: unknown): McpError {
  return new McpError(
    "policy_unwatchable",
    `Cannot serve without news of the policy: changes of ${path} are no longer noticed, since ${reason}`,
    {
      cause,
      hints: [
        "see that the file is where it was, and start it again",
        "on Linux, raise fs.inotify.max_user_instances and fs.inotify.max_user_watches",
      ],
    },
  );
}
