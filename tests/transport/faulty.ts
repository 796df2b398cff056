/**
 * Transports that misbehave, for tests: wrapped around a real one, or scripted.
 */

import { type Bytes, concat, EMPTY } from "../../lib/bytes.ts";
import { TransportError } from "../../lib/transport/errors.ts";
import type { PathLabel, Transport } from "../../lib/transport/transport.ts";

/** What goes wrong. */
export interface Faults {
  /** At most so many bytes pass in one read or write. */
  readonly chunkBytes?: number;
  /** Returns what is written instead of `bytes`, which begin at byte `at` of what was written so far. */
  readonly alter?: (bytes: Bytes, at: number) => Bytes;
  /** After so many written bytes the transport is closed. */
  readonly cutAfterBytes?: number;
  /** Writes fail from the first one on that this holds for. */
  readonly failWrite?: (at: number) => boolean;
  /** Where it pretends to come from. */
  readonly source?: string;
}

/** A transport with faults, and a record of what passed. */
export class FaultyTransport implements Transport {
  readonly path: PathLabel;
  readonly #inner: Transport;
  readonly #faults: Faults;
  readonly #writes: Bytes[] = [];
  readonly #ends: ("closeWrite" | "close")[] = [];
  #readBytes = 0;
  #writtenBytes = 0;

  constructor(inner: Transport, faults: Faults = {}) {
    this.#inner = inner;
    this.#faults = faults;
    this.path = { ...inner.path, source: faults.source ?? inner.path.source };
  }

  /** Every write, as it was asked for. */
  get writes(): readonly Bytes[] {
    return this.#writes;
  }

  /** All that was asked to be written. */
  get written(): Bytes {
    return concat(...this.#writes);
  }

  /** How many bytes were read. */
  get readBytes(): number {
    return this.#readBytes;
  }

  /** How this end was ended, in order. */
  get ends(): readonly ("closeWrite" | "close")[] {
    return this.#ends;
  }

  /** Whether this end was closed. */
  get closed(): boolean {
    return this.#ends.includes("close");
  }

  async read(into: Bytes): Promise<number | null> {
    const count = await this.#inner.read(into.subarray(0, this.#faults.chunkBytes ?? into.length));
    this.#readBytes += count ?? 0;
    return count;
  }

  async write(bytes: Bytes): Promise<void> {
    this.#writes.push(bytes.slice());
    const { alter, cutAfterBytes = Infinity, failWrite } = this.#faults;
    const at = this.#writtenBytes;
    this.#writtenBytes += bytes.length;
    if (failWrite?.(at) === true) {
      throw new TransportError("broken", "Cannot write: as the test says");
    }
    const altered = alter === undefined ? bytes : alter(bytes.slice(), at);
    await this.#pass(altered.subarray(0, Math.max(0, cutAfterBytes - at)));
    if (this.#writtenBytes >= cutAfterBytes) this.close();
  }

  async #pass(bytes: Bytes): Promise<void> {
    const step = this.#faults.chunkBytes ?? Math.max(1, bytes.length);
    for (let at = 0; at < bytes.length; at += step) {
      await this.#inner.write(bytes.subarray(at, at + step));
    }
  }

  closeWrite(): Promise<void> {
    this.#ends.push("closeWrite");
    return this.#inner.closeWrite();
  }

  close(): void {
    if (!this.closed) this.#ends.push("close");
    this.#inner.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** A transport that gives what a test wrote down and keeps what is written to it. */
export class ScriptedTransport implements Transport {
  readonly path: PathLabel;
  #script: Bytes;
  readonly #thenWaits: boolean;
  readonly #closing = Promise.withResolvers<void>();
  #written: Bytes = EMPTY;
  #closed = false;

  /** Gives `script`; then it ends, or waits for ever. */
  constructor(script: Bytes, end: "ends" | "waits" = "ends", source = "script") {
    this.#script = script;
    this.#thenWaits = end === "waits";
    this.path = { kind: "memory", remote: "script", source };
  }

  /** All that was written. */
  get written(): Bytes {
    return this.#written;
  }

  /** Whether it was closed. */
  get closed(): boolean {
    return this.#closed;
  }

  async read(into: Bytes): Promise<number | null> {
    if (!this.#closed && this.#script.length === 0 && this.#thenWaits) await this.#closing.promise;
    if (this.#closed || this.#script.length === 0) return null;
    const count = Math.min(into.length, this.#script.length);
    into.set(this.#script.subarray(0, count));
    this.#script = this.#script.subarray(count);
    return count;
  }

  write(bytes: Bytes): Promise<void> {
    if (this.#closed) {
      return Promise.reject(new TransportError("broken", "Cannot write: the script is over"));
    }
    this.#written = concat(this.#written, bytes);
    return Promise.resolve();
  }

  closeWrite(): Promise<void> {
    return Promise.resolve();
  }

  close(): void {
    this.#closed = true;
    this.#closing.resolve();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
