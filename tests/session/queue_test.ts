import assert from "node:assert/strict";
import { Queue } from "../../lib/session/queue.ts";
import { SeededRandom } from "../../scripts/seeded_random.ts";

Deno.test("Queue gives undefined when it is empty", () => {
  const queue = new Queue<number>();
  assert.equal(queue.length, 0);
  assert.equal(queue.shift(), undefined);
  assert.equal(queue.at(0), undefined);
  queue.push(1);
  assert.equal(queue.shift(), 1);
  assert.equal(queue.shift(), undefined);
});

for (const [seed, growth] of [["grows", 0.6], ["stays", 0.5], ["shrinks", 0.4]] as const) {
  Deno.test(`Queue behaves like a list when it ${seed} at random`, () => {
    const random = new SeededRandom(`queue/${seed}`);
    const queue = new Queue<number>();
    const list: number[] = [];
    for (let step = 0; step < 20_000; step++) {
      if (random.chance(growth)) {
        queue.push(step);
        list.push(step);
      } else {
        assert.equal(queue.shift(), list.shift());
      }
      assert.equal(queue.length, list.length);
      const index = random.below(list.length + 2);
      assert.equal(queue.at(index), list[index]);
    }
  });
}

Deno.test("Queue takes constant time when it is long", () => {
  const queue = new Queue<number>();
  const count = 1_000_000;
  for (let i = 0; i < count; i++) queue.push(i);
  // With Array.prototype.shift this alone takes minutes.
  for (let i = 0; i < count; i++) assert.ok(queue.shift() === i);
  assert.equal(queue.length, 0);
});
