import assert from "node:assert/strict";
import { importsOf, layerOf, violation } from "../../scripts/check_layers.ts";

for (
  const [path, layer] of [
    ["lib/errors.ts", "base"],
    ["lib/crypto/ed25519.ts", "crypto"],
    ["lib/cli/commands/init.ts", "cli"],
    ["registry/main.ts", "registry"],
    ["registry/store/sqlite.ts", "registry"],
    ["main.ts", "main"],
    ["scripts/demo.ts", null],
    ["tests/lib/a.ts", null],
    ["deno.json", null],
  ] as const
) {
  Deno.test(`layerOf() is ${layer} when the file is ${path}`, () => {
    assert.equal(layerOf(path), layer);
  });
}

for (
  const [from, to] of [
    ["crypto", "base"],
    ["session", "crypto"],
    ["session", "session"],
    ["mcp", "session"],
    ["cli", "mcp"],
    ["main", "cli"],
    ["main", "registry"],
    ["registry", "base"],
    ["registry", "session"],
    ["registry", "registry"],
  ] as const
) {
  Deno.test(`violation() is null when ${from} imports ${to}`, () => {
    assert.equal(violation(from, to), null);
  });
}

for (
  const [from, to, why] of [
    ["base", "crypto", "crypto/ lies below base/"],
    ["crypto", "identity", "identity/ lies below crypto/"],
    ["session", "mcp", "mcp/ lies below session/"],
    ["mcp", "cli", "cli/ lies below mcp/"],
    ["cli", "registry", "registry is no layer of lib/"],
    ["cli", "main", "main is no layer of lib/"],
    ["session", "helpers", "helpers is no layer of lib/"],
    ["helpers", "base", "base/ lies below helpers/"],
    ["main", "mcp", "main.ts imports only cli/ and registry/"],
    ["registry", "main", "main is no layer of lib/"],
    ["registry", "discovery", "registry/ uses lib/ down to session/"],
    ["registry", "cli", "registry/ uses lib/ down to session/"],
  ] as const
) {
  Deno.test(`violation() says why when ${from} imports ${to}`, () => {
    assert.equal(violation(from, to), why);
  });
}

Deno.test("importsOf() finds every way to import", () => {
  assert.deepEqual(
    importsOf(`/** A header. */
import { a } from "./a.ts";
import type { B } from "./b.ts";
import {
  c,
  type D,
} from "./c.ts";
import * as e from "npm:e";
import "./f.ts";
export { g } from "./g.ts";
export * from "./h.ts";
const i = await import("./i.ts");
const j = await import(
  "./j.ts"
);
type K = import("./k.ts").K;
`),
    [
      "./a.ts",
      "./b.ts",
      "./c.ts",
      "npm:e",
      "./f.ts",
      "./g.ts",
      "./h.ts",
      "./i.ts",
      "./j.ts",
      "./k.ts",
    ],
  );
});

Deno.test("importsOf() finds nothing when a text only speaks of it", () => {
  assert.deepEqual(importsOf(`export const from = "elsewhere";\nconst text = "import";\n`), []);
});
