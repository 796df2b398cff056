import assert from "node:assert/strict";

import { utf8 } from "../../lib/bytes.ts";
import { HeldPassages } from "../../lib/mcp/held_passages.ts";
import type { Passage } from "../../lib/mcp/pipeline.ts";

const NOTHING: Passage = { forward: [], back: [], held: [], notes: [] };

Deno.test("HeldPassages.settled() resolves when what was held is carried out", async () => {
  const held = new HeldPassages((error) => assert.fail(String(error)));
  await held.settled();
  const first = Promise.withResolvers<Passage>();
  const carried: unknown[] = [];
  held.add({ ...NOTHING, held: [first.promise] }, (later) => {
    carried.push(later.forward);
    return Promise.resolve();
  });
  const settled = held.settled().then(() => carried.push("settled"));
  first.resolve({ ...NOTHING, forward: [utf8("a")] });
  await settled;
  assert.deepEqual(carried, [[utf8("a")], "settled"]);
});

Deno.test("HeldPassages reports what fails, once each, and holds it no longer", async () => {
  const errors: string[] = [];
  const held = new HeldPassages((error) => errors.push(String(error)));
  held.add(
    { ...NOTHING, held: [Promise.reject(new Error("of the interceptor"))] },
    () => Promise.resolve(),
  );
  held.add(
    { ...NOTHING, held: [Promise.resolve(NOTHING)] },
    () => Promise.reject(new Error("of the carrier")),
  );
  await held.settled();
  assert.deepEqual(errors.sort(), ["Error: of the carrier", "Error: of the interceptor"]);
  await held.settled();
});
