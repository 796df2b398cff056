import assert from "node:assert/strict";
import { countsOf } from "../../scripts/test.ts";

Deno.test("countsOf() reads the summary when all passed", () => {
  assert.deepEqual(countsOf("running 3 tests\n\nok | 3 passed | 0 failed (12ms)\n"), {
    passed: 3,
    failed: 0,
    skipped: 0,
  });
});

Deno.test("countsOf() reads through colours, steps and what was ignored", () => {
  const summary =
    "\u001b[0m\u001b[31mFAILED\u001b[0m | 1024 passed (12 steps) | 2 failed (1 step) " +
    "| 7 ignored (3 steps) | 1 filtered out \u001b[38;5;245m(1m2s)\u001b[0m\n";
  assert.deepEqual(countsOf(summary), { passed: 1024, failed: 2, skipped: 7 });
});

Deno.test("countsOf() takes the last summary when a test printed one of its own", () => {
  assert.deepEqual(
    countsOf("ok | 99 passed | 0 failed (1ms)\nok | 1 passed | 0 failed (5ms)\n"),
    { passed: 1, failed: 0, skipped: 0 },
  );
});

Deno.test("countsOf() counts nothing when there is no summary", () => {
  assert.deepEqual(countsOf("error: Module not found\n"), { passed: 0, failed: 0, skipped: 0 });
  assert.deepEqual(countsOf("it is ok | 5 passed\n"), { passed: 0, failed: 0, skipped: 0 });
});
