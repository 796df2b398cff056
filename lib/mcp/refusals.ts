/**
 * Why a line is refused: every literal reason, and the sentence that explains it to a person.
 *
 * A refusal is a value, not an exception, for whoever scans a line; inside the scanner it travels as
 * {@link Violation}. Reasons never change their meaning: they appear in logs, audits and error replies.
 */

/** The sentence for each reason, said of a line: "the line …". */
export const REFUSALS = {
  /** Nothing but white space. Harmless: most readers skip it. */
  empty_line: "holds no message",
  /** `\r` that is not directly before the line feed: other readers take it for the end of a line. */
  carriage_return: "holds a raw carriage return",
  /** A byte below 0x20, NUL and line feed included; a tab is allowed, but not inside a string. */
  control_character: "holds a raw control character",
  /** U+FEFF in front: some parsers skip it, others fail (RFC 8259 §8.1). */
  byte_order_mark: "begins with a byte order mark",
  /** Not UTF-8: what each parser makes of it differs (RFC 8259 §8.1). */
  invalid_utf8: "is not valid UTF-8",
  /** `\ud800` to `\udfff` without its other half: parsers replace, keep or refuse it (RFC 8259 §8.2). */
  lone_surrogate: "holds one half of a surrogate pair",
  /** One object names a member twice: parsers keep the first, the last or both (RFC 8259 §4). */
  duplicate_key: "names a member of an object twice",
  /** A member such as `Method` or `naMe`: parsers that ignore case take it for the known one. */
  folded_key: "names a member that differs from a known one only in case",
  /** `\u0000` in a key, method, name, uri or id: C programs end the text there. */
  escaped_nul: "holds an escaped NUL in a key or an identifier",
  /** More than `MAX_MESSAGE_DEPTH` objects and arrays inside each other. */
  too_deep: "nests deeper than 512 levels",
  /** Not one JSON value by RFC 8259 and nothing else. */
  not_json: "is not valid JSON",
  /** JSON, but neither an object nor an array of objects. */
  not_an_object: "is not a JSON object",
  /** An object without `"jsonrpc": "2.0"`. */
  jsonrpc_version: "does not say that it is JSON-RPC 2.0",
  /** An id that is neither string nor number (null only in an error reply), or such a `requestId`. */
  id_type: "has an id that is neither a string nor a number",
  /** A method that is not a string. */
  method_type: "has a method that is not a string",
  /** Params that are neither an object nor an array. */
  params_type: "has params that are neither an object nor an array",
  /** `params.name` of a tool call or a prompt that is not a string: programs turn `["x"]` into `x`. */
  name_type: "has a name that is not a string",
  /** `params.uri` of a resource request that is not a string. */
  uri_type: "has a uri that is not a string",
  /** An error that is not an object. */
  error_type: "has an error that is not an object",
  /** Neither request nor notification nor response, or more than one of them. */
  not_a_message: "is neither a request nor a notification nor a response",
  /** An id, method or name longer than `MAX_IDENTIFIER_BYTES`, a uri longer than `MAX_URI_BYTES`. */
  identifier_too_long: "has an id, method, name or uri that is too long",
  /** `[]`, which JSON-RPC forbids. */
  empty_batch: "is an empty batch",
  /** A batch of more than `MAX_BATCH_MESSAGES`. */
  batch_too_long: "is a batch of more than 1,024 messages",
} as const;

/** A reason for which a line is refused: a key of {@link REFUSALS}. */
export type Refusal = keyof typeof REFUSALS;

/** How a refusal travels from deep inside the scanner to its surface. Never leaves it. */
export class Violation extends Error {
  /** Makes the violation of one rule at a byte offset of the line. */
  constructor(
    /** Which rule. */
    readonly reason: Refusal,
    /** Where in the line it showed, in bytes from its start. */
    readonly offset: number,
  ) {
    super(reason);
    this.name = "Violation";
  }
}
