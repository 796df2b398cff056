import assert from "node:assert/strict";
import { McpError, type McpErrorCode } from "../../lib/mcp/errors.ts";
import { type OperatingSystem, resolveProgram } from "../../lib/mcp/program.ts";

interface Case {
  readonly words: readonly string[];
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** A file system that holds `files`; Windows does not care for case. */
function facts(os: OperatingSystem, files: readonly string[]) {
  const form = (path: string) => os === "windows" ? path.toLowerCase() : path;
  const held = new Set(files.map(form));
  return { exists: (path: string) => held.has(form(path)) };
}

const UNIX_FILES = [
  "/usr/bin/node",
  "/opt/bin/node",
  "/opt/bin/npx",
  "/home/u/tool",
  "/home/u/bin/tool2",
];
const UNIX_ENV = { PATH: "/opt/bin:/usr/bin" };

const WINDOWS_FILES = [
  "C:\\Program Files\\nodejs\\node.exe",
  "C:\\Program Files\\nodejs\\npx",
  "C:\\Program Files\\nodejs\\npx.cmd",
  "C:\\Program Files\\nodejs\\npx.ps1",
  "C:\\tools\\uvx.exe",
  "C:\\tools\\uvx.bat",
  "C:\\tools\\both.com",
  "C:\\tools\\server.js",
  "C:\\tools\\odd.name.exe",
  "C:\\work\\node.exe",
  "C:\\work\\local.cmd",
  "C:\\work\\a&b\\x.cmd",
];
const WINDOWS_ENV = {
  Path: 'C:\\Program Files\\nodejs\\;.;"C:\\tools";;relative',
  PathExt: ".COM;.EXE;.BAT;.CMD;.VBS;.JS",
  SystemRoot: "C:\\Windows",
  COMSPEC: "C:\\Windows\\system32\\cmd.exe",
};

function resolve(os: OperatingSystem, { words, cwd, env }: Case) {
  const windows = os === "windows";
  return resolveProgram(
    os,
    env ?? (windows ? WINDOWS_ENV : UNIX_ENV),
    facts(os, windows ? WINDOWS_FILES : UNIX_FILES),
    words,
    cwd ?? (windows ? "C:\\work" : "/home/u"),
  );
}

function refused(code: McpErrorCode, os: OperatingSystem, { words, ...rest }: Case): McpError {
  try {
    resolve(os, { words, ...rest });
  } catch (thrown) {
    assert.ok(thrown instanceof McpError, `${thrown}`);
    assert.equal(thrown.code, code, `${words}: ${thrown.message}`);
    return thrown;
  }
  assert.fail(`${words} is accepted`);
}

for (const os of ["linux", "darwin"] as const) {
  Deno.test(`resolveProgram() finds a program by its path or on PATH on ${os}`, () => {
    const cases: [Case, string[]][] = [
      [{ words: ["node", "a b", "%x%", ""] }, ["/opt/bin/node", "a b", "%x%", ""]],
      [{ words: ["/usr/bin/node"] }, ["/usr/bin/node"]],
      [{ words: ["./tool"] }, ["/home/u/tool"]],
      [{ words: ["bin/tool2"] }, ["/home/u/bin/tool2"]],
      [{ words: ["./tool"], cwd: "/home/u/" }, ["/home/u/tool"]],
      [{ words: ["node"], env: {} }, ["/usr/bin/node"]],
      [{ words: ["tool"], env: { PATH: "/none:" } }, ["/home/u/tool"]],
      [{ words: ["tool2"], env: { PATH: "bin" } }, ["/home/u/bin/tool2"]],
      [{ words: ["node"], env: { PATH: "/opt/bin/" } }, ["/opt/bin/node"]],
    ];
    for (const [given, argv] of cases) {
      assert.deepEqual(resolve(os, given), { argv, rawArguments: false }, `${given.words}`);
    }
  });

  Deno.test(`resolveProgram() says what it looked for when there is no such program on ${os}`, () => {
    const missing = refused("command_not_found", os, { words: ["npy"] });
    assert.equal(missing.message, "Cannot find npy: none of the 2 directories of PATH has it");
    assert.ok(missing.hints.length > 0);
    refused("command_not_found", os, { words: ["tool"] });
    refused("command_not_found", os, { words: ["./none"] });
    refused("command_not_found", os, { words: ["/none"] });
    refused("command_not_found", os, { words: ["NODE"] });
    refused("empty_command", os, { words: [] });
    refused("empty_command", os, { words: ["", "a"] });
    refused("unquotable_argument", os, { words: ["node", "a\0"] });
  });
}

Deno.test("resolveProgram() starts programs themselves on windows, found by PATHEXT", () => {
  const cases: [Case, string[]][] = [
    [{ words: ["node", "a b", "%x%", 'q"'] }, [
      "C:\\Program Files\\nodejs\\node.exe",
      "a b",
      "%x%",
      'q"',
    ]],
    [{ words: ["NODE.EXE"] }, ["C:\\Program Files\\nodejs\\NODE.EXE"]],
    [{ words: ["uvx"] }, ["C:\\tools\\uvx.exe"]],
    [{ words: ["both"] }, ["C:\\tools\\both.com"]],
    [{ words: ["odd.name"] }, ["C:\\tools\\odd.name.exe"]],
    [{ words: [".\\node"] }, ["C:\\work\\node.exe"]],
    [{ words: ["C:\\tools\\uvx"] }, ["C:\\tools\\uvx.exe"]],
    [{ words: ["C:/work/node.exe"] }, ["C:/work/node.exe"]],
    [{ words: ["uvx"], env: { PATH: "C:\\tools" } }, ["C:\\tools\\uvx.exe"]],
  ];
  const os = "windows";
  for (const [given, argv] of cases) {
    const files = [...WINDOWS_FILES, "C:/work/node.exe"];
    const command = resolveProgram(
      os,
      given.env ?? WINDOWS_ENV,
      facts(os, files),
      given.words,
      "C:\\work",
    );
    assert.deepEqual(command, { argv, rawArguments: false }, `${given.words}`);
  }
});

Deno.test("resolveProgram() runs scripts under cmd.exe on windows, every word in quotes", () => {
  const shell = "C:\\Windows\\system32\\cmd.exe";
  const npx = "C:\\Program Files\\nodejs\\npx.cmd";
  const cases: [Case, string, string][] = [
    [{ words: ["npx"] }, shell, `""${npx}""`],
    [
      { words: ["npx", "-y", "@scope/server", "C:\\My Files", "C:\\dir\\", "", "a,b;c=d (e)"] },
      shell,
      `""${npx}" "-y" "@scope/server" "C:\\My Files" "C:\\dir\\\\" "" "a,b;c=d (e)""`,
    ],
    [{ words: ["npx.CMD", "ä"] }, shell, `""C:\\Program Files\\nodejs\\npx.CMD" "ä""`],
    [{ words: [".\\local"] }, shell, `""C:\\work\\local.cmd""`],
    [
      { words: ["uvx.bat"], env: { PATH: "C:\\tools", SYSTEMROOT: "D:\\Win" } },
      "D:\\Win\\System32\\cmd.exe",
      `""C:\\tools\\uvx.bat""`,
    ],
    [
      { words: ["uvx.bat"], env: { PATH: "C:\\tools" } },
      "C:\\Windows\\System32\\cmd.exe",
      `""C:\\tools\\uvx.bat""`,
    ],
  ];
  for (const [given, program, line] of cases) {
    assert.deepEqual(
      resolve("windows", given),
      { argv: [program, "/d", "/s", "/c", line], rawArguments: true },
      `${given.words}`,
    );
  }
});

Deno.test("resolveProgram() refuses an argument of a script when cmd.exe may act upon it", () => {
  for (const character of '%!"^&|<>`\n\r\t\x1a\x7f') {
    const error = refused("unquotable_argument", "windows", {
      words: ["npx", "ok", `a${character}b`],
    });
    assert.ok(error.hints.length > 0);
    assert.ok(!/\p{Cc}/u.test(error.message), JSON.stringify(error.message));
  }
  refused("unquotable_argument", "windows", { words: ["C:\\work\\a&b\\x.cmd"] });
  // The well-known ways out of the quotes.
  for (const word of ['"&calc.exe', "%CMDCMDLINE:~-1%&calc.exe", "a\r\ncalc", "%PATH%"]) {
    refused("unquotable_argument", "windows", { words: ["npx", word] });
  }
  assert.equal(
    refused("unquotable_argument", "windows", { words: ["npx", "a\nb"] }).message,
    "Cannot run a .cmd or .bat script: a word of the command holds U+000A, which cmd.exe may act upon",
  );
});

Deno.test("resolveProgram() refuses on windows what cannot be started or has another name", () => {
  const script = refused("program_type", "windows", { words: ["C:\\tools\\server.js"] });
  assert.ok(script.hints.some((hint) => hint.includes("node server.js")));
  // What Windows would open with another program is not looked for, whatever PATHEXT says.
  refused("command_not_found", "windows", { words: ["server"] });
  // BatBadBut's second round, CVE-2024-43402: Windows drops what is at the end.
  for (const name of ["npx.cmd.", "npx.cmd ", "npx.cmd...", "npx.", "C:\\tools\\uvx.bat .", "."]) {
    refused("program_type", "windows", { words: [name, "%x%"] });
  }
  for (const name of ["npx.cmd::$DATA", "C:\\tools\\x:uvx.exe"]) {
    refused("program_type", "windows", { words: [name] });
  }
});

Deno.test("resolveProgram() never takes a program from the current directory on windows", () => {
  refused("command_not_found", "windows", { words: ["local"] });
  const error = refused("command_not_found", "windows", { words: ["none"] });
  assert.equal(error.message, "Cannot find none: none of the 2 directories of PATH has it");
  assert.deepEqual(resolve("windows", { words: ["node"] }).argv, [
    "C:\\Program Files\\nodejs\\node.exe",
  ]);
});
