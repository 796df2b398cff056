/** `talos init` as a user runs it: where the identity lies, who can read it, and what becomes of an old one. */

import assert from "node:assert/strict";

import { runTalosProcess, TALOS } from "../../scripts/talos_process.ts";

const POSIX = Deno.build.os !== "windows";

/** A user with a directory of their own, which goes when the test ends. */
class User implements AsyncDisposable {
  readonly directory: string;

  constructor(directory: string) {
    this.directory = directory;
  }

  static async make(): Promise<User> {
    return new User(await Deno.realPath(await Deno.makeTempDir({ prefix: "talos-init-" })));
  }

  /** Runs talos as this user. */
  run(args: readonly string[], env: Record<string, string> = {}) {
    return runTalosProcess(args, {
      env: { HOME: this.directory, USERPROFILE: this.directory, DENO_DIR, ...env },
    });
  }

  /** Runs talos, which has to succeed, and returns what it printed as JSON. */
  async json(args: readonly string[], env: Record<string, string> = {}) {
    const { code, stdout, stderr } = await this.run(["--json", ...args], env);
    assert.equal(code, 0, stderr);
    return JSON.parse(stdout);
  }

  /** The names of what lies in the home, sorted. */
  names(home = ".talos"): string[] {
    return [...Deno.readDirSync(`${this.directory}/${home}`)].map(({ name }) => name).sort();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.directory, { recursive: true });
  }
}

const DENO_DIR = denoDirectory();

function mode(path: string): number {
  return (Deno.statSync(path).mode ?? 0) & 0o7777;
}

Deno.test({
  name: "talos init makes everything private when the umask lets everybody in",
  ignore: !POSIX,
  fn: async () => {
    await using user = await User.make();
    const { code } = await runTalosProcess(["init", "--name", "a"], {
      command: ["sh", "-c", 'umask 0; exec "$@"', "sh", ...TALOS],
      env: { HOME: user.directory, DENO_DIR },
    });
    assert.equal(code, 0);
    const home = `${user.directory}/.talos`;
    assert.equal(mode(home), 0o700);
    for (const name of user.names()) assert.equal(mode(`${home}/${name}`), 0o600, name);
  },
});

Deno.test("talos init lets one of four processes make the identity, and leaves nothing half made", async () => {
  await using user = await User.make();
  const results = await Promise.all(
    ["a", "b", "c", "d"].map((name) => user.run(["--json", "init", "--name", name])),
  );
  assert.deepEqual(results.map(({ code }) => code).sort(), [0, 1, 1, 1]);
  for (const { code, stderr } of results) {
    if (code !== 0) assert.equal(JSON.parse(stderr).error, "wallet_exists");
  }
  const made = JSON.parse(results.find(({ code }) => code === 0)?.stdout ?? assert.fail());
  assert.equal((await user.json(["status"])).peer_id, made.peer_id);
  assert.deepEqual(user.names().filter((name) => name.endsWith(".tmp")), []);
});

Deno.test("talos init sets the state of the old identity aside when its wallet was deleted", async () => {
  await using user = await User.make();
  const home = `${user.directory}/.talos`;
  const { peer_id: old } = await user.json(["init", "--name", "old"]);
  Deno.writeTextFileSync(`${home}/blockchain.json`, "[\n]");
  Deno.writeTextFileSync(`${home}/talos.db`, "old messages");
  await Deno.remove(`${home}/wallet.json`);

  const { code, stderr } = await user.run(["init", "--name", "new"]);
  assert.equal(code, 0, stderr);
  assert.match(stderr, /^talos: set aside: blockchain\.json is now blockchain\.json\.z6Mk/m);
  assert.equal(Deno.readTextFileSync(`${home}/blockchain.json.${old}`), "[\n]");
  assert.equal(Deno.readTextFileSync(`${home}/talos.db.${old}`), "old messages");
  assert.ok(!user.names().includes("blockchain.json"));
  assert.notEqual((await user.json(["status"])).peer_id, old);
});

Deno.test("talos init keeps access.json, so that no revocation is forgotten", async () => {
  await using user = await User.make();
  const stranger = "z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK";
  await user.json(["init", "--name", "old"]);
  await user.json(["access", "revoke", stranger]);
  await user.json(["init", "--name", "new", "--force"]);
  const { revocations } = await user.json(["access", "list"]);
  assert.equal(revocations[0].peer_id, stranger);
});

Deno.test("talos init --passphrase seals the key under the passphrase in the file", async () => {
  await using user = await User.make();
  const file = `${user.directory}/passphrase`;
  await Deno.writeTextFile(file, "correct horse\n", { mode: 0o600 });
  const env = { TALOS_PASSPHRASE_FILE: file };
  const made = await user.json(["init", "--name", "a", "--passphrase"], env);
  const wallet = JSON.parse(Deno.readTextFileSync(made.wallet));
  assert.equal(wallet.peer_id, made.peer_id);
  const { kdf, n, r, p } = wallet.secret_key;
  assert.deepEqual({ kdf, n, r, p }, { kdf: "scrypt", n: 131072, r: 8, p: 1 });
  assert.equal((await user.json(["status"])).locked, true);

  const locked = await user.run(["--json", "mcp-serve", "--command", "cat"]);
  assert.equal(JSON.parse(locked.stderr).error, "wallet_locked");
});

Deno.test("talos takes its home from --home, else from TALOS_HOME, else from the user's directory", async () => {
  await using user = await User.make();
  const at = async (args: readonly string[], env: Record<string, string> = {}) =>
    (await user.json(["init", "--name", "a", ...args], env)).wallet;
  const below = (path: string) => `${user.directory}/${path}/wallet.json`;
  const env = { TALOS_HOME: `${user.directory}/variable` };
  if (POSIX) {
    assert.equal(await at(["--home", `${user.directory}/flag`], env), below("flag"));
    assert.equal(await at([], env), below("variable"));
    assert.equal(await at([], { TALOS_HOME: "" }), below(".talos"));
    assert.equal(await at(["--home=~/tilde"]), below("tilde"));
  }
  const { code, stderr } = await user.run(["--json", "--home", "", "status"]);
  assert.equal(code, 2);
  assert.equal(JSON.parse(stderr).error, "home_invalid");
});

Deno.test("talos says what ~/.bmp is until there is an identity, and reads nothing of it", async () => {
  await using user = await User.make();
  await Deno.mkdir(`${user.directory}/.bmp`);
  await Deno.writeTextFile(`${user.directory}/.bmp/wallet.json`, "not ours");
  for (const args of [[], ["init", "--name", "a"]]) {
    const { code, stderr } = await user.run(args);
    assert.equal(code, 0, stderr);
    assert.match(stderr, /\.bmp belongs to BMP, the former program\. Talos does not read it/);
  }
  assert.doesNotMatch((await user.run([])).stderr, /\.bmp/);
  assert.equal(await Deno.readTextFile(`${user.directory}/.bmp/wallet.json`), "not ours");
});

/** Returns Deno's cache, which does not move with `$HOME`. */
function denoDirectory(): string {
  const { stdout } = new Deno.Command(Deno.execPath(), { args: ["info", "--json"] }).outputSync();
  return JSON.parse(new TextDecoder().decode(stdout)).denoDir;
}
