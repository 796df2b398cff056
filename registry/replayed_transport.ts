/**
 * A transport some of whose bytes were read already: they are read once more before the rest.
 *
 * The registry looks at the first eight bytes to tell what a connection is for; the handshake, which
 * covers these bytes, reads them again from here.
 */

import type { Bytes } from "../lib/bytes.ts";
import type { Transport } from "../lib/transport/transport.ts";
import { WrappedTransport } from "./wrapped_transport.ts";

/** A transport that begins with bytes that were read before. */
export class ReplayedTransport extends WrappedTransport {
  #ahead: Bytes;

  /** Takes over `transport`, from which `ahead` was read. */
  constructor(transport: Transport, ahead: Bytes) {
    super(transport);
    this.#ahead = ahead;
  }

  /** Reads what was read before, then what comes. */
  override read(into: Bytes): Promise<number | null> {
    if (this.#ahead.length === 0) return super.read(into);
    const count = Math.min(into.length, this.#ahead.length);
    into.set(this.#ahead.subarray(0, count));
    this.#ahead = this.#ahead.subarray(count);
    return Promise.resolve(count);
  }
}
