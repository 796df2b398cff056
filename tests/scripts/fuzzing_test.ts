import assert from "node:assert/strict";
import { type Bytes, hex, utf8 } from "../../lib/bytes.ts";
import { TalosError } from "../../lib/errors.ts";
import { FUZZ_TARGETS } from "../../scripts/fuzz.ts";
import { accepted, BrokenProperty, check, fuzz, type FuzzTarget } from "../../scripts/fuzzing.ts";
import { checkSameBytes, checkSameText } from "../../scripts/fuzzing.ts";
import { mutant } from "../../scripts/mutation.ts";

class Refusal extends TalosError<"too_long" | "empty"> {}

const RANGE = { seed: "test", from: 0, runs: 300 };
const CORPUS = [utf8("first input"), utf8("second")];

/** Returns a target that takes CORPUS and does `run` with every input. */
function targetOf(run: (input: Bytes) => void | Promise<void>): FuzzTarget {
  return { name: "probe", errors: [Refusal], corpus: () => CORPUS, run };
}

for (const target of FUZZ_TARGETS) {
  Deno.test(`fuzz() finds no violation when ${target.name} gets 300 inputs`, async () => {
    const report = await fuzz(target, RANGE);
    assert.equal(report.violation, null);
    assert.equal(report.runs, 300);
    const refused = report.refused.reduce((sum, [, count]) => sum + count, 0);
    assert.equal(report.accepted + refused, 300);
    assert.ok(report.accepted > 0, "some are accepted");
    assert.equal(refused > 0, target.errors.length > 0);
  });
}

Deno.test("FUZZ_TARGETS have a name each when they are listed", () => {
  assert.equal(new Set(FUZZ_TARGETS.map(({ name }) => name)).size, FUZZ_TARGETS.length);
  assert.ok(!FUZZ_TARGETS.some(({ name }) => name === "all"));
});

Deno.test("fuzz() counts refusals by code when a target throws its own errors", async () => {
  const target = targetOf((input) => {
    if (input.length === 0) throw new Refusal("empty", "empty");
    if (input.length > 11) throw new Refusal("too_long", "too long");
  });
  const report = await fuzz(target, RANGE);
  assert.equal(report.violation, null);
  assert.deepEqual(report.refused.map(([code]) => code).sort(), ["empty", "too_long"]);
  const [[, most] = ["", 0], [, fewest] = ["", 0]] = report.refused;
  assert.ok(most >= fewest && fewest > 0);
  assert.equal(report.accepted, 300 - most - fewest);
});

for (
  const [name, thrown] of [
    ["a TypeError", new TypeError("x is undefined")],
    ["an error of another layer", new TalosError("empty", "another layer")],
    ["a broken property", new BrokenProperty("not the same")],
    ["undefined", undefined],
  ] as const
) {
  for (const when of ["at once", "later"] as const) {
    Deno.test(`fuzz() stops with the input when a target throws ${name} ${when}`, async () => {
      let runs = 0;
      const target = targetOf((input) => {
        runs++;
        if (input.length < 13) return;
        if (when === "later") return Promise.reject(thrown);
        throw thrown;
      });
      const report = await fuzz(target, RANGE);
      assert.ok(report.violation !== null);
      assert.equal(report.violation.thrown, thrown);
      assert.equal(runs, CORPUS.length + report.runs);
      // The iteration alone makes the same input again.
      const { iteration, input } = report.violation;
      assert.ok(iteration !== null && input.length >= 13);
      const again = await fuzz(target, { seed: "test", from: iteration, runs: 1 });
      assert.equal(hex(again.violation?.input ?? utf8("")), hex(input));
    });
  }
}

Deno.test("fuzz() reports a violation when a member of the corpus is refused", async () => {
  const report = await fuzz(
    targetOf((input) => {
      if (input.length === 6) throw new Refusal("empty", "refused");
    }),
    RANGE,
  );
  assert.equal(report.violation?.iteration, null);
  assert.equal(report.runs, 0);
  assert.deepEqual(report.violation?.input, utf8("second"));
});

Deno.test("fuzz() throws when the corpus is empty", async () => {
  await assert.rejects(fuzz({ ...targetOf(() => {}), corpus: () => [] }, RANGE), TypeError);
});

Deno.test("accepted() turns a refusal into a broken property when a step must succeed", () => {
  const cause = new Refusal("empty", "empty");
  const refuse = () => {
    throw cause;
  };
  assert.equal(accepted("step", () => 5), 5);
  assert.throws(() => accepted("step", refuse), {
    name: "BrokenProperty",
    message: "step: empty",
    cause,
  });
});

Deno.test("check() and its kin throw BrokenProperty when what they are given differs", () => {
  check("holds", true);
  checkSameText("same", "a", "a");
  checkSameBytes("same", utf8("a"), utf8("a"));
  assert.throws(() => check("no", false), BrokenProperty);
  assert.throws(() => checkSameText("no", "a", "b"), BrokenProperty);
  assert.throws(() => checkSameBytes("no", utf8("a"), utf8("b")), BrokenProperty);
});

Deno.test("mutant() gives the same input when the seed is the same, and leaves the corpus alone", () => {
  const before = CORPUS.map(hex);
  const inputs = new Set<string>();
  for (let i = 0; i < 1000; i++) {
    const input = hex(mutant({ dictionary: [utf8("word")] }, CORPUS, `seed/${i}`));
    assert.equal(hex(mutant({ dictionary: [utf8("word")] }, CORPUS, `seed/${i}`)), input);
    inputs.add(input);
  }
  assert.deepEqual(CORPUS.map(hex), before);
  assert.ok(inputs.size > 600, `${inputs.size} different inputs`);
});

Deno.test("mutant() inserts words and calls the format's own mutation when there are some", () => {
  const all = Array.from(
    { length: 300 },
    (_, i) =>
      hex(mutant({ dictionary: [utf8("WORD")], mutate: () => utf8("own") }, CORPUS, `${i}`)),
  );
  assert.ok(all.includes(hex(utf8("own"))));
  assert.ok(all.some((input) => input.includes(hex(utf8("WORD")))));
});

Deno.test("mutant() stays within 65536 bytes when the corpus is at the limit", () => {
  const corpus = [new Uint8Array(65_536)];
  for (let i = 0; i < 50; i++) assert.ok(mutant({}, corpus, `${i}`).length <= 65_536);
});
