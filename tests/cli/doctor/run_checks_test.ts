import assert from "node:assert/strict";

import {
  fail,
  type Finding,
  firstFailure,
  ok,
  skip,
  warn,
} from "../../../lib/cli/doctor/finding.ts";
import { type Check, runChecks } from "../../../lib/cli/doctor/run_checks.ts";
import { exitStatusOf } from "../../../lib/cli/exit_status.ts";
import { systemClock } from "../../../lib/clock.ts";
import { TalosError } from "../../../lib/errors.ts";

function check(
  names: Check["names"],
  needs: ReturnType<Check["needs"]>,
  look: Check["look"],
): Check {
  return { names, needs: () => needs, look, limitMs: 60_000, lateCode: "unreachable" };
}

async function run(...checks: readonly Check[]): Promise<string[]> {
  const seen: Finding[] = [];
  for await (const finding of runChecks(checks, systemClock)) seen.push(finding);
  return seen.map(({ check, status, fact }) => `${check} ${status}: ${fact}`);
}

Deno.test("runChecks() does not ask what depends on a failure, and names the first cause", async () => {
  let asked = 0;
  assert.deepEqual(
    await run(
      check(["home"], [], () => [warn("home", "open")]),
      check(["wallet"], ["home"], () => {
        throw new TalosError("wallet_missing", "there is none", { hints: ["make one"] });
      }),
      check(["database"], ["wallet"], () => [ok("database", String(++asked))]),
      check(["registry", "registry_key"], ["database"], () => [ok("registry", String(++asked))]),
      check(["disk"], [], () => [ok("disk", "free")]),
    ),
    [
      "home warn: open",
      "wallet fail: there is none",
      "database skip: not asked: wallet failed",
      "registry skip: not asked: wallet failed",
      "registry_key skip: not asked: wallet failed",
      "disk ok: free",
    ],
  );
  assert.equal(asked, 0);
});

Deno.test("runChecks() skips the names that were not reached when one of the same check failed", async () => {
  assert.deepEqual(
    await run(
      check(["peer_registered", "peer_online", "service"], [], () => [
        ok("peer_registered", "yes"),
        fail("peer_online", "peer_away", "away"),
      ]),
      check(["address"], ["service"], () => []),
      check(["registry"], [], () => [skip("registry", "none was chosen")]),
      check(["registration"], ["registry"], () => []),
    ),
    [
      "peer_registered ok: yes",
      "peer_online fail: away",
      "service skip: not asked: peer online failed",
      "address skip: not asked: peer online failed",
      "registry skip: none was chosen",
      "registration skip: not asked: registry was skipped",
    ],
  );
});

Deno.test("runChecks() fails what takes too long, and tells it that it is over", async () => {
  let isOver = false;
  const slow: Check = {
    ...check(["server"], [], async (signal) => {
      await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
      isOver = true;
      return [];
    }),
    limitMs: 30_000,
    lateFixes: ["look there"],
  };
  const clock = {
    ...systemClock,
    after: (_ms: number, action: () => void) => systemClock.after(0, action),
  };
  const seen: Finding[] = [];
  for await (const finding of runChecks([slow], clock)) seen.push(finding);
  assert.deepEqual(seen, [
    fail("server", "unreachable", "no answer in 30 s", "look there"),
  ]);
  await Promise.resolve();
  assert.ok(isOver);
});

Deno.test("firstFailure() is what the exit status comes from", () => {
  const failures = [
    ok("home", "there"),
    fail("registry", "registry_unreachable", "nothing listens there", "start it"),
    fail("client", "client_config", "gone"),
  ];
  const error = firstFailure(failures);
  assert.equal(error?.message, "2 checks failed, first registry: nothing listens there");
  assert.deepEqual(error?.hints, ["start it"]);
  assert.equal(exitStatusOf(error), 4);
  assert.equal(
    firstFailure(failures.slice(0, 2))?.message,
    "1 check failed, registry: nothing listens there",
  );
  assert.equal(firstFailure([warn("home", "open")]), null);
});
