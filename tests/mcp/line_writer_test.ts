import assert from "node:assert/strict";
import { type Bytes, fromUtf8, utf8 } from "../../lib/bytes.ts";
import { LineWriter } from "../../lib/mcp/line_writer.ts";
import { isSettled } from "../session/peers.ts";

/** A pipe that takes a write when it is told to. */
class Pipe {
  readonly writes: string[] = [];
  #next: PromiseWithResolvers<void> | undefined;

  readonly write = (bytes: Bytes): Promise<void> => {
    assert.equal(this.#next, undefined, "two writes at once");
    this.writes.push(fromUtf8(bytes));
    this.#next = Promise.withResolvers();
    return this.#next.promise;
  };

  /** Takes the write that is under way. */
  take(): void {
    const next = this.#next;
    this.#next = undefined;
    next?.resolve();
  }

  /** Breaks under the write that is under way. */
  break(): void {
    const next = this.#next;
    this.#next = undefined;
    next?.reject(new Deno.errors.BrokenPipe());
  }
}

/** Lets everything happen that waits for nothing but its turn. */
async function turn(): Promise<void> {
  for (let step = 0; step < 20; step++) await undefined;
}

const KIB = 1024;

Deno.test("LineWriter.write() writes the lines of one turn together", async () => {
  const pipe = new Pipe();
  const writer = new LineWriter(pipe.write);
  const written = [writer.write(utf8("a")), writer.write(utf8("")), writer.write(utf8("ccc"))];
  await turn();
  assert.deepEqual(pipe.writes, ["a\n\nccc\n"]);
  assert.equal(await isSettled(written[0]!), false);
  pipe.take();
  await Promise.all(written);
});

Deno.test("LineWriter.write() writes together what came while a write was under way", async () => {
  const pipe = new Pipe();
  const writer = new LineWriter(pipe.write);
  const first = writer.write(utf8("1"));
  await turn();
  const second = writer.write(utf8("2"));
  const third = writer.write(utf8("3"));
  await turn();
  assert.deepEqual(pipe.writes, ["1\n"]);
  pipe.take();
  await first;
  await turn();
  assert.deepEqual(pipe.writes, ["1\n", "2\n3\n"]);
  assert.equal(await isSettled(second), false);
  pipe.take();
  await Promise.all([second, third, writer.flush()]);
});

Deno.test("LineWriter.write() does not copy a long line, and its line feed leaves with the next", async () => {
  const written: Bytes[] = [];
  const writer = new LineWriter((bytes) => {
    written.push(bytes.length < KIB ? bytes.slice() : bytes);
    return Promise.resolve();
  });
  const long = new Uint8Array(64 * KIB).fill(0x78);
  void writer.write(utf8("before"));
  void writer.write(long);
  await writer.write(utf8("behind"));
  assert.equal(written.length, 3);
  assert.equal(fromUtf8(written[0]!), "before\n");
  assert.equal(written[1], long);
  assert.equal(fromUtf8(written[2]!), "\nbehind\n");
});

Deno.test("LineWriter.write() keeps every byte in order, whatever the lines' lengths", async () => {
  let out = "";
  const writer = new LineWriter((bytes) => {
    out += fromUtf8(bytes);
    return Promise.resolve();
  });
  const lengths = [0, 1, 1023, 1024, 1025, 65_535, 65_536, 65_537, 3, 40_000, 30_000, 0, 200_000];
  let expected = "";
  for (const [at, length] of [...lengths, ...lengths.toReversed()].entries()) {
    const line = String.fromCharCode(0x61 + at % 26).repeat(length);
    expected += line + "\n";
    void writer.write(utf8(line));
    if (at % 4 === 3) await turn();
  }
  await writer.flush();
  assert.equal(out, expected);
});

Deno.test("LineWriter.isFull is true while 1 MiB or more is unwritten", async () => {
  const pipe = new Pipe();
  const writer = new LineWriter(pipe.write);
  void writer.write(new Uint8Array(KIB * KIB - 2).fill(0x78));
  assert.equal(writer.isFull, false);
  const last = writer.write(utf8(""));
  assert.equal(writer.isFull, true);
  await turn();
  pipe.take();
  await turn();
  assert.equal(writer.isFull, true);
  pipe.take();
  await last;
  await turn();
  assert.equal(writer.isFull, false);
});

Deno.test("LineWriter.write() rejects for every line of a write that failed, and tries later lines anew", async () => {
  const pipe = new Pipe();
  const writer = new LineWriter(pipe.write);
  const [first, second] = [writer.write(utf8("1")), writer.write(utf8("2"))];
  await turn();
  pipe.break();
  await assert.rejects(first, Deno.errors.BrokenPipe);
  await assert.rejects(second, Deno.errors.BrokenPipe);
  await writer.flush();
  const third = writer.write(utf8("3"));
  await turn();
  pipe.take();
  await third;
  assert.deepEqual(pipe.writes, ["1\n2\n", "3\n"]);
});

Deno.test("LineWriter.forget() drops what is not written yet and what comes later", async () => {
  const pipe = new Pipe();
  const writer = new LineWriter(pipe.write);
  const first = writer.write(utf8("1"));
  await turn();
  const second = writer.write(utf8("2"));
  writer.forget();
  const third = writer.write(utf8("3"));
  pipe.take();
  await first;
  await assert.rejects(second, /forgotten/);
  await assert.rejects(third, /forgotten/);
  await assert.rejects(writer.write(utf8("4")), /forgotten/);
  assert.deepEqual(pipe.writes, ["1\n"]);
});
