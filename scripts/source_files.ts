/** Lists the project's own files for the programs that check them. */

/** The root of the checkout. */
export const ROOT: URL = new URL("../", import.meta.url);

/** Returns the paths, relative to the root, of all TypeScript files below `folder` (`.` for the root). */
export async function typescriptFiles(folder: string): Promise<string[]> {
  const files: string[] = [];
  for await (const entry of Deno.readDir(new URL(`${folder}/`, ROOT))) {
    const path = folder === "." ? entry.name : `${folder}/${entry.name}`;
    if (entry.isDirectory && folder !== ".") files.push(...await typescriptFiles(path));
    else if (entry.isFile && entry.name.endsWith(".ts")) files.push(path);
  }
  return files.sort();
}
