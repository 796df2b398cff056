/** A request that is kept to be made once more, under another id: its bytes, and where its id stands. */

import { type Bytes, utf8 } from "../bytes.ts";
import { replaceToken } from "./tokens.ts";

/** A copy of a request's bytes. */
export class RememberedRequest {
  /** The request as it was sent. */
  readonly line: Bytes;
  readonly #idToken: Bytes;

  /** Copies `line`; `idToken` is its id's token, a view into it. */
  constructor(line: Bytes, idToken: Bytes) {
    this.line = line.slice();
    const start = idToken.byteOffset - line.byteOffset;
    this.#idToken = this.line.subarray(start, start + idToken.length);
  }

  /** Returns the request under the id whose token is `idToken`. */
  withId(idToken: Bytes): Bytes {
    return replaceToken(this.line, this.#idToken, idToken);
  }
}

/** Returns a notification without parameters. */
export function notification(method: string): Bytes {
  return utf8(JSON.stringify({ jsonrpc: "2.0", method }));
}
