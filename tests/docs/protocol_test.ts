/** The document is held to the code: what PROTOCOL.md shows is what is sent. */

import assert from "node:assert/strict";
import { annotatedSession, DOCUMENT, sessionIn } from "../../scripts/annotated_session.ts";
import { ROOT } from "../../scripts/source_files.ts";

Deno.test("PROTOCOL.md shows the annotated session exactly as the code sends it", async () => {
  const document = await Deno.readTextFile(new URL(DOCUMENT, ROOT));
  // The formatter wraps prose; every word and every byte counts.
  const words = (text: string) => text.split(/\s+/);
  assert.deepEqual(words(sessionIn(document)), words(await annotatedSession()));
});
