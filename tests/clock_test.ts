import assert from "node:assert/strict";
import { systemClock, within } from "../lib/clock.ts";
import { FakeClock, turn } from "./session/fake_clock.ts";

Deno.test("within() returns what the promise gives and leaves no timer when it is in time", async () => {
  const clock = new FakeClock();
  assert.equal(await within(clock, 1000, Promise.resolve("given"), "late"), "given");
  assert.equal(clock.timers, 0);
});

Deno.test("within() returns the other value and leaves no timer when time is up", async () => {
  const clock = new FakeClock();
  const waiting = within(clock, 1000, new Promise<string>(() => {}), "late");
  await clock.advance(999);
  assert.equal(clock.timers, 1);
  await clock.advance(1);
  assert.equal(await waiting, "late");
  assert.equal(clock.timers, 0);
});

Deno.test("within() throws and leaves no timer when the promise is rejected in time", async () => {
  const clock = new FakeClock();
  await assert.rejects(within(clock, 1000, Promise.reject(new Error("no")), "late"), /^Error: no$/);
  assert.equal(clock.timers, 0);
});

Deno.test("within() leaves nothing unhandled when the promise is rejected after time was up", async () => {
  const clock = new FakeClock();
  const { promise, reject } = Promise.withResolvers<string>();
  const waiting = within(clock, 1000, promise, "late");
  await clock.advance(1000);
  assert.equal(await waiting, "late");
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

Deno.test("systemClock.after() calls once when it is not disposed, and never when it is", async () => {
  let calls = 0;
  systemClock.after(0, () => calls++)[Symbol.dispose]();
  await new Promise<void>((resolve) => void systemClock.after(1, resolve));
  assert.equal(calls, 0);
  assert.ok(systemClock.monotonic() >= 0);
  assert.ok(Math.abs(systemClock.now() - Date.now()) < 1000);
});
