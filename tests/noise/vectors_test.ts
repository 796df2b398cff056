/** Every published Noise vector that lies in shared/vectors/, each as a test of its own. */

import assert from "node:assert/strict";
import { sharedVectors, whyIgnored } from "./shared_vectors.ts";
import { parseVectorFile } from "./vector_file.ts";
import { runVector } from "./vector_run.ts";

const FILES = [
  { file: "cacophony.json", count: 48 },
  { file: "noise-mlkem768.json", count: 5 },
];

for (const { file, count } of FILES) {
  const text = sharedVectors(file);
  // parseVectorFile throws when it finds no vector, and so fails the whole module.
  const vectors = text === null ? [] : parseVectorFile(text);

  Deno.test({
    name: `${file} holds ${count} vectors${whyIgnored(file)}`,
    ignore: text === null,
    fn: () => assert.equal(vectors.length, count),
  });

  for (const vector of vectors) {
    Deno.test(`HandshakeState passes ${file} ${vector.protocolName} on both sides`, () => {
      assert.deepEqual(runVector(vector), { outcome: "passed" });
    });
  }
}
