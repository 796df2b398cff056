/**
 * Plays every transcript in `transcripts/` against the real program, and compares what it prints now with
 * what it printed when the transcript was written and found to read well.
 *
 * `UPDATE_TRANSCRIPTS=1` writes down what it prints now instead.
 */

import assert from "node:assert/strict";

import { Stage } from "./stage.ts";
import { parseTranscript } from "./transcript.ts";

const FOLDER = new URL("transcripts/", import.meta.url);
const UPDATE = Deno.env.get("UPDATE_TRANSCRIPTS") === "1";

/** Paths and programs on the stage are those of POSIX systems. */
const WINDOWS = Deno.build.os === "windows";

/** What a command says unless another process of its home was quicker. */
const RACING = /^! talos: registry pinned .*\n/gm;

const files = [...Deno.readDirSync(FOLDER)]
  .map(({ name }) => name)
  .filter((name) => name.endsWith(".txt"))
  .sort();

Deno.test("there are transcripts", () => assert.ok(files.length > 0));

for (const file of files) {
  Deno.test({
    name: `talos prints what transcripts/${file} shows${WINDOWS ? " (not on Windows)" : ""}`,
    ignore: WINDOWS,
    fn: async () => {
      const written = await Deno.readTextFile(new URL(file, FOLDER));
      await using stage = await Stage.make();
      const played = await stage.play(parseTranscript(written));
      // What nobody meant to happen is never written down as if it were right.
      assert.doesNotMatch(played, /this is a fault of Talos/);
      if (UPDATE) await Deno.writeTextFile(new URL(file, FOLDER), played);
      else assert.equal(played.replace(RACING, ""), written.replace(RACING, ""));
    },
  });
}
