import assert from "node:assert/strict";
import { HalfOpenLimiter, RecentEphemerals } from "../../lib/session/admission.ts";
import { SeededRandom } from "../../scripts/seeded_random.ts";

Deno.test("HalfOpenLimiter gives 32 places to a source and 1,024 in all", () => {
  const limiter = new HalfOpenLimiter();
  const places = Array.from({ length: 40 }, () => limiter.enter("192.0.2.1"));
  assert.equal(places.filter((place) => place !== null).length, 32);
  for (let i = 0; i < 992; i++) assert.ok(limiter.enter(`source ${i}`) !== null);
  assert.equal(limiter.total, 1024);
  assert.equal(limiter.enter("one more"), null);
  places[0]?.[Symbol.dispose]();
  assert.ok(limiter.enter("one more") !== null);
});

Deno.test("HalfOpenLimiter takes a place back once, however often it is given back", () => {
  const limiter = new HalfOpenLimiter({ total: 2, perSource: 2 });
  const place = limiter.enter("a");
  limiter.enter("a");
  for (let i = 0; i < 3; i++) place?.[Symbol.dispose]();
  assert.equal(limiter.total, 1);
  assert.ok(limiter.enter("a") !== null);
  assert.equal(limiter.enter("a"), null);
});

Deno.test("HalfOpenLimiter counts as plain counters do when places come and go at random", () => {
  const random = new SeededRandom("half open");
  const limiter = new HalfOpenLimiter({ total: 10, perSource: 4 });
  const taken: { source: string; place: Disposable }[] = [];
  for (let step = 0; step < 10_000; step++) {
    const source = random.pick(["a", "b", "c", "d"]);
    if (random.chance(0.55)) {
      const place = limiter.enter(source);
      const here = taken.filter((other) => other.source === source).length;
      assert.equal(place !== null, taken.length < 10 && here < 4);
      if (place !== null) taken.push({ source, place });
    } else if (taken.length > 0) {
      const [{ place }] = taken.splice(random.below(taken.length), 1) as [typeof taken[0]];
      place[Symbol.dispose]();
    }
    assert.equal(limiter.total, taken.length);
    assert.equal(limiter.sources, new Set(taken.map((other) => other.source)).size);
  }
});

Deno.test("RecentEphemerals knows the last keys and forgets the oldest first", () => {
  const recent = new RecentEphemerals(3);
  for (const key of ["a", "b", "c"]) assert.equal(recent.firstSeen(key), true);
  for (const key of ["a", "b", "c"]) assert.equal(recent.firstSeen(key), false);
  assert.equal(recent.firstSeen("d"), true);
  assert.equal(recent.firstSeen("b"), false);
  assert.equal(recent.firstSeen("a"), true); // forgotten for d
  assert.equal(recent.firstSeen("b"), true); // forgotten for a
});

Deno.test("RecentEphemerals remembers 4,096 keys", () => {
  const recent = new RecentEphemerals();
  for (let i = 0; i < 4097; i++) recent.firstSeen(String(i));
  assert.equal(recent.firstSeen("1"), false);
  assert.equal(recent.firstSeen("0"), true);
});
