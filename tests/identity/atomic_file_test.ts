/** Atomic writes, bounded reads, and the lock that both are used under. */

import assert from "node:assert/strict";
import { fromUtf8, utf8 } from "../../lib/bytes.ts";
import { readFileBounded, writeFileAtomic } from "../../lib/identity/atomic_file.ts";
import { withFileLock, withFileLockSync } from "../../lib/identity/file_lock.ts";
import { isAbsolutePath, joinPath, splitPath } from "../../lib/identity/file_path.ts";
import { permissionFault, quotedPath } from "../../lib/identity/file_permissions.ts";
import { codeOf, temporaryHome } from "./temporary_home.ts";

const POSIX = Deno.build.os !== "windows";

function names(directory: string): string[] {
  return [...Deno.readDirSync(directory)].map(({ name }) => name).sort();
}

Deno.test("writeFileAtomic() writes exactly the bytes, with the mode, and leaves nothing else", async () => {
  await using home = await temporaryHome();
  const path = `${home.paths.home}/file`;
  await writeFileAtomic(path, utf8("one"));
  await writeFileAtomic(path, utf8("second"));
  assert.equal(Deno.readTextFileSync(path), "second");
  assert.deepEqual(names(home.paths.home), ["file"]);
  if (POSIX) assert.equal((Deno.statSync(path).mode ?? 0) & 0o7777, 0o600);
});

Deno.test("writeFileAtomic() makes a private file private when it replaces an open one", async () => {
  await using home = await temporaryHome();
  const path = `${home.paths.home}/file`;
  Deno.writeTextFileSync(path, "old", { mode: 0o666 });
  if (POSIX) Deno.chmodSync(path, 0o666);
  await writeFileAtomic(path, utf8("new"));
  if (POSIX) assert.equal((Deno.statSync(path).mode ?? 0) & 0o7777, 0o600);
});

Deno.test({
  name: "writeFileAtomic() replaces a symbolic link and leaves what it points at alone",
  ignore: !POSIX,
  async fn() {
    await using home = await temporaryHome();
    const [path, elsewhere] = [`${home.paths.home}/file`, `${home.paths.home}/elsewhere`];
    Deno.writeTextFileSync(elsewhere, "theirs");
    Deno.symlinkSync(elsewhere, path);
    await writeFileAtomic(path, utf8("secret"));
    assert.equal(Deno.readTextFileSync(elsewhere), "theirs");
    assert.equal(Deno.lstatSync(path).isSymlink, false);
    assert.equal(Deno.readTextFileSync(path), "secret");
  },
});

Deno.test("writeFileAtomic() removes its temporary file and keeps the target when it cannot rename", async () => {
  await using home = await temporaryHome();
  const path = `${home.paths.home}/directory`;
  Deno.mkdirSync(path);
  await assert.rejects(writeFileAtomic(path, utf8("x")));
  assert.deepEqual(names(home.paths.home), ["directory"]);
  assert.ok(Deno.statSync(path).isDirectory);
});

Deno.test("writeFileAtomic() fails and makes nothing when the directory is missing", async () => {
  await using home = await temporaryHome();
  await assert.rejects(
    writeFileAtomic(`${home.paths.home}/no/file`, utf8("x")),
    Deno.errors.NotFound,
  );
  assert.deepEqual(names(home.paths.home), []);
});

Deno.test("writeFileAtomic() takes another temporary name when a killed process left one", async () => {
  await using home = await temporaryHome();
  const path = `${home.paths.home}/file`;
  // Whatever number comes next, a few of them are taken.
  for (let number = 0; number < 40; number++) {
    Deno.writeTextFileSync(`${home.paths.home}/.file.${Deno.pid}.${number}.tmp`, "left behind");
  }
  await writeFileAtomic(path, utf8("new"));
  assert.equal(Deno.readTextFileSync(path), "new");
  const left = Deno.readTextFileSync(`${home.paths.home}/.file.${Deno.pid}.39.tmp`);
  assert.equal(left, "left behind");
});

Deno.test("writeFileAtomic() shows a reader one whole file or the other while it is rewritten", async () => {
  await using home = await temporaryHome();
  const path = `${home.paths.home}/file`;
  const [short, long] = ["a".repeat(10), "b".repeat(100_000)];
  await writeFileAtomic(path, utf8(short));
  let writing = true;
  const writer = (async () => {
    for (let run = 0; run < 20; run++) await writeFileAtomic(path, utf8(run % 2 ? short : long));
    writing = false;
  })();
  const seen = new Set<string>();
  while (writing) seen.add(fromUtf8((await readFileBounded(path, 200_000))!.bytes));
  await writer;
  for (const text of seen) assert.ok(text === short || text === long, `${text.length} characters`);
});

Deno.test("readFileBounded() reads up to its limit and refuses one byte more", async () => {
  await using home = await temporaryHome();
  const path = `${home.paths.home}/file`;
  Deno.writeFileSync(path, new Uint8Array(100).fill(7));
  assert.deepEqual((await readFileBounded(path, 100))?.bytes, new Uint8Array(100).fill(7));
  assert.equal(await codeOf(() => readFileBounded(path, 99)), "file_too_large");
  Deno.writeFileSync(path, new Uint8Array(0));
  assert.deepEqual((await readFileBounded(path, 0))?.bytes, new Uint8Array(0));
});

Deno.test("readFileBounded() refuses a file of a tebibyte before it allocates anything", async () => {
  await using home = await temporaryHome();
  const path = `${home.paths.home}/file`;
  Deno.writeTextFileSync(path, "");
  // Sparse: it takes no space.
  Deno.truncateSync(path, 2 ** 40);
  assert.equal(await codeOf(() => readFileBounded(path, 100)), "file_too_large");
});

Deno.test("readFileBounded() gives null when there is no file", async () => {
  await using home = await temporaryHome();
  assert.equal(await readFileBounded(`${home.paths.home}/file`, 10), null);
});

Deno.test("readFileBounded() throws file_irregular when it is a directory", async () => {
  await using home = await temporaryHome();
  assert.equal(await codeOf(() => readFileBounded(home.paths.home, 10)), "file_irregular");
});

Deno.test({
  name: "readFileBounded() throws file_irregular when it is a pipe, and does not wait for a writer",
  ignore: !POSIX,
  async fn() {
    await using home = await temporaryHome();
    const path = `${home.paths.home}/pipe`;
    const { success } = await new Deno.Command("mkfifo", { args: [path] }).output();
    assert.ok(success);
    assert.equal(await codeOf(() => readFileBounded(path, 10)), "file_irregular");
  },
});

Deno.test({
  name: "readFileBounded() refuses a file whose size is a lie (/proc) beyond its limit",
  ignore: Deno.build.os !== "linux",
  async fn() {
    const path = "/proc/self/status";
    assert.equal(Deno.statSync(path).size, 0);
    assert.match(fromUtf8((await readFileBounded(path, 65_536))!.bytes), /^Name:/);
    assert.equal(await codeOf(() => readFileBounded(path, 16)), "file_too_large");
  },
});

Deno.test("withFileLock() lets one at a time in, of this process and of one that uses the other form", async () => {
  await using home = await temporaryHome();
  const path = `${home.paths.home}/lock`;
  let inside = 0;
  let most = 0;
  const enter = () =>
    withFileLock(path, async () => {
      most = Math.max(most, ++inside);
      await Deno.stat(home.paths.home);
      inside--;
    });
  await Promise.all([enter(), enter(), enter()]);
  assert.equal(most, 1);
  assert.equal(withFileLockSync(path, () => inside), 0);
});

Deno.test("withFileLock() frees the lock when its body throws", async () => {
  await using home = await temporaryHome();
  const path = `${home.paths.home}/lock`;
  await assert.rejects(
    withFileLock(path, () => Promise.reject(new RangeError("body"))),
    RangeError,
  );
  assert.throws(() =>
    withFileLockSync(path, () => {
      throw new RangeError("body");
    }), RangeError);
  assert.equal(await withFileLock(path, () => Promise.resolve("in")), "in");
});

Deno.test("withFileLock() throws home_unusable when the directory is missing", async () => {
  await using home = await temporaryHome();
  const path = `${home.paths.home}/no/lock`;
  assert.equal(await codeOf(() => withFileLock(path, () => Promise.resolve())), "home_unusable");
});

Deno.test("joinPath(), splitPath() and isAbsolutePath() follow the system they are told", () => {
  assert.equal(joinPath("linux", "/a", "b", "c"), "/a/b/c");
  assert.equal(joinPath("linux", "/", "b"), "/b");
  assert.equal(joinPath("linux", "a\\", "b"), "a\\/b");
  assert.equal(joinPath("windows", "C:\\a", "b", "c"), "C:\\a\\b\\c");
  assert.equal(joinPath("windows", "C:\\", "b"), "C:\\b");
  assert.equal(joinPath("windows", "C:/a/", "b"), "C:/a/b");
  assert.equal(isAbsolutePath("linux", "/a"), true);
  assert.equal(isAbsolutePath("linux", "C:\\a"), false);
  assert.equal(isAbsolutePath("windows", "c:\\a"), true);
  assert.equal(isAbsolutePath("windows", "C:/a"), true);
  assert.equal(isAbsolutePath("windows", "\\\\server\\share"), true);
  assert.equal(isAbsolutePath("windows", "C:a"), false);
  assert.equal(isAbsolutePath("windows", "\\a"), false);
  assert.deepEqual(splitPath("linux", "/a/b"), ["/a/", "b"]);
  assert.deepEqual(splitPath("linux", "b"), ["./", "b"]);
  assert.deepEqual(splitPath("linux", "/b"), ["/", "b"]);
  assert.deepEqual(splitPath("darwin", "/a/b\\c"), ["/a/", "b\\c"]);
  assert.deepEqual(splitPath("windows", "C:\\a/b\\c"), ["C:\\a/b\\", "c"]);
  assert.deepEqual(splitPath("windows", "c"), ["./", "c"]);
});

Deno.test("permissionFault() says who can do what, and what to run", () => {
  const info = (mode: number | null, uid: number | null, isDirectory = false) => ({
    mode,
    uid,
    isDirectory,
  });
  assert.equal(permissionFault("/w", info(0o100600, 5), 0o077, 5), null);
  assert.equal(permissionFault("/w", info(0o100400, 5), 0o077, 5), null);
  assert.equal(permissionFault("/w", info(0o100644, 5), 0o022, 5), null);
  assert.equal(permissionFault("/w", info(null, null), 0o077, 5), null);
  assert.equal(permissionFault("/w", info(0o100666, 6), 0o077, null), null);
  assert.deepEqual(permissionFault("/w", info(0o100640, 5), 0o077, 5), {
    state: "others can read it (mode 0640)",
    hint: "run: chmod 600 /w",
  });
  assert.deepEqual(permissionFault("/w x", info(0o41777, 5, true), 0o022, 5), {
    state: "others can write it (mode 1777)",
    hint: "run: chmod 700 '/w x'",
  });
  assert.deepEqual(permissionFault("/w", info(0o100600, 6), 0o077, 5), {
    state: "it belongs to user 6, this process runs as user 5",
    hint: "run as that user, or: chown 5 /w",
  });
  assert.equal(quotedPath("/it's"), "'/it'\\''s'");
});
