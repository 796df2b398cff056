import assert from "node:assert/strict";
import { SeededRandom } from "../../scripts/seeded_random.ts";

Deno.test("SeededRandom.uint32() gives the published sequence when it starts from state 1, 2, 3, 4", () => {
  const random = new SeededRandom([1, 2, 3, 4]);
  const published = [
    11520,
    0,
    5927040,
    70819200,
    2031721883,
    1637235492,
    1287239034,
    3734860849,
    3729100597,
    4258142804,
  ];
  assert.deepEqual(published.map(() => random.uint32()), published);
});

Deno.test("SeededRandom repeats itself when the seed is the same and differs when it is not", () => {
  const first = (seed: string | number) => new SeededRandom(seed).bytes(16).toHex();
  assert.equal(first("7/msgpack/41"), "8f056405e3e8d4394aa5bb9b44132ba4");
  assert.equal(first("7/msgpack/41"), first("7/msgpack/41"));
  assert.equal(first(7), first("7"));
  assert.notEqual(first("7/msgpack/41"), first("7/msgpack/42"));
  assert.notEqual(first(""), first("0"));
});

Deno.test("SeededRandom.between() reaches both ends and nothing beyond when it is asked often", () => {
  const random = new SeededRandom("between");
  const seen = new Set(Array.from({ length: 200 }, () => random.between(-1, 2)));
  assert.deepEqual([...seen].sort((a, b) => a - b), [-1, 0, 1, 2]);
});

Deno.test("SeededRandom.chance() follows the probability when it is asked often", () => {
  const random = new SeededRandom("chance");
  const count = (probability: number) =>
    Array.from({ length: 1000 }, () => random.chance(probability)).filter(Boolean).length;
  assert.equal(count(0), 0);
  assert.equal(count(1), 1000);
  assert.ok(Math.abs(count(0.25) - 250) < 60);
});

Deno.test("SeededRandom.pick() throws when there is nothing to pick from", () => {
  assert.throws(() => new SeededRandom(1).pick([]), RangeError);
});
