import assert from "node:assert/strict";

import { slowStartAdvice, SlowStartWatch } from "../../lib/mcp/slow_start.ts";
import { FakeClock } from "../session/fake_clock.ts";

Deno.test("SlowStartWatch tells once when the first request waits for 20 s", async () => {
  const clock = new FakeClock();
  let told = 0;
  using watch = new SlowStartWatch(clock, () => told++);
  await clock.advance(60_000);
  assert.equal(told, 0, "nothing was asked");
  watch.asked();
  await clock.advance(10_000);
  watch.asked();
  await clock.advance(9_999);
  assert.equal(told, 0);
  await clock.advance(1);
  assert.equal(told, 1);
  watch.asked();
  await clock.advance(60_000);
  assert.equal(told, 1);
});

Deno.test("SlowStartWatch tells nothing once an answer has come", async () => {
  const clock = new FakeClock();
  let told = 0;
  const watch = new SlowStartWatch(clock, () => told++);
  watch.asked();
  watch[Symbol.dispose]();
  watch.asked();
  await clock.advance(60_000);
  assert.deepEqual([told, clock.timers], [0, 0]);
});

Deno.test("slowStartAdvice() names what helps for this command", () => {
  assert.equal(
    slowStartAdvice(["/usr/bin/npx", "-y", "server"], false),
    "keep one ready: mcp-serve --prewarm 1; or " +
      "install the package and name its program instead of npx",
  );
  assert.equal(
    slowStartAdvice(["C:\\Windows\\System32\\cmd.exe", "/c", "C:\\node\\npx.cmd"], true),
    "install the package and name its program instead of npx.cmd",
  );
  assert.equal(slowStartAdvice(["/bin/server"], false), "keep one ready: mcp-serve --prewarm 1");
  assert.equal(
    slowStartAdvice(["/bin/server", "npxlike"], true),
    "see its lines above for what it waits for",
  );
});
