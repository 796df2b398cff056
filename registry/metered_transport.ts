/** A transport that counts its bytes, for the metrics. */

import type { Bytes } from "../lib/bytes.ts";
import type { PathLabel, Transport } from "../lib/transport/transport.ts";

/** Learns how many bytes went which way. */
export interface ByteMeter {
  /** Bytes came in. */
  received(count: number): void;
  /** Bytes went out. */
  sent(count: number): void;
}

/** Another transport, metered. */
export class MeteredTransport implements Transport {
  readonly #transport: Transport;
  readonly #meter: ByteMeter;

  /** Takes over `transport`. */
  constructor(transport: Transport, meter: ByteMeter) {
    this.#transport = transport;
    this.#meter = meter;
  }

  /** The same as that of the transport below. */
  get path(): PathLabel {
    return this.#transport.path;
  }

  /** Reads and counts. */
  async read(into: Bytes): Promise<number | null> {
    const count = await this.#transport.read(into);
    if (count !== null) this.#meter.received(count);
    return count;
  }

  /** Writes and counts. */
  async write(bytes: Bytes): Promise<void> {
    await this.#transport.write(bytes);
    this.#meter.sent(bytes.length);
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
