/** The wallet on disk: never replaced unasked, never read when unsafe, never touched when refused. */

import assert from "node:assert/strict";
import { homePaths } from "../../lib/identity/home.ts";
import { NO_PASSPHRASE, type PassphraseSource } from "../../lib/identity/passphrase.ts";
import { createWallet, lockWallet, type Wallet } from "../../lib/identity/wallet.ts";
import { loadWallet, readWallet, saveWallet } from "../../lib/identity/wallet_file.ts";
import { serialiseWallet } from "../../lib/identity/wallet_format.ts";
import { SILENT } from "../../lib/log.ts";
import { SeededRandom } from "../../scripts/seeded_random.ts";
import { Child } from "./child.ts";
import { codeOf, messageFrom, temporaryHome } from "./temporary_home.ts";

const POSIX = Deno.build.os !== "windows";
const ROOT = POSIX && Deno.uid() === 0;
const UNFORCED = { force: false, log: SILENT };
const FORCED = { force: true, log: SILENT };

function sample(seed: string): Wallet {
  return createWallet({ name: seed, now: 0, random: new SeededRandom(seed).bytes });
}

function passphrases(...given: string[]): PassphraseSource & { asked: number } {
  return {
    attempts: given.length,
    asked: 0,
    passphrase(_purpose, attempt) {
      this.asked++;
      return Promise.resolve(given[attempt - 1] ?? "");
    },
  };
}

function names(directory: string): string[] {
  return [...Deno.readDirSync(directory)].map(({ name }) => name).sort();
}

Deno.test("saveWallet() makes the home and a private wallet that loadWallet() gives back", async () => {
  await using temporary = await temporaryHome();
  const paths = homePaths(Deno.build.os, () => undefined, `${temporary.paths.home}/new`);
  const wallet = sample("a");
  assert.deepEqual(await saveWallet(paths, wallet, UNFORCED), { backup: null, renamed: [] });
  assert.equal(Deno.readTextFileSync(paths.wallet), serialiseWallet(wallet));
  if (POSIX) assert.equal((Deno.statSync(paths.wallet).mode ?? 0) & 0o7777, 0o600);
  const loaded = await loadWallet(paths, NO_PASSPHRASE);
  assert.deepEqual(loaded.secretKey, wallet.secretKey);
  assert.deepEqual(names(paths.home), ["identity.json", "identity.json.lock", "wallet.json"]);
});

Deno.test("saveWallet() throws wallet_exists and changes nothing when there is a wallet", async () => {
  await using home = await temporaryHome();
  await saveWallet(home.paths, sample("a"), UNFORCED);
  const before = Deno.readTextFileSync(home.paths.wallet);
  assert.equal(await codeOf(() => saveWallet(home.paths, sample("b"), UNFORCED)), "wallet_exists");
  assert.equal(Deno.readTextFileSync(home.paths.wallet), before);
  assert.match(Deno.readTextFileSync(home.paths.owner), new RegExp(sample("a").peerId));
});

Deno.test("saveWallet() throws wallet_exists when what is there is damaged, a broken link or a directory", async () => {
  await using home = await temporaryHome();
  Deno.writeTextFileSync(home.paths.wallet, "damaged");
  assert.equal(await codeOf(() => saveWallet(home.paths, sample("b"), UNFORCED)), "wallet_exists");
  assert.equal(Deno.readTextFileSync(home.paths.wallet), "damaged");
  Deno.removeSync(home.paths.wallet);
  Deno.mkdirSync(home.paths.wallet);
  assert.equal(await codeOf(() => saveWallet(home.paths, sample("b"), UNFORCED)), "wallet_exists");
  Deno.removeSync(home.paths.wallet);
  if (POSIX) {
    Deno.symlinkSync("nowhere", home.paths.wallet);
    assert.equal(
      await codeOf(() => saveWallet(home.paths, sample("b"), UNFORCED)),
      "wallet_exists",
    );
  }
});

Deno.test("saveWallet() with force keeps the old wallet under its Peer ID, each time under a new name", async () => {
  await using home = await temporaryHome();
  const [a, b] = [sample("a"), sample("b")];
  await saveWallet(home.paths, a, UNFORCED);
  const first = await saveWallet(home.paths, b, FORCED);
  assert.equal(first.backup, `${home.paths.wallet}.${a.peerId}.bak`);
  const second = await saveWallet(home.paths, a, FORCED);
  assert.equal(second.backup, `${home.paths.wallet}.${b.peerId}.bak`);
  const third = await saveWallet(home.paths, b, FORCED);
  assert.equal(third.backup, `${home.paths.wallet}.${a.peerId}.2.bak`);
  assert.equal(Deno.readTextFileSync(home.paths.wallet), serialiseWallet(b));
  for (const backup of [first.backup, third.backup]) {
    assert.equal(Deno.readTextFileSync(backup ?? ""), serialiseWallet(a));
    if (POSIX) assert.equal((Deno.statSync(backup ?? "").mode ?? 0) & 0o7777, 0o600);
  }
});

Deno.test("saveWallet() with force keeps a damaged wallet byte for byte, and closes it to others", async () => {
  await using home = await temporaryHome();
  Deno.writeTextFileSync(home.paths.wallet, "damaged");
  if (POSIX) Deno.chmodSync(home.paths.wallet, 0o644);
  const { backup } = await saveWallet(home.paths, sample("a"), FORCED);
  assert.equal(backup, `${home.paths.wallet}.unreadable.bak`);
  assert.equal(Deno.readTextFileSync(backup ?? ""), "damaged");
  if (POSIX) assert.equal((Deno.statSync(backup ?? "").mode ?? 0) & 0o7777, 0o600);
  assert.equal((await readWallet(home.paths)).peerId, sample("a").peerId);
});

Deno.test({
  name: "saveWallet() with force replaces a symbolic link and leaves the file behind it alone",
  ignore: !POSIX,
  async fn() {
    await using home = await temporaryHome();
    const elsewhere = `${home.paths.home}/elsewhere`;
    Deno.writeTextFileSync(elsewhere, serialiseWallet(sample("a")), { mode: 0o600 });
    Deno.symlinkSync(elsewhere, home.paths.wallet);
    assert.equal((await readWallet(home.paths)).peerId, sample("a").peerId);
    await saveWallet(home.paths, sample("b"), FORCED);
    assert.equal(Deno.readTextFileSync(elsewhere), serialiseWallet(sample("a")));
    assert.equal(Deno.lstatSync(home.paths.wallet).isSymlink, false);
    assert.equal((await readWallet(home.paths)).peerId, sample("b").peerId);
  },
});

Deno.test("saveWallet() lets exactly one of eight processes make the wallet", async () => {
  await using temporary = await temporaryHome();
  const paths = homePaths(Deno.build.os, () => undefined, `${temporary.paths.home}/new`);
  await using children = new AsyncDisposableStack();
  const racers = Array.from(
    { length: 8 },
    () => children.use(new Child("save_wallet_child.ts", [paths.home])),
  );
  await Promise.all(racers.map((racer) => racer.line()));
  await Promise.all(racers.map((racer) => racer.go()));
  const answers = await Promise.all(racers.map((racer) => racer.line()));
  const winners = answers.filter((answer) => answer.startsWith("z6Mk"));
  assert.equal(winners.length, 1);
  assert.equal(answers.filter((answer) => answer === "wallet_exists").length, 7);
  assert.equal((await readWallet(paths)).peerId, winners[0]);
  assert.match(Deno.readTextFileSync(paths.owner), new RegExp(winners[0] ?? ""));
  assert.deepEqual(names(paths.home), ["identity.json", "identity.json.lock", "wallet.json"]);
});

Deno.test("readWallet() throws wallet_missing with the command that makes one", async () => {
  await using home = await temporaryHome();
  assert.equal(await codeOf(() => readWallet(home.paths)), "wallet_missing");
  const paths = homePaths(Deno.build.os, () => undefined, `${home.paths.home}/no/home`);
  assert.equal(await codeOf(() => readWallet(paths)), "wallet_missing");
});

Deno.test({
  name:
    "readWallet() throws wallet_permissions when anybody else could read the file, which stays as it is",
  ignore: !POSIX,
  async fn() {
    await using home = await temporaryHome();
    await saveWallet(home.paths, sample("a"), UNFORCED);
    for (const mode of [0o644, 0o640, 0o604, 0o620, 0o602, 0o610, 0o601, 0o666, 0o777]) {
      Deno.chmodSync(home.paths.wallet, mode);
      assert.equal(await codeOf(() => readWallet(home.paths)), "wallet_permissions");
      assert.equal((Deno.statSync(home.paths.wallet).mode ?? 0) & 0o7777, mode);
    }
    assert.match(
      await messageFrom(() => readWallet(home.paths)),
      /others can read it \(mode 0777\)/,
    );
    assert.equal(Deno.readTextFileSync(home.paths.wallet), serialiseWallet(sample("a")));
    for (const mode of [0o600, 0o400, 0o700]) {
      Deno.chmodSync(home.paths.wallet, mode);
      assert.equal((await readWallet(home.paths)).peerId, sample("a").peerId);
    }
  },
});

Deno.test({
  name: "readWallet() throws wallet_permissions when the file belongs to another user",
  ignore: !ROOT,
  async fn() {
    await using home = await temporaryHome();
    await saveWallet(home.paths, sample("a"), UNFORCED);
    Deno.chownSync(home.paths.wallet, 65534, 65534);
    assert.equal(await codeOf(() => readWallet(home.paths)), "wallet_permissions");
    assert.match(
      await messageFrom(() => readWallet(home.paths)),
      /belongs to user 65534.*as user 0/,
    );
  },
});

Deno.test("readWallet() throws wallet_corrupted for what is no wallet, and leaves it byte for byte", async () => {
  await using home = await temporaryHome();
  const contents = [
    new Uint8Array(0),
    new Uint8Array([0xff, 0xfe]),
    new TextEncoder().encode("{}"),
    new TextEncoder().encode(serialiseWallet(sample("a")).slice(0, 99)),
    new Uint8Array(64 * 1024 + 1).fill(0x20),
  ];
  for (const content of contents) {
    Deno.writeFileSync(home.paths.wallet, content, { mode: 0o600 });
    assert.equal(await codeOf(() => readWallet(home.paths)), "wallet_corrupted");
    assert.deepEqual(Deno.readFileSync(home.paths.wallet), content);
  }
  Deno.removeSync(home.paths.wallet);
  Deno.mkdirSync(home.paths.wallet, { mode: 0o700 });
  assert.equal(await codeOf(() => readWallet(home.paths)), "wallet_corrupted");
});

Deno.test({
  name: "readWallet() and the others name the fault when another user has the home",
  ignore: !ROOT,
  async fn() {
    await using home = await temporaryHome();
    await saveWallet(home.paths, sample("a"), UNFORCED);
    Deno.mkdirSync(home.paths.run, { mode: 0o700 });
    const outcome = async (action: string) => {
      await using child = new Child("as_nobody.ts", [home.paths.home, action]);
      return await child.line();
    };
    // The home is 0700 and root's: nothing in it can even be looked at.
    assert.equal(await outcome("readWallet"), "home_unusable");
    assert.equal(await outcome("ensureHome"), "home_permissions");
    assert.equal(await outcome("readRunFiles"), "home_unusable");
    // Open to all: the files in it still are root's.
    Deno.chmodSync(home.paths.home, 0o755);
    assert.equal(await outcome("readWallet"), "wallet_permissions");
    assert.equal(await outcome("saveWallet"), "home_permissions");
    assert.equal(await outcome("readRunFiles"), "home_unusable");
    assert.equal(await outcome("readAccess"), "done");
    // Given to nobody: now it works, but for the wallet, which still is root's.
    Deno.chownSync(home.paths.home, 65534, 65534);
    Deno.chmodSync(home.paths.home, 0o700);
    assert.equal(await outcome("readWallet"), "wallet_permissions");
    Deno.removeSync(home.paths.home, { recursive: true });
    Deno.mkdirSync(home.paths.home, { mode: 0o700 });
    Deno.chownSync(home.paths.home, 65534, 65534);
    assert.equal(await outcome("saveWallet"), "done");
    assert.equal(Deno.statSync(home.paths.wallet).uid, 65534);
  },
});

Deno.test("loadWallet() asks as often as the source is worth asking, then throws wrong_passphrase", async () => {
  await using home = await temporaryHome();
  const locked = await lockWallet(sample("a"), "right", new SeededRandom(1).bytes, 16);
  await saveWallet(home.paths, locked, UNFORCED);
  const third = passphrases("wrong", "wronger", "right");
  assert.equal((await loadWallet(home.paths, third)).peerId, sample("a").peerId);
  assert.equal(third.asked, 3);
  const never = passphrases("wrong", "wronger");
  assert.equal(await codeOf(() => loadWallet(home.paths, never)), "wrong_passphrase");
  assert.equal(never.asked, 2);
  assert.equal((await readWallet(home.paths)).name, "a");
});

Deno.test("loadWallet() throws wallet_locked when no passphrase can be had, and never asks for an open one", async () => {
  await using home = await temporaryHome();
  const locked = await lockWallet(sample("a"), "right", new SeededRandom(1).bytes, 16);
  await saveWallet(home.paths, locked, UNFORCED);
  assert.equal(await codeOf(() => loadWallet(home.paths, NO_PASSPHRASE)), "wallet_locked");
  await saveWallet(home.paths, sample("b"), FORCED);
  const source = passphrases("x");
  assert.equal((await loadWallet(home.paths, source)).peerId, sample("b").peerId);
  assert.equal(source.asked, 0);
});
