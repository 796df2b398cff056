/** A transport over another one: what a kind of it does not say otherwise goes through as it is. */

import type { Bytes } from "../lib/bytes.ts";
import type { PathLabel, Transport } from "../lib/transport/transport.ts";

/** The base of what stands between a transport and those who use it. */
export abstract class WrappedTransport implements Transport {
  readonly #transport: Transport;

  /** Takes over `transport`. */
  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** The same as that of the transport below. */
  get path(): PathLabel {
    return this.#transport.path;
  }

  /** Reads what comes. */
  read(into: Bytes): Promise<number | null> {
    return this.#transport.read(into);
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
