/**
 * The id of a JSON-RPC request: its bytes as they stood, and a key to compare ids by.
 *
 * The bytes go back to whoever waits for the reply, unchanged. The key is for Maps: two tokens have the
 * same key exactly when they are the same JSON string or the same number, however written (`1`, `1.0`
 * and `10e-1`; `"a"` and `"\u0061"`), because a peer may write an id back in another form. Numbers are
 * compared by their exact decimal value: no precision is lost, as it would be in a double.
 */

import { type Bytes, fromUtf8 } from "../bytes.ts";

/** An id that is a string or a number. MCP allows no null id in a request. */
export interface MessageId {
  /** The JSON token as it stood. A view into the scanned line: copy it to keep it. */
  readonly token: Bytes;
  /** `s:` and the decoded string, or `n:` and the canonical number: digits, then `e` and an exponent if not 0. */
  readonly key: string;
}

/** Returns the id whose JSON token is `token`, or null when that is no JSON string or number. */
export function parseMessageId(token: Bytes): MessageId | null {
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

const NUMBER = /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/;

/** Returns the one form of a JSON number: no leading or trailing zeros, `100` as `1e2`, `-0` as `0`. */
function canonicalNumber(text: string): string {
  const [, sign = "", whole = "", fraction = "", exponent = "0"] = NUMBER.exec(text) ?? [];
  const digits = (whole + fraction).replace(/^0+/, "");
  if (digits === "") return "0";
  const significant = digits.replace(/0+$/, "");
  const shift = digits.length - significant.length - fraction.length;
  const power = BigInt(exponent) + BigInt(shift);
  return power === 0n ? sign + significant : `${sign}${significant}e${power}`;
}
