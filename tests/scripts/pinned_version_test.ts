/** The version of Deno is pinned in `.dvmrc`; whatever else names it must agree. */

import assert from "node:assert/strict";
import { ROOT } from "../../scripts/source_files.ts";

/** Returns the files below `folder`, relative to the root, whose name ends with `ending`. */
async function filesIn(folder: string, ending: string): Promise<string[]> {
  const files: string[] = [];
  for await (const { name, isFile } of Deno.readDir(new URL(folder, ROOT))) {
    if (isFile && name.endsWith(ending)) files.push(folder + name);
  }
  return files.sort();
}

function read(path: string): Promise<string> {
  return Deno.readTextFile(new URL(path, ROOT));
}

/** Returns the versions that `text` tells somebody or something to use. */
function versionsIn(text: string): string[] {
  const mention = /\bdeno@v?(\d+\.\d+\.\d+)|\bdeno-version: ["']?v?(\d+\.\d+\.\d+)/g;
  return [...text.matchAll(mention)].map(([, npm, action]) => npm ?? action ?? "");
}

Deno.test(".dvmrc holds one exact version", async () => {
  assert.match(await read(".dvmrc"), /^\d+\.\d+\.\d+\n$/);
});

Deno.test("README.md tells newcomers the pinned version", async () => {
  const pinned = (await read(".dvmrc")).trim();
  const found = versionsIn(await read("README.md"));
  assert.ok(found.length >= 2, "the two commands for a machine with Node only");
  assert.deepEqual([...new Set(found)], [pinned]);
});

Deno.test("documents, workflows and .ci/run name no version but the pinned one", async () => {
  const pinned = (await read(".dvmrc")).trim();
  const workflows = await filesIn(".github/workflows/", ".yml");
  assert.ok(workflows.length >= 2);
  const files = [...await filesIn("docs/", ".md"), ...await filesIn("./", ".md"), ".ci/run"];
  for (const path of [...files, ...workflows]) {
    const other = versionsIn(await read(path)).filter((version) => version !== pinned);
    assert.deepEqual(other, [], path);
  }
});

Deno.test("workflows take the version from .dvmrc, and every action by its major version", async () => {
  for (const path of await filesIn(".github/workflows/", ".yml")) {
    const text = await read(path);
    const uses = [...text.matchAll(/uses: (\S+)/g)].map(([, action = ""]) => action);
    assert.ok(uses.length > 0, path);
    for (const action of uses) assert.match(action, /^[\w-]+\/[\w-]+@(?:v\d+|[0-9a-f]{40})$/, path);
    const setups = uses.filter((action) => action.startsWith("denoland/setup-deno@")).length;
    assert.equal(text.split("deno-version-file: .dvmrc").length - 1, setups, path);
  }
});

Deno.test("deno.json and the programs name the same version of Talos", async () => {
  const { version } = JSON.parse(await read("deno.json"));
  const { VERSION } = await import("../../lib/version.ts");
  assert.equal(VERSION, version);
});
