/** Fuzzes policy files, and decisions by those that are accepted. */

import { fromUtf8Lossy, utf8 } from "../../lib/bytes.ts";
import { McpError } from "../../lib/mcp/errors.ts";
import { decide, permissionsOf } from "../../lib/mcp/policy/decide.ts";
import type { Policy } from "../../lib/mcp/policy/policy.ts";
import { parsePolicy } from "../../lib/mcp/policy/policy_format.ts";
import { requestOf } from "../../lib/mcp/policy/request.ts";
import { scanLine } from "../../lib/mcp/scan.ts";
import { accepted, check, checkSameText, type FuzzTarget } from "../fuzzing.ts";
import { mutateJson } from "../json_mutation.ts";

const PEER = "z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK";

const POLICIES: readonly unknown[] = [
  { version: 1, rules: [] },
  { version: 1, rules: [{ name: "all", peer: "*", tools: { allow: ["*"] } }] },
  {
    version: 1,
    rules: [
      {
        name: "readers",
        peer: PEER,
        service: "default",
        tools: { allow: ["read_*", "*"], deny: ["*secret*"], ask: ["delete_*"] },
        resources: { allow: ["file:///home/*"], deny: ["file:///home/me/.ssh/*"] },
        prompts: { allow: ["*"] },
        methods: { allow: ["x/*"] },
        arguments: {
          "read_*": {
            "/path": { prefix: "/home/me/", max_length: 100 },
            "/n": { optional: true, min: 0, max: 10 },
            "/items/*": { optional: true, values: ["a", 1, true, null], globs: ["a*"] },
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
      { peer: "anna", tools: { allow: ["read_file"] } },
    ],
  },
];

const NAMES = ["version", "rules", "name", "peer", "service", "tools", "resources", "prompts"]
  .concat(["methods", "allow", "deny", "ask", "arguments", "read_only", "limits", "expires"])
  .concat(["optional", "values", "globs", "prefix", "max_length", "min", "max", "/path", "/*"]);

const call = (name: string, args: string) =>
  `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"${name}","arguments":${args}}}`;

const LINES = [
  call("read_file", '{"path":"/home/me/x"}'),
  call("read_file", '{"path":"/home/me/../x","n":1e400,"items":["a",[]]}'),
  call("top_secret", "null"),
  call("delete_all", "[1]"),
  '{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"file:///home/me/%2e%2e/x"}}',
  '{"jsonrpc":"2.0","id":1,"method":"x/y"}',
].map(utf8);

/** A policy file: it says what `JSON.parse` says, and no request makes the decision fail. */
export const policy: FuzzTarget = {
  name: "policy",
  errors: [McpError],
  dictionary: ['"*"', '"peer":"*",', '"deny":["*"],', "[", "]", "{", "}", ",", ":", "null", "1e3"]
    .concat(["-0", '""', "\\u0000", "\\ud800", "\ufeff", "\0", '"__proto__":{}', "~2", "/"]).map(
      utf8,
    ),
  mutate: (input, random) => mutateJson(input, random, NAMES),
  corpus: () => POLICIES.map((one) => utf8(JSON.stringify(one))),
  run(input) {
    const text = fromUtf8Lossy(input);
    const parsed = parsePolicy(text);
    const facts = accepted("JSON.parse", () => JSON.parse(text));
    check("every rule is there", parsed.rules.length === facts.rules.length);
    parsed.rules.forEach(({ label }, at) => {
      checkSameText("the name", label, facts.rules[at].name ?? `rules[${at}]`);
    });
    accepted("decide", () => decideAll(parsed));
  },
};

function decideAll(policy: Policy): void {
  const caller = { peer: PEER, service: "mcp/default", name: "anna" };
  const [all, restricted] = [policy.rules, policy.rules.toReversed()].map((rules) =>
    permissionsOf({ rules }, caller)
  );
  for (const line of LINES) {
    const message = scanLine(line, "towards_server");
    if (message.kind !== "request") throw new TypeError("a line of this target is no request");
    const verdicts = [all, restricted].map((permissions) =>
      decide(permissions!, requestOf(message, line, () => null), {
        now: 1_750_000_000_000,
        isReadOnly: (tool) => tool === "read_file",
      }).verdict
    );
    check("the order of rules means nothing", verdicts[0] === verdicts[1]);
  }
}
