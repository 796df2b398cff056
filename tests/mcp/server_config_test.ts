import assert from "node:assert/strict";
import { type ConfiguredServer, parseServerConfig } from "../../lib/mcp/server_config.ts";
import { McpError } from "../../lib/mcp/errors.ts";

function read(servers: unknown): ConfiguredServer[] {
  return parseServerConfig(JSON.stringify({ mcpServers: servers }));
}

Deno.test("parseServerConfig() returns every server in order when it reads a file of Claude Desktop", () => {
  const text = `{
    "globalShortcut": "Alt+Space",
    "mcpServers": {
      "files": {
        "command": "npx",
        "args": ["-y", "@modelcontextprotocol/server-filesystem", "/home/me/my projects"],
        "env": {"LOG": "a=b", "EMPTY": ""},
        "cwd": "/srv"
      },
      "time-2.0_x": {"command": "/usr/bin/time server", "type": "stdio", "autoApprove": ["now"]}
    }
  }`;
  assert.deepEqual(parseServerConfig(text), [
    {
      name: "files",
      words: ["npx", "-y", "@modelcontextprotocol/server-filesystem", "/home/me/my projects"],
      env: ["LOG=a=b", "EMPTY="],
      cwd: "/srv",
    },
    { name: "time-2.0_x", words: ["/usr/bin/time server"], env: [] },
  ]);
});

Deno.test("parseServerConfig() leaves a server out when its file says that it is disabled", () => {
  const servers = read({
    "on": { command: "cat", disabled: false },
    "Off, whatever its name": { url: "https://mcp.example", disabled: true },
  });
  assert.deepEqual(servers.map(({ name }) => name), ["on"]);
});

const REFUSED: readonly (readonly [text: string, state: string])[] = [
  ["", "a value is missing at line 1, column 1"],
  ["[]", "it has no object mcpServers"],
  ['{"servers":{}}', "it has no object mcpServers"],
  ['{"mcpServers":[]}', "it has no object mcpServers"],
  ['{"mcpServers":{}}', "no server is in mcpServers that is not disabled"],
  [
    '{"mcpServers":{"a":{"command":"x","disabled":true}}}',
    "no server is in mcpServers that is not disabled",
  ],
  ['{"mcpServers":{"a":"cat"}}', "mcpServers.a is no object"],
  ['{"mcpServers":{"a":{}}}', "mcpServers.a.command is missing"],
  ['{"mcpServers":{"a":{"command":""}}}', "mcpServers.a.command is missing"],
  ['{"mcpServers":{"a":{"command":["cat"]}}}', "mcpServers.a.command is missing"],
  [
    '{"mcpServers":{"a":{"url":"https://mcp.example"}}}',
    "mcpServers.a is reached by a URL; only servers with a command can be shared",
  ],
  [
    '{"mcpServers":{"a":{"type":"http","command":"cat"}}}',
    "mcpServers.a is reached by a URL; only servers with a command can be shared",
  ],
  ['{"mcpServers":{"a":{"command":"cat","args":"-u"}}}', "mcpServers.a.args is no list"],
  ['{"mcpServers":{"a":{"command":"cat","args":["-u",1]}}}', "mcpServers.a.args[1] is no text"],
  ['{"mcpServers":{"a":{"command":"cat","env":["A=B"]}}}', "mcpServers.a.env is no object"],
  ['{"mcpServers":{"a":{"command":"cat","env":{"A":1}}}}', "mcpServers.a.env.A is no text"],
  ['{"mcpServers":{"a":{"command":"cat","cwd":1}}}', "mcpServers.a.cwd is no text"],
];

for (const [text, state] of REFUSED) {
  Deno.test(`parseServerConfig() says "${state}" when it reads ${text || "nothing"}`, () => {
    const error = errorOf(text);
    assert.equal(error.code, "config_invalid");
    assert.match(error.message, /^Cannot read the configuration: /);
    assert.ok(error.message.includes(state), error.message);
    assert.equal(error.hints.length, 1);
  });
}

for (
  const name of ["Messages", "", "!", "a".repeat(65)]
) {
  Deno.test(`parseServerConfig() names the entry when it is called "${name}"`, () => {
    const error = errorOf(`{"mcpServers":{${JSON.stringify(name)}:{"command":"cat"}}}`);
    assert.match(error.message, /mcpServers\.[^:]*: no service can be named so$/);
  });
}

Deno.test("parseServerConfig() shares a server under a plainer name when its key has capitals or blanks", () => {
  const servers = read({ "GitHub": { command: "a" }, "My Files": { command: "b" } });
  assert.deepEqual(servers.map(({ name }) => name), ["github", "my-files"]);
});

Deno.test("parseServerConfig() refuses a file when two keys become one name", () => {
  const servers = { "GitHub": { command: "a" }, "github": { command: "b" } };
  assert.equal(
    errorOf(JSON.stringify({ mcpServers: servers })).message,
    "Cannot read the configuration: mcpServers.GitHub and mcpServers.github would both be shared " +
      'as "github"',
  );
});

Deno.test("parseServerConfig() refuses a file when one name stands in it twice", () => {
  const error = errorOf('{"mcpServers":{"a":{"command":"cat"},"a":{"command":"rm"}}}');
  assert.equal(error.code, "config_invalid");
});

Deno.test("parseServerConfig() prints no control characters when a name has them", () => {
  const error = errorOf('{"mcpServers":{"\\u001b!":{"command":"cat"}}}');
  // deno-lint-ignore no-control-regex -- that is what must not be there
  assert.doesNotMatch(error.message, /[\u0000-\u001f]/);
});

function errorOf(text: string): McpError {
  try {
    parseServerConfig(text);
  } catch (error) {
    assert.ok(error instanceof McpError);
    return error;
  }
  assert.fail("it was read");
}
