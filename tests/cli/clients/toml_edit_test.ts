/** Golden edits: the whole text before, the whole text after. */

import assert from "node:assert/strict";

import {
  readTomlServer,
  removeTomlServer,
  setTomlServer,
} from "../../../lib/cli/clients/toml_edit.ts";
import { parseTomlTables, tomlString } from "../../../lib/cli/clients/toml_tables.ts";

const AT = { section: "mcp_servers", name: "talos-box" };
const MEMBERS = { command: "C:\\talos.exe", args: ["mcp-connect", "X"], env: { A: "b" } };
const TABLE = `[mcp_servers.talos-box]
command = 'C:\\talos.exe'
args = ["mcp-connect", "X"]
env = { A = "b" }
`;

const BEFORE = `# mine
model = "gpt" # the usual
notify = [
  "sh", # [mcp_servers.talos-box]
  "-c",
]
prompt = """
[mcp_servers.talos-box]
command = "not this"
"""

[mcp_servers.files]
command = "npx"
args = ["-y", "x"]
# about the next
[projects."/home/anna/a.b"]
trust_level = 'trusted'
`;

Deno.test("setTomlServer() adds a table at the end, and removeTomlServer() takes it out", () => {
  const set = setTomlServer(BEFORE, AT, MEMBERS, false);
  assert.equal(set, `${BEFORE}\n${TABLE}`);
  assert.deepEqual(JSON.parse(JSON.stringify(readTomlServer(set, AT))), MEMBERS);
  assert.equal(setTomlServer(set, AT, MEMBERS, false), set);
  assert.equal(removeTomlServer(set, AT), BEFORE);
});

Deno.test("setTomlServer() makes a file, with the line ends that there are", () => {
  assert.equal(setTomlServer("", AT, MEMBERS, false), TABLE);
  assert.equal(
    setTomlServer("\ufeffa = 1\r\n", AT, { command: "x" }, false),
    '\ufeffa = 1\r\n\r\n[mcp_servers.talos-box]\r\ncommand = "x"\r\n',
  );
  assert.equal(
    setTomlServer("a = 1", AT, { command: "x" }, false),
    'a = 1\n\n[mcp_servers.talos-box]\ncommand = "x"\n',
  );
});

Deno.test("setTomlServer() changes what differs and keeps what the user added", () => {
  const before = `[mcp_servers.talos-box] # ours
command = "/old/talos" # moved soon
startup_timeout_sec = 30
args = [
  "mcp-connect",
  "OLD", # before
]

[mcp_servers.talos-box.env]
A = "b"

[tui]
x = 1.5
`;
  assert.equal(
    setTomlServer(before, AT, MEMBERS, false),
    `[mcp_servers.talos-box] # ours
command = 'C:\\talos.exe' # moved soon
startup_timeout_sec = 30
args = ["mcp-connect", "X"]

[mcp_servers.talos-box.env]
A = "b"

[tui]
x = 1.5
`,
  );
});

Deno.test("setTomlServer() adds members that are missing behind the last one", () => {
  assert.equal(
    setTomlServer('[mcp_servers.talos-box]\ncommand = "x" # c\n\n# next\n[a]\n', AT, {
      command: "x",
      args: ["y"],
    }, false),
    '[mcp_servers.talos-box]\ncommand = "x" # c\nargs = ["y"]\n\n# next\n[a]\n',
  );
});

Deno.test("setTomlServer() replaces the whole table when it is to be made anew", () => {
  assert.equal(
    setTomlServer('a = 1\n\n[mcp_servers.talos-box]\nurl = "https://example.com"\n', AT, {
      command: "x",
    }, true),
    'a = 1\n\n[mcp_servers.talos-box]\ncommand = "x"\n',
  );
});

Deno.test("removeTomlServer() takes the tables below it, too, and leaves comments of the next", () => {
  assert.equal(
    removeTomlServer(
      '[a]\nx = 1\n\n[mcp_servers.talos-box]\ncommand = "x"\n\n[mcp_servers.talos-box.env]\nK = "v"\n\n' +
        "# about b\n[b]\n",
      AT,
    ),
    "[a]\nx = 1\n\n# about b\n[b]\n",
  );
  assert.equal(removeTomlServer(BEFORE, AT), BEFORE);
});

const REFUSED: readonly [name: string, text: string, place: string][] = [
  ["the section is an inline table", "a = 1\nmcp_servers = {}\n", "line 2, column 15"],
  ["the server is a dotted key", 'mcp_servers.talos-box.command = "x"\n', "line 1, column 33"],
  ["the server is an inline table", "[mcp_servers]\ntalos-box = {}\n", "line 2, column 13"],
  ["the server is a list of tables", "[[mcp_servers.talos-box]]\n", "line 1, column 1"],
  [
    "the table comes twice",
    "[mcp_servers.talos-box]\n['mcp_servers'.\"talos-box\"]\n",
    "line 2, column 1",
  ],
  ["a string does not end", 'a = "x\n', "line 1, column 5"],
  ["a long string does not end", 'a = 1\nb = """x\n', "line 2, column 5"],
  ["a header does not end", "[a\nb = 1\n", "line 1, column 3"],
  ["a value is missing", "a =\n", "line 1, column 4"],
  ["a value is none", "a = yes\n", "line 1, column 5"],
  ["a key is missing", "= 1\n", "line 1, column 1"],
  ["more follows a value", "a = 1 b = 2\n", "line 1, column 7"],
  ["a list does not end", "a = [1,\n", "line 2, column 1"],
];

for (const [name, text, place] of REFUSED) {
  Deno.test(`setTomlServer() refuses and says where when ${name}`, () => {
    const at = { name: "JsonError", message: new RegExp(`at ${place}$`) };
    assert.throws(() => setTomlServer(text, AT, { command: "x" }, false), at);
    assert.throws(() => removeTomlServer(text, AT), at);
  });
}

Deno.test("parseTomlTables() reads values as far as a server has them", () => {
  const [root] = parseTomlTables(
    'a = "\\u00e9\\U0001F600\\t"\nb = \'c:\\d\'\nc = ["x", [true, 1]]\nd = { "e f" = "g", h.i = 2 }\n' +
      'e = 1979-05-27 07:32:00Z\nf = 1e3\ng = \'\'\nh = ""\n"j k".l = -inf',
  );
  assert.deepEqual(
    root?.keys.map(({ path, value }) => [path, JSON.parse(JSON.stringify(value))]),
    [
      [["a"], "é😀\t"],
      [["b"], "c:\\d"],
      [["c"], ["x", [true, 1]]],
      [["d"], { "e f": "g", "h.i": 2 }],
      [["e"], "\0other"],
      [["f"], "\0other"],
      [["g"], ""],
      [["h"], ""],
      [["j k", "l"], "\0other"],
    ],
  );
});

Deno.test("tomlString() writes what parseTomlTables() reads again", () => {
  assert.equal(tomlString("a b"), '"a b"');
  assert.equal(tomlString("C:\\x"), "'C:\\x'");
  assert.equal(tomlString("it's C:\\x"), '"it\'s C:\\\\x"');
  for (const text of ["", "é😀", 'a"b', "\\", "'\\", "\n\t\r", "\u007f\u0001"]) {
    assert.equal(parseTomlTables(`a = ${tomlString(text)}`)[0]?.keys[0]?.value, text);
  }
});
