import assert from "node:assert/strict";

import { AjvJsonSchemaValidator } from "@modelcontextprotocol/sdk/validation/ajv";
import { McpError } from "../../../lib/mcp/errors.ts";
import { parsePolicy } from "../../../lib/mcp/policy/policy_format.ts";
import { SeededRandom } from "../../../scripts/seeded_random.ts";
import { ALICE } from "../../session/peers.ts";

const FULL = {
  $schema: "https://talos.invalid/policy.schema.json",
  version: 1,
  rules: [
    {
      name: "readers",
      peer: ALICE.peerId,
      service: "notes",
      tools: { allow: ["read_*"], deny: ["*secret*"], ask: ["delete_*"] },
      resources: { allow: ["file:///home/me/*"] },
      prompts: { allow: ["*"] },
      methods: { deny: ["x/*"] },
      arguments: {
        "read_*": {
          "/path": { prefix: "/home/me/", max_length: 4096 },
          "/items/*/id": { optional: true, min: 1, max: 9.5 },
          "/mode": { values: ["r", 1, true, null], globs: ["r*"] },
        },
      },
      read_only: true,
      limits: {
        requests_per_minute: 60,
        concurrent_calls: 4,
        bytes_per_day: 1e9,
        seconds_per_call: 30,
      },
      expires: "2027-01-31T12:00:00Z",
    },
    { peer: "anna", service: "*" },
  ],
};

function refusal(text: string): string {
  try {
    parsePolicy(text, "p.json");
  } catch (error) {
    assert.ok(error instanceof McpError && error.code === "policy_invalid", String(error));
    assert.deepEqual(error.hints, ["correct it, and look at it again: talos policy check p.json"]);
    return error.message.replace("Cannot use p.json: ", "");
  }
  assert.fail(`accepted: ${text}`);
}

Deno.test("parsePolicy() reads every field", () => {
  const { rules: [readers, anna] } = parsePolicy(JSON.stringify(FULL));
  assert.equal(readers?.label, "readers");
  assert.deepEqual(readers?.peer, { kind: "id", id: ALICE.peerId });
  assert.equal(readers?.service, "mcp/notes");
  assert.deepEqual(readers?.selections.tools.deny.map(({ text }) => text), ["*secret*"]);
  assert.deepEqual(readers?.arguments.map(({ pointer }) => pointer), [
    "/path",
    "/items/*/id",
    "/mode",
  ]);
  assert.deepEqual(readers?.arguments[0]?.constraint, {
    optional: false,
    prefix: "/home/me/",
    maxLength: 4096,
  });
  assert.deepEqual(readers?.limits, {
    requestsPerMinute: 60,
    concurrentCalls: 4,
    bytesPerDay: 1e9,
    secondsPerCall: 30,
  });
  assert.equal(readers?.expires, Date.UTC(2027, 0, 31, 12));
  assert.deepEqual([anna?.label, anna?.peer, anna?.service], ["rules[1]", {
    kind: "contact",
    name: "anna",
  }, "*"]);
});

Deno.test("parsePolicy() says in which line and column something is wrong", () => {
  const rule = (fields: string) => `{"version": 1,\n "rules": [\n  {"peer": "*",\n   ${fields}}]}`;
  const cases: readonly (readonly [string, string])[] = [
    ["", "a value is missing at line 1, column 1"],
    ["[]", "the policy is not an object at line 1, column 1"],
    ['{"version":2,"rules":[]}', "the field version is not 1 at line 1, column 2"],
    ['{"version":1}', "the field rules is missing at line 1, column 1"],
    ['{"version":1,"rules":[],\n"version":1}', "a member name comes twice at line 2, column 1"],
    ['{"version":1,"rules":[{}]}', "the field rules[0].peer is missing at line 1, column 23"],
    ['{"version":1,"rules":[],"Rules":[]}', "the field Rules is unknown at line 1, column 25"],
    [rule('"tool": {}'), "the field rules[0].tool is unknown at line 4, column 4"],
    [
      rule('"tools": {"allow": ["a",\n  7]}'),
      "the field rules[0].tools.allow[1] is not a string at line 5, column 3",
    ],
    [
      rule('"tools": {"allow": [""]}'),
      "the field rules[0].tools.allow[0] is empty at line 4, column 24",
    ],
    [
      rule('"read_only": 1'),
      "the field rules[0].read_only is neither true nor false at line 4, column 4",
    ],
    [
      rule('"limits": {"seconds_per_call": 0}'),
      "the field rules[0].limits.seconds_per_call is not an integer from 1 to 86400 at line 4, column 15",
    ],
    [
      rule('"expires": "2026-02-30T00:00:00Z"'),
      "the field rules[0].expires is not a time like 2026-01-31T12:00:00Z at line 4, column 4",
    ],
    [
      rule('"arguments": {"t": {"path": {"prefix": "/"}}}'),
      'the field rules[0].arguments["t"]["path"] is named by no place like "/path" or "/items/*/id" at line 4, column 24',
    ],
    [
      rule('"arguments": {"t": {"/path": {"optional": true}}}'),
      'the field rules[0].arguments["t"]["/path"] says nothing at line 4, column 24',
    ],
    [
      rule('"arguments": {"t": {"/n": {"max": 9007199254740993}}}'),
      'the field rules[0].arguments["t"]["/n"].max is beyond 9007199254740991, where numbers are rounded at line 4, column 31',
    ],
    [
      rule('"name": "default"'),
      'the field rules[0].name is not 1 to 64 letters, digits, spaces, dots, underscores and hyphens, or it is "default" at line 4, column 4',
    ],
    [
      '{"version":1,"rules":[{"peer":"a b"}]}',
      "the field rules[0].peer is refused: Cannot use the petname: it has a space at line 1, column 24",
    ],
    [
      '{"version":1,"rules":[{"peer":"*","name":"x"},{"name":"x","peer":"*"}]}',
      "the field rules[1].name is the name of another rule, too at line 1, column 48",
    ],
  ];
  for (const [text, expected] of cases) assert.equal(refusal(text), expected, text);
});

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

const STRANGE: readonly Json[] = [
  null,
  true,
  0,
  1,
  -1,
  1.5,
  1e6 + 1,
  2 ** 60,
  "",
  "x",
  "*",
  "a b",
  "default",
  "/a",
  "/a/~3",
  [],
  {},
  [""],
  [1],
  ["*"],
  { allow: [] },
  "2026-01-31T12:00:00Z",
  "messages",
  "mcp/messages",
  "UPPER",
];

/** Changes one thing somewhere. */
function changed(value: Json, random: SeededRandom): Json {
  if (random.chance(0.25) || typeof value !== "object" || value === null) {
    return random.pick(STRANGE);
  }
  if (Array.isArray(value)) {
    if (value.length === 0 || random.chance(0.2)) return [...value, random.pick(STRANGE)];
    const at = random.below(value.length);
    return value.map((one, index) => index === at ? changed(one, random) : one);
  }
  const keys = Object.keys(value);
  if (keys.length === 0 || random.chance(0.15)) {
    return {
      ...value,
      [random.pick(["x", "allow", "/b", "name", "peer", "min"])]: random.pick(STRANGE),
    };
  }
  const key = random.pick(keys);
  if (random.chance(0.3)) {
    return Object.fromEntries(Object.entries(value).filter(([name]) => name !== key));
  }
  return { ...value, [key]: changed(value[key]!, random) };
}

Deno.test("docs/policy.schema.json accepts what parsePolicy() accepts, and nothing else", async () => {
  const schema = JSON.parse(
    await Deno.readTextFile(new URL("../../../docs/policy.schema.json", import.meta.url)),
  );
  // The validator knows draft 7 by name; of what is used here both drafts say the same.
  const { $schema: _, $id: __, ...rest } = schema;
  const validate = new AjvJsonSchemaValidator().getValidator(rest);
  assert.ok(validate(FULL).valid, JSON.stringify(validate(FULL)));
  const random = new SeededRandom("policy schema");
  let [accepted, refused] = [0, 0];
  for (let times = 0; times < 4000; times++) {
    let value = structuredClone(FULL) as unknown as Json;
    for (let count = random.between(1, 3); count > 0; count--) value = changed(value, random);
    const text = JSON.stringify(value);
    let message = "";
    try {
      parsePolicy(text);
      accepted++;
    } catch (error) {
      if (!(error instanceof McpError)) throw error;
      message = error.message;
      refused++;
    }
    const { valid } = validate(value);
    // What a schema cannot say: names twice, what a Peer ID is, which contacts can be named.
    if (valid && /is the name of another|Peer ID|petname/.test(message)) continue;
    assert.equal(valid, message === "", `${message}\n${text}`);
  }
  assert.ok(accepted > 300 && refused > 300, `${accepted} accepted, ${refused} refused`);
});

Deno.test("the example in the documents can be used", async () => {
  const readme = await Deno.readTextFile(new URL("../../../README.md", import.meta.url));
  const examples = [...readme.matchAll(/```json\n([\s\S]*?)```/g)].map(([, text = ""]) => text);
  const policies = examples.filter((text) => text.includes('"rules"'));
  assert.ok(policies.length > 0, "README.md has an example");
  for (const text of policies) parsePolicy(text);
});
