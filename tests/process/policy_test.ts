import assert from "node:assert/strict";

import { runTalosProcess } from "../../scripts/talos_process.ts";
import { fixture, type Message, RawAgent, type Tunnel, tunnel } from "./mcp_tunnel.ts";

const FAST_ENOUGH_MS = 1_000;

/** A host under a policy, and what its server did. */
interface Scene extends AsyncDisposable {
  readonly there: Tunnel;
  readonly agent: RawAgent;
  readonly policy: string;
  readonly done: () => string[];
}

function rules(...some: readonly unknown[]): string {
  return JSON.stringify({ version: 1, rules: some }, null, 2);
}

/** Puts a policy in the place of another at once. */
function replace(path: string, text: string): void {
  Deno.writeTextFileSync(`${path}.new`, text, { mode: 0o600 });
  Deno.renameSync(`${path}.new`, path);
}

async function scene(policy: string | null, ...args: readonly string[]): Promise<Scene> {
  const folder = await Deno.makeTempDir({ prefix: "talos-test-" });
  const path = `${folder}/policy.json`;
  if (policy !== null) replace(path, policy);
  const there = await tunnel({
    command: () => fixture("tool_server", `${folder}/record`),
    args: [...(policy === null ? [] : ["--policy", path]), ...args],
  });
  const agent = RawAgent.start(there.agent, there.target);
  await agent.ask("init", "initialize", {
    protocolVersion: "2025-11-25",
    capabilities: {},
    clientInfo: { name: "t", version: "1" },
  });
  await agent.send({ method: "notifications/initialized" });
  return {
    there,
    agent,
    policy: path,
    done() {
      try {
        return Deno.readTextFileSync(`${folder}/record`).trim().split("\n");
      } catch {
        return [];
      }
    },
    async [Symbol.asyncDispose]() {
      await agent[Symbol.asyncDispose]();
      await there[Symbol.asyncDispose]();
      await Deno.remove(folder, { recursive: true });
    },
  };
}

async function tools({ agent }: Scene): Promise<string[]> {
  const { result } = await agent.ask("list", "tools/list", {});
  return result.tools.map(({ name }: { name: string }) => name);
}

let ids = 0;

async function use({ agent }: Scene, name: string, args: unknown = {}): Promise<Message> {
  return await agent.ask(`call ${++ids}`, "tools/call", { name, arguments: args });
}

async function refusal(there: Scene, name: string, args: unknown = {}): Promise<string> {
  const { error } = await use(there, name, args);
  return error === undefined ? "passed" : `${error.data.talos} ${error.data.rule}`;
}

Deno.test("mcp-serve --allow-tool and --deny-tool decide what is listed and called", async () => {
  await using there = await scene(
    null,
    "--allow-tool",
    "read_*",
    "--allow-tool",
    "slow",
    "--deny-tool",
    "read_all",
  );
  assert.deepEqual(await tools(there), ["read_file", "slow"]);
  assert.equal(await refusal(there, "read_file"), "passed");
  assert.equal(await refusal(there, "read_all"), 'not_permitted flags: tools.deny "read_all"');
  assert.equal(await refusal(there, "write_file"), "not_permitted default");
  assert.deepEqual(there.done(), ["read_file"]);
  assert.match(there.there.host.log(), /refused by the policy/);
});

Deno.test("mcp-serve --read-only passes what the server itself lists as read-only", async () => {
  await using there = await scene(null, "--read-only");
  assert.equal(await refusal(there, "write_file"), "not_permitted flags: read_only");
  assert.equal(await refusal(there, "read_all"), "passed");
  assert.deepEqual(await tools(there), ["read_file", "read_all"]);
  assert.equal(await refusal(there, "nobody_knows"), "not_permitted flags: read_only");
  assert.deepEqual(there.done(), ["read_all"]);
});

Deno.test("a changed policy holds within a second, and a broken one leaves the last in force", async () => {
  const allowing = (...allow: readonly string[]) =>
    rules({ name: "all", peer: "*", tools: { allow } });
  await using there = await scene(allowing("*"));
  assert.equal(await refusal(there, "write_file"), "passed");
  await there.agent.send({ id: "running", method: "tools/call", params: { name: "slow" } });
  assert.equal(await refusal(there, "read_all"), "passed", "what was sent before is there by now");
  const changed = performance.now();
  replace(there.policy, allowing("read_*"));
  const given = await there.agent.message();
  assert.ok(performance.now() - changed < FAST_ENOUGH_MS, `${performance.now() - changed} ms`);
  assert.deepEqual(
    [given.id, given.error?.data.talos],
    ["running", "not_permitted"],
    "the call that runs",
  );
  assert.equal(await refusal(there, "write_file"), "not_permitted default");
  assert.deepEqual(await tools(there), ["read_file", "read_all"]);
  replace(there.policy, '{"version":1,\n"rules":[}');
  await there.there.logged("the policy file is not used, the last good one stays in force");
  assert.match(there.there.host.log(), /line 2, column 10/);
  assert.equal(await refusal(there, "write_file"), "not_permitted default");
  assert.equal(await refusal(there, "read_file"), "passed");
  assert.deepEqual(there.done(), [
    "write_file",
    "slow",
    "read_all",
    "cancelled running",
    "read_file",
  ]);
});

Deno.test("limits cancel what takes too long, and hold over a restart of the host", async () => {
  const limits = { requests_per_minute: 3, seconds_per_call: 1 };
  await using there = await scene(
    rules({ name: "few", peer: "*", tools: { allow: ["*"] }, limits }),
  );
  assert.equal(await refusal(there, "slow"), "limit_reached few: limits.seconds_per_call");
  const slow = `call ${ids}`;
  assert.equal(await refusal(there, "read_file"), "passed");
  assert.deepEqual(there.done(), ["slow", `cancelled ${slow}`, "read_file"]);
  await there.agent.finish();
  const { hosting, agent, host } = there.there;
  host.signal("SIGTERM");
  await host.exited;
  const { startHost } = await import("../../scripts/talos_process.ts");
  const again = await startHost(hosting.home, [
    "--authorized-peer",
    agent.id,
    "--policy",
    there.policy,
    "--",
    ...fixture("tool_server", "/dev/null"),
  ]);
  try {
    await using caller = RawAgent.start(agent, `${hosting.id}@127.0.0.1:${again.port}`);
    const first = await caller.ask(1, "tools/call", { name: "read_file" });
    assert.equal(first.error, undefined, "the third request of this minute");
    const { error } = await caller.ask(2, "tools/call", { name: "read_file" });
    assert.equal(error?.data.rule, "few: limits.requests_per_minute");
  } finally {
    await again[Symbol.asyncDispose]();
  }
});

Deno.test("mcp-serve does not start with a policy that cannot be used, and says where it is wrong", async () => {
  const folder = await Deno.makeTempDir({ prefix: "talos-test-" });
  try {
    const path = `${folder}/policy.json`;
    replace(path, '{"version": 1,\n "rules": [{"peer": "*", "tool": {}}]}');
    const args = [
      "--home",
      `${folder}/home`,
      "mcp-serve",
      "--port",
      "0",
      "--policy",
      path,
      "--",
      Deno.execPath(),
    ];
    const { code, stderr, stdout } = await runTalosProcess(args);
    assert.equal(code, 2);
    assert.equal(stdout, "");
    assert.match(
      stderr,
      /talos: Cannot use .*policy\.json: the field rules\[0\]\.tool is unknown at line 2, column 26\nhint: correct it/,
    );
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("talos policy check and explain say what a policy is worth", async () => {
  const folder = await Deno.makeTempDir({ prefix: "talos-test-" });
  try {
    const path = `${folder}/policy.json`;
    const peer = "z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK";
    replace(
      path,
      rules({
        name: "readers",
        peer,
        tools: { allow: ["read_*"] },
        arguments: { "*": { "/path": { prefix: "/home/" } } },
        limits: { seconds_per_call: 9 },
      }),
    );
    const talos = (...words: readonly string[]) =>
      runTalosProcess(["--home", `${folder}/home`, "policy", ...words]);
    const checked = await talos("check", path);
    assert.deepEqual([checked.code, checked.stdout], [0, `${path} can be used: 1 rule\n`]);
    const explained = await talos(
      "explain",
      path,
      peer,
      "tools/call",
      "read_file",
      '{"path":\n"/home/x"}',
    );
    assert.equal(
      explained.stdout,
      'allow: a rule allows it\nrule: readers: tools.allow "read_*"\nlimit: seconds_per_call 9 (readers)\n',
    );
    const denied = await talos(
      "explain",
      path,
      peer,
      "tools/call",
      "read_file",
      '{"path":"/etc/x"}',
      "--json",
    );
    assert.deepEqual(JSON.parse(denied.stdout), {
      decision: "deny",
      rule: 'readers: arguments "*" "/path"',
      why: 'the argument /path does not begin with "/home/"',
      unless_read_only: null,
      rules: 1,
      limits: { seconds_per_call: { value: 9, rule: "readers: limits.seconds_per_call" } },
    });
    const doubled = await talos(
      "explain",
      path,
      peer,
      "tools/call",
      "read_file",
      '{"path":"/home/x","path":"/etc/x"}',
    );
    assert.equal(
      doubled.stdout,
      "deny: the line names a member of an object twice\nrule: scanner\n",
    );
    assert.equal((await talos("check", `${path}.none`)).code, 2);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
