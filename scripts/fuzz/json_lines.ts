/** Fuzzes the cutting of a stream into lines: where chunks begin and end makes no difference. */

import { type Bytes, concat, hex, utf8 } from "../../lib/bytes.ts";
import { type Line, LineSplitter } from "../../lib/mcp/lines.ts";
import { check, checkSameText, type FuzzTarget } from "../fuzzing.ts";
import { SeededRandom } from "../seeded_random.ts";

/** Short, so that many lines are over it. */
const MAX_LINE_BYTES = 100;

const REQUEST = '{"jsonrpc":"2.0","id":7,"method":"ping"}';
const LONG = `{"jsonrpc":"2.0","id":"a","method":"tools/call","params":{"x":"${"y".repeat(90)}"}}`;

/** The line splitter. It takes whatever comes; what is too long it reports. */
export const jsonLines: FuzzTarget = {
  name: "json-lines",
  errors: [],
  dictionary: ["\n", "\r\n", "\r", "\n\n", "\\", '"', "{", "}", '"id":1', LONG].map(utf8),
  corpus: () =>
    [
      "",
      `${REQUEST}\n`,
      `${REQUEST}\r\n${REQUEST}`,
      `${LONG}\n${REQUEST}\n${LONG}\r\n`,
      "x".repeat(99) + "\r\n" + "x".repeat(100) + "\r\n" + "x".repeat(101) + "\r\n\r\n",
    ].map(utf8),
  run(input) {
    const whole = linesOf([input]);
    const pieces = linesOf(cut(input, new SeededRandom(hex(input))));
    checkSameText("in pieces", described(pieces), described(whole));
    checkSameText("by the definition", described(whole, false), described(defined(input), false));
  },
};

function linesOf(chunks: readonly Bytes[]): Line[] {
  const splitter = new LineSplitter(MAX_LINE_BYTES);
  const lines = chunks.flatMap((chunk) => splitter.feed(chunk));
  const last = splitter.end();
  const all = last === null ? lines : [...lines, last];
  check("nothing is left at the end", splitter.end() === null);
  return all;
}

function cut(input: Bytes, random: SeededRandom): Bytes[] {
  const chunks: Bytes[] = [];
  for (let at = 0; at < input.length;) {
    const size = random.pick([0, 1, 1, 2, 7, random.below(200)]);
    // A copy: a chunk's buffer holds nothing else.
    chunks.push(input.slice(at, at + size));
    at += size;
  }
  return chunks;
}

/** The lines as one would cut them without regard to memory and time. Ids and methods are left out. */
function defined(input: Bytes): Line[] {
  const lines: Line[] = [];
  let start = 0;
  for (let at = 0; at <= input.length; at++) {
    const ended = input[at] === 0x0a;
    if (!ended && (at < input.length || start === at)) continue;
    const stop = ended && at > start && input[at - 1] === 0x0d ? at - 1 : at;
    const bytes = concat(input.subarray(start, stop));
    lines.push(
      bytes.length <= MAX_LINE_BYTES
        ? { kind: "line", bytes }
        : { kind: "oversized", length: bytes.length, head: bytes, id: null, method: null },
    );
    start = at + 1;
  }
  return lines;
}

function described(lines: readonly Line[], withEnvelope = true): string {
  return lines.map((line) => {
    if (line.kind === "line") return hex(line.bytes);
    const envelope = withEnvelope ? `${line.id?.key} ${line.method}` : "";
    return `over ${line.length} ${hex(line.head)} ${envelope}`;
  }).join("\n");
}
