import assert from "node:assert/strict";
import { ReplayBudget, type ReplayShare } from "../../lib/session/replay_budget.ts";
import { SeededRandom } from "../../scripts/seeded_random.ts";
import { ALICE, HOST, isSettled, MALLORY } from "./peers.ts";

const KIB = 1024;
const LARGE = 100 * KIB;

Deno.test("ReplayBudget hands out bytes as long as there are some, and counts them", () => {
  const budget = new ReplayBudget(300 * KIB);
  const [a, b] = [budget.share(ALICE.peerId), budget.share(ALICE.peerId)];
  assert.equal(a.tryTake(2 * LARGE), true);
  assert.equal(b.tryTake(LARGE), true);
  assert.equal(budget.heldBytes, 300 * KIB);
  assert.equal(a.tryTake(1), false);
  assert.deepEqual([a.heldBytes, b.heldBytes], [2 * LARGE, LARGE]);
  a.giveBack(1);
  assert.equal(a.tryTake(1), true);
});

Deno.test("take() waits its turn, first come first served, when the budget is used up", async () => {
  const budget = new ReplayBudget(LARGE);
  const [holder, first, second] = [
    budget.share(ALICE.peerId),
    budget.share(ALICE.peerId),
    budget.share(ALICE.peerId),
  ];
  assert.equal(await holder.take(LARGE), true);
  const waits = [first.take(LARGE), second.take(70 * KIB)];
  assert.equal(await isSettled(Promise.any(waits)), false);
  holder.giveBack(80 * KIB);
  assert.equal(await isSettled(Promise.any(waits)), false); // room for the second, but it is not its turn
  assert.equal(budget.share(ALICE.peerId).tryTake(70 * KIB), false);
  holder.giveBack(20 * KIB);
  assert.equal(await waits[0], true);
  assert.equal(await isSettled(waits[1]!), false);
  first.giveBack(LARGE);
  assert.equal(await waits[1], true);
  assert.equal(budget.heldBytes, 70 * KIB);
  assert.equal(second.tryTake(30 * KIB), true); // nobody stands in line any more
});

Deno.test("a share that holds nothing may take 64 KiB even when others have taken everything", async () => {
  const budget = new ReplayBudget(LARGE);
  const greedy = budget.share(ALICE.peerId);
  assert.equal(greedy.tryTake(LARGE), true);
  const modest = budget.share(ALICE.peerId);
  assert.equal(modest.tryTake(64 * KIB), true);
  assert.equal(modest.tryTake(1), false);
  const waiting = modest.take(1);
  assert.equal(await isSettled(waiting), false);
  modest.giveBack(64 * KIB);
  assert.equal(await waiting, true);
  assert.equal(budget.share(ALICE.peerId).tryTake(64 * KIB + 1), false);
});

Deno.test("a share waits in line once, however often it is served out of turn", async () => {
  const budget = new ReplayBudget(LARGE);
  const [greedy, stuck, modest] = [
    budget.share(ALICE.peerId),
    budget.share(ALICE.peerId),
    budget.share(ALICE.peerId),
  ];
  greedy.tryTake(LARGE);
  const waiting = stuck.take(LARGE);
  for (let i = 0; i < 1000; i++) {
    assert.equal(await modest.take(1), true);
    const next = modest.take(1);
    modest.giveBack(1);
    assert.equal(await next, true);
    modest.giveBack(1);
  }
  greedy.giveBack(LARGE);
  assert.equal(await waiting, true);
  assert.equal(budget.heldBytes, LARGE);
});

Deno.test("take() of more than the whole budget waits until nothing is held", async () => {
  const budget = new ReplayBudget(LARGE);
  const [small, huge] = [budget.share(ALICE.peerId), budget.share(ALICE.peerId)];
  small.tryTake(1);
  const waiting = huge.take(10 * LARGE);
  assert.equal(await isSettled(waiting), false);
  small.giveBack(1);
  assert.equal(await waiting, true);
  assert.equal(budget.heldBytes, 10 * LARGE);
});

Deno.test("disposing a share gives everything back, ends its waiting and serves the next", async () => {
  const budget = new ReplayBudget(LARGE);
  const [holder, first, second] = [
    budget.share(ALICE.peerId),
    budget.share(ALICE.peerId),
    budget.share(ALICE.peerId),
  ];
  holder.tryTake(LARGE);
  first.tryTake(1);
  const [impatient, patient] = [first.take(LARGE), second.take(70 * KIB)];
  first[Symbol.dispose]();
  assert.equal(await impatient, false);
  assert.equal(await isSettled(patient), false);
  holder[Symbol.dispose]();
  holder[Symbol.dispose]();
  assert.equal(await patient, true);
  assert.equal(budget.heldBytes, 70 * KIB);
  assert.equal(first.tryTake(1), false);
  assert.equal(await first.take(1), false);
});

Deno.test("giveBack() and take() throw when they are misused", async () => {
  const budget = new ReplayBudget(LARGE);
  const [share, other] = [budget.share(ALICE.peerId), budget.share(ALICE.peerId)];
  share.tryTake(10);
  assert.throws(() => share.giveBack(11), RangeError);
  other.tryTake(70 * KIB);
  const waiting = share.take(LARGE);
  assert.throws(() => share.take(1), TypeError);
  assert.equal(share.tryTake(1), false);
  share[Symbol.dispose]();
  assert.equal(await waiting, false);
});

Deno.test("ReplayBudget stays within its bound and serves everybody when it is used at random", async () => {
  const random = new SeededRandom("budget");
  const budget = new ReplayBudget(LARGE, 75 * KIB);
  const peers = [ALICE.peerId, HOST.peerId, MALLORY.peerId];
  const shares: ReplayShare[] = Array.from({ length: 8 }, (_, i) => budget.share(peers[i % 3]!));
  const held = shares.map(() => 0);
  const waiting = shares.map((): Promise<void> | undefined => undefined);
  for (let step = 0; step < 20_000; step++) {
    const index = random.below(shares.length);
    const share = shares[index]!;
    if (random.chance(0.5) && waiting[index] === undefined) {
      const bytes = random.below(random.pick([100, 70 * KIB, 2 * LARGE]));
      waiting[index] = share.take(bytes).then((taken) => {
        assert.equal(taken, true);
        held[index]! += bytes;
        waiting[index] = undefined;
      });
    } else {
      await Promise.resolve();
      const bytes = random.chance(0.5) ? held[index]! : random.below(held[index]! + 1);
      held[index]! -= bytes;
      share.giveBack(bytes);
    }
    if (step % 16 === 0) await isSettled(Promise.resolve());
    assert.equal(budget.heldBytes, shares.reduce((sum, { heldBytes }) => sum + heldBytes, 0));
    assert.ok(budget.heldBytes <= 2 * LARGE + shares.length * 64 * KIB);
  }
  while (waiting.some((wait) => wait !== undefined)) {
    shares.forEach((share) => share.giveBack(share.heldBytes));
    await isSettled(Promise.resolve());
  }
});

Deno.test("the sessions with one peer hold no more than its bound together, and others take the rest", async () => {
  const budget = new ReplayBudget(4 * LARGE, LARGE);
  const [first, second] = [budget.share(ALICE.peerId), budget.share(ALICE.peerId)];
  const other = budget.share(MALLORY.peerId);
  assert.equal(first.tryTake(70 * KIB), true);
  assert.equal(second.tryTake(30 * KIB), true);
  assert.equal(first.tryTake(1), false);
  assert.equal(second.tryTake(1), false);
  assert.equal(other.tryTake(LARGE), true);
  const waiting = second.take(40 * KIB);
  second.giveBack(30 * KIB); // 70 KiB are held: too many by 10
  assert.equal(await isSettled(waiting), true); // what it holds now is its first, and small
  first.giveBack(70 * KIB);
  const large = first.take(LARGE);
  assert.equal(await isSettled(large), false);
  second.giveBack(40 * KIB);
  assert.equal(await large, true);
});

Deno.test("whoever waits for its own peer keeps nobody else waiting, and its own peer stays in turn", async () => {
  const budget = new ReplayBudget(2 * LARGE, LARGE);
  const [holder, first, second] = [1, 2, 3].map(() => budget.share(ALICE.peerId));
  const [other, last] = [budget.share(MALLORY.peerId), budget.share(HOST.peerId)];
  holder!.tryTake(LARGE);
  const stuck = first!.take(70 * KIB);
  const behind = second!.take(65 * KIB);
  assert.equal(other.tryTake(70 * KIB), true); // past those who wait for their own peer
  const next = last.take(LARGE);
  other.giveBack(70 * KIB);
  assert.equal(await next, true); // likewise out of the line
  holder!.giveBack(66 * KIB);
  assert.equal(await isSettled(Promise.any([stuck, behind])), false); // room for the second alone
  holder!.giveBack(34 * KIB);
  assert.equal(await isSettled(stuck), true);
  assert.equal(await isSettled(behind), false);
  first!.giveBack(70 * KIB);
  assert.equal(await behind, true);
  const again = first!.take(70 * KIB);
  assert.equal(second!.tryTake(1), false); // there is room, but it is not its turn
  second![Symbol.dispose]();
  assert.equal(await again, true);
});

Deno.test("ReplayBudget leaves three quarters of itself to others unless told otherwise", () => {
  const budget = new ReplayBudget();
  const [greedy, other] = [budget.share(ALICE.peerId), budget.share(MALLORY.peerId)];
  assert.equal(greedy.tryTake(256 * KIB * KIB), true);
  assert.equal(greedy.tryTake(1), false);
  assert.equal(other.tryTake(256 * KIB * KIB), true);
});
