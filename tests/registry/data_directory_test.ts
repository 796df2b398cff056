import assert from "node:assert/strict";
import { systemClock } from "../../lib/clock.ts";
import { systemRandom } from "../../lib/crypto/random.ts";
import type { HomePaths } from "../../lib/identity/home.ts";
import { NO_PASSPHRASE } from "../../lib/identity/passphrase.ts";
import { SILENT } from "../../lib/log.ts";
import {
  claimDirectory,
  databasePath,
  dataPaths,
  openIdentity,
  wasUsed,
} from "../../registry/data_directory.ts";
import { RegistryError } from "../../registry/errors.ts";

const SOURCES = {
  passphrase: NO_PASSPHRASE,
  clock: systemClock,
  random: systemRandom,
  log: SILENT,
};

function claim(paths: HomePaths): Promise<Disposable> {
  return claimDirectory(Deno.build.os, paths, SILENT);
}

/** Runs `body` with the paths of a data directory that is gone afterwards. */
async function withPaths(body: (paths: HomePaths) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "talos-test-" });
  try {
    await body(dataPaths(Deno.build.os, () => undefined, folder, folder));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

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
  name: "claimDirectory() makes a data directory private when all in it is a registry's",
  ignore: Deno.build.os === "windows",
  fn: async () => {
    const folder = await Deno.makeTempDir({ prefix: "talos-test-" });
    try {
      const paths = dataPaths("linux", environment({}), folder, "/");
      await openIdentity(paths, SOURCES);
      for (const suffix of ["", "-wal", "-shm"]) {
        await Deno.writeTextFile(databasePath("linux", paths) + suffix, "");
      }
      (await claim(paths))[Symbol.dispose]();
      await Deno.chmod(folder, 0o755);
      using _claim = await claim(paths);
      assert.equal(((await Deno.stat(folder)).mode ?? 0) & 0o777, 0o700);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
});

Deno.test("openIdentity() makes a key once and keeps it", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const paths = dataPaths(Deno.build.os, () => undefined, folder, folder);
    const first = await openIdentity(paths, SOURCES);
    assert.equal(first.isNew, true);
    const second = await openIdentity(paths, SOURCES);
    assert.equal(second.isNew, false);
    assert.equal(second.identity.peerId, first.identity.peerId);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("claimDirectory() lets one process in, and names it to the next", async () => {
  await withPaths(async (paths) => {
    {
      using _claim = await claim(paths);
      await assert.rejects(claim(paths), (error: unknown) => {
        assert.ok(error instanceof RegistryError);
        assert.equal(error.code, "directory_in_use");
        if (Deno.build.os === "windows") return true; // nobody else can read a locked file
        assert.equal(
          error.message,
          `Cannot use the data directory ${paths.home}: process ${Deno.pid} uses it`,
        );
        assert.deepEqual(error.hints, [
          `stop it first: kill ${Deno.pid}`,
          "or run another registry, with a key of its own: --data-dir DIR",
        ]);
        return true;
      });
    }
    using _again = await claim(paths);
  });
});

Deno.test("claimDirectory() calls a file that stands there a data directory, and names the option", async () => {
  await withPaths(async (paths) => {
    await Deno.remove(paths.home, { recursive: true });
    await Deno.writeTextFile(paths.home, "");
    await assert.rejects(claim(paths), {
      code: "home_invalid",
      message: `Cannot use the data directory ${paths.home}: it is not a directory`,
      hints: ["name another one: --data-dir DIR"],
    });
  });
});

Deno.test("wasUsed() is true where a registry's database lies", async () => {
  await withPaths(async (paths) => {
    assert.equal(await wasUsed(Deno.build.os, paths), false);
    await Deno.writeTextFile(databasePath(Deno.build.os, paths), "");
    assert.equal(await wasUsed(Deno.build.os, paths), true);
  });
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
