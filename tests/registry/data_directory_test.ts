import assert from "node:assert/strict";
import { systemClock } from "../../lib/clock.ts";
import { systemRandom } from "../../lib/crypto/random.ts";
import { NO_PASSPHRASE } from "../../lib/identity/passphrase.ts";
import { SILENT } from "../../lib/log.ts";
import { databasePath, dataPaths, openIdentity } from "../../registry/data_directory.ts";

const SOURCES = {
  passphrase: NO_PASSPHRASE,
  clock: systemClock,
  random: systemRandom,
  log: SILENT,
};

function environment(variables: Readonly<Record<string, string>>) {
  return (name: string) => variables[name];
}

Deno.test("dataPaths() is registry in the home when nothing is said, on every system", () => {
  const posix = environment({ HOME: "/home/me" });
  assert.equal(dataPaths("linux", posix, undefined, "/").home, "/home/me/.talos/registry");
  assert.equal(dataPaths("darwin", posix, undefined, "/").home, "/home/me/.talos/registry");
  assert.equal(
    dataPaths("windows", environment({ USERPROFILE: "C:\\Users\\me" }), undefined, "C:\\").home,
    "C:\\Users\\me\\.talos\\registry",
  );
  assert.equal(
    dataPaths("linux", environment({ HOME: "/home/me", TALOS_HOME: "/srv" }), undefined, "/").home,
    "/srv/registry",
  );
});

Deno.test("dataPaths() is what --data-dir says, whatever the environment is", () => {
  const env = environment({ HOME: "/home/me", TALOS_HOME: "/srv" });
  assert.equal(dataPaths("linux", env, "/data", "/").home, "/data");
  assert.equal(dataPaths("linux", env, "data", "/here").home, "/here/data");
  assert.equal(dataPaths("linux", env, "~/data", "/here").home, "/home/me/data");
});

Deno.test("databasePath() is registry.db in the data directory, on every system", () => {
  const at = (os: "linux" | "windows", dataDir: string) =>
    databasePath(os, dataPaths(os, environment({}), dataDir, "/"));
  assert.equal(at("linux", "/data"), "/data/registry.db");
  assert.equal(at("windows", "C:\\data"), "C:\\data\\registry.db");
});

Deno.test({
  name: "openIdentity() makes a data directory private when all in it is a registry's",
  ignore: Deno.build.os === "windows",
  fn: async () => {
    const folder = await Deno.makeTempDir({ prefix: "talos-test-" });
    try {
      const paths = dataPaths("linux", environment({}), folder, "/");
      await openIdentity(paths, SOURCES);
      for (const suffix of ["", "-wal", "-shm"]) {
        await Deno.writeTextFile(databasePath("linux", paths) + suffix, "");
      }
      await Deno.chmod(folder, 0o755);
      await openIdentity(paths, SOURCES);
      assert.equal(((await Deno.stat(folder)).mode ?? 0) & 0o777, 0o700);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
});

Deno.test("openIdentity() makes a key once and keeps it", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const paths = dataPaths(Deno.build.os, () => undefined, `${folder}/data`, folder);
    const first = await openIdentity(paths, SOURCES);
    assert.equal(first.isNew, true);
    const second = await openIdentity(paths, SOURCES);
    assert.equal(second.isNew, false);
    assert.equal(second.identity.peerId, first.identity.peerId);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("openIdentity() gives all the same key when several nodes start at once", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const paths = dataPaths(Deno.build.os, () => undefined, folder, folder);
    const opened = await Promise.all(Array.from({ length: 4 }, () => openIdentity(paths, SOURCES)));
    assert.equal(new Set(opened.map(({ identity }) => identity.peerId)).size, 1);
    assert.equal(opened.filter(({ isNew }) => isNew).length, 1);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("openIdentity() leaves a damaged wallet as it is and says so", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const paths = dataPaths(Deno.build.os, () => undefined, folder, folder);
    await Deno.writeTextFile(paths.wallet, "{", { mode: 0o600 });
    await assert.rejects(openIdentity(paths, SOURCES), { code: "wallet_corrupted" });
    assert.equal(await Deno.readTextFile(paths.wallet), "{");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
