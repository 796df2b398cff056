/** What is asked about directories to find a client's configuration: a thin executor. */

/** Returns the names of the directories in `directory`; none where there is no such directory. */
export function directoriesIn(directory: string): readonly string[] {
  try {
    return [...Deno.readDirSync(directory)].filter((one) => one.isDirectory).map(({ name }) =>
      name
    );
  } catch {
    return []; // not there, or not ours to look at
  }
}

/** Tells whether something is at `path`. */
export function isThere(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch {
    return false; // not there, or not ours to look at
  }
}
