import assert from "node:assert/strict";

import {
  denoArguments,
  type PermissionFacts,
  permissionsOf,
  PERMITTED_COMMANDS,
} from "../../lib/cli/permissions.ts";
import { talosProgram } from "../../lib/cli/program.ts";
import { shellLine } from "../../lib/cli/shell_line.ts";
import type { OperatingSystem } from "../../lib/identity/file_path.ts";

const MAIN = "/opt/talos/main.ts";

function lineOf(os: OperatingSystem, facts: PermissionFacts, ...args: string[]): string {
  const permissions = permissionsOf(os, args[0] ?? "", facts);
  assert.ok(permissions !== null);
  return shellLine(os, denoArguments(permissions, MAIN, args));
}

const LINUX: PermissionFacts = { home: "/home/anna/.talos", former: "/home/anna/.bmp" };
const DARWIN: PermissionFacts = { home: "/Users/anna/.talos", former: "/Users/anna/.bmp" };
const WINDOWS: PermissionFacts = {
  home: "C:\\Users\\Anna Müller\\.talos",
  former: "C:\\Users\\Anna Müller\\.bmp",
};

Deno.test("permissionsOf() grants init its home and nothing of the network", () => {
  assert.equal(
    lineOf("linux", LINUX, "init", "--name", "laptop"),
    "deno run --no-prompt --allow-read=/home/anna/.talos,/home/anna/.bmp " +
      "--allow-write=/home/anna/.talos --allow-env=HOME,TALOS_HOME,TALOS_PASSPHRASE_FILE " +
      "--allow-sys=uid /opt/talos/main.ts init --name laptop",
  );
  assert.equal(
    lineOf("darwin", DARWIN, "init", "--name", "Anna's Mac"),
    "deno run --no-prompt --allow-read=/Users/anna/.talos,/Users/anna/.bmp " +
      "--allow-write=/Users/anna/.talos --allow-env=HOME,TALOS_HOME,TALOS_PASSPHRASE_FILE " +
      "--allow-sys=uid /opt/talos/main.ts init --name 'Anna'\\''s Mac'",
  );
  assert.equal(
    lineOf("windows", WINDOWS, "init", "--name", "laptop"),
    'deno run --no-prompt "--allow-read=C:\\Users\\Anna Müller\\.talos,C:\\Users\\Anna Müller\\.bmp" ' +
      '"--allow-write=C:\\Users\\Anna Müller\\.talos" ' +
      "--allow-env=USERPROFILE,TALOS_HOME,TALOS_PASSPHRASE_FILE " +
      "/opt/talos/main.ts init --name laptop",
  );
});

Deno.test("permissionsOf() grants status this machine, where its processes listen and the registry", () => {
  assert.equal(
    lineOf("linux", {
      ...LINUX,
      listening: ["192.0.2.7"],
      registry: { host: "registry.example", port: 8765 },
    }, "status"),
    "deno run --no-prompt --allow-read=/home/anna/.talos,/home/anna/.bmp " +
      "--allow-write=/home/anna/.talos " +
      "--allow-env=HOME,TALOS_HOME,TALOS_PASSPHRASE_FILE,TALOS_SERVER,TALOS_JOIN_TOKEN_FILE " +
      "--allow-sys=uid --allow-net=127.0.0.1,192.0.2.7,registry.example:8765 " +
      "/opt/talos/main.ts status",
  );
});

Deno.test("permissionsOf() grants mcp-connect one address when it has one, and else the network", () => {
  assert.equal(
    lineOf("linux", { ...LINUX, address: { host: "2001:db8::7", port: 8766 } }, "mcp-connect"),
    "deno run --no-prompt --allow-read=/home/anna/.talos --allow-write=/home/anna/.talos " +
      "--allow-env=HOME,TALOS_HOME,TALOS_PASSPHRASE_FILE --allow-sys=uid " +
      "'--allow-net=[2001:db8::7]:8766' /opt/talos/main.ts mcp-connect",
  );
  assert.equal(
    lineOf("darwin", { ...DARWIN, passphraseFile: "/run/secret", tokenFile: "/t" }, "mcp-connect"),
    "deno run --no-prompt --allow-read=/Users/anna/.talos,/run/secret,/t " +
      "--allow-write=/Users/anna/.talos " +
      "--allow-env=HOME,TALOS_HOME,TALOS_PASSPHRASE_FILE,TALOS_SERVER,TALOS_JOIN_TOKEN_FILE " +
      "--allow-sys=uid --allow-net /opt/talos/main.ts mcp-connect",
  );
  assert.equal(
    lineOf("windows", { ...WINDOWS, address: { host: "192.0.2.7", port: 1 } }, "mcp-connect"),
    'deno run --no-prompt "--allow-read=C:\\Users\\Anna Müller\\.talos" ' +
      '"--allow-write=C:\\Users\\Anna Müller\\.talos" ' +
      "--allow-env=USERPROFILE,TALOS_HOME,TALOS_PASSPHRASE_FILE --allow-net=192.0.2.7:1 " +
      "/opt/talos/main.ts mcp-connect",
  );
});

Deno.test("permissionsOf() grants mcp-serve what its servers inherit, and to start programs", () => {
  const facts = { ...LINUX, looksAt: ["/srv", "/usr/bin/npx"], variables: ["API_KEY"] };
  assert.equal(
    lineOf("linux", facts, "mcp-serve", "--env", "API_KEY", "--", "npx"),
    "deno run --no-prompt --allow-read=/home/anna/.talos,/srv,/usr/bin/npx " +
      "--allow-write=/home/anna/.talos " +
      "--allow-env=HOME,TALOS_HOME,TALOS_PASSPHRASE_FILE,TALOS_SERVER,TALOS_JOIN_TOKEN_FILE," +
      "LOGNAME,PATH,SHELL,TERM,USER,API_KEY --allow-sys=uid,networkInterfaces " +
      "'--allow-net=0.0.0.0,[::]' --allow-run /opt/talos/main.ts mcp-serve --env API_KEY -- npx",
  );
  assert.equal(
    lineOf("darwin", { ...DARWIN, listenHost: "::1", port: 8766 }, "mcp-serve"),
    "deno run --no-prompt --allow-read=/Users/anna/.talos --allow-write=/Users/anna/.talos " +
      "--allow-env=HOME,TALOS_HOME,TALOS_PASSPHRASE_FILE,TALOS_SERVER,TALOS_JOIN_TOKEN_FILE," +
      "LOGNAME,PATH,SHELL,TERM,USER --allow-sys=uid,networkInterfaces " +
      "'--allow-net=[::1]:8766' --allow-run /opt/talos/main.ts mcp-serve",
  );
  assert.equal(
    lineOf("windows", { ...WINDOWS, listenHost: "127.0.0.1", port: 0 }, "mcp-serve"),
    'deno run --no-prompt "--allow-read=C:\\Users\\Anna Müller\\.talos" ' +
      '"--allow-write=C:\\Users\\Anna Müller\\.talos" ' +
      "--allow-env=USERPROFILE,TALOS_HOME,TALOS_PASSPHRASE_FILE,TALOS_SERVER," +
      "TALOS_JOIN_TOKEN_FILE,APPDATA,HOMEDRIVE,HOMEPATH,LOCALAPPDATA,PATH," +
      "PROCESSOR_ARCHITECTURE,SYSTEMDRIVE,SYSTEMROOT,TEMP,USERNAME,PROGRAMFILES,COMSPEC," +
      "PATHEXT,TMP --allow-sys=networkInterfaces --allow-net=127.0.0.1 --allow-run " +
      "/opt/talos/main.ts mcp-serve",
  );
});

Deno.test("permissionsOf() grants doctor the network and the clients' files, and to write its home alone", () => {
  assert.equal(
    lineOf("linux", { ...LINUX, looksAt: ["/home/anna/.cursor/mcp.json"] }, "doctor"),
    "deno run --no-prompt --allow-read=/home/anna/.talos,/home/anna/.cursor/mcp.json " +
      "--allow-write=/home/anna/.talos " +
      "--allow-env=HOME,TALOS_HOME,TALOS_PASSPHRASE_FILE,TALOS_SERVER,TALOS_JOIN_TOKEN_FILE," +
      "XDG_CONFIG_HOME,APPDATA,LOCALAPPDATA,CLAUDE_CONFIG_DIR,GEMINI_CLI_HOME,CODEX_HOME " +
      "--allow-sys=uid,statfs --allow-net /opt/talos/main.ts doctor",
  );
});

Deno.test("permissionsOf() grants service and logs to start programs, and service to write its file", () => {
  const facts = { ...LINUX, looksAt: ["/home/anna/.config/systemd/user"] };
  assert.deepEqual(permissionsOf("linux", "logs", facts), {
    read: ["/home/anna/.talos", "/home/anna/.config/systemd/user"],
    write: ["/home/anna/.talos"],
    env: [
      ...["HOME", "TALOS_HOME", "XDG_CONFIG_HOME", "USER", "USERDOMAIN", "USERNAME", "PATHEXT"],
      ...["DENO_DIR", "SYSTEMROOT"],
    ],
    sys: ["uid"],
    run: true,
  });
  assert.deepEqual(permissionsOf("linux", "service", facts)?.write, [
    "/home/anna/.talos",
    "/home/anna/.config/systemd/user",
  ]);
});

Deno.test("permissionsOf() grants nothing to what only prints", () => {
  for (const command of ["permissions", "completions", "version", "help"]) {
    assert.deepEqual(permissionsOf("linux", command, LINUX), {});
  }
});

Deno.test("permissionsOf() gives null when the command is not known", () => {
  for (const command of ["", "constructor", "toString", "serve"]) {
    assert.equal(permissionsOf("linux", command, LINUX), null);
  }
});

Deno.test("PERMITTED_COMMANDS has every command of the program", () => {
  const program = talosProgram({ contextOf: () => assert.fail(), print: () => assert.fail() });
  const names = program.commands.map((command) => command.name());
  assert.deepEqual(names.filter((name) => !PERMITTED_COMMANDS.includes(name)), []);
});

Deno.test("denoArguments() doubles a comma, which ends a value for Deno, and names nothing twice", () => {
  assert.deepEqual(denoArguments({ read: ["/a,b", "/c", "/c"], net: [] }, "main.ts", []), [
    "deno",
    "run",
    "--no-prompt",
    "--allow-read=/a,,b,/c",
    "main.ts",
  ]);
});

/** What a named set grants. */
interface NamedSet {
  readonly env: readonly string[];
  readonly sys: readonly string[];
  readonly net?: readonly string[] | true;
  readonly run?: true;
}

async function namedSets(): Promise<Record<string, NamedSet>> {
  const text = await Deno.readTextFile(new URL("../../deno.json", import.meta.url));
  return JSON.parse(text).permissions;
}

Deno.test("permissionsOf() asks for nothing beyond the sets of deno.json when nothing is special", async () => {
  const sets = await namedSets();
  const granted = (variable: string, env: readonly string[]) =>
    env.includes(variable) || (variable.startsWith("TALOS_") && env.includes("TALOS_*"));
  for (const command of PERMITTED_COMMANDS) {
    for (const os of ["linux", "darwin", "windows"] as const) {
      const needs = permissionsOf(os, command, LINUX);
      const set = sets[command];
      if (set === undefined) {
        assert.deepEqual(needs, {}, command);
        continue;
      }
      for (const name of needs?.env ?? []) assert.ok(granted(name, set.env), `${command} ${name}`);
      for (const fact of needs?.sys ?? []) assert.ok(set.sys.includes(fact), `${command} ${fact}`);
      if (set.net !== true) assert.deepEqual(needs?.net ?? [], set.net ?? [], command);
      assert.equal(needs?.run, set.run, command);
    }
  }
});

Deno.test("the sets of deno.json are of commands that there are", async () => {
  for (const command of Object.keys(await namedSets())) {
    assert.ok(PERMITTED_COMMANDS.includes(command), command);
  }
});
