import assert from "node:assert/strict";
import { DEFAULT_INHERITED_ENV_VARS } from "@modelcontextprotocol/sdk/client/stdio.js";
import {
  childEnvironment,
  INHERITED_POSIX,
  INHERITED_WINDOWS,
} from "../../lib/mcp/child_environment.ts";
import { McpError, type McpErrorCode } from "../../lib/mcp/errors.ts";

const CALLER = { peerId: "z6MkexamplePeer" };
const UNIX = {
  HOME: "/home/u",
  LOGNAME: "u",
  PATH: "/usr/bin",
  SHELL: "/bin/sh",
  TERM: "xterm",
  USER: "u",
  LANG: "C.UTF-8",
  API_KEY: "k-1",
  AWS_SECRET_ACCESS_KEY: "hidden",
  TALOS_HOME: "/home/u/.talos",
  TALOS_PASSPHRASE_FILE: "/run/pass",
  TALOS_PEER_ID: "forged",
};

function refused(
  code: McpErrorCode,
  os: typeof Deno.build.os,
  additions: readonly string[],
): McpError {
  try {
    childEnvironment(os, UNIX, additions, CALLER);
  } catch (thrown) {
    assert.ok(thrown instanceof McpError, `${thrown}`);
    assert.equal(thrown.code, code, `${additions}: ${thrown.message}`);
    return thrown;
  }
  assert.fail(`${additions} is accepted`);
}

Deno.test("INHERITED_POSIX and INHERITED_WINDOWS name these variables and no others", () => {
  assert.deepEqual(INHERITED_POSIX, ["HOME", "LOGNAME", "PATH", "SHELL", "TERM", "USER"]);
  assert.deepEqual(INHERITED_WINDOWS, [
    "APPDATA",
    "HOMEDRIVE",
    "HOMEPATH",
    "LOCALAPPDATA",
    "PATH",
    "PROCESSOR_ARCHITECTURE",
    "SYSTEMDRIVE",
    "SYSTEMROOT",
    "TEMP",
    "USERNAME",
    "USERPROFILE",
    "PROGRAMFILES",
    "COMSPEC",
    "PATHEXT",
    "TMP",
  ]);
});

Deno.test("INHERITED_POSIX and INHERITED_WINDOWS hold what the MCP SDK hands down", () => {
  assert.ok(DEFAULT_INHERITED_ENV_VARS.length > 0);
  if (Deno.build.os === "windows") {
    for (const name of DEFAULT_INHERITED_ENV_VARS) assert.ok(INHERITED_WINDOWS.includes(name));
  } else {
    assert.deepEqual(INHERITED_POSIX, DEFAULT_INHERITED_ENV_VARS);
  }
});

for (const os of ["linux", "darwin"] as const) {
  Deno.test(`childEnvironment() hands down the minimum and the caller on ${os}`, () => {
    assert.deepEqual(childEnvironment(os, UNIX, [], { ...CALLER, peerName: "Mac" }), {
      HOME: "/home/u",
      LOGNAME: "u",
      PATH: "/usr/bin",
      SHELL: "/bin/sh",
      TERM: "xterm",
      USER: "u",
      TALOS_PEER_ID: "z6MkexamplePeer",
      TALOS_PEER_NAME: "Mac",
    });
    assert.deepEqual(childEnvironment(os, {}, [], CALLER), { TALOS_PEER_ID: "z6MkexamplePeer" });
  });

  Deno.test(`childEnvironment() adds what --env says on ${os}`, () => {
    const env = childEnvironment(
      os,
      UNIX,
      ["API_KEY", "LANG=de", "EMPTY=", "EQ=a=b", "PATH=/x", "LANG=en", "path=lower"],
      CALLER,
    );
    assert.deepEqual(
      [env["API_KEY"], env["LANG"], env["EMPTY"], env["EQ"], env["PATH"], env["path"]],
      ["k-1", "en", "", "a=b", "/x", "lower"],
    );
    assert.equal(env["AWS_SECRET_ACCESS_KEY"], undefined);
    assert.equal(env["TALOS_HOME"], undefined);
  });
}

Deno.test("childEnvironment() leaves out a value that bash would take for a function", () => {
  const env = childEnvironment("linux", { TERM: "() { :; }; echo", USER: "u" }, [], CALLER);
  assert.deepEqual(env, { USER: "u", TALOS_PEER_ID: "z6MkexamplePeer" });
});

Deno.test("childEnvironment() matches names in any case on windows", () => {
  const parent = {
    Path: "C:\\bin",
    SystemRoot: "C:\\Windows",
    ComSpec: "C:\\Windows\\system32\\cmd.exe",
    PATHEXT: ".EXE;.CMD",
    Temp: "C:\\T",
    tmp: "C:\\T",
    "ProgramFiles": "C:\\Program Files",
    "ProgramFiles(x86)": "C:\\Program Files (x86)",
    HOME: "C:\\home",
    Talos_Home: "x",
    Secret: "hidden",
  };
  assert.deepEqual(
    childEnvironment("windows", parent, ["ProgramFiles(x86)", "api_key=1", "API_KEY=2"], CALLER),
    {
      PATH: "C:\\bin",
      SYSTEMROOT: "C:\\Windows",
      COMSPEC: "C:\\Windows\\system32\\cmd.exe",
      PATHEXT: ".EXE;.CMD",
      TEMP: "C:\\T",
      TMP: "C:\\T",
      PROGRAMFILES: "C:\\Program Files",
      "ProgramFiles(x86)": "C:\\Program Files (x86)",
      API_KEY: "2",
      TALOS_PEER_ID: "z6MkexamplePeer",
    },
  );
});

Deno.test("childEnvironment() says so when a variable is not set", () => {
  const error = refused("variable_not_set", "linux", ["NOT_THERE"]);
  assert.equal(error.message, "Cannot hand down NOT_THERE: it is not set here");
  assert.ok(error.hints.some((hint) => hint.includes("--env NOT_THERE=VALUE")));
  refused("variable_not_set", "linux", ["api_key"]);
  refused("variable_not_set", "linux", ["toString"]);
});

Deno.test("childEnvironment() refuses every variable of Talos, and in any case on windows", () => {
  for (const name of ["TALOS_PASSPHRASE_FILE", "TALOS_PEER_ID=x", "TALOS_HOME=/x", "TALOS_"]) {
    refused("variable_reserved", "linux", [name]);
    refused("variable_reserved", "windows", [name]);
    refused("variable_reserved", "windows", [name.toLowerCase()]);
  }
  const env = childEnvironment("linux", UNIX, ["talos_x=1"], CALLER);
  assert.equal(env["talos_x"], "1");
});

Deno.test("childEnvironment() refuses a name when it cannot be one, without repeating it", () => {
  for (const addition of ["", "=x", "A B=x", "1A=x", "A-B=x", "A\n=x", "sk-secret-value", "ä=x"]) {
    const error = refused("variable_invalid", "linux", [addition]);
    assert.ok(!error.message.includes("secret"));
  }
  for (const addition of ["", "=x", "A\n=x"]) refused("variable_invalid", "windows", [addition]);
  const nul = refused("variable_invalid", "linux", ["A=secret\0"]);
  assert.equal(nul.message, "Cannot set A: its value holds NUL");
});

Deno.test("childEnvironment() keeps a variable whose name JavaScript treats specially", () => {
  const env = childEnvironment("linux", {}, ["__proto__=x", "constructor=y"], CALLER);
  assert.deepEqual(Object.keys(env).sort(), ["TALOS_PEER_ID", "__proto__", "constructor"]);
  assert.equal(Object.getOwnPropertyDescriptor(env, "__proto__")?.value, "x");
});

Deno.test("childEnvironment() takes control characters out of the caller's name", () => {
  const env = childEnvironment("linux", {}, [], { ...CALLER, peerName: "a\n\0\x1bb" });
  assert.equal(env["TALOS_PEER_NAME"], "a\ufffd\ufffd\ufffdb");
});
