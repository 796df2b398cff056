/** The accounts of a chaos run: what counts as lost, and what a kill excuses. */

import assert from "node:assert/strict";
import { failuresOf } from "../../scripts/chaos.ts";
import { lane } from "../../scripts/chaos/schedule.ts";
import { type Journal, journalOf, Tally } from "../../scripts/chaos/tally.ts";
import { SeededRandom } from "../../scripts/seeded_random.ts";

function journal(...numbers: readonly number[]): Journal {
  return journalOf(numbers.map((number) => `run ${number} g\n`).join(""));
}

Deno.test("Tally.verdict() is content when every call has its result and was run once", () => {
  const tally = new Tally();
  tally.ended(tally.sent("a", 0), "result", 10);
  tally.ended(tally.sent("a", 5), "result", 35);
  const verdict = tally.verdict(journal(1, 2));
  assert.deepEqual(verdict.failures, []);
  assert.equal(verdict.sent, 2);
  assert.equal(verdict.medianMs, 10);
  assert.equal(verdict.worstMs, 30);
});

Deno.test("Tally.verdict() counts a call as lost when it has no answer, or an error and no kill", () => {
  const tally = new Tally();
  tally.sent("a", 0);
  tally.ended(tally.sent("a", 0), "outcome_unknown", 10, "why");
  tally.ended(tally.sent("a", 0), "not_run", 10, "why");
  tally.ended(tally.sent("a", 0), "abandoned", 10);
  assert.equal(tally.verdict(journal()).lost, 3);
});

Deno.test("Tally.verdict() excuses errors when the server was killed before they came", () => {
  const tally = new Tally();
  const before = tally.sent("a", 0);
  const other = tally.sent("b", 0);
  tally.killed("a", 5);
  const behind = tally.sent("a", 6);
  tally.ended(before, "outcome_unknown", 7);
  tally.ended(other, "outcome_unknown", 7);
  tally.ended(behind, "result", 20);
  const late = tally.sent("a", 21);
  tally.ended(late, "not_run", 30);
  const { lost, failures } = tally.verdict(journal(behind));
  assert.equal(lost, 2);
  assert.match(failures[0] ?? "", /^call 2 of b/);
  assert.match(failures[1] ?? "", /^call 4 of a/);
});

Deno.test("Tally.verdict() does not excuse an error when the kill came after it", () => {
  const tally = new Tally();
  tally.ended(tally.sent("a", 0), "outcome_unknown", 4);
  tally.killed("a", 5);
  assert.equal(tally.verdict(journal()).lost, 1);
});

Deno.test("Tally.verdict() counts what was reported not run and was run", () => {
  const tally = new Tally();
  tally.killed("a", 0);
  tally.ended(tally.sent("a", 1), "not_run", 4);
  tally.ended(tally.sent("a", 1), "not_run", 4);
  const { falseNotRun, lost } = tally.verdict(journal(2));
  assert.equal(falseNotRun, 1);
  assert.equal(lost, 0);
});

Deno.test("Tally.verdict() counts what was run twice, never, or answered twice", () => {
  const tally = new Tally();
  tally.ended(tally.sent("a", 0), "result", 1);
  tally.ended(tally.sent("a", 0), "result", 1);
  tally.ended(2, "result", 2);
  const verdict = tally.verdict(journal(1, 1));
  assert.equal(verdict.ranTwice, 1);
  assert.equal(verdict.neverRun, 1);
  assert.equal(verdict.duplicatedAnswers, 1);
  assert.equal(verdict.failures.length, 3);
});

Deno.test("Tally.notified() counts what is missing when a number is left out or comes twice", () => {
  const tally = new Tally();
  for (const number of [1, 2, 5, 5]) tally.notified("a", "g", number);
  tally.notified("a", "h", 1);
  assert.equal(tally.verdict(journal()).lostNotifications, 3);
});

Deno.test("journalOf() returns other lines as strays", () => {
  const { runs, strays } = journalOf("run 7 g\nstray g 3\nrun 7 g\n");
  assert.deepEqual([...runs], [[7, 2]]);
  assert.deepEqual(strays, ["stray g 3"]);
});

Deno.test("lane() deals the same faults when the seed is the same, each as often as in the deck", () => {
  const deal = (seed: string) => {
    const faults = lane(new SeededRandom(seed), { "cut": 2, "kill-host": 1 }, [5, 9]);
    return Array.from({ length: 30 }, () => faults.next().value);
  };
  assert.deepEqual(deal("1"), deal("1"));
  assert.notDeepEqual(deal("1"), deal("2"));
  assert.equal(deal("1").filter(({ kind }) => kind === "cut").length, 20);
  assert.equal(deal("1").filter(({ kind }) => kind === "kill-host").length, 10);
  assert.ok(deal("1").every(({ afterMs }) => afterMs >= 5 && afterMs <= 9));
});

Deno.test("failuresOf() asks for enough faults when nothing else went wrong", () => {
  const tally = new Tally();
  tally.ended(tally.sent("a", 0), "result", 1);
  const times = (count: number) => ({ times: count, withCalls: count });
  const faults = {
    "cut": times(80),
    "silence": times(20),
    "suspend": times(20),
    "kill-agent": times(20),
    "kill-child": times(20),
    "kill-host": times(20),
    "kill-registry": times(20),
  };
  const report = { verdict: tally.verdict(journal(1)), faults, resumptions: 1, lives: 1 };
  assert.deepEqual(failuresOf({ ...report, orphans: 0 }, 2), []);
  assert.deepEqual(failuresOf({ ...report, orphans: 1 }, 2), ["1 processes were left"]);
  const few = { ...faults, "silence": times(19) };
  assert.deepEqual(failuresOf({ ...report, faults: few, orphans: 0 }, 2), [
    "19 silence, 20 are needed",
    "199 faults, 200 are needed",
  ]);
});
