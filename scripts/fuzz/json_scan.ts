/**
 * Fuzzes the scanner of JSON-RPC lines against other readers: what was checked is what they read.
 *
 * The others are `JSON.parse` and the strict parser of Talos's own files, which shares no code with it.
 */

import { type Bytes, fromUtf8, fromUtf8Lossy, utf8 } from "../../lib/bytes.ts";
import { TalosError } from "../../lib/errors.ts";
import { type Json, JsonError, parseJson } from "../../lib/identity/strict_json.ts";
import { EnvelopeFinder } from "../../lib/mcp/envelope_finder.ts";
import { ENVELOPE_KEYS, PARAMS_KEYS } from "../../lib/mcp/known_keys.ts";
import type { MessageId } from "../../lib/mcp/message_id.ts";
import type { Refusal } from "../../lib/mcp/refusals.ts";
import { scanLine, type ScannedLine, type ScannedMessage } from "../../lib/mcp/scan.ts";
import { accepted, check, checkSameText, type FuzzTarget } from "../fuzzing.ts";
import { mutateJson } from "../json_mutation.ts";

/** A refused line, thrown for the statistics only: the scanner returns its refusals. */
class RefusedLine extends TalosError<Refusal> {}

const MESSAGES: readonly string[] = [
  '{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18",' +
  '"capabilities":{},"clientInfo":{"name":"x","version":"1"}}}',
  '{"jsonrpc":"2.0","id":"a-1","method":"tools/call","params":{"name":"read_file",' +
  '"arguments":{"path":"/tmp/\\u00e9\\ud83d\\ude00","n":[1,-2.5e3,true,null]},"_meta":{"progressToken":1}}}',
  '{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":10.0,"reason":"no"}}',
  '{"jsonrpc":"2.0","id":2,"method":"resources/read","params":{"uri":"file:///a%20b"}}',
  '{"jsonrpc":"2.0","id":3,"method":"prompts/get","params":{"name":"p"}}',
  '{"jsonrpc":"2.0","id":4,"method":"ping","params":[1,{"name":"x"}]}',
  '{"result":{"content":[{"type":"text","text":"é€😀 \\"\\\\\\/\\b\\f\\n\\r\\t"}]},"jsonrpc":"2.0","id":1e0}',
  '{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"Parse error"}}',
  ' [{"jsonrpc":"2.0","id":5,"method":"ping"}, {"jsonrpc":"2.0","method":"x"}]\t',
  `{"jsonrpc":"2.0","id":6,"result":${"[".repeat(20)}${"]".repeat(20)}}`,
  '{"jsonrpc":"2.0","id":7,"\\u006dethod":"tools/call","params":{"n\\u0061me":"x","uri":"y"}}',
  `{"jsonrpc":"2.0","id":8,"method":"x","params":{"data":{${
    Array.from({ length: 100 }, (_, i) => `"k${i}":${i}`).join(",")
  }}}}`,
];

const NAMES = [...ENVELOPE_KEYS, ...ENVELOPE_KEYS, "name", "uri", "requestId", "url", "k7"];

/** The scanner, in both directions. */
export const jsonScan: FuzzTarget = {
  name: "json-scan",
  errors: [RefusedLine],
  dictionary: [
    '"id":2,',
    '"id":null,',
    '"method":"x",',
    '"Method":"x",',
    '"params":{},',
    '"name":"y",',
  ]
    .concat(['"uri":1,', '"ur\u0131":"x",', '"re\u017fult":1,', '"error":{},', '"result":1,'])
    .concat([
      "\\u0000",
      "\\ud800",
      "\\udc00",
      "\\udc00\\udc00",
      "\\u0069d",
      "\\",
      '"',
      "{",
      "}",
      "[",
      "]",
      ",",
      ":",
    ])
    .concat(["\r", "\n", "\0", "\t", "\ufeff", "\u2028", "1e400", "-0", "0x1", "01", "null", "NaN"])
    .map(utf8).concat([Uint8Array.of(0xed, 0xa0, 0x80), Uint8Array.of(0xc0, 0xaf)]),
  mutate: (input, random) => mutateJson(input, random, NAMES),
  corpus: () => MESSAGES.map(utf8),
  run(input) {
    const before = input.slice();
    const toAgent = accepted("scan", () => scanLine(input, "towards_agent"));
    if (toAgent.kind !== "invalid") compare(toAgent, accepted("JSON.parse", () => lax(input)));
    const toServer = accepted("scan", () => scanLine(input, "towards_server"));
    checkSameText("the line is left alone", before.toHex(), input.toHex());
    if (toServer.kind === "invalid") {
      if (toServer.reason === "not_json") check("this is JSON", !isJson(input));
      throw new RefusedLine(toServer.reason, toServer.reason);
    }
    checkSameText("both directions", described(toServer), described(toAgent));
    checkText(fromUtf8(input));
    const strict = accepted("strict parser", () => strictly(input));
    if (strict !== null) {
      compare(toServer, strict);
      checkParams(strict);
    }
    checkFinder(toServer, input);
  },
};

/** Returns what `JSON.parse` makes of a line. */
function lax(line: Bytes): unknown {
  return JSON.parse(fromUtf8(line));
}

function isJson(line: Bytes): boolean {
  try {
    lax(line);
    return true;
  } catch {
    return false;
  }
}

/** Returns what the other strict parser makes of a line, or null where it nests too deep for it. */
function strictly(line: Bytes): Json | null {
  try {
    return parseJson(fromUtf8(line));
  } catch (error) {
    if (error instanceof JsonError && error.message.includes("nesting")) return null;
    throw error;
  }
}

function checkText(text: string): void {
  check("one line to every reader", !/[\r\n\0]/.test(text));
  check("no byte order mark", !text.startsWith("\ufeff"));
}

/** Checks that a scanned line says what another reader's value says. */
function compare(scanned: Exclude<ScannedLine, { kind: "invalid" }>, value: unknown): void {
  if (scanned.kind !== "batch") return compareMessage(scanned, value);
  check("a batch is an array", Array.isArray(value) && value.length === scanned.elements.length);
  scanned.elements.forEach(({ message, bytes }, index) => {
    compareMessage(message, value[index]);
    compareMessage(message, accepted("an element alone", () => lax(bytes)));
  });
}

function compareMessage(message: ScannedMessage, value: unknown): void {
  check("a message is an object", isRecord(value));
  check("the version is 2.0", value["jsonrpc"] === "2.0");
  checkNames(Object.keys(value), ENVELOPE_KEYS);
  const hasMethod = Object.hasOwn(value, "method");
  check("only a response has no method", hasMethod === (message.kind !== "response"));
  if (message.kind === "response") {
    check("a response is no call", !Object.hasOwn(value, "params"));
    check("error or result", Object.hasOwn(value, "error") === message.isError);
    check("result or error", Object.hasOwn(value, "result") !== message.isError);
    if (message.id === null) check("no id", (value["id"] ?? null) === null);
    else compareId(message.id, value["id"]);
    return;
  }
  check("a call is no response", !Object.hasOwn(value, "error") && !Object.hasOwn(value, "result"));
  check("the method is the same", value["method"] === message.method);
  const params = isRecord(value["params"]) ? value["params"] : {};
  const named = message.method === "tools/call" || message.method === "prompts/get";
  check("the name is the same", message.name === (named ? textOrNull(params["name"]) : null));
  check("the uri is the same", message.uri === textOrNull(params["uri"]));
  check("a request has an id", Object.hasOwn(value, "id") === (message.kind === "request"));
  if (message.kind === "request") compareId(message.id, value["id"]);
  else if (message.cancels !== null) compareId(message.cancels, params["requestId"]);
}

/** Towards a server, no member of params has a known name in another case either. */
function checkParams(value: unknown): void {
  if (Array.isArray(value)) value.forEach(checkParams);
  else if (isRecord(value) && isRecord(value["params"])) {
    checkNames(Object.keys(value["params"]), PARAMS_KEYS);
  }
}

function checkNames(names: readonly string[], known: readonly string[]): void {
  const lowered = new Set(known.map((name) => name.toLowerCase()));
  for (const name of names) {
    const folded = [name.toLowerCase(), name.toUpperCase().toLowerCase()];
    check("no name in another case", known.includes(name) || !folded.some((n) => lowered.has(n)));
  }
}

function compareId(id: MessageId, value: unknown): void {
  const token: unknown = accepted("the id alone", () => lax(id.token));
  check("the id's token is the id", Object.is(token, value));
  if (typeof value === "string") return checkSameText("the id's key", id.key, `s:${value}`);
  check(
    "a number's key is that number",
    id.key.startsWith("n:") && Number(id.key.slice(2)) === value,
  );
}

/** What serves to answer a line that is not scanned must agree with the scanner on one that is. */
function checkFinder(scanned: ScannedLine, line: Bytes): void {
  if (scanned.kind === "batch" || scanned.kind === "invalid") return;
  const whole = new EnvelopeFinder();
  whole.feed(line);
  const bytewise = new EnvelopeFinder();
  for (let at = 0; at < line.length; at++) bytewise.feed(line.subarray(at, at + 1));
  const id = scanned.kind === "notification" ? undefined : scanned.id?.key;
  const method = scanned.kind === "response" ? null : scanned.method;
  for (const finder of [whole, bytewise]) {
    checkSameText("the finder's id", String(finder.id?.key), String(id));
    checkSameText("the finder's method", String(finder.method), String(method));
  }
}

function described(line: ScannedLine): string {
  return JSON.stringify(
    line,
    (_key, value) => value instanceof Uint8Array ? fromUtf8Lossy(value) : value,
  );
}

function textOrNull(value: unknown): string | null {
  return typeof value === "string" ? value : null;
}

function isRecord(value: unknown): value is { readonly [key: string]: unknown } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
