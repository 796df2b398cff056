import assert from "node:assert/strict";
import { within } from "../lib/clock.ts";
import { race } from "../lib/race.ts";
import { FakeClock, turn } from "./session/fake_clock.ts";

/** A promise that counts the reactions that were ever added to it. */
class CountingPromise<T> extends Promise<T> {
  static override get [Symbol.species](): PromiseConstructor {
    return Promise;
  }

  reactions = 0;

  // deno-lint-ignore no-explicit-any -- the signature of Promise.prototype.then
  override then(...reactions: any[]): Promise<any> {
    this.reactions++;
    return super.then(...reactions);
  }
}

Deno.test("race() settles as the first that does", async () => {
  const never = new Promise<string>(() => {});
  assert.equal(await race(never, Promise.resolve("given")), "given");
  assert.equal(await race(Promise.resolve("first"), Promise.resolve("second")), "first");
  await assert.rejects(race(never, Promise.reject(new Error("no"))), /^Error: no$/);
});

Deno.test("race() settles when one of its promises has taken part in a race before", async () => {
  const never = new Promise<string>(() => {});
  const { promise, resolve } = Promise.withResolvers<string>();
  const [first, second] = [race(never, promise), race(promise, never)];
  resolve("given");
  assert.deepEqual(await Promise.all([first, second]), ["given", "given"]);
  assert.equal(await race(never, promise), "given", "settled since");
  assert.equal(await race(promise, Promise.resolve("other")), "given", "both settled");
  const broken = Promise.reject(new Error("no"));
  await assert.rejects(race(broken, never), /^Error: no$/);
  await assert.rejects(race(never, broken), /^Error: no$/);
});

Deno.test("race() leaves one reaction at a promise that goes on, however many races are over", async () => {
  const end = new CountingPromise<string>(() => {});
  for (let n = 0; n < 1_000; n++) assert.equal(await race(end, Promise.resolve("given")), "given");
  assert.equal(end.reactions, 1);
});

Deno.test("within() leaves one reaction at a promise that goes on, however often time was up", async () => {
  const clock = new FakeClock();
  const end = new CountingPromise<string>(() => {});
  for (let n = 0; n < 10; n++) {
    const waiting = within(clock, 1, end, "late");
    await clock.advance(1);
    assert.equal(await waiting, "late");
  }
  assert.equal(end.reactions, 1);
});

Deno.test("race() leaves nothing unhandled when a promise is rejected after its race", async () => {
  const { promise, reject } = Promise.withResolvers<string>();
  assert.equal(await race(promise, Promise.resolve("given")), "given");
  let unhandled = 0;
  const count = (event: PromiseRejectionEvent) => {
    event.preventDefault();
    unhandled++;
  };
  globalThis.addEventListener("unhandledrejection", count);
  reject(new Error("too late"));
  await turn();
  await turn();
  globalThis.removeEventListener("unhandledrejection", count);
  assert.equal(unhandled, 0);
});
