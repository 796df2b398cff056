/** `talos mcp-install` against real configuration files, a real host, and clients' programs that are played. */

import assert from "node:assert/strict";

import {
  type Finished,
  initHome,
  type RunningHost,
  runTalosProcess,
  startHost,
} from "../../scripts/talos_process.ts";
import { FILESYSTEM_SERVER, prepareServer } from "../../scripts/mcp_servers.ts";

const LINUX = Deno.build.os === "linux";
const NOWHERE = "z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK@127.0.0.1:1";

/** A user with a wallet, and a PATH on which there is nothing but what the test puts there. */
class User implements AsyncDisposable {
  readonly path: string;
  readonly bin: string;
  peerId = "";

  private constructor(path: string) {
    this.path = path;
    this.bin = `${path}/bin`;
  }

  static async make(): Promise<User> {
    const user = new User(
      await Deno.realPath(await Deno.makeTempDir({ prefix: "talos-install-" })),
    );
    await Deno.mkdir(user.bin);
    user.peerId = await initHome(`${user.path}/.talos`, "agent");
    return user;
  }

  talos(args: readonly string[], env: Record<string, string> = {}): Promise<Finished> {
    const own = { HOME: this.path, PATH: this.bin, DENO_DIR: denoDirectory(), XDG_CONFIG_HOME: "" };
    return runTalosProcess(args, { env: { ...own, ...env } });
  }

  install(target: string, client: string, ...more: string[]): Promise<Finished> {
    return this.talos(["mcp-install", target, "--client", client, ...more]);
  }

  async write(name: string, text: string): Promise<string> {
    const path = `${this.path}/${name}`;
    await Deno.mkdir(path.slice(0, path.lastIndexOf("/")), { recursive: true });
    await Deno.writeTextFile(path, text);
    return path;
  }

  async program(name: string, script: string): Promise<void> {
    const path = `${this.bin}/${name}`;
    await Deno.writeTextFile(path, `#!/bin/sh\n${script}\n`);
    await Deno.chmod(path, 0o755);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.path, { recursive: true });
  }
}

/** A host that shares the user's directory with the user. */
async function hostFor(user: User): Promise<{ target: string; serving: RunningHost }> {
  const hosting = `${user.path}/hosting`;
  const id = await initHome(hosting, "host");
  const serving = await startHost(hosting, [
    ...[
      "--authorized-peer",
      user.peerId,
      "--",
      ...await prepareServer(FILESYSTEM_SERVER),
      user.path,
    ],
  ]);
  return { target: `${id}@127.0.0.1:${serving.port}`, serving };
}

const DESKTOP = ".config/Claude/claude_desktop_config.json";

Deno.test({
  name: "mcp-install writes, tries and removes an entry of Claude Desktop and of Cursor",
  ignore: !LINUX,
  fn: async () => {
    await using user = await User.make();
    const { target, serving } = await hostFor(user);
    await using _serving = serving;
    const before = '{\n\t"mcpServers": {\n\t\t"a": {"command": "x"}\n\t},\n\t"scale": 0\n}\n';
    const desktop = await user.write(DESKTOP, before);
    const cursor = await user.write(".cursor/mcp.json", "");
    await Deno.remove(cursor);

    const added = await user.install(target, "claude-desktop", "--json");
    assert.equal(added.code, 0, added.stderr);
    const { name, file, action, backup, entry, verified } = JSON.parse(added.stdout);
    assert.equal(name, `talos-${target.slice(0, 12)}`);
    assert.deepEqual([file, action], [desktop, "added"]);
    assert.equal(await Deno.readTextFile(backup), before);
    assert.deepEqual(verified, { server: "secure-filesystem-server", version: "0.2.0", tools: 14 });
    const { mcpServers, scale } = JSON.parse(await Deno.readTextFile(desktop));
    assert.equal(scale, 0);
    assert.deepEqual(mcpServers, { a: { command: "x" }, [name]: entry });
    assert.equal(entry.command, Deno.execPath());
    assert.deepEqual(entry.args.slice(-2), ["mcp-connect", target]);

    const again = await user.install(target, "claude-desktop", "--no-verify");
    assert.deepEqual(again.stdout, `Claude Desktop has the server "${name}" already: ${desktop}\n`);

    const text = await user.install(target, "cursor", "--name", "files");
    assert.equal(text.code, 0, text.stderr);
    assert.equal(
      text.stdout,
      `Cursor has the server "files" now: ${cursor}\n` +
        "it answers: secure-filesystem-server 0.2.0, 14 tools\n",
    );
    assert.match(
      text.stderr,
      /^next, to take it out again: talos mcp-install \S+ --client cursor --name files --remove$/m,
    );

    const removed = await user.install(target, "claude-desktop", "--remove", "--json");
    assert.equal(JSON.parse(removed.stdout).action, "removed", removed.stderr);
    assert.equal(await Deno.readTextFile(desktop), before);
    const absent = await user.install(target, "claude-desktop", "--remove");
    assert.equal(absent.stdout, `Claude Desktop has no server "${name}": ${desktop}\n`);
    assert.equal(absent.code, 0);
  },
});

Deno.test({
  name:
    "mcp-install ends with the status of what is wrong, and leaves the entry, when it does not work",
  ignore: !LINUX,
  fn: async () => {
    await using user = await User.make();
    const start = performance.now();
    const failed = await user.install(NOWHERE, "windsurf");
    assert.ok(performance.now() - start < 40_000, "it does not wait for as long as an agent would");
    assert.equal(failed.code, 4, failed.stderr);
    assert.match(
      failed.stderr,
      /^talos: The entry is there, but it does not work: Cannot connect/m,
    );
    assert.match(failed.stderr, /^hint: see why: talos doctor z6Mkha\w+$/m);
    const { mcpServers } = JSON.parse(
      await Deno.readTextFile(`${user.path}/.codeium/windsurf/mcp_config.json`),
    );
    assert.deepEqual(Object.keys(mcpServers), ["talos-z6MkhaXgBZDv"]);
  },
});

Deno.test({
  name: "mcp-install touches nothing when the configuration is malformed, and says where",
  ignore: !LINUX,
  fn: async () => {
    await using user = await User.make();
    const text = '{\n  "mcpServers": {\n    "a": {},\n  }\n}\n';
    const desktop = await user.write(DESKTOP, text);
    for (const more of [[], ["--remove"], ["--force"]]) {
      const refused = await user.install(NOWHERE, "claude-desktop", "--no-verify", ...more);
      assert.equal(refused.code, 1);
      const [line] = refused.stderr.split("\n");
      assert.equal(
        line,
        `talos: Cannot change ${desktop}, nothing in it was touched: ` +
          "a comma has nothing behind it at line 3, column 12",
      );
    }
    assert.equal(await Deno.readTextFile(desktop), text);
    assert.equal(
      [...Deno.readDirSync(`${user.path}/.config/Claude`)].length,
      1,
      "no backup either",
    );

    const toml = '[mcp_servers.box]\ncommand = "talos"\nargs = ["mcp-connect", "OLD"]\n' +
      '[mcp_servers.box.env]\nA = "b"\n';
    const config = await user.write(".codex/config.toml", toml);
    const refused = await user.install(NOWHERE, "codex-cli", "--no-verify", "--name", "box");
    assert.equal(refused.code, 1);
    assert.match(
      refused.stderr,
      /the table env of the server, which would have to change,.* line 4/,
    );
    assert.equal(await Deno.readTextFile(config), toml);
    assert.equal([...Deno.readDirSync(`${user.path}/.codex`)].length, 1, "no backup either");
  },
});

Deno.test({
  name: "mcp-install does not write while Claude Desktop runs, unless it is forced to",
  ignore: !LINUX,
  fn: async () => {
    await using user = await User.make();
    const desktop = await user.write(DESKTOP, "{}\n");
    await user.program("claude-desktop", "echo ready; read -r line");
    const running = new Deno.Command(`${user.bin}/claude-desktop`, {
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    const out = running.stdout.getReader();
    await out.read(); // it is what it is called by now
    const refused = await user.install(NOWHERE, "claude-desktop", "--no-verify");
    assert.equal(refused.code, 1);
    assert.match(
      refused.stderr,
      new RegExp(`^talos: Claude Desktop runs \\(process ${running.pid}\\)`),
    );
    assert.match(refused.stderr, /^hint: quit it first/m);
    assert.equal(await Deno.readTextFile(desktop), "{}\n");
    const elsewhere = await user.install(NOWHERE, "cursor", "--no-verify");
    assert.equal(elsewhere.code, 0, elsewhere.stderr);

    const forced = await user.install(NOWHERE, "claude-desktop", "--no-verify", "--force");
    assert.equal(forced.code, 0, forced.stderr);
    const kept = await user.install(NOWHERE, "claude-desktop", "--remove");
    assert.equal(kept.code, 1);

    await running.stdin.close();
    await running.status;
    await out.cancel();
    const removed = await user.install(NOWHERE, "claude-desktop", "--remove");
    assert.equal(removed.code, 0, removed.stderr);
    assert.equal(await Deno.readTextFile(desktop), '{\n  "mcpServers": {}\n}\n');
  },
});

Deno.test({
  name: "mcp-install leaves another's entry of the name, unless it is forced to",
  ignore: !LINUX,
  fn: async () => {
    await using user = await User.make();
    const text = '{"servers": {"mine": {"command": "npx"}}}';
    const file = await user.write(".config/Code/User/mcp.json", text);
    const install = (...more: string[]) =>
      user.install(NOWHERE, "vscode", "--name", "mine", "--no-verify", ...more);
    for (const more of [[], ["--remove"]]) {
      const refused = await install(...more);
      assert.equal(refused.code, 1);
      assert.match(
        refused.stderr,
        /^talos: VS Code has an entry "mine" that is not one of Talos's/,
      );
    }
    assert.equal(await Deno.readTextFile(file), text);
    const forced = await install("--force", "--json");
    assert.equal(JSON.parse(forced.stdout).action, "changed", forced.stderr);
    assert.deepEqual(Object.keys(JSON.parse(await Deno.readTextFile(file)).servers), ["mine"]);
  },
});

Deno.test({
  name: "mcp-install has the client's own program do it, and does it itself when that fails",
  ignore: !LINUX,
  fn: async () => {
    await using user = await User.make();
    // Plays `claude mcp add-json --scope user NAME JSON` and `claude mcp remove --scope user NAME`.
    await user.program(
      "claude",
      `printf '%s\\n' "$@" > "$HOME/asked"
case "$2" in
  add-json) printf '{"mcpServers": {"%s": %s}}' "$5" "$6" > "$HOME/.claude.json" ;;
  remove) printf '{"mcpServers": {}}' > "$HOME/.claude.json" ;;
esac`,
    );
    const install = (client: string, ...more: string[]) =>
      user.install(NOWHERE, client, "--name", "box", "--no-verify", "--json", ...more);
    const added = await install("claude-code");
    assert.equal(JSON.parse(added.stdout).by, "claude", added.stderr);
    const asked = await Deno.readTextFile(`${user.path}/asked`);
    assert.deepEqual(asked.split("\n").slice(0, 5), ["mcp", "add-json", "--scope", "user", "box"]);
    assert.equal(JSON.parse((await install("claude-code")).stdout).action, "unchanged");
    const removed = await install("claude-code", "--remove");
    assert.equal(JSON.parse(removed.stdout).by, "claude", removed.stderr);
    assert.match(await Deno.readTextFile(`${user.path}/asked`), /^mcp\nremove\n/);

    await user.program("codex", "exit 3");
    const config = await user.write(".codex/config.toml", 'model = "x" # mine\n');
    const itself = await install("codex-cli");
    assert.equal(JSON.parse(itself.stdout).by, null, itself.stderr);
    assert.match(itself.stderr, /the client's own command did not do it/);
    assert.match(itself.stderr, /exit status 3/);
    const text = await Deno.readTextFile(config);
    assert.match(text, /^model = "x" # mine\n\n\[mcp_servers\.box\]\ncommand = /);

    await user.program("gemini", "exit 0"); // says that it did, and did not
    const silent = await install("gemini-cli");
    assert.equal(JSON.parse(silent.stdout).by, null, silent.stderr);
    assert.match(silent.stderr, /the entry is not as it should be/);
  },
});

Deno.test({
  name: "mcp-install --print shows what belongs there and writes nothing",
  ignore: !LINUX,
  fn: async () => {
    await using user = await User.make();
    const env = { TALOS_SERVER: "reg.example", TALOS_PASSPHRASE_FILE: "/run/secret" };
    const printed = await user.talos(
      ["mcp-install", `${NOWHERE.split("@")[0]}/notes`, "--client", "zed", "--print"],
      env,
    );
    assert.equal(printed.code, 0, printed.stderr);
    assert.equal(
      printed.stderr,
      `talos: this belongs into ${user.path}/.config/zed/settings.json\n`,
    );
    const { context_servers } = JSON.parse(printed.stdout);
    const { args, env: set } = context_servers["talos-z6MkhaXgBZDv-notes"];
    assert.deepEqual(args.slice(-4), [
      "mcp-connect",
      `${NOWHERE.split("@")[0]}/notes`,
      "--server",
      "reg.example:8765",
    ]);
    assert.deepEqual(set, { TALOS_PASSPHRASE_FILE: "/run/secret", DENO_DIR: denoDirectory() });
    assert.deepEqual([...Deno.readDirSync(user.path)].map(({ name }) => name).sort(), [
      ".talos",
      "bin",
    ]);
  },
});

Deno.test({
  name: "mcp-install runs with what `talos permissions` prints",
  ignore: !LINUX,
  fn: async () => {
    await using user = await User.make();
    const words = ["mcp-install", NOWHERE, "--client", "claude-desktop", "--no-verify"];
    const asked = await user.talos(["--json", "permissions", ...words]);
    assert.equal(asked.code, 0, asked.stderr);
    const [, ...args]: string[] = JSON.parse(asked.stdout).argv;
    const command: [string, ...string[]] = [Deno.execPath(), ...args];
    const env = { HOME: user.path, PATH: user.bin, DENO_DIR: denoDirectory() };
    const installed = await runTalosProcess([], { command, env });
    assert.equal(installed.code, 0, installed.stderr);
    assert.match(installed.stderr, /cannot tell whether Claude Desktop runs/);
  },
});

/** Returns Deno's cache, which does not move with `$HOME`. */
function denoDirectory(): string {
  const { stdout } = new Deno.Command(Deno.execPath(), { args: ["info", "--json"] }).outputSync();
  return JSON.parse(new TextDecoder().decode(stdout)).denoDir;
}
