/**
 * Fails when an import points the wrong way. A layer imports itself and those above it in this list;
 * `registry/` uses `lib/` down to `session/`; `main.ts` joins `cli/` and `registry/`, which know nothing of each other.
 */

// deno-lint-ignore-file no-console -- printing is what this script is for.

import { ROOT, typescriptFiles } from "./source_files.ts";

const LAYERS = [
  "base",
  "crypto",
  "identity",
  "wire",
  "noise",
  "transport",
  "session",
  "discovery",
  "mcp",
  "cli",
] as const;

const LAST_FOR_REGISTRY = "session";
const IMPORT =
  /(?:^|\n)\s*(?:import|export)\b[^;"]*?\bfrom\s+"([^"]+)"|\bimport\(\s*"([^"]+)"|(?:^|\n)import\s+"([^"]+)"/g;

/** Returns the layer of a path relative to the root, or null when it is in none. */
export function layerOf(path: string): string | null {
  const inLib = /^lib\/(?:([^/]+)\/)?[^/]+/.exec(path);
  if (inLib) return inLib[1] ?? "base";
  if (path.startsWith("registry/")) return "registry";
  return path === "main.ts" ? "main" : null;
}

/** Returns why a file of layer `from` may not import one of layer `to`, or null when it may. */
export function violation(from: string, to: string): string | null {
  if (from === to) return null;
  if (from === "main") {
    return to === "cli" || to === "registry" ? null : "main.ts imports only cli/ and registry/";
  }
  const rank = (layer: string) => LAYERS.findIndex((name) => name === layer);
  if (rank(to) < 0) return `${to} is no layer of lib/`;
  if (from === "registry") {
    return rank(to) <= rank(LAST_FOR_REGISTRY) ? null : "registry/ uses lib/ down to session/";
  }
  return rank(to) < rank(from) ? null : `${to}/ lies below ${from}/`;
}

/** Returns the specifiers that a source text imports. */
export function importsOf(source: string): string[] {
  return [...source.matchAll(IMPORT)].map(([, from, called, bare]) => from ?? called ?? bare ?? "");
}

async function main(): Promise<number> {
  const files = [
    ...await typescriptFiles("lib"),
    ...await typescriptFiles("registry"),
    "main.ts",
  ];
  let wrong = 0;
  let imports = 0;
  for (const file of files) {
    const from = layerOf(file);
    const source = await Deno.readTextFile(new URL(file, ROOT));
    for (const specifier of importsOf(source)) {
      if (!specifier.startsWith(".")) continue;
      imports++;
      const target = new URL(specifier, new URL(file, ROOT)).href.slice(ROOT.href.length);
      const to = layerOf(target);
      const why = from === null || to === null ? "it leaves the layers" : violation(from, to);
      if (why === null) continue;
      wrong++;
      console.error(`${file}: imports ${target}: ${why}`);
    }
  }
  console.log(`layers: ${files.length} files, ${imports} imports, ${wrong} wrong`);
  return wrong === 0 && imports > 0 ? 0 : 1;
}

if (import.meta.main) Deno.exit(await main());
