/**
 * An in-memory pair of transports: what one end writes, the other reads.
 *
 * A write waits until the other end has read all of it, so nothing is buffered and back-pressure is
 * exact. Tests and relay circuits inside one process use it; faults are injected by wrapping an end.
 */

import type { Bytes } from "../bytes.ts";
import { TransportError } from "./errors.ts";
import type { PathLabel, Transport } from "./transport.ts";

/** Returns two connected transports. */
export function memoryPair(): readonly [Transport, Transport] {
  const there = new Pipe();
  const back = new Pipe();
  return [new MemoryTransport(back, there), new MemoryTransport(there, back)];
}

class MemoryTransport implements Transport {
  readonly path: PathLabel = { kind: "memory", remote: "memory", source: "memory" };
  readonly #incoming: Pipe;
  readonly #outgoing: Pipe;

  constructor(incoming: Pipe, outgoing: Pipe) {
    this.#incoming = incoming;
    this.#outgoing = outgoing;
  }

  read(into: Bytes): Promise<number | null> {
    return this.#incoming.read(into);
  }

  write(bytes: Bytes): Promise<void> {
    return this.#outgoing.write(bytes);
  }

  closeWrite(): Promise<void> {
    this.#outgoing.finish();
    return Promise.resolve();
  }

  close(): void {
    this.#incoming.close();
    this.#outgoing.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** One direction. At most one reader and one writer wait at a time. */
class Pipe {
  #finished = false;
  #offered: { bytes: Bytes; done: PromiseWithResolvers<void> } | undefined;
  #waiting: { into: Bytes; done: PromiseWithResolvers<number | null> } | undefined;

  read(into: Bytes): Promise<number | null> {
    if (this.#waiting !== undefined) throw new TypeError("Cannot read: a read is under way");
    this.#waiting = { into, done: Promise.withResolvers() };
    const { promise } = this.#waiting.done;
    this.#move();
    return promise;
  }

  write(bytes: Bytes): Promise<void> {
    if (this.#offered !== undefined) throw new TypeError("Cannot write: a write is under way");
    if (this.#finished) return Promise.reject(broken());
    if (bytes.length === 0) return Promise.resolve();
    this.#offered = { bytes, done: Promise.withResolvers() };
    const { promise } = this.#offered.done;
    this.#move();
    return promise;
  }

  /** Nothing more will be written; what was offered can still be read. */
  finish(): void {
    this.#finished = true;
    this.#move();
  }

  /** Ends now: what was offered and not read is lost. */
  close(): void {
    this.#offered?.done.reject(broken());
    this.#offered = undefined;
    this.finish();
  }

  #move(): void {
    const { into, done } = this.#waiting ?? {};
    if (into === undefined || done === undefined) return;
    if (this.#offered !== undefined) {
      const { bytes } = this.#offered;
      const count = Math.min(into.length, bytes.length);
      into.set(bytes.subarray(0, count));
      this.#waiting = undefined;
      if (count === bytes.length) {
        this.#offered.done.resolve();
        this.#offered = undefined;
      } else {
        this.#offered.bytes = bytes.subarray(count);
      }
      done.resolve(count);
    } else if (this.#finished) {
      this.#waiting = undefined;
      done.resolve(null);
    }
  }
}

function broken(): TransportError {
  return new TransportError("broken", "Cannot write: the stream is closed");
}
