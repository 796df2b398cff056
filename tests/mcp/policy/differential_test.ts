/**
 * Properties of the decision, over random policies: list and call agree; deny wins; permissions only add up.
 */

import assert from "node:assert/strict";

import { decideSubject, permissionsOf } from "../../../lib/mcp/policy/decide.ts";
import type { Policy } from "../../../lib/mcp/policy/policy.ts";
import { SeededRandom } from "../../../scripts/seeded_random.ts";
import { ALICE, MALLORY } from "../../session/peers.ts";
import { call, CALLER, decideLine, policyOf, PolicySession, request } from "./scene.ts";

const NAMES = [
  "read",
  "read_file",
  "write_file",
  "Write_File",
  "ｗrite_file",
  "write_\u200bfile",
  "delete",
  "DELETE",
  "caf\u00e9",
  "cafe\u0301",
  "a*b",
  "x",
];
const URIS = [
  "test://a",
  "test://a/1",
  "TEST://a/1",
  "test://a/../b",
  "test://a/%2e%2e/b",
  "file:///etc/passwd",
  "file://localhost/etc/passwd",
  "file:///home/x",
];
const GLOBS = [
  "*",
  "read*",
  "*_file",
  "write_file",
  "delete",
  "DELETE",
  "caf\u00e9",
  "x",
  "a*",
  "test://*",
  "test://a",
  "test://a/*",
  "file:///etc/*",
  "file:///home/*",
];
const NOW = 1_750_000_000_000;
const TIMES = ["2020-01-01T00:00:00Z", "2099-01-01T00:00:00Z"];

type Rule = Record<string, unknown>;

const KINDS = ["tools", "resources", "prompts"] as const;

function selection(random: SeededRandom) {
  const globs = (chance: number) =>
    random.chance(chance) ? [random.pick(GLOBS), random.pick(GLOBS)] : [];
  return { allow: globs(0.6), deny: globs(0.2), ask: globs(0.2) };
}

function rule(random: SeededRandom): Rule {
  return {
    peer: random.pick(["*", ALICE.peerId, MALLORY.peerId, "alice", "bob"]),
    service: random.pick(["*", "default", "other"]),
    tools: selection(random),
    resources: selection(random),
    prompts: selection(random),
    ...(random.chance(0.15) ? { read_only: true } : {}),
    ...(random.chance(0.2) ? { expires: random.pick(TIMES) } : {}),
    ...(random.chance(0.2)
      ? { arguments: { [random.pick(["*", "read*"])]: { "/path": { prefix: "/ok" } } } }
      : {}),
  };
}

function rules(random: SeededRandom): Rule[] {
  return Array.from({ length: random.below(5) }, () => rule(random));
}

const READ_ONLY = ["read", "read_file"];
const CALLERS = [CALLER, { peer: MALLORY.peerId, service: "mcp/default", name: "bob" }, {
  ...CALLER,
  service: "mcp/other",
}];

/** Every decision that there is to make, by what it is about. */
function verdicts(policy: Policy, caller = CALLERS[0]!): Map<string, string> {
  const permissions = permissionsOf(policy, caller);
  const circumstances = { now: NOW, isReadOnly: (tool: string) => READ_ONLY.includes(tool) };
  return new Map(
    KINDS.flatMap((kind) =>
      (kind === "resources" ? URIS : NAMES).map((name) =>
        [`${kind} ${name}`, decideSubject(permissions, kind, name, circumstances).verdict] as const
      )
    ),
  );
}

const RANK: Readonly<Record<string, number>> = { deny: 0, ask: 1, allow: 2 };

Deno.test("a tool, prompt or resource is listed exactly if its use is not refused by its name, for 400 seeded policies", async () => {
  const listings = [
    ["tools/list", "tools", "name", "tools/call", NAMES],
    ["prompts/list", "prompts", "name", "prompts/get", NAMES],
    ["resources/list", "resources", "uri", "resources/read", URIS],
  ] as const;
  const seen = { listed: 0, hidden: 0 };
  for (let seed = 0; seed < 400; seed++) {
    const random = new SeededRandom(`list and call ${seed}`);
    const policy = policyOf(...rules(random));
    using session = new PolicySession({ policy, ask: () => Promise.resolve(true) });
    await session.clock.advance(NOW - session.clock.now());
    for (const [method, member, key, use, names] of listings) {
      const elements = names.map((name) => ({
        [key]: name,
        annotations: { readOnlyHint: READ_ONLY.includes(name) },
      }));
      /** Answers what the host itself asks, and returns what else reached the server. */
      const reached = async (id: string, line: string): Promise<boolean> => {
        const from = session.atServer.length;
        session.agent(line);
        for (let at = from; at < session.atServer.length; at++) {
          const { id: own, method: asked } = JSON.parse(session.atServer[at]!);
          if (own !== id && asked === "tools/list") session.answer(own, { tools: elements });
        }
        await session.settled();
        return session.atServer.slice(from).some((one) => JSON.parse(one).id === id);
      };
      assert.ok(await reached("list", request("list", method)), method);
      session.answer("list", { [member]: elements });
      const listed = session.last.result[member].map((one: Record<string, string>) => one[key]);
      for (const name of names) {
        const params = key === "uri" ? { uri: name } : { name, arguments: { path: "/ok/x" } };
        const passed = await reached("use", request("use", use, params));
        if (passed) session.answer("use", {});
        assert.equal(listed.includes(name), passed, `seed ${seed}: ${use} ${JSON.stringify(name)}`);
        seen[passed ? "listed" : "hidden"]++;
      }
    }
  }
  assert.ok(seen.listed > 1000 && seen.hidden > 1000, JSON.stringify(seen));
});

Deno.test("decide() does not depend on the order of rules and globs, for 500 seeded policies", () => {
  for (let seed = 0; seed < 500; seed++) {
    const random = new SeededRandom(`order ${seed}`);
    const some = rules(random);
    const turned = some.toReversed().map((one) => ({
      ...one,
      ...Object.fromEntries(KINDS.map((kind) => {
        const { allow, deny, ask } = one[kind] as ReturnType<typeof selection>;
        return [kind, {
          ask: ask.toReversed(),
          deny: deny.toReversed(),
          allow: allow.toReversed(),
        }];
      })),
    }));
    for (const caller of CALLERS) {
      assert.deepEqual(
        verdicts(policyOf(...some), caller),
        verdicts(policyOf(...turned), caller),
        `seed ${seed}`,
      );
    }
  }
});

Deno.test("decide() takes nothing from anybody for another allow, and gives nothing for another restriction, for 500 seeded policies", () => {
  for (let seed = 0; seed < 500; seed++) {
    const random = new SeededRandom(`more ${seed}`);
    const some = rules(random);
    const kind = random.pick(KINDS);
    const peer = random.pick(["*", ALICE.peerId, "bob"]);
    const allowing = { peer, [kind]: { allow: [random.pick(GLOBS)] } };
    const restricting = random.pick([
      { peer, [kind]: { deny: [random.pick(GLOBS)] } },
      { peer, read_only: true },
      { peer, [kind]: { deny: [random.pick(GLOBS)] }, expires: TIMES[0] },
    ]);
    for (const caller of CALLERS) {
      const before = verdicts(policyOf(...some), caller);
      const more = verdicts(policyOf(...some, allowing), caller);
      const less = verdicts(policyOf(...some, restricting), caller);
      for (const [what, verdict] of before) {
        assert.ok(RANK[more.get(what)!]! >= RANK[verdict]!, `seed ${seed}: ${what} after an allow`);
        assert.ok(
          RANK[less.get(what)!]! <= RANK[verdict]!,
          `seed ${seed}: ${what} after a restriction`,
        );
      }
      if (allowing.peer === ALICE.peerId && caller.peer !== ALICE.peerId) {
        assert.deepEqual(more, before, `seed ${seed}`);
      }
    }
  }
});

Deno.test("decide() lets a denial win over every allow, for 300 seeded policies", () => {
  for (let seed = 0; seed < 300; seed++) {
    const random = new SeededRandom(`deny ${seed}`);
    const name = random.pick(NAMES);
    const policy = policyOf(...rules(random), { peer: "*", tools: { allow: [name, "*"] } }, {
      peer: "*",
      tools: { deny: [name] },
    }, ...rules(random));
    assert.equal(
      decideLine(policy, call(name), { now: NOW, readOnly: NAMES }).verdict,
      "deny",
      `seed ${seed}`,
    );
  }
});

/** Ways to write one JSON text in another way: what a parser reads stays the same. */
function rewritten(line: string, random: SeededRandom): string {
  const escaped = line.replace(/[a-z]/g, (letter, at: number) => {
    const before = line.slice(0, at);
    const inString = (before.replace(/\\./g, "").split('"').length - 1) % 2 === 1;
    return inString && random.chance(0.2)
      ? `\\u${letter.charCodeAt(0).toString(16).padStart(4, "0")}`
      : letter;
  });
  return escaped.replace(/(?<=[{,:])(?=["{])/g, () => random.pick(["", " ", "\t"]));
}

Deno.test("decide() decides the same however a request is written, for 300 seeded policies", () => {
  for (let seed = 0; seed < 300; seed++) {
    const random = new SeededRandom(`written ${seed}`);
    const policy = policyOf(...rules(random), {
      peer: "*",
      tools: { allow: ["read*"] },
      arguments: { read: { "/n": { optional: true, values: [1, 100] } } },
    });
    const [name, path] = [random.pick(NAMES), random.pick(["/ok/x", "/etc/x", "/ok/../x"])];
    const line = call(name, { path, n: 100 });
    const expected = decideLine(policy, line, { now: NOW, readOnly: READ_ONLY });
    for (let times = 0; times < 5; times++) {
      const other = rewritten(line, random).replace(
        /100(?=[},])/,
        random.pick(["100", "1e2", "100.0", "1E+2", "1000e-1"]),
      );
      assert.deepEqual(
        decideLine(policy, other, { now: NOW, readOnly: READ_ONLY }),
        expected,
        `seed ${seed}: ${other}`,
      );
    }
  }
});
