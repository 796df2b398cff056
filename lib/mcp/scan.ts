/**
 * The one scanner that every line between an agent and an MCP server passes, in both directions.
 *
 * It finds what the rest of Talos decides by (kind, id, method, name, uri, error) and refuses, as a value
 * with a literal reason, each line on which two readers could disagree about these. Lines are never
 * rewritten: what is not refused is forwarded as the bytes it came as.
 *
 * - `towards_server`: what was checked is what the child reads. Everything in `refusals.ts` holds, at any
 *   depth. Also right for a line of a server that Talos itself reads further, a list of tools for one.
 * - `towards_agent`: the line is valid JSON (grammar, UTF-8, control characters), its envelope is
 *   unambiguous and `params` names nothing twice. But lone surrogates pass everywhere, and deeper down
 *   duplicate keys and NUL, as real servers send such (text cut in the middle of a character).
 *
 * Not covered: numbers that parsers round differently, and what `arguments` mean to a tool. U+2028 and
 * U+2029, at which Node's readline splits, stand only inside strings; so what it makes of them is never
 * a message of its own, because between two quotes outside of strings JSON has no letters for one.
 */

import type { Bytes } from "../bytes.ts";
import { MAX_BATCH_MESSAGES, MAX_IDENTIFIER_BYTES, MAX_URI_BYTES } from "../limits.ts";
import { EnvelopeFinder } from "./envelope_finder.ts";
import { keyHash } from "./key_table.ts";
import { ENVELOPE_KEYS, KnownKeys, PARAMS_KEYS } from "./known_keys.ts";
import { type MessageId, parseMessageId } from "./message_id.ts";
import { type Refusal, Violation } from "./refusals.ts";
import { decodeString, JsonReader, OPEN_ARRAY, OPEN_OBJECT } from "./strict.ts";

/** How much a line is asked: see the module's header. */
export type Strictness = "towards_server" | "towards_agent";

/** A request: it has a method and an id, and is answered. */
export interface ScannedRequest {
  /** Which kind of line. */
  readonly kind: "request";
  /** Never null: MCP forbids it, and parsers take a null id for none. */
  readonly id: MessageId;
  /** The method, decoded. */
  readonly method: string;
  /** `params.name` of `tools/call` and `prompts/get`; null where missing, and for all other methods. */
  readonly name: string | null;
  /** `params.uri` where it is a string; null otherwise. */
  readonly uri: string | null;
}

/** A notification: it has a method and no id. Policy applies to its method as to a request's. */
export interface ScannedNotification {
  /** Which kind of line. */
  readonly kind: "notification";
  /** The method, decoded. */
  readonly method: string;
  /** As in a request: a server may act on a call without an id. */
  readonly name: string | null;
  /** As in a request. */
  readonly uri: string | null;
  /** `params.requestId` of `notifications/cancelled`; null where missing, and for all other methods. */
  readonly cancels: MessageId | null;
}

/** A response: it has a result or an error. */
export interface ScannedResponse {
  /** Which kind of line. */
  readonly kind: "response";
  /** Null only in an error whose sender could not read the request's id. */
  readonly id: MessageId | null;
  /** Whether it has a top-level error instead of a result. */
  readonly isError: boolean;
}

/** One JSON-RPC message. */
export type ScannedMessage = ScannedRequest | ScannedNotification | ScannedResponse;

/** A message in a batch, with its bytes in the line. */
export interface BatchElement {
  /** What it is. */
  readonly message: ScannedMessage;
  /** The element's own bytes, a view into the line. */
  readonly bytes: Bytes;
}

/** An array of 1 to `MAX_BATCH_MESSAGES` messages. Whether one is permitted is decided elsewhere. */
export interface ScannedBatch {
  /** Which kind of line. */
  readonly kind: "batch";
  /** In their order. */
  readonly elements: readonly BatchElement[];
}

/** A line that is not forwarded. */
export interface InvalidLine {
  /** Which kind of line. */
  readonly kind: "invalid";
  /** Why: a key of `REFUSALS`. */
  readonly reason: Refusal;
  /** Where it showed, in bytes from the start of the line. */
  readonly offset: number;
  /** The id that a reply would carry, as far as one can tell: null when there is none or more than one. */
  readonly id: MessageId | null;
  /** The method, as far as one can tell: not null when this was a request or a notification. */
  readonly method: string | null;
}

/** What a line is. */
export type ScannedLine = ScannedMessage | ScannedBatch | InvalidLine;

const ENVELOPE = new KnownKeys(ENVELOPE_KEYS);
const PARAMS = new KnownKeys(PARAMS_KEYS);

/** Methods whose `params.name` says what is called. */
const NAMING_METHODS: ReadonlySet<string> = new Set(["tools/call", "prompts/get"]);

// One reader serves all lines: scanning is synchronous and calls nothing that could come back here.
const reader = new JsonReader(keyHash(crypto.getRandomValues(new Uint32Array(2))));

/**
 * Tells what `line`, one line without its line feed, is. Never throws, takes time in proportion to the
 * line's length (n log n in the keys of one object), and returns views into the line, not copies.
 */
export function scanLine(line: Bytes, strictness: Strictness): ScannedLine {
  const strict = strictness === "towards_server";
  try {
    reader.open(line, strict);
    return scanText(line, strict);
  } catch (thrown) {
    if (!(thrown instanceof Violation)) throw thrown;
    const finder = new EnvelopeFinder();
    finder.feed(line);
    return {
      kind: "invalid",
      reason: thrown.reason,
      offset: thrown.offset,
      id: finder.id,
      method: finder.method,
    };
  } finally {
    reader.close();
  }
}

function scanText(line: Bytes, strict: boolean): ScannedMessage | ScannedBatch {
  const first = reader.peek();
  const start = reader.at;
  if (first === -1) throw new Violation("empty_line", 0);
  if (first === OPEN_OBJECT) {
    const message = scanMessage(line, strict);
    reader.end();
    return message;
  }
  if (first === OPEN_ARRAY) {
    const elements = scanElements(line, strict);
    reader.end();
    if (elements.length === 0) throw new Violation("empty_batch", start);
    return { kind: "batch", elements };
  }
  reader.value();
  reader.end();
  throw new Violation("not_an_object", start);
}

function scanElements(line: Bytes, strict: boolean): BatchElement[] {
  const elements: BatchElement[] = [];
  reader.enterArray();
  while (reader.nextElement()) {
    const first = reader.peek();
    const start = reader.at;
    if (elements.length === MAX_BATCH_MESSAGES) throw new Violation("batch_too_long", start);
    if (first !== OPEN_OBJECT) {
      reader.value();
      throw new Violation("not_an_object", start);
    }
    const message = scanMessage(line, strict);
    elements.push({ message, bytes: line.subarray(start, reader.at) });
  }
  return elements;
}

/** Where a value stands in the line: from its first byte to behind its last. */
interface Span {
  start: number;
  stop: number;
}

/** The members of `params` that matter. */
interface ParamsSpans {
  name: Span | null;
  uri: Span | null;
  requestId: Span | null;
}

const NO_PARAMS: Readonly<ParamsSpans> = { name: null, uri: null, requestId: null };

function scanMessage(line: Bytes, strict: boolean): ScannedMessage {
  const start = reader.at;
  let version = false;
  let id: MessageId | null = null;
  let hasId = false;
  let method: string | null = null;
  let params: Readonly<ParamsSpans> = NO_PARAMS;
  let hasParams = false;
  let hasResult = false;
  let hasError = false;

  reader.enterObject(true);
  while (reader.nextKey()) {
    const key = knownKey(line, ENVELOPE, true);
    const first = reader.peek();
    const at = reader.at;
    switch (key) {
      case "jsonrpc":
        if (first !== QUOTE) refuseValue("jsonrpc_version");
        reader.string();
        if (reader.text() !== "2.0") throw new Violation("jsonrpc_version", at);
        version = true;
        break;
      case "id":
        reader.value();
        id = idIn(line, at, reader.at, true);
        hasId = true;
        break;
      case "method":
        if (first !== QUOTE) refuseValue("method_type");
        reader.string();
        method = identifier(line, { start: at, stop: reader.at }, MAX_IDENTIFIER_BYTES);
        break;
      case "params":
        hasParams = true;
        if (first === OPEN_OBJECT) params = scanParams(line, strict);
        else if (first === OPEN_ARRAY) reader.value();
        else refuseValue("params_type");
        break;
      case "error":
        if (first !== OPEN_OBJECT) refuseValue("error_type");
        reader.value();
        hasError = true;
        break;
      case "result":
        reader.value();
        hasResult = true;
        break;
      default:
        reader.value();
    }
  }

  if (!version) throw new Violation("jsonrpc_version", start);
  if (method === null) {
    if (hasParams || hasResult === hasError) throw new Violation("not_a_message", start);
    if (id === null && hasResult) throw new Violation("id_type", start);
    return { kind: "response", id, isError: hasError };
  }
  if (hasResult || hasError) throw new Violation("not_a_message", start);
  if (hasId && id === null) throw new Violation("id_type", start);
  const name = NAMING_METHODS.has(method)
    ? textIn(line, params.name, MAX_IDENTIFIER_BYTES, strict ? "name_type" : null)
    : null;
  const isResource = method.startsWith("resources/");
  const uri = textIn(line, params.uri, MAX_URI_BYTES, strict && isResource ? "uri_type" : null);
  if (id !== null) return { kind: "request", id, method, name, uri };
  const cancels = method === "notifications/cancelled" && params.requestId !== null
    ? idIn(line, params.requestId.start, params.requestId.stop, false)
    : null;
  return { kind: "notification", method, name, uri, cancels };
}

function scanParams(line: Bytes, strict: boolean): ParamsSpans {
  const params: ParamsSpans = { name: null, uri: null, requestId: null };
  reader.enterObject(true);
  while (reader.nextKey()) {
    const key = knownKey(line, PARAMS, strict);
    reader.peek();
    const start = reader.at;
    reader.value();
    if (key === "name" || key === "uri" || key === "requestId") {
      params[key] = { start, stop: reader.at };
    }
  }
  return params;
}

/**
 * Returns the key that was read last if it is one of `known`, else null. Throws when it only folds to one
 * and `strict` is set.
 */
function knownKey(line: Bytes, known: KnownKeys, strict: boolean): string | null {
  if (known.excludes(line, reader.start, reader.stop)) return null;
  const key = reader.text();
  if (known.has(key)) return key;
  if (strict && known.imitates(key)) throw new Violation("folded_key", reader.start - 1);
  return null;
}

const QUOTE = 0x22;
const LETTER_N = 0x6e;

/** Refuses the value that follows for `reason`, unless it is not even JSON. */
function refuseValue(reason: Refusal): never {
  const at = reader.at;
  reader.value();
  throw new Violation(reason, at);
}

/** Returns the id in `start..stop`; null for JSON's null if that may stand there. */
function idIn(line: Bytes, start: number, stop: number, nullable: boolean): MessageId | null {
  if (nullable && line[start] === LETTER_N) return null;
  const token = line.subarray(start, stop);
  const id = parseMessageId(token);
  if (id === null) {
    const scalar = line[start] !== OPEN_OBJECT && line[start] !== OPEN_ARRAY;
    const long = scalar && token.length > MAX_IDENTIFIER_BYTES;
    throw new Violation(long ? "identifier_too_long" : "id_type", start);
  }
  if (id.key.includes("\0")) throw new Violation("escaped_nul", start);
  return id;
}

/** Returns the text of the string at `span`; null when there is none, or no string and no refusal for that. */
function textIn(
  line: Bytes,
  span: Span | null,
  limit: number,
  refusal: Refusal | null,
): string | null {
  if (span === null) return null;
  if (line[span.start] === QUOTE) return identifier(line, span, limit);
  if (refusal !== null) throw new Violation(refusal, span.start);
  return null;
}

/** Returns the text of the JSON string at `span`, quotes included, if it has at most `limit` bytes. */
function identifier(line: Bytes, span: Span, limit: number): string {
  if (span.stop - span.start > limit) throw new Violation("identifier_too_long", span.start);
  const text = decodeString(line, span.start + 1, span.stop - 1);
  if (text.includes("\0")) throw new Violation("escaped_nul", span.start);
  return text;
}
