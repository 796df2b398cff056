import assert from "node:assert/strict";

import { globOf, matchesCoarsely, matchesExactly } from "../../../lib/mcp/policy/glob.ts";
import { permissionsOf } from "../../../lib/mcp/policy/decide.ts";
import { flagRule, type PolicyFlags } from "../../../lib/mcp/policy/policy_gate.ts";
import { call, CALLER, decideLine, policyOf, request } from "./scene.ts";
import { ALICE, MALLORY as BOB } from "../../session/peers.ts";

const EVERYTHING = { allow: ["*"] };

Deno.test("decide() denies what no rule allows", () => {
  const none = decideLine(policyOf(), call("read_file"));
  assert.deepEqual(none, {
    verdict: "deny",
    rule: "default",
    why: 'no rule allows the tool "read_file"',
  });
  const others = policyOf({ peer: BOB.peerId, tools: EVERYTHING });
  assert.equal(decideLine(others, call("read_file")).verdict, "deny");
  const elsewhere = policyOf({ peer: "*", service: "notes", tools: EVERYTHING });
  assert.equal(decideLine(elsewhere, call("read_file")).verdict, "deny");
  for (const kind of ["resources", "prompts", "methods"]) {
    assert.equal(
      decideLine(policyOf({ peer: "*", [kind]: EVERYTHING }), call("x")).verdict,
      "deny",
      kind,
    );
  }
});

Deno.test("decide() names the rule that allows or denies, by its name or its place", () => {
  const policy = policyOf(
    { peer: "*", tools: { allow: ["read_*"] } },
    { name: "no secrets", peer: "*", tools: { deny: ["*_secret"] } },
  );
  assert.equal(decideLine(policy, call("read_file")).rule, 'rules[0]: tools.allow "read_*"');
  const denied = decideLine(policy, call("read_secret"));
  assert.deepEqual(denied, {
    verdict: "deny",
    rule: 'no secrets: tools.deny "*_secret"',
    why: "a rule denies it",
  });
});

Deno.test("decide() knows peers by Peer ID and by contact, whatever the case of its name", () => {
  for (const peer of [ALICE.peerId, `did:key:${ALICE.peerId}`, "alice", "Alice", "*"]) {
    assert.equal(
      decideLine(policyOf({ peer, tools: EVERYTHING }), call("x")).verdict,
      "allow",
      peer,
    );
  }
  for (const peer of [BOB.peerId, "bob", "alic"]) {
    assert.equal(
      decideLine(policyOf({ peer, tools: EVERYTHING }), call("x")).verdict,
      "deny",
      peer,
    );
  }
  const nameless = { peer: ALICE.peerId, service: "mcp/default" };
  const byName = policyOf({ peer: "alice", tools: EVERYTHING });
  assert.equal(decideLine(byName, call("x"), { caller: nameless }).verdict, "deny");
});

Deno.test("decide() denies coarsely what it allows exactly", () => {
  const policy = policyOf({ peer: "*", tools: { allow: ["*"], deny: ["write_file"] } });
  for (
    const name of [
      "write_file",
      "WRITE_FILE",
      "Write_File",
      "ｗrite_file",
      "wr\u0131te_f\u0131le",
      "write_\u200bfile",
      " write_file\t",
      "write_\ufb01le",
    ]
  ) {
    assert.equal(decideLine(policy, call(name)).verdict, "deny", JSON.stringify(name));
  }
  assert.equal(decideLine(policy, call("write_files")).verdict, "allow");
  const exact = policyOf({ peer: "*", tools: { allow: ["write_file", "caf\u00e9"] } });
  for (const name of ["WRITE_FILE", "write_file ", "ｗrite_file", "cafe\u0301"]) {
    assert.equal(decideLine(exact, call(name)).verdict, "deny", JSON.stringify(name));
  }
  assert.equal(decideLine(exact, call("caf\u00e9")).verdict, "allow");
});

Deno.test("decide() allows nothing by a rule that has expired, and goes on restricting by it", () => {
  const expires = "2026-01-01T00:00:00Z";
  const end = Date.parse(expires);
  const policy = policyOf({
    name: "guest",
    peer: "*",
    tools: { allow: ["*"], deny: ["x"] },
    expires,
  });
  assert.equal(decideLine(policy, call("y"), { now: end - 1 }).verdict, "allow");
  const after = decideLine(policy, call("y"), { now: end });
  assert.deepEqual([after.verdict, after.rule], ["deny", "guest: expires"]);
  const both = policyOf(
    { name: "guest", peer: "*", tools: { allow: ["*"], deny: ["x"] }, expires },
    { peer: "*", tools: EVERYTHING },
  );
  assert.equal(decideLine(both, call("x"), { now: end }).verdict, "deny");
  assert.equal(decideLine(both, call("y"), { now: end }).verdict, "allow");
});

Deno.test("decide() asks where a rule says so, after every denial", () => {
  const policy = policyOf({
    peer: "*",
    tools: { allow: ["*"], ask: ["delete_*"], deny: ["delete_all"] },
  });
  assert.deepEqual(
    ["read", "delete_one", "DELETE_one", "delete_all"].map((name) =>
      decideLine(policy, call(name)).verdict
    ),
    ["allow", "ask", "ask", "deny"],
  );
  const only = policyOf({ peer: "*", tools: { ask: ["delete_*"] } });
  assert.deepEqual(
    ["delete_one", "DELETE_one"].map((name) => decideLine(only, call(name)).verdict),
    ["ask", "deny"],
  );
});

Deno.test("decide() allows read-only tools alone where any rule demands that", () => {
  const policy = policyOf({ peer: "*", tools: EVERYTHING }, {
    name: "careful",
    peer: "*",
    read_only: true,
  });
  assert.equal(decideLine(policy, call("a"), { readOnly: ["a"] }).verdict, "allow");
  const denied = decideLine(policy, call("b"), { readOnly: ["a"] });
  assert.deepEqual([denied.verdict, denied.rule], ["deny", "careful: read_only"]);
  assert.equal(
    decideLine(policyOf({ peer: "*", read_only: true }), call("a"), { readOnly: ["a"] }).verdict,
    "deny",
  );
});

Deno.test("decide() refuses methods that nobody knows, calls without an id and calls without a name", () => {
  const policy = policyOf({
    peer: "*",
    tools: EVERYTHING,
    resources: EVERYTHING,
    prompts: EVERYTHING,
  });
  assert.equal(decideLine(policy, request(1, "x/custom")).verdict, "deny");
  assert.equal(decideLine(policy, '{"jsonrpc":"2.0","method":"x/custom"}').verdict, "deny");
  const without = decideLine(
    policy,
    '{"jsonrpc":"2.0","method":"tools/call","params":{"name":"a"}}',
  );
  assert.deepEqual([without.verdict, without.why], ["deny", "it has no id"]);
  assert.equal(
    decideLine(policy, request(1, "tools/call", { arguments: {} })).why,
    "it names nothing",
  );
  assert.equal(decideLine(policy, request(1, "tools/call", ["a"])).why, "it names nothing");
  assert.equal(decideLine(policy, request(1, "resources/read")).why, "it has no uri");
  const foreign = policyOf({
    peer: "*",
    methods: { allow: ["x/*"], deny: ["x/evil", "completion/*"] },
    prompts: EVERYTHING,
  });
  assert.equal(decideLine(foreign, request(1, "x/custom")).verdict, "allow");
  assert.equal(decideLine(foreign, request(1, "x/evil")).verdict, "deny");
  const ref = { type: "ref/prompt", name: "p" };
  assert.equal(decideLine(foreign, request(1, "completion/complete", { ref })).verdict, "deny");
});

Deno.test("decide() lets sessions begin and lists be asked for", () => {
  for (
    const method of [
      "initialize",
      "ping",
      "server/discover",
      "logging/setLevel",
      "tools/list",
      "resources/list",
      "resources/templates/list",
      "prompts/list",
      "tasks/list",
    ]
  ) {
    assert.equal(decideLine(policyOf(), request(1, method)).verdict, "allow", method);
  }
  for (const method of ["initialized", "cancelled", "progress", "roots/list_changed"]) {
    const line = `{"jsonrpc":"2.0","method":"notifications/${method}"}`;
    assert.equal(decideLine(policyOf(), line).verdict, "allow", method);
  }
});

Deno.test("decide() decides about resources by their URI, whatever way it is written", () => {
  const home = policyOf({ peer: "*", resources: { allow: ["file:///home/me/*"] } });
  const read = (uri: string) => decideLine(home, request(1, "resources/read", { uri })).verdict;
  assert.equal(read("file:///home/me/notes.txt"), "allow");
  for (
    const uri of [
      "file:///home/me/../you/x",
      "file:///home/me/%2e%2E/you",
      "file:///home/me/.%2e/x",
      "file:///home/me/a\\..\\..\\x",
      "file:///home/me/%252e%252e/x",
      "file:///home/me/.\t./x",
      "file:///home/me/a/..",
      " file:///home/me/x",
      "FILE:///home/me/x",
    ]
  ) {
    assert.equal(read(uri), "deny", uri);
  }
  const rest = policyOf({ peer: "*", resources: { allow: ["*"], deny: ["file:///etc/*"] } });
  const other = (uri: string) =>
    decideLine(rest, request(1, "resources/subscribe", { uri })).verdict;
  assert.equal(other("file:///home/x"), "allow");
  for (
    const uri of [
      "file:///etc/passwd",
      "FILE:///etc/passwd",
      "file://localhost/etc/passwd",
      "file:/etc/passwd",
      "file:///%65tc/passwd",
      "file:///%2565tc/passwd",
      "file:////etc/passwd",
      "file:///home/../etc/passwd",
      "file:///ETC/passwd",
      "custom:a\\b",
      "custom:a b",
      "file:///etc//passwd",
    ]
  ) {
    assert.equal(other(uri), "deny", uri);
  }
});

Deno.test("decide() decides about completions, subscriptions and tasks by what they are about", () => {
  const policy = policyOf({
    peer: "*",
    prompts: { allow: ["p"] },
    resources: { allow: ["test://a/*"] },
  });
  const complete = (ref: unknown) =>
    decideLine(policy, request(1, "completion/complete", { ref })).verdict;
  assert.equal(complete({ type: "ref/prompt", name: "p" }), "allow");
  assert.equal(complete({ type: "ref/prompt", name: "q" }), "deny");
  assert.equal(complete({ type: "ref/prompt", name: "p", Name: "q" }), "deny");
  assert.equal(complete({ type: "ref/resource", uri: "test://a/{x}" }), "allow");
  assert.equal(complete({ type: "ref/resource", uri: "test://b/{x}" }), "deny");
  assert.equal(complete({ type: "ref/other", name: "p" }), "deny");
  assert.equal(complete("p"), "deny");
  const listen = (notifications: unknown) =>
    decideLine(policy, request(1, "subscriptions/listen", { notifications })).verdict;
  assert.equal(listen({ toolsListChanged: true }), "allow");
  assert.equal(listen({ resourceSubscriptions: ["test://a/1", "test://a/2"] }), "allow");
  assert.equal(listen({ resourceSubscriptions: ["test://a/1", "test://b/2"] }), "deny");
  assert.equal(listen({ everything: true }), "deny");
  assert.equal(listen({ resourceSubscriptions: "test://a/1" }), "deny");
  assert.equal(decideLine(policy, request(1, "tasks/get", { taskId: "1" })).verdict, "deny");
});

Deno.test("decide() holds arguments of a tool to every rule that is about it, however its name is written", () => {
  const policy = policyOf(
    { peer: "*", tools: EVERYTHING },
    { name: "paths", peer: "*", arguments: { "read_*": { "/path": { prefix: "/ok/" } } } },
  );
  assert.equal(decideLine(policy, call("list", { path: "/etc" })).verdict, "allow");
  assert.equal(decideLine(policy, call("read_a", { path: "/ok/x" })).verdict, "allow");
  for (const name of ["read_a", "READ_A"]) {
    const { verdict, rule } = decideLine(policy, call(name, { path: "/etc" }));
    assert.deepEqual([verdict, rule], ["deny", 'paths: arguments "read_*" "/path"'], name);
  }
  assert.equal(decideLine(policy, request(1, "tools/call", { name: "read_a" })).verdict, "deny");
});

Deno.test("permissionsOf() takes the least of every limit, of rules that are for the caller", () => {
  const { limits } = permissionsOf(
    policyOf(
      { name: "a", peer: "*", limits: { requests_per_minute: 5, seconds_per_call: 9 } },
      { name: "b", peer: "alice", limits: { requests_per_minute: 3, seconds_per_call: 10 } },
      { name: "c", peer: "bob", limits: { requests_per_minute: 1 } },
      { name: "d", peer: "*", limits: { requests_per_minute: 4 } },
    ),
    CALLER,
  );
  assert.deepEqual(limits, {
    requestsPerMinute: { value: 3, rule: "b: limits.requests_per_minute" },
    secondsPerCall: { value: 9, rule: "a: limits.seconds_per_call" },
  });
});

Deno.test("matchesExactly() lets no two pieces of a glob share a letter", () => {
  for (
    const [glob, text, expected] of [
      ["ab*ba", "aba", false],
      ["ab*ba", "abba", true],
      ["a*b*a", "aba", true],
      ["a*b*a", "aa", false],
      ["*a*", "a", true],
      ["a*a", "a", false],
      ["**", "", true],
      ["a*b*b", "ab", false],
    ] as const
  ) {
    assert.equal(matchesExactly(globOf(glob), text, "name"), expected, `${glob} ${text}`);
  }
  assert.ok(
    matchesCoarsely(globOf("//etc/*"), "//%65tc/x", "uri"),
    "what is no URL is unescaped, too",
  );
});

Deno.test("flagRule() permits the rest unless tools are named or there is a file", () => {
  const verdicts = (flags: PolicyFlags, hasFile = false) => {
    const rule = flagRule(flags, hasFile);
    const policy = { rules: rule === null ? [] : [rule] };
    return [call("a"), call("b"), request(1, "prompts/get", { name: "p" })].map((line) =>
      decideLine(policy, line, { readOnly: ["a"] }).verdict
    ).join(" ");
  };
  assert.equal(flagRule({}, false), null);
  assert.equal(verdicts({ denyTool: ["b"] }), "allow deny allow");
  assert.equal(verdicts({ readOnly: true }), "allow deny allow");
  assert.equal(verdicts({ allowTool: ["a"] }), "allow deny deny");
  assert.equal(verdicts({ allowTool: ["*"], denyTool: ["a"] }), "deny allow deny");
  assert.equal(verdicts({ denyTool: ["b"] }, true), "deny deny deny", "the file permits");
  assert.equal(verdicts({ allowTool: ["a"] }, true), "allow deny deny");
});
