import assert from "node:assert/strict";
import { TokenBuckets } from "../../lib/session/token_buckets.ts";

const RATE = { burst: 3, perMinute: 6 };

Deno.test("TokenBuckets.take() gives a burst and then one for each interval", () => {
  const buckets = new TokenBuckets(RATE);
  assert.deepEqual([1, 2, 3, 4].map(() => buckets.take("a", 0)), [0, 0, 0, 10_000]);
  assert.equal(buckets.take("a", 4_000), 6_000);
  assert.equal(buckets.take("a", 9_999), 1);
  assert.equal(buckets.take("a", 10_000), 0);
  assert.equal(buckets.take("a", 10_000), 10_000);
  assert.equal(buckets.take("b", 10_000), 0);
});

Deno.test("TokenBuckets.take() fills a bucket no further than to its burst", () => {
  const buckets = new TokenBuckets(RATE);
  buckets.take("a", 0);
  const later = 3_600_000;
  assert.deepEqual([1, 2, 3, 4].map(() => buckets.take("a", later)), [0, 0, 0, 10_000]);
});

Deno.test("TokenBuckets.wait() takes nothing", () => {
  const buckets = new TokenBuckets({ burst: 1, perMinute: 1 });
  assert.equal(buckets.wait("a", 0), 0);
  assert.equal(buckets.wait("a", 0), 0);
  assert.equal(buckets.size, 0);
  buckets.take("a", 0);
  assert.equal(buckets.wait("a", 30_000), 30_000);
});

Deno.test("TokenBuckets forgets full buckets, and those used longest ago when there are too many", () => {
  const buckets = new TokenBuckets(RATE, 4_000);
  for (let i = 0; i < 1_000; i++) buckets.take(`early ${i}`, 0);
  for (let i = 0; i < 100; i++) buckets.take(`late ${i}`, 60_000);
  assert.equal(buckets.size, 100);
  for (let i = 0; i < 20_000; i++) {
    buckets.take(`flood ${i}`, 60_001);
    assert.ok(buckets.size <= 4_000, `${buckets.size} buckets`);
  }
  for (let i = 0; i < 3; i++) buckets.take("flood 19999", 60_001);
  assert.ok(buckets.wait("flood 19999", 60_001) > 0);
});

Deno.test("TokenBuckets.take() takes several at once, or none and says when there will be as many", () => {
  const buckets = new TokenBuckets({ burst: 10, perMinute: 60 });
  assert.equal(buckets.take("a", 0, 8), 0);
  assert.equal(buckets.take("a", 0, 5), 3_000);
  assert.equal(buckets.take("a", 0, 2), 0);
  assert.equal(buckets.take("a", 5_000, 5), 0);
});
