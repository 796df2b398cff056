import assert from "node:assert/strict";
import { concat, fromHex, utf8 } from "../../lib/bytes.ts";
import {
  embeddedBytes,
  executableFormat,
  lacksRuntime,
  PROGRAMS,
  TARGETS,
} from "../../scripts/compile_targets.ts";
import { findStandIn } from "../../scripts/stand_in.ts";

/** Returns the first kilobyte of a file whose bytes at `offset` are `hex`. */
function head(...parts: readonly (readonly [offset: number, hex: string])[]): Uint8Array {
  const bytes = new Uint8Array(1024);
  for (const [offset, text] of parts) bytes.set(fromHex(text), offset);
  return bytes;
}

for (
  const [format, bytes] of [
    ["ELF x64", head([0, "7f454c46020101"], [18, "3e00"])],
    ["ELF arm64", head([0, "7f454c46020101"], [18, "b700"])],
    ["Mach-O x64", head([0, "cffaedfe07000001"])],
    ["Mach-O arm64", head([0, "cffaedfe0c000001"])],
    ["PE x64", head([0, "4d5a"], [0x3c, "80000000"], [0x80, "504500006486"])],
  ] as const
) {
  Deno.test(`executableFormat() tells ${format} when a file begins like it`, () => {
    assert.equal(executableFormat(bytes), format);
  });
}

for (
  const [what, bytes] of [
    ["ELF of another machine", head([0, "7f454c46020101"], [18, "f300"])],
    ["a universal Mach-O", head([0, "cafebabe"])],
    ["PE for arm64", head([0, "4d5a"], [0x3c, "80000000"], [0x80, "5045000064aa"])],
    ["PE whose header is elsewhere", head([0, "4d5a"], [0x3c, "ffffff7f"])],
    ["a script", concat(utf8("#!/bin/sh\n"), new Uint8Array(100))],
    ["an empty file", new Uint8Array(0)],
  ] as const
) {
  Deno.test(`executableFormat() is null when a file is ${what}`, () => {
    assert.equal(executableFormat(bytes), null);
  });
}

Deno.test("TARGETS are five systems", () => {
  assert.deepEqual(TARGETS.map(({ triple, format }) => `${triple}: ${format}`), [
    "x86_64-unknown-linux-gnu: ELF x64",
    "aarch64-unknown-linux-gnu: ELF arm64",
    "x86_64-apple-darwin: Mach-O x64",
    "aarch64-apple-darwin: Mach-O arm64",
    "x86_64-pc-windows-msvc: PE x64",
  ]);
});

Deno.test("PROGRAMS ask nobody, load no native library and import nothing from the network", () => {
  assert.deepEqual(PROGRAMS.map(({ name, permissions }) => [name, permissions.join(" ")]), [
    [
      "talos",
      "--no-prompt --allow-read --allow-write --allow-net --allow-env --allow-sys --allow-run",
    ],
    [
      "talos-server",
      "--no-prompt --allow-read --allow-write --allow-net --allow-env " +
      "--allow-sys=uid,networkInterfaces",
    ],
  ]);
});

Deno.test("embeddedBytes() reads what deno compile says", () => {
  assert.equal(embeddedBytes("\nFiles: 4.5MB\nMetadata: 2.35KB\n"), 4_718_592);
  assert.equal(embeddedBytes("Files: 512B\n"), 512);
  assert.equal(embeddedBytes("Files: 1.5KB\n"), 1536);
  assert.equal(embeddedBytes("Compile main.ts to talos\n"), null);
});

Deno.test("lacksRuntime() tells a failed download from a program that does not compile", () => {
  assert.equal(
    lacksRuntime("Caused by:\n    0: Setting up base binary.\n    1: error sending request"),
    true,
  );
  assert.equal(
    lacksRuntime("Download https://dl.deno.land/release/v2.9.6/denort-x.zip\nerror: 403"),
    true,
  );
  assert.equal(lacksRuntime("error: Type checking failed."), false);
});

Deno.test("findStandIn() finds a package in whatever depth, and only the one for the target", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const modules = `${folder}/node_modules/@deno`;
    const cache = `${folder}/npm/registry.npmjs.org/@deno`;
    await Deno.mkdir(`${modules}/win32-x64`, { recursive: true });
    await Deno.writeTextFile(`${modules}/win32-x64/deno.exe`, "");
    await Deno.mkdir(`${cache}/darwin-arm64/2.9.5`, { recursive: true });
    await Deno.writeTextFile(`${cache}/darwin-arm64/2.9.5/deno`, "");
    const found = await Promise.all(TARGETS.map((target) => findStandIn(folder, target)));
    assert.deepEqual(found, [
      null,
      null,
      null,
      { path: `${cache}/darwin-arm64/2.9.5/deno`, version: "2.9.5" },
      { path: `${modules}/win32-x64/deno.exe`, version: "unknown" },
    ]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
