import assert from "node:assert/strict";

import { historyLine } from "../../scripts/bench.ts";
import { chart } from "../../scripts/bench/chart.ts";
import { endProgram, Unavailable, untilSaid } from "../../scripts/bench/contender.ts";
import {
  type Figure,
  figureNames,
  FIGURES,
  median,
  percentile,
  ratio,
  type Result,
  table,
} from "../../scripts/bench/figures.ts";
import { thisMachine } from "../../scripts/bench/machine.ts";
import { cpuMsBetween, statFields } from "../../scripts/bench/usage.ts";

/** A result whose every figure is `value`, but for those in `other`. */
function result(name: string, value: number, other: Partial<Record<Figure, number | null>> = {}) {
  const figures = Object.fromEntries(figureNames().map((figure) => [figure, value]));
  return { name, label: `${name} & co`, figures: { ...figures, ...other } } as Result;
}

Deno.test("percentile() and median() return a sample, whatever the order of the samples", () => {
  const samples = [5, 1, 4, 2, 3];
  for (const order of [samples, samples.toReversed(), samples.toSorted()]) {
    assert.equal(median(order), 3);
    assert.equal(percentile(order, 0), 1);
    assert.equal(percentile(order, 0.99), 5);
    assert.equal(percentile(order, 1), 5);
  }
  assert.equal(percentile([7], 0.5), 7);
  assert.throws(() => median([]), RangeError);
});

Deno.test("ratio() is null when a value or the reference is unknown", () => {
  assert.equal(ratio(6, 4), 1.5);
  assert.equal(ratio(null, 4), null);
  assert.equal(ratio(6, null), null);
  assert.equal(ratio(6, undefined), null);
  assert.equal(ratio(6, 0), null);
});

Deno.test("table() has a line for every figure, and the same cells whatever the order", () => {
  const results = [
    result("talos", 1_234_567.8, { cpu_us: null }),
    result("ssh", 600_000),
    result("direct", 60_000),
  ];
  const cells = (order: readonly Result[]) =>
    table(order).split("\n").map((line) => line.split(/ {2,}/).toSorted());
  const lines = table(results).split("\n");
  assert.equal(lines.length, 1 + figureNames().length);
  assert.match(lines[0]!, /talos & co +ssh & co +direct & co$/);
  const [calls] = lines.filter((line) => line.startsWith(FIGURES.calls_per_s.label));
  assert.match(calls!, /1 234 568 ×2\.06 +600 000 ×1\.00 +60 000 ×0\.10$/);
  assert.match(table(results), /CPU of a small call, µs +– +600 000/);
  assert.deepEqual(cells(results.toReversed()), cells(results));
});

Deno.test("table() leaves the ratios out when ssh did not take part", () => {
  assert.doesNotMatch(table([result("talos", 5), result("direct", 1)]), /×/);
});

Deno.test("chart() draws every contender, escaped, whatever is unknown", () => {
  const svg = chart(
    [result("talos", 10, { start_ms: null }), result("a<b", 0)],
    "5 < 6 & 2026-11-23",
  );
  assert.match(svg, /^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg" viewBox="0 0 \d+ \d+"/);
  assert.match(svg, /<\/svg>\n$/);
  assert.doesNotMatch(svg, /&(?!amp;|lt;|gt;)|NaN|Infinity|undefined|a<b/);
  assert.equal(svg.match(/<rect /g)?.length, 12);
  assert.match(svg, /5 &lt; 6 &amp; 2026-11-23/);
});

Deno.test("historyLine() is one line of JSON with figures, machine and notes, and no path", () => {
  const measured = { results: [result("talos", 1234.5678, { cpu_us: null })], notes: ["no ssh"] };
  const line = historyLine(measured, thisMachine(), { time: "2026-11-23T12:00:00Z", quick: true });
  assert.match(line, /^[^\n]+\n$/);
  const { time, quick, machine, contenders, notes } = JSON.parse(line);
  assert.deepEqual([time, quick, notes], ["2026-11-23T12:00:00Z", true, ["no ssh"]]);
  assert.equal(contenders.talos.call_p50_us, 1235);
  assert.equal(contenders.talos.cpu_us, null);
  assert.deepEqual(Object.keys(contenders.talos), figureNames());
  assert.deepEqual(Object.keys(machine), ["cpu", "cores", "os", "deno"]);
  assert.doesNotMatch(JSON.stringify(machine), /\/(?:home|root|work|tmp|Users)\b/);
});

Deno.test("statFields() skips a program's name with blanks and brackets in it", () => {
  assert.deepEqual(statFields("12 (a) b (c) d) S 7 12 12\n"), ["S", "7", "12", "12"]);
});

Deno.test("cpuMsBetween() counts threads that began in between, and not those that ended", () => {
  const before = new Map([["1", 5e6], ["2", 100e6]]);
  const after = new Map([["1", 8e6], ["3", 4e6]]);
  assert.equal(cpuMsBetween(before, after), 7);
});

Deno.test("untilSaid() waits for what a program says, and says so when it ends without that", async () => {
  const saying = (...texts: string[]) =>
    ReadableStream.from(texts).pipeThrough(new TextEncoderStream());
  await untilSaid("sshd", saying("Server li", "stening on port 1"), /Server listening/);
  await assert.rejects(
    untilSaid("sshd", saying("no host key"), /Server listening/),
    (error) => error instanceof Unavailable && error.message === "sshd does not start: no host key",
  );
});

Deno.test("endProgram() ends a program, and takes one that has ended by itself", async () => {
  const options = { stdin: "null", stdout: "null", stderr: "null" } as const;
  const start = (code: string) =>
    new Deno.Command(Deno.execPath(), { args: ["eval", code], ...options }).spawn();
  const runs = start("setInterval(() => {}, 1e6)");
  await endProgram(runs);
  assert.equal((await runs.status).success, false);
  const ended = start("Deno.exit(3)");
  await ended.status;
  await endProgram(ended);
  assert.equal((await ended.status).code, 3);
});
