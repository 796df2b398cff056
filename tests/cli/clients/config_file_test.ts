import assert from "node:assert/strict";

import { backUp, readConfigFile, replaceConfigFile } from "../../../lib/cli/clients/config_file.ts";

const POSIX = Deno.build.os !== "windows";
const NOON = Date.UTC(2026, 10, 23, 12);

async function directory(): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await Deno.realPath(await Deno.makeTempDir({ prefix: "talos-config-" }));
  return { path, [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }) };
}

function names(path: string): string[] {
  return [...Deno.readDirSync(path)].map(({ name }) => name).sort();
}

Deno.test({
  name: "replaceConfigFile() keeps the mode, and makes a new file and its directory private",
  ignore: !POSIX,
  fn: async () => {
    await using scratch = await directory();
    const path = `${scratch.path}/a.json`;
    await Deno.writeTextFile(path, "{}");
    await Deno.chmod(path, 0o664);
    await replaceConfigFile(await readConfigFile(path), "{ }");
    assert.equal(await Deno.readTextFile(path), "{ }");
    assert.equal((await Deno.stat(path)).mode! & 0o777, 0o664);

    const fresh = `${scratch.path}/new/deep/b.json`;
    await replaceConfigFile(await readConfigFile(fresh), "[]");
    assert.equal(await Deno.readTextFile(fresh), "[]");
    assert.equal((await Deno.stat(fresh)).mode! & 0o777, 0o600);
    assert.equal((await Deno.stat(`${scratch.path}/new`)).mode! & 0o777, 0o700);
  },
});

Deno.test({
  name: "replaceConfigFile() follows a symbolic link and leaves it",
  ignore: !POSIX,
  fn: async () => {
    await using scratch = await directory();
    await Deno.mkdir(`${scratch.path}/dotfiles`);
    await Deno.writeTextFile(`${scratch.path}/dotfiles/mcp.json`, "{}");
    const path = `${scratch.path}/mcp.json`;
    await Deno.symlink("dotfiles/mcp.json", path);
    const config = await readConfigFile(path);
    assert.equal(await backUp(config, NOON), `${path}.2026-11-23.bak`);
    await replaceConfigFile(config, "{ }");
    assert.ok((await Deno.lstat(path)).isSymlink);
    assert.equal(await Deno.readTextFile(`${scratch.path}/dotfiles/mcp.json`), "{ }");
    assert.deepEqual(names(`${scratch.path}/dotfiles`), ["mcp.json"]);
  },
});

Deno.test("readConfigFile() refuses a link to nothing, a directory and what is no text", async () => {
  await using scratch = await directory();
  const invalid = `${scratch.path}/utf16.json`;
  await Deno.writeFile(invalid, new Uint8Array([0xff, 0xfe, 0x7b, 0]));
  await assert.rejects(readConfigFile(invalid), {
    code: "client_config",
    message: `Cannot read ${invalid}: it is no UTF-8 text`,
  });
  await assert.rejects(readConfigFile(scratch.path), { code: "client_config" });
  if (!POSIX) return;
  await Deno.symlink("nowhere", `${scratch.path}/link`);
  await assert.rejects(readConfigFile(`${scratch.path}/link`), { code: "client_config" });
});

Deno.test("backUp() never takes the place of an older one, and copies byte for byte", async () => {
  await using scratch = await directory();
  const path = `${scratch.path}/a.json`;
  assert.equal(await backUp(await readConfigFile(path), NOON), null);
  const bytes = new Uint8Array([0xef, 0xbb, 0xbf, 0x7b, 0x7d]);
  await Deno.writeFile(path, bytes);
  if (POSIX) await Deno.chmod(path, 0o600);
  const config = await readConfigFile(path);
  assert.equal(config.text, "\ufeff{}");
  assert.equal(await backUp(config, NOON), `${path}.2026-11-23.bak`);
  assert.equal(await backUp(config, NOON), `${path}.2026-11-23-2.bak`);
  assert.equal(await backUp(config, NOON), `${path}.2026-11-23-3.bak`);
  assert.deepEqual(await Deno.readFile(`${path}.2026-11-23-2.bak`), bytes);
  if (POSIX) assert.equal((await Deno.stat(`${path}.2026-11-23.bak`)).mode! & 0o777, 0o600);
});

Deno.test("replaceConfigFile() refuses when the file changed since it was read", async () => {
  await using scratch = await directory();
  const path = `${scratch.path}/a.json`;
  const missing = await readConfigFile(path);
  await Deno.writeTextFile(path, "{}");
  await assert.rejects(replaceConfigFile(missing, "x"), { code: "client_config" });
  const there = await readConfigFile(path);
  await Deno.writeTextFile(path, '{"new": 1}');
  await assert.rejects(replaceConfigFile(there, "x"), { code: "client_config" });
  assert.equal(await Deno.readTextFile(path), '{"new": 1}');
});
