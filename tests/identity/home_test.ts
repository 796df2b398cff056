/** Where a home is, on every system, and which directories are accepted as one. */

import assert from "node:assert/strict";
import {
  ensureHome,
  type Environment,
  formerHomeNotice,
  type HomePaths,
  homePaths,
} from "../../lib/identity/home.ts";
import { SILENT } from "../../lib/log.ts";
import { codeOf, keptLog, messageFrom, temporaryHome } from "./temporary_home.ts";

const POSIX = Deno.build.os !== "windows";

function environment(variables: Record<string, string>): Environment {
  return (name) => variables[name];
}

const LINUX = environment({ HOME: "/home/ann" });
const DARWIN = environment({ HOME: "/Users/ann" });
const WINDOWS = environment({ USERPROFILE: "C:\\Users\\ann", HOME: "/c/Users/ann" });

Deno.test("homePaths() gives ~/.talos on Linux, with every file in its place", () => {
  assert.deepEqual(homePaths("linux", LINUX), {
    home: "/home/ann/.talos",
    wallet: "/home/ann/.talos/wallet.json",
    owner: "/home/ann/.talos/identity.json",
    ownerLock: "/home/ann/.talos/identity.json.lock",
    access: "/home/ann/.talos/access.json",
    accessLock: "/home/ann/.talos/access.json.lock",
    invites: "/home/ann/.talos/invites.json",
    invitesLock: "/home/ann/.talos/invites.json.lock",
    chain: "/home/ann/.talos/blockchain.json",
    database: "/home/ann/.talos/talos.db/data.sqlite",
    run: "/home/ann/.talos/run",
    runLock: "/home/ann/.talos/run/.lock",
    former: "/home/ann/.bmp",
  });
});

Deno.test("homePaths() gives ~/.talos on macOS", () => {
  const paths = homePaths("darwin", DARWIN);
  assert.equal(paths.wallet, "/Users/ann/.talos/wallet.json");
  assert.equal(paths.former, "/Users/ann/.bmp");
});

Deno.test("homePaths() gives .talos in USERPROFILE on Windows, whatever HOME says", () => {
  const paths = homePaths("windows", WINDOWS);
  assert.equal(paths.home, "C:\\Users\\ann\\.talos");
  assert.equal(paths.runLock, "C:\\Users\\ann\\.talos\\run\\.lock");
  assert.equal(paths.former, "C:\\Users\\ann\\.bmp");
});

Deno.test("homePaths() prefers --home to $TALOS_HOME, and that to ~/.talos", () => {
  const env = environment({ HOME: "/home/ann", TALOS_HOME: "/srv/talos" });
  assert.equal(homePaths("linux", env).home, "/srv/talos");
  assert.equal(homePaths("linux", env, "/tmp/x").home, "/tmp/x");
  assert.equal(
    homePaths("linux", environment({ HOME: "/home/ann", TALOS_HOME: "" })).home,
    "/home/ann/.talos",
  );
});

Deno.test("homePaths() expands a leading ~ and nothing else", () => {
  assert.equal(homePaths("linux", LINUX, "~/x").home, "/home/ann/x");
  assert.equal(homePaths("linux", LINUX, "~").home, "/home/ann");
  assert.equal(homePaths("linux", LINUX, "~bob/x", "/cwd").home, "/cwd/~bob/x");
  assert.equal(homePaths("windows", WINDOWS, "~\\x").home, "C:\\Users\\ann\\x");
  assert.equal(
    homePaths("linux", environment({ HOME: "/root", TALOS_HOME: "~/t" })).home,
    "/root/t",
  );
});

Deno.test("homePaths() makes a relative path absolute when it is told the working directory", () => {
  assert.equal(homePaths("linux", LINUX, "x/y", "/srv").home, "/srv/x/y");
  assert.equal(homePaths("linux", LINUX, "x/y").home, "x/y");
  assert.equal(homePaths("windows", WINDOWS, "x", "D:\\work").home, "D:\\work\\x");
  assert.equal(homePaths("windows", WINDOWS, "E:\\x", "D:\\work").home, "E:\\x");
});

Deno.test("homePaths() needs no user directory when the home is named", () => {
  const paths = homePaths("linux", environment({}), "/srv/talos");
  assert.equal(paths.home, "/srv/talos");
  assert.equal("former" in paths, false);
});

Deno.test("homePaths() throws home_unknown when nothing says where the home is", async () => {
  assert.equal(await codeOf(() => homePaths("linux", environment({}))), "home_unknown");
  assert.match(await messageFrom(() => homePaths("windows", LINUX)), /USERPROFILE is not set/);
});

Deno.test("homePaths() throws home_invalid when --home is empty", async () => {
  assert.equal(await codeOf(() => homePaths("linux", LINUX, "")), "home_invalid");
});

function inside(paths: HomePaths, name: string): HomePaths {
  return homePaths(Deno.build.os, () => undefined, `${paths.home}/${name}`);
}

function modeOf(path: string): string {
  return ((Deno.statSync(path).mode ?? 0) & 0o7777).toString(8);
}

Deno.test("ensureHome() makes a private directory, those above it included, and says nothing", async () => {
  await using temporary = await temporaryHome();
  const paths = inside(temporary.paths, "a/b");
  const { log, lines } = keptLog();
  await ensureHome(paths, log);
  await ensureHome(paths, log);
  if (POSIX) assert.equal(modeOf(paths.home), "700");
  assert.deepEqual(lines, []);
});

Deno.test({
  name: "ensureHome() tightens a home that holds Talos's files only, and warns",
  ignore: !POSIX,
  async fn() {
    await using temporary = await temporaryHome();
    const paths = inside(temporary.paths, "home");
    await ensureHome(paths, SILENT);
    Deno.writeTextFileSync(paths.wallet, "");
    Deno.mkdirSync(`${paths.home}/talos.db`);
    Deno.writeTextFileSync(paths.database, "");
    Deno.mkdirSync(paths.run);
    for (const mode of [0o755, 0o777, 0o750]) {
      Deno.chmodSync(paths.home, mode);
      const { log, lines } = keptLog();
      await ensureHome(paths, log);
      assert.equal(modeOf(paths.home), "700");
      assert.deepEqual(lines, [
        `talos: warning: the home was open to others and is private now home=${paths.home} mode=0${
          mode.toString(8)
        }`,
      ]);
    }
  },
});

Deno.test({
  name:
    "ensureHome() throws home_permissions and touches nothing when others can write a shared directory",
  ignore: !POSIX,
  async fn() {
    await using temporary = await temporaryHome();
    const paths = inside(temporary.paths, "shared");
    Deno.mkdirSync(paths.home);
    Deno.writeTextFileSync(`${paths.home}/letter.txt`, "");
    Deno.chmodSync(paths.home, 0o777);
    assert.equal(await codeOf(() => ensureHome(paths, SILENT)), "home_permissions");
    assert.equal(modeOf(paths.home), "777");
  },
});

Deno.test({
  name: "ensureHome() throws home_permissions when an empty directory is sticky, as /tmp is",
  ignore: !POSIX,
  async fn() {
    await using temporary = await temporaryHome();
    const paths = inside(temporary.paths, "tmp");
    Deno.mkdirSync(paths.home);
    Deno.chmodSync(paths.home, 0o1777);
    assert.equal(await codeOf(() => ensureHome(paths, SILENT)), "home_permissions");
    assert.equal(modeOf(paths.home), "1777");
  },
});

Deno.test({
  name: "ensureHome() accepts a shared directory that others can only list, untouched, and warns",
  ignore: !POSIX,
  async fn() {
    await using temporary = await temporaryHome();
    const paths = inside(temporary.paths, "shared");
    Deno.mkdirSync(paths.home);
    Deno.writeTextFileSync(`${paths.home}/letter.txt`, "");
    Deno.chmodSync(paths.home, 0o755);
    const { log, lines } = keptLog();
    await ensureHome(paths, log);
    assert.equal(modeOf(paths.home), "755");
    assert.match(lines[0] ?? "", /others can see which files the home has .*chmod 700/);
  },
});

Deno.test({
  name: "ensureHome() throws home_permissions when the home belongs to another user",
  ignore: !POSIX || Deno.uid() !== 0,
  async fn() {
    await using temporary = await temporaryHome();
    const paths = inside(temporary.paths, "theirs");
    Deno.mkdirSync(paths.home, { mode: 0o700 });
    Deno.chownSync(paths.home, 65534, 65534);
    assert.equal(await codeOf(() => ensureHome(paths, SILENT)), "home_permissions");
    assert.match(await messageFrom(() => ensureHome(paths, SILENT)), /belongs to user 65534/);
  },
});

Deno.test("ensureHome() throws home_invalid when a file is there", async () => {
  await using temporary = await temporaryHome();
  const paths = inside(temporary.paths, "file");
  Deno.writeTextFileSync(paths.home, "");
  assert.equal(await codeOf(() => ensureHome(paths, SILENT)), "home_invalid");
});

Deno.test("ensureHome() throws home_unusable when a file is above it", async () => {
  await using temporary = await temporaryHome();
  Deno.writeTextFileSync(`${temporary.paths.home}/file`, "");
  const paths = inside(temporary.paths, "file/home");
  assert.equal(await codeOf(() => ensureHome(paths, SILENT)), "home_unusable");
});

Deno.test("formerHomeNotice() explains ~/.bmp until there is a wallet, and reads nothing in it", async () => {
  await using temporary = await temporaryHome();
  const user = temporary.paths.home;
  const paths = homePaths("linux", environment({ HOME: user }));
  assert.equal(await formerHomeNotice(paths), null);
  // Not even a directory: it is only looked for.
  Deno.writeTextFileSync(`${user}/.bmp`, "");
  assert.match(await formerHomeNotice(paths) ?? "", /\.bmp belongs to BMP, the former program/);
  await ensureHome(paths, SILENT);
  Deno.writeTextFileSync(paths.wallet, "");
  assert.equal(await formerHomeNotice(paths), null);
});
