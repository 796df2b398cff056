/**
 * The MCP server behind every contender: three tools, written for speed, so that what is measured is the
 * way to it. It reads and writes synchronously, handles all lines of one read before it writes once, and
 * looks into a long line no further than its id where the usual order of keys allows that.
 *
 *     echo {text}       returns the text
 *     produce {bytes}   returns a text of that length
 *     swallow {text}    returns how long the line was
 */

const SERVER_INFO = { name: "talos-bench-echo", version: "1.0.0" };

const TOOLS = [
  {
    name: "echo",
    description: "Returns the text.",
    inputSchema: { type: "object", properties: { text: { type: "string" } }, required: ["text"] },
  },
  {
    name: "produce",
    description: "Returns a text of that many bytes.",
    inputSchema: {
      type: "object",
      properties: { bytes: { type: "integer" } },
      required: ["bytes"],
    },
  },
  {
    name: "swallow",
    description: "Returns how long the request was.",
    inputSchema: { type: "object", properties: { text: { type: "string" } }, required: ["text"] },
  },
];

const LINE_FEED = 0x0a;
const MIB = 1024 * 1024;
/** Longer lines are not parsed if their id can be read off their beginning. */
const LONG_LINE_BYTES = 64 * 1024;

const encoder = new TextEncoder();
const decoder = new TextDecoder();
/** The beginning of a line whose id can be read off. */
const USUAL_HEAD = encoder.encode('{"jsonrpc":"2.0","id":');

/** Bytes that wait to be written at once. */
class Output {
  #buffer = new Uint8Array(2 * MIB);
  #length = 0;

  line(text: string): void {
    if (this.#buffer.length - this.#length < 3 * text.length + 1) this.flush();
    if (3 * text.length + 1 > this.#buffer.length) {
      this.#buffer = new Uint8Array(3 * text.length + 1);
    }
    this.#length += encoder.encodeInto(text, this.#buffer.subarray(this.#length)).written;
    this.#buffer[this.#length++] = LINE_FEED;
  }

  flush(): void {
    writeAll(this.#buffer.subarray(0, this.#length));
    this.#length = 0;
  }
}

function writeAll(bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length;) at += Deno.stdout.writeSync(bytes.subarray(at));
}

const output = new Output();
let produced: Uint8Array = new Uint8Array(0);

/** Answers `produce`: the text is made once and written from where it lies. */
function produce(id: string, length: number): void {
  const tail = '"}]}}\n';
  if (produced.length !== length + tail.length) {
    produced = new Uint8Array(length + tail.length).fill(0x78);
    encoder.encodeInto(tail, produced.subarray(length));
  }
  output.flush();
  const head = `{"jsonrpc":"2.0","id":${id},"result":{"content":[{"type":"text","text":"`;
  writeAll(encoder.encode(head));
  writeAll(produced);
}

function answer(id: string, result: string): void {
  output.line(`{"jsonrpc":"2.0","id":${id},"result":${result}}`);
}

function textResult(text: string): string {
  return `{"content":[{"type":"text","text":${JSON.stringify(text)}}]}`;
}

function call(id: string, name: unknown, args: Record<string, unknown>, length: number): void {
  switch (name) {
    case "echo":
      return answer(id, textResult(String(args.text)));
    case "produce":
      return produce(id, Number(args.bytes));
    case "swallow":
      return answer(id, textResult(String(length)));
    default:
      output.line(
        `{"jsonrpc":"2.0","id":${id},"error":{"code":-32602,"message":"there is no such tool"}}`,
      );
  }
}

function take(line: Uint8Array): void {
  if (line.length > LONG_LINE_BYTES) {
    const id = usualId(line);
    if (id !== null) return call(id, "swallow", {}, line.length); // the only long requests there are
  }
  const message = JSON.parse(decoder.decode(line));
  if (message.id === undefined || message.method === undefined) return;
  const id = JSON.stringify(message.id);
  switch (message.method) {
    case "tools/call":
      return call(id, message.params.name, message.params.arguments ?? {}, line.length);
    case "initialize":
      return answer(
        id,
        JSON.stringify({
          protocolVersion: message.params.protocolVersion,
          capabilities: { tools: {} },
          serverInfo: SERVER_INFO,
        }),
      );
    case "tools/list":
      return answer(id, JSON.stringify({ tools: TOOLS }));
    case "ping":
      return answer(id, "{}");
    default:
      output.line(
        `{"jsonrpc":"2.0","id":${id},"error":{"code":-32601,"message":"there is no such method"}}`,
      );
  }
}

/** Returns the id at its usual place in `line`, or null. */
function usualId(line: Uint8Array): string | null {
  for (let at = 0; at < USUAL_HEAD.length; at++) if (line[at] !== USUAL_HEAD[at]) return null;
  const end = line.indexOf(0x2c, USUAL_HEAD.length);
  const id = decoder.decode(line.subarray(USUAL_HEAD.length, end));
  return /^(?:\d+|"[^"\\]*")$/.test(id) ? id : null;
}

function serve(): void {
  let buffer = new Uint8Array(4 * MIB);
  let length = 0;
  for (;;) {
    if (length === buffer.length) {
      const larger = new Uint8Array(2 * buffer.length);
      larger.set(buffer);
      buffer = larger;
    }
    const count = Deno.stdin.readSync(buffer.subarray(length));
    if (count === null) return;
    const held = buffer.subarray(0, length + count);
    let start = 0;
    for (let end = held.indexOf(LINE_FEED, length); end >= 0;) {
      take(held.subarray(start, end));
      start = end + 1;
      end = held.indexOf(LINE_FEED, start);
    }
    output.flush();
    buffer.copyWithin(0, start, held.length);
    length = held.length - start;
  }
}

if (import.meta.main) serve();
