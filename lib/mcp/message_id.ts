/**
 * The id of a JSON-RPC request: its bytes as they stood, and a key to compare ids by.
 *
 * The bytes go back to whoever waits for the reply, unchanged. The key is for Maps: two tokens have the
 * same key exactly when they are the same JSON string or the same number, however written (`1`, `1.0`
 * and `10e-1`; `"a"` and `"\u0061"`), because a peer may write an id back in another form. Numbers are
 * compared by their exact decimal value: no precision is lost, as it would be in a double.
 */

import { type Bytes, fromUtf8 } from "../bytes.ts";
import { MAX_IDENTIFIER_BYTES } from "../limits.ts";

/** An id that is a string or a number. MCP allows no null id in a request. */
export interface MessageId {
  /** The JSON token as it stood. A view into the scanned line: copy it to keep it. */
  readonly token: Bytes;
  /** `s:` and the decoded string, or `n:` and the canonical number: digits, then `e` and an exponent if not 0. */
  readonly key: string;
}

/**
 * Returns the id whose JSON token is `token`; null when that is no JSON string or number, or has more than
 * `MAX_IDENTIFIER_BYTES`.
 */
export function parseMessageId(token: Bytes): MessageId | null {
  if (token.length > MAX_IDENTIFIER_BYTES) return null;
  const plain = plainKey(token);
  if (plain !== null) return { token, key: plain };
  let value: unknown;
  let text: string;
  try {
    text = fromUtf8(token);
    value = JSON.parse(text);
  } catch {
    return null;
  }
  if (typeof value === "string") return { token, key: `s:${value}` };
  if (typeof value === "number") return { token, key: `n:${canonicalNumber(text.trim())}` };
  return null;
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** Returns the key of what nearly every id is, a small integer or a short ASCII string, or null. */
function plainKey(token: Bytes): string | null {
  const last = token.length - 1;
  if (last < 0 || last > 64) return null;
  if (token[0] === QUOTE) {
    if (last === 0 || token[last] !== QUOTE) return null;
    let key = "s:";
    for (let at = 1; at < last; at++) {
      const byte = token[at]!;
      if (byte < 0x20 || byte >= 0x80 || byte === QUOTE || byte === BACKSLASH) return null;
      key += String.fromCharCode(byte);
    }
    return key;
  }
  if (token[0] === 0x30 || token[last] === 0x30) return null;
  let key = "n:";
  for (let at = 0; at <= last; at++) {
    const byte = token[at]!;
    if (byte < 0x30 || byte > 0x39) return null;
    key += String.fromCharCode(byte);
  }
  return key;
}

const NUMBER = /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/;

/** Returns the one form of a JSON number: no leading or trailing zeros, `100` as `1e2`, `-0` as `0`. */
function canonicalNumber(text: string): string {
  const [, sign = "", whole = "", fraction = "", exponent = "0"] = NUMBER.exec(text) ?? [];
  const digits = whole + fraction;
  let start = 0;
  while (digits[start] === "0") start++;
  if (start === digits.length) return "0";
  let stop = digits.length;
  while (digits[stop - 1] === "0") stop--;
  const power = BigInt(exponent) + BigInt(digits.length - stop - fraction.length);
  const significant = sign + digits.slice(start, stop);
  return power === 0n ? significant : `${significant}e${power}`;
}
