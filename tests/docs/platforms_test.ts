/** The document is held to the code: PLATFORMS.md names every file that asks the operating system. */

import assert from "node:assert/strict";
import { ROOT, typescriptFiles } from "../../scripts/source_files.ts";

const DOCUMENT = "docs/PLATFORMS.md";

/** What asks the operating system for something, outside of comments. */
const ASKS =
  /\bDeno\.(?:build\.os|uid|kill|Command|addSignalListener|watchFs|chmod|link|listen|connect|networkInterfaces|stdin|stdout|stderr|open|openSync|rename|stat|statSync|permissions)\b|\block(?:Sync)?\(true|"node:sqlite"/;

/** Returns `source` without its comments. */
function code(source: string): string {
  return source.replace(/\/\*[\s\S]*?\*\//g, "").replace(/^\s*\/\/.*$/gm, "");
}

/** Returns the files that a document names with a link or in full. */
async function named(document: string): Promise<Set<string>> {
  const text = await Deno.readTextFile(new URL(document, ROOT));
  const base = new URL(document, ROOT);
  return new Set(
    [...text.matchAll(/\]\(([^)\s#]+\.ts)/g)].map(([, target = ""]) =>
      new URL(target, base).href.slice(ROOT.href.length)
    ),
  );
}

Deno.test("PLATFORMS.md names every file that asks the operating system for something", async () => {
  const inDocument = await named(DOCUMENT);
  const files = [...await typescriptFiles("lib"), ...await typescriptFiles("registry")];
  const asking: string[] = [];
  for (const file of files) {
    const source = code(await Deno.readTextFile(new URL(file, ROOT)));
    // A type of Deno's alone asks for nothing.
    if (ASKS.test(source.replaceAll("typeof Deno.build.os", ""))) asking.push(file);
  }
  assert.ok(asking.length > 10, "the search finds what there is");
  const missing = asking.filter((file) => !inDocument.has(file));
  assert.deepEqual(missing, [], `name them in ${DOCUMENT}, with what has been run where`);
});

Deno.test("PLATFORMS.md names functions that exist", async () => {
  const text = await Deno.readTextFile(new URL(DOCUMENT, ROOT));
  const [, table = ""] = /### Pure:[^\n]*\n([\s\S]*?)\n### /.exec(text) ?? [];
  const cells = [...table.matchAll(/^\| (`[^|]+) +\|/gm)].map(([, cell = ""]) => cell);
  const names = cells.flatMap((cell) => [...cell.matchAll(/`(\w+)/g)].map(([, name = ""]) => name));
  assert.ok(names.length > 10, "the table is found");
  const sources: string[] = [];
  for (const folder of ["lib", "registry", "scripts"]) {
    for (const file of await typescriptFiles(folder)) {
      sources.push(await Deno.readTextFile(new URL(file, ROOT)));
    }
  }
  const missing = names.filter((name) =>
    !sources.some((source) => source.includes(`export function ${name}(`))
  );
  assert.deepEqual(missing, []);
});
