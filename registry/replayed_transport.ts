/**
 * A transport some of whose bytes were read already: they are read once more before the rest.
 *
 * The registry looks at the first eight bytes to tell what a connection is for; the handshake, which
 * covers these bytes, reads them again from here.
 */

import type { Bytes } from "../lib/bytes.ts";
import type { PathLabel, Transport } from "../lib/transport/transport.ts";

/** A transport that begins with bytes that were read before. */
export class ReplayedTransport implements Transport {
  readonly #transport: Transport;
  #ahead: Bytes;

  /** Takes over `transport`, from which `ahead` was read. */
  constructor(transport: Transport, ahead: Bytes) {
    this.#transport = transport;
    this.#ahead = ahead;
  }

  /** The same as that of the transport below. */
  get path(): PathLabel {
    return this.#transport.path;
  }

  /** Reads what was read before, then what comes. */
  read(into: Bytes): Promise<number | null> {
    if (this.#ahead.length === 0) return this.#transport.read(into);
    const count = Math.min(into.length, this.#ahead.length);
    into.set(this.#ahead.subarray(0, count));
    this.#ahead = this.#ahead.subarray(count);
    return Promise.resolve(count);
  }

  /** Writes all of `bytes`. */
  write(bytes: Bytes): Promise<void> {
    return this.#transport.write(bytes);
  }

  /** Ends our direction. */
  closeWrite(): Promise<void> {
    return this.#transport.closeWrite();
  }

  /** Ends both directions now. */
  close(): void {
    this.#transport.close();
  }

  /** The same as {@link close}. */
  [Symbol.dispose](): void {
    this.close();
  }
}
