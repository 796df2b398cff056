/** `talos service` and `talos logs` on Linux, with `systemctl` and `journalctl` that are played. */

import assert from "node:assert/strict";

import { type Finished, initHome, runTalosProcess } from "../../scripts/talos_process.ts";
import { fixture } from "./mcp_tunnel.ts";

const LINUX = Deno.build.os === "linux";
const PEER = "z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK";

/** A user with a wallet, whose programs are those that the test puts there. */
class User implements AsyncDisposable {
  private constructor(readonly path: string) {}

  static async make(): Promise<User> {
    const path = await Deno.realPath(await Deno.makeTempDir({ prefix: "talos-service-" }));
    const user = new User(path);
    await Deno.mkdir(`${path}/bin`);
    await initHome(`${path}/.talos`, "host");
    await user.program(
      "systemctl",
      `printf '%s\\n' "$*" >> ${path}/said
case "$*" in *show\\ talos*) printf 'LoadState=loaded\\nActiveState=active\\nMainPID=42\\n';; esac`,
    );
    return user;
  }

  get unit(): string {
    return `${this.path}/.config/systemd/user/talos.service`;
  }

  async program(name: string, script: string): Promise<void> {
    const path = `${this.path}/bin/${name}`;
    await Deno.writeTextFile(path, `#!/bin/sh\n${script}\n`);
    await Deno.chmod(path, 0o755);
  }

  /** Returns what `systemctl` was told since this was asked last. */
  async said(): Promise<string[]> {
    const text = await Deno.readTextFile(`${this.path}/said`);
    await Deno.remove(`${this.path}/said`);
    return text.trimEnd().split("\n").map((line) => line.replace(/^--user /, ""));
  }

  talos(words: readonly string[], env: Record<string, string> = {}): Promise<Finished> {
    return runTalosProcess(words, {
      env: {
        HOME: this.path,
        USER: "anna",
        XDG_CONFIG_HOME: "",
        DENO_DIR: DENO_DIRECTORY,
        PATH: `${this.path}/bin:/usr/bin:/bin`,
        ...env,
      },
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.path, { recursive: true });
  }
}

const DENO_DIRECTORY: string = JSON.parse(
  new TextDecoder().decode(
    new Deno.Command(Deno.execPath(), { args: ["info", "--json"] }).outputSync().stdout,
  ),
).denoDir;

const SERVE = ["--authorized-peer", PEER, "--env", "API_KEY", "--", ...fixture("puppet_server")];

Deno.test({
  name: "service install writes a private unit and starts it, and uninstall takes all of it back",
  ignore: !LINUX,
  fn: async () => {
    await using user = await User.make();
    const env = { API_KEY: "se cret", TALOS_SERVER: "reg.example:8765" };
    const installed = await user.talos(["--json", "service", "install", "--", ...SERVE], env);
    assert.equal(installed.code, 0, installed.stderr);
    const result = JSON.parse(installed.stdout);
    assert.deepEqual([result.id, result.file, result.state, result.pid, result.replaced], [
      ...["talos.service", user.unit, "running", 42, false],
    ]);
    assert.deepEqual(result.next, ["talos logs", "loginctl enable-linger anna"]);
    assert.equal(((await Deno.stat(user.unit)).mode ?? 0) & 0o777, 0o600);
    const unit = await Deno.readTextFile(user.unit);
    const start = /^ExecStart=(.*)$/m.exec(unit)?.[1] ?? "";
    assert.ok(start.startsWith(`"${Deno.execPath()}" "run" "--no-prompt" "--allow-read=`), start);
    assert.match(
      start,
      /"\/\S+\/main\.ts" "mcp-serve" "--authorized-peer" "z6Mk\w+" "--env" "API_KEY" "--" "/,
    );
    assert.ok(unit.includes('\nEnvironment="API_KEY=se cret"\n'));
    assert.ok(unit.includes('\nEnvironment="TALOS_SERVER=reg.example:8765"\n'));
    assert.ok(unit.includes(`\nEnvironment="PATH=${user.path}/bin:/usr/bin:/bin"\n`));
    assert.deepEqual((await user.said()).map((line) => line.split(" ").slice(0, 2).join(" ")), [
      "show-environment",
      "daemon-reload",
      "enable talos.service",
      "restart talos.service",
      "show talos.service",
    ]);

    const status = await user.talos(["service", "status"]);
    assert.equal(
      status.stdout,
      `Service: talos.service, ${user.unit}\nState:   running, process 42\n`,
    );
    await user.said();

    const removed = await user.talos(["service", "uninstall"]);
    assert.equal(removed.stdout, `Removed: talos.service, ${user.unit}\n`);
    await assert.rejects(Deno.stat(user.unit), Deno.errors.NotFound);
    assert.deepEqual(await user.said(), [
      "show-environment",
      "disable --now talos.service",
      "daemon-reload",
      "reset-failed talos.service",
    ]);
    const again = await user.talos(["--json", "service", "status"]);
    assert.equal(JSON.parse(again.stderr).error, "service_missing");
  },
});

Deno.test({
  name: "service install changes nothing when the options are wrong or nobody would start it",
  ignore: !LINUX,
  fn: async () => {
    await using user = await User.make();
    const refused = async (words: readonly string[], code: number, text: RegExp) => {
      const ended = await user.talos(["service", "install", ...words]);
      assert.equal(ended.code, code, ended.stderr);
      assert.match(ended.stderr, text);
      await assert.rejects(Deno.stat(user.unit), Deno.errors.NotFound);
    };
    await refused(["--", "--no-such-option"], 2, /mcp-serve takes no --no-such-option/);
    await refused(["--", "--", "/nowhere/server"], 1, /\/nowhere\/server/);
    await refused(["--writable", "/nowhere", "--", "--", "cat"], 2, /it is no directory/);
    await refused(["--name", "A B", "--", "--", "cat"], 2, /A B/);
    await refused(["--", "--home", "/x", "--", "cat"], 2, /name it first: talos --home \/x/);
    await user.program("systemctl", "echo Failed to connect to bus: No medium found >&2; exit 1");
    await refused(
      ["--", "--", "cat"],
      1,
      /^talos: Cannot reach this user's service manager: Failed to connect to bus: .*\nhint: log in as this user itself/m,
    );
  },
});

Deno.test({
  name: "service install --writable closes the rest of the disk",
  ignore: !LINUX,
  fn: async () => {
    await using user = await User.make();
    await Deno.mkdir(`${user.path}/projects`);
    const { code, stderr } = await user.talos([
      ...["service", "install", "--writable", `${user.path}/projects`, "--", "--", "cat"],
    ]);
    assert.equal(code, 0, stderr);
    const unit = await Deno.readTextFile(user.unit);
    assert.ok(unit.includes(`\nReadWritePaths="${user.path}/.talos" "${user.path}/projects"\n`));
    assert.ok(unit.includes("\nProtectSystem=strict\n"));
  },
});

Deno.test({
  name: "logs shows what the journal has, a JSON object a line where that is asked for",
  ignore: !LINUX,
  fn: async () => {
    await using user = await User.make();
    const none = await user.talos(["logs"]);
    assert.equal(none.code, 1);
    assert.match(none.stderr, /^talos: There is no log of a service default/);
    await user.talos(["service", "install", "--", "--", "cat"]);
    await user.program("journalctl", `echo "$@"; printf 'a \\033[31mred line\\nlast'`);
    const plain = await user.talos(["logs", "--follow", "--lines", "5"]);
    assert.equal(
      plain.stdout,
      "--user --unit=talos.service --no-pager --output=cat --lines=5 --follow\n" +
        "a \ufffd[31mred line\nlast\n",
    );
    const json = await user.talos(["--json", "logs"]);
    assert.deepEqual(
      json.stdout.trimEnd().split("\n").slice(1).map((line) => JSON.parse(line)),
      [{ line: "a \u001b[31mred line" }, { line: "last" }],
    );
    await user.program("journalctl", "echo No journal files were found. >&2; exit 1");
    const broken = await user.talos(["logs"]);
    assert.equal(broken.code, 1);
    assert.match(broken.stderr, /Cannot read the log: No journal files were found\./);
  },
});
