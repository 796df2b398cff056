/** A transport that counts its bytes, for the metrics. */

import type { Bytes } from "../lib/bytes.ts";
import type { Transport } from "../lib/transport/transport.ts";
import { WrappedTransport } from "./wrapped_transport.ts";

/** Learns how many bytes went which way. */
export interface ByteMeter {
  /** Bytes came in. */
  received(count: number): void;
  /** Bytes went out. */
  sent(count: number): void;
}

/** Another transport, metered. */
export class MeteredTransport extends WrappedTransport {
  readonly #meter: ByteMeter;

  /** Takes over `transport`. */
  constructor(transport: Transport, meter: ByteMeter) {
    super(transport);
    this.#meter = meter;
  }

  /** Reads and counts. */
  override async read(into: Bytes): Promise<number | null> {
    const count = await super.read(into);
    if (count !== null) this.#meter.received(count);
    return count;
  }

  /** Writes and counts. */
  override async write(bytes: Bytes): Promise<void> {
    await super.write(bytes);
    this.#meter.sent(bytes.length);
  }
}
