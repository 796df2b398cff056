/**
 * Where published vector files are: beside the checkout, in `shared/vectors/`. A checkout without them
 * is fine; tests that need one are then ignored under a name that says so.
 */

const FOLDER = new URL("../../../shared/vectors/", import.meta.url);

/** Returns the text of a vector file, null when the folder or the file is absent. */
export function sharedVectors(file: string): string | null {
  try {
    return Deno.readTextFileSync(new URL(file, FOLDER));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
}

/** Returns what to append to the name of a test that is ignored for want of `file`, else nothing. */
export function whyIgnored(file: string): string {
  return sharedVectors(file) === null ? ` (ignored: shared/vectors/${file} is absent)` : "";
}
