/**
 * Runs files of Noise test vectors: `deno run -A scripts/noise_vectors.ts FILE…`
 *
 * Each vector is run on both sides. Failing and unsupported ones are listed; the last line on stdout is
 * `N passed, N failed, N unsupported`. Exit status 0 only if at least one vector ran, none failed and
 * every file could be read.
 */

// deno-lint-ignore-file no-console -- printing is what this script is for.

import { messageOf } from "../lib/errors.ts";
import { parseVectorFile, type Vector } from "../tests/noise/vector_file.ts";
import { runVector } from "../tests/noise/vector_run.ts";

const counts = { passed: 0, failed: 0, unsupported: 0 };
let unreadable = 0;

for (const path of Deno.args) {
  let vectors: Vector[];
  try {
    vectors = parseVectorFile(Deno.readTextFileSync(path));
  } catch (error) {
    unreadable++;
    console.error(`error: ${path}: ${messageOf(error)}`);
    continue;
  }
  vectors.forEach((vector, index) => {
    const result = runVector(vector);
    counts[result.outcome]++;
    if (result.outcome === "passed") return;
    console.log(`${result.outcome}: ${vector.protocolName} (${path}, ${index}): ${result.reason}`);
  });
}

if (Deno.args.length === 0) console.error("usage: deno run -A scripts/noise_vectors.ts FILE…");
const { passed, failed, unsupported } = counts;
console.log(`${passed} passed, ${failed} failed, ${unsupported} unsupported`);
Deno.exit(failed > 0 || unreadable > 0 || passed === 0 ? 1 : 0);
