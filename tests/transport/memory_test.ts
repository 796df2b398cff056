import assert from "node:assert/strict";
import { fromUtf8, utf8 } from "../../lib/bytes.ts";
import { memoryPair } from "../../lib/transport/memory.ts";
import { describePath, type Transport } from "../../lib/transport/transport.ts";
import { isSettled } from "../session/peers.ts";

async function readText(transport: Transport, size = 64): Promise<string | null> {
  const into = new Uint8Array(size);
  const count = await transport.read(into);
  return count === null ? null : fromUtf8(into.subarray(0, count));
}

Deno.test("memoryPair() carries bytes both ways at once", async () => {
  const [near, far] = memoryPair();
  const texts = Promise.all([readText(far), readText(near)]);
  await Promise.all([near.write(utf8("there")), far.write(utf8("back"))]);
  assert.deepEqual(await texts, ["there", "back"]);
  assert.equal(describePath(near.path), "memory memory");
});

Deno.test("memoryPair() finishes a write when all of it was read, and not before", async () => {
  const [near, far] = memoryPair();
  const writing = near.write(utf8("abcde"));
  assert.equal(await readText(far, 2), "ab");
  assert.equal(await readText(far, 2), "cd");
  assert.equal(await isSettled(writing), false);
  assert.equal(await readText(far, 2), "e");
  await writing;
});

Deno.test("memoryPair() finishes an empty write at once", async () => {
  const [near] = memoryPair();
  await near.write(new Uint8Array(0));
});

Deno.test("closeWrite() ends one direction behind what was written and leaves the other", async () => {
  const [near, far] = memoryPair();
  const writing = near.write(utf8("last"));
  await near.closeWrite();
  assert.equal(await readText(far), "last");
  await writing;
  assert.equal(await readText(far), null);
  assert.equal(await readText(far), null);
  await assert.rejects(near.write(utf8("more")), { code: "broken" });
  const answering = far.write(utf8("answer"));
  assert.equal(await readText(near), "answer");
  await answering;
});

for (const end of ["near", "far"] as const) {
  Deno.test(`close() of the ${end} end ends pending reads with null and pending writes with an error`, async () => {
    const [near, far] = memoryPair();
    const reading = readText(near);
    const writing = near.write(utf8("lost"));
    const failing = assert.rejects(writing, { code: "broken" });
    (end === "near" ? near : far).close();
    await failing;
    assert.equal(await reading, null);
    assert.equal(await readText(far), null);
    await assert.rejects(far.write(utf8("more")), { code: "broken" });
    near.close();
    far[Symbol.dispose]();
  });
}

Deno.test("memoryPair() throws when a second read or write begins before the first is done", () => {
  const [near, far] = memoryPair();
  void near.read(new Uint8Array(1));
  assert.throws(() => near.read(new Uint8Array(1)), TypeError);
  void far.write(utf8("ab"));
  assert.throws(() => far.write(utf8("c")), TypeError);
});
