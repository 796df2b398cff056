/** Golden edits: the whole text before, the whole text after. */

import assert from "node:assert/strict";

import {
  readJsonServer,
  removeJsonServer,
  setJsonServer,
} from "../../../lib/cli/clients/json_edit.ts";
import type { ConfigValue } from "../../../lib/cli/clients/entry.ts";

const LENIENT = { comments: true, trailingCommas: true };
const STRICT = { comments: false, trailingCommas: false };
const AT = { section: "mcpServers", name: "talos-box" };
const MEMBERS = { command: "/bin/talos", args: ["mcp-connect", "X"] };

interface Golden {
  readonly name: string;
  readonly before: string;
  readonly after: string;
  /** What is left when the entry is taken out again, where that is not `before`. */
  readonly removed?: string;
}

const INSERTIONS: readonly Golden[] = [
  {
    name: "the file is empty",
    before: "",
    after: '{\n  "mcpServers": {\n    "talos-box": {\n      "command": "/bin/talos",\n' +
      '      "args": [\n        "mcp-connect",\n        "X"\n      ]\n    }\n  }\n}\n',
    removed: '{\n  "mcpServers": {}\n}\n',
  },
  {
    name: "the file has white space alone",
    before: "\r\n",
    after:
      '\r\n{\r\n  "mcpServers": {\r\n    "talos-box": {\r\n      "command": "/bin/talos",\r\n' +
      '      "args": [\r\n        "mcp-connect",\r\n        "X"\r\n      ]\r\n    }\r\n  }\r\n}\r\n',
    removed: '\r\n{\r\n  "mcpServers": {}\r\n}\r\n',
  },
  {
    name: "the file is an empty object without a line end",
    before: "{}",
    after: '{\n  "mcpServers": {\n    "talos-box": {\n      "command": "/bin/talos",\n' +
      '      "args": [\n        "mcp-connect",\n        "X"\n      ]\n    }\n  }\n}',
    removed: '{\n  "mcpServers": {}\n}',
  },
  {
    name: "there are other settings and no section, with tabs",
    before: '{\n\t"theme": "dark",\n\t"scale": 0\n}\n',
    after: '{\n\t"theme": "dark",\n\t"scale": 0,\n\t"mcpServers": {\n\t\t"talos-box": {\n' +
      '\t\t\t"command": "/bin/talos",\n\t\t\t"args": [\n\t\t\t\t"mcp-connect",\n\t\t\t\t"X"\n' +
      "\t\t\t]\n\t\t}\n\t}\n}\n",
    removed: '{\n\t"theme": "dark",\n\t"scale": 0,\n\t"mcpServers": {}\n}\n',
  },
  {
    name: "there is a byte order mark, CRLF, four spaces and another server",
    before: '\ufeff{\r\n    "mcpServers": {\r\n        "a": { "command": "x" }\r\n    }\r\n}',
    after: '\ufeff{\r\n    "mcpServers": {\r\n        "a": { "command": "x" },\r\n' +
      '        "talos-box": {\r\n            "command": "/bin/talos",\r\n            "args": [\r\n' +
      '                "mcp-connect",\r\n                "X"\r\n            ]\r\n        }\r\n    }\r\n}',
  },
  {
    name: "there are comments everywhere",
    before: `// my servers
{
  /* first */
  "mcpServers": { // all of them
    // the files
    "a": { "command": "x" } // keep me here
    // "old": {}
  },
  "z": 1 /* last */
}
// the end
`,
    after: `// my servers
{
  /* first */
  "mcpServers": { // all of them
    // the files
    "a": { "command": "x" }, // keep me here
    "talos-box": {
      "command": "/bin/talos",
      "args": [
        "mcp-connect",
        "X"
      ]
    }
    // "old": {}
  },
  "z": 1 /* last */
}
// the end
`,
  },
  {
    name: "there are trailing commas",
    before: '{\n  "mcpServers": {\n    "a": {}, // one\n  },\n}\n',
    after: '{\n  "mcpServers": {\n    "a": {}, // one\n    "talos-box": {\n' +
      '      "command": "/bin/talos",\n      "args": [\n        "mcp-connect",\n        "X"\n' +
      "      ]\n    },\n  },\n}\n",
  },
  {
    name: "the section has a comment alone",
    before: '{\n  "mcpServers": { // none yet\n    // "a": {}\n  }\n}\n',
    after:
      '{\n  "mcpServers": { // none yet\n    "talos-box": {\n      "command": "/bin/talos",\n' +
      '      "args": [\n        "mcp-connect",\n        "X"\n      ]\n    }\n    // "a": {}\n  }\n}\n',
  },
  {
    name: "all is on one line",
    before: '{"mcpServers":{"a":{"command":"x"}},"b":[1,2]}\n',
    after: '{"mcpServers":{"a":{"command":"x"}, "talos-box": { "command": "/bin/talos", ' +
      '"args": ["mcp-connect", "X"] }},"b":[1,2]}\n',
  },
  {
    name: "the section is elsewhere, too, under another server",
    before: '{\n  "nested": { "mcpServers": { "talos-box": 1 } },\n  "mcpServers": {\n' +
      '    "a": {\n      "mcpServers": {\n        "talos-box": 2\n      }\n    }\n  }\n}\n',
    after: '{\n  "nested": { "mcpServers": { "talos-box": 1 } },\n  "mcpServers": {\n' +
      '    "a": {\n      "mcpServers": {\n        "talos-box": 2\n      }\n    },\n    "talos-box": {\n' +
      '      "command": "/bin/talos",\n      "args": [\n        "mcp-connect",\n        "X"\n      ]\n' +
      "    }\n  }\n}\n",
  },
];

for (const { name, before, after, removed } of INSERTIONS) {
  Deno.test(`setJsonServer() adds and removeJsonServer() takes out again when ${name}`, () => {
    const set = setJsonServer(before, LENIENT, AT, MEMBERS, false);
    assert.equal(set, after);
    assert.deepEqual({ ...Object(readJsonServer(set, LENIENT, AT)) }, MEMBERS);
    assert.equal(setJsonServer(set, LENIENT, AT, MEMBERS, false), set, "the same again");
    assert.equal(removeJsonServer(set, LENIENT, AT), removed ?? before);
  });
}

Deno.test("setJsonServer() changes what differs and keeps what the user added", () => {
  const before = `{
  "mcpServers": {
    "talos-box": {
      "command": "/old/talos", // moved soon
      "args": ["mcp-connect", "OLD"],
      "disabled": true // for now
    },
    "z": {}
  }
}`;
  assert.equal(
    setJsonServer(before, LENIENT, AT, { type: "stdio", ...MEMBERS }, false),
    `{
  "mcpServers": {
    "talos-box": {
      "command": "/bin/talos", // moved soon
      "args": [
        "mcp-connect",
        "X"
      ],
      "disabled": true, // for now
      "type": "stdio"
    },
    "z": {}
  }
}`,
  );
});

Deno.test("setJsonServer() replaces the whole entry when it is to be made anew", () => {
  const before = '{"mcpServers": {"talos-box": {"url": "https://example.com"}}}';
  assert.equal(
    setJsonServer(before, STRICT, AT, MEMBERS, true),
    '{"mcpServers": {"talos-box": { "command": "/bin/talos", "args": ["mcp-connect", "X"] }}}',
  );
  assert.equal(
    setJsonServer('{\n  "mcpServers": {\n    "talos-box": null\n  }\n}\n', STRICT, AT, {
      command: "x",
    }, true),
    '{\n  "mcpServers": {\n    "talos-box": {\n      "command": "x"\n    }\n  }\n}\n',
  );
});

Deno.test("setJsonServer() leaves brackets, quotes and dollars in values as they are", () => {
  const members = { command: '/a [ b/{ c }/"d"/$&', args: ["// no comment", "\n"] };
  for (const before of ['{"a": 1}', '{\n  "a": 1\n}']) {
    const set = setJsonServer(before, STRICT, AT, members, false);
    assert.deepEqual(JSON.parse(set), { a: 1, mcpServers: { "talos-box": members } });
  }
});

const REMOVALS: readonly Golden[] = [
  {
    name: "it is the first of several",
    before: '{\n  "mcpServers": {\n    "talos-box": {\n      "command": "x"\n    }, // ours\n' +
      '    // theirs\n    "a": {}\n  }\n}\n',
    after: '{\n  "mcpServers": {\n    // theirs\n    "a": {}\n  }\n}\n',
  },
  {
    name: "it is the last and the one before has a comment",
    before: '{\n  "mcpServers": {\n    "a": {}, // theirs\n    "talos-box": {}\n  }\n}\n',
    after: '{\n  "mcpServers": {\n    "a": {} // theirs\n  }\n}\n',
  },
  {
    name: "it is on one line with others",
    before: '{"mcpServers": {"a": 1, "talos-box": {}, "b": 2}}',
    after: '{"mcpServers": {"a": 1, "b": 2}}',
  },
  {
    name: "it is the last on one line",
    before: '{"mcpServers": {"a": 1, "talos-box": {}}}',
    after: '{"mcpServers": {"a": 1}}',
  },
  {
    name: "it is alone and a comment stands beside it",
    before: '{\n  "mcpServers": {\n    // mine\n    "talos-box": {}\n  }\n}\n',
    after: '{\n  "mcpServers": {\n    // mine\n  }\n}\n',
  },
  { name: "it is not there", before: '{ "mcpServers": { } }', after: '{ "mcpServers": { } }' },
  { name: "there is no section", before: '{ "a": [] }', after: '{ "a": [] }' },
  { name: "the file is empty", before: "", after: "" },
];

for (const { name, before, after } of REMOVALS) {
  Deno.test(`removeJsonServer() leaves everything else when ${name}`, () => {
    assert.equal(removeJsonServer(before, LENIENT, AT), after);
  });
}

const MALFORMED: readonly [name: string, text: string, place: string, dialect?: typeof STRICT][] = [
  ["a brace is missing", '{\n  "mcpServers": {\n', "line 3, column 1"],
  ["a colon is missing", '{\n  "a" 1\n}', "line 2, column 7"],
  ["a comma is missing", '{\r\n  "a": 1\r\n  "b": 2\r\n}', "line 3, column 3"],
  ["a comma has nothing behind it", '{\n  "a": 1,\n}', "line 2, column 9", STRICT],
  ["there is a comment", "{\n  // no\n}", "line 2, column 3", STRICT],
  ["a comment does not end", "{} /* x", "line 1, column 4"],
  ["more follows", "{}\n{}", "line 2, column 1"],
  ["a key has no quotes", "\ufeff{a: 1}", "line 1, column 2"],
  ["a string holds a line end", '{"a": "x\ny"}', "line 1, column 7"],
  ["the section is a list", '{"mcpServers": []}', "line 1, column 16"],
  ["the file is a list", "[]", "line 1, column 1"],
  ["the section comes twice", '{"mcpServers": {},\n "mcpServers": {}}', "line 2, column 2"],
  [
    "the server comes twice",
    '{"mcpServers": {"talos-box": 1, "talos-box": 2}}',
    "line 1, column 33",
  ],
  ["it is nested too deeply", "[".repeat(1_000_000), "line 1, column 129"],
];

for (const [name, text, place, dialect = LENIENT] of MALFORMED) {
  Deno.test(`readJsonServer(), setJsonServer() and removeJsonServer() say where when ${name}`, () => {
    const at = { name: "JsonError", message: new RegExp(`at ${place}$`) };
    assert.throws(() => readJsonServer(text, dialect, AT), at);
    assert.throws(() => setJsonServer(text, dialect, AT, MEMBERS, false), at);
    assert.throws(() => removeJsonServer(text, dialect, AT), at);
  });
}

Deno.test("setJsonServer() then removeJsonServer() gives every layout back", () => {
  const servers: ConfigValue[] = [{ a: { command: "x", args: [] } }, {
    a: {},
    b: { env: { K: "v" } },
  }];
  for (const mcpServers of servers) {
    for (
      const value of [{ mcpServers }, { first: 1, mcpServers }, { mcpServers, last: [1, { x: 2 }] }]
    ) {
      for (const indent of [0, 1, 2, 4, "\t"]) {
        for (const eol of ["\n", "\r\n"]) {
          for (const end of ["", eol]) {
            const before = JSON.stringify(value, null, indent).replaceAll("\n", eol) + end;
            const set = setJsonServer(before, STRICT, AT, MEMBERS, false);
            const expected = {
              ...value,
              mcpServers: { ...Object(mcpServers), "talos-box": MEMBERS },
            };
            assert.deepEqual(JSON.parse(set), expected);
            assert.equal(removeJsonServer(set, STRICT, AT), before);
            if (indent !== 0) {
              assert.equal(set, JSON.stringify(expected, null, indent).replaceAll("\n", eol) + end);
            }
          }
        }
      }
    }
  }
});
