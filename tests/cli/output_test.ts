import assert from "node:assert/strict";

import { CliError } from "../../lib/cli/errors.ts";
import { Output } from "../../lib/cli/output.ts";

/** Collects what is written, a few bytes at a time. */
class Sink {
  text = "";
  readonly #decoder = new TextDecoder();

  writeSync(bytes: Uint8Array): number {
    const taken = bytes.subarray(0, 7);
    this.text += this.#decoder.decode(taken, { stream: true });
    return taken.length;
  }
}

function outputs(json: boolean) {
  const [stdout, stderr] = [new Sink(), new Sink()];
  return { stdout, stderr, output: new Output(stdout, stderr, json) };
}

const NEXT = [{ command: "talos status", purpose: "see more" }];

Deno.test("Output.result() prints text on stdout and the next steps on stderr", () => {
  const { output, stdout, stderr } = outputs(false);
  output.result("Peer ID: Ünïcödé", { peer_id: "x" }, NEXT);
  assert.equal(stdout.text, "Peer ID: Ünïcödé\n");
  assert.equal(stderr.text, "next, see more: talos status\n");
});

Deno.test("Output.result() prints one line of JSON, with the next steps in it, when asked to", () => {
  const { output, stdout, stderr } = outputs(true);
  output.result("text", { peer_id: "x\ny" }, NEXT);
  output.result("text", [1, 2], NEXT);
  output.result("text", { done: true });
  assert.equal(
    stdout.text,
    '{"peer_id":"x\\ny","next":["talos status"]}\n[1,2]\n{"done":true}\n',
  );
  assert.equal(stderr.text, "");
});

Deno.test("Output.error() prints one sentence, then its hints, without control characters", () => {
  const { output, stdout, stderr } = outputs(false);
  output.error(
    new CliError("usage", "Cannot \u001b[31mdo\nthat", { hints: ["do this", "or\u0007 that"] }),
  );
  assert.equal(stdout.text, "");
  assert.equal(
    stderr.text,
    "talos: Cannot \ufffd[31mdo\ufffdthat\nhint: do this\nhint: or\ufffd that\n",
  );
});

Deno.test("Output.error() prints one JSON object on stderr when asked to", () => {
  const { output, stdout, stderr } = outputs(true);
  output.error(new CliError("usage", "Cannot do that", { hints: ["do this"] }));
  assert.equal(stdout.text, "");
  assert.deepEqual(JSON.parse(stderr.text), {
    error: "usage",
    message: "Cannot do that",
    hints: ["do this"],
    exit_status: 2,
  });
});

Deno.test("Output.error() asks for a report when nobody expected the error", () => {
  const { output, stderr } = outputs(false);
  output.error(new TypeError("x is undefined"));
  assert.match(stderr.text, /^talos: x is undefined\nhint: this is a fault of Talos: .*--verbose/);
});

Deno.test("Output.event() prints a line when JSON is asked for, and nothing otherwise", () => {
  const [text, json] = [outputs(false), outputs(true)];
  text.output.event({ event: "ready" });
  json.output.event({ event: "ready" });
  assert.equal(text.stdout.text, "");
  assert.equal(json.stdout.text, '{"event":"ready"}\n');
});

Deno.test("Output.result() ignores a reader that has gone, and nothing else", () => {
  const broken = (error: Error) => ({
    writeSync: () => {
      throw error;
    },
  });
  new Output(broken(new Deno.errors.BrokenPipe()), new Sink(), false).result("x", {});
  const full = new Output(broken(new Error("disk full")), new Sink(), false);
  assert.throws(() => full.result("x", {}), /disk full/);
});

Deno.test("Output.line() goes on when stderr cannot be written, as on a full disk", () => {
  const full = {
    writeSync(): number {
      throw new Error("No space left on device");
    },
  };
  const output = new Output(full, full, false);
  output.line("a line of the log");
  output.error(new Error("what went wrong"));
  assert.throws(() => output.result("a result", {}), /No space left/);
});
