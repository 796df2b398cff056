import assert from "node:assert/strict";
import { section } from "../../scripts/soak.ts";
import { milliseconds, scaled, spread } from "../../scripts/soak/result.ts";

Deno.test("section() lists figures when a run passed", () => {
  assert.equal(
    section({ name: "A run", figures: [["short", "1"], ["longer", "2 ms"]], failures: [] }, 1234),
    "## A run\n\nPassed, in 1.2 s.\n\n- short   1\n- longer  2 ms\n",
  );
});

Deno.test("section() says how much failed, and what, when a run failed", () => {
  assert.equal(
    section({ name: "A run", figures: [], failures: ["one", "two"] }, 5),
    "## A run\n\n2 FAILED, in 5 ms.\n\n- FAILED: one\n- FAILED: two\n",
  );
});

Deno.test("spread() is least, greatest and median", () => {
  assert.equal(spread([30, 10, 2000]), "10 ms to 2.0 s, median 30 ms");
  assert.equal(spread([]), "0 ms to 0 ms, median 0 ms");
});

Deno.test("scaled() never goes below the least", () => {
  assert.equal(scaled({ seed: "", scale: 0.5 }, 100), 50);
  assert.equal(scaled({ seed: "", scale: 0.001 }, 100, 5), 5);
});

Deno.test("milliseconds() turns to seconds at a thousand", () => {
  assert.equal(milliseconds(999), "999 ms");
  assert.equal(milliseconds(1000), "1.0 s");
});
