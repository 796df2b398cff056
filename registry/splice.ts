/**
 * Passing bytes between two transports, both ways, until both directions have ended.
 *
 * Nothing is read from one end before the other has taken what came before, so one buffer per direction is
 * all that is ever held. The end of one direction is passed on, and the other goes on. A transport that
 * breaks ends both; so does silence both ways, which who lives does not keep.
 */

import type { Bytes } from "../lib/bytes.ts";
import type { Clock } from "../lib/clock.ts";
import { TransportError } from "../lib/transport/errors.ts";
import type { Transport } from "../lib/transport/transport.ts";
import { CIRCUIT_BUFFER_BYTES } from "./limits.ts";

/** One end of a splice. It reads ahead, one buffer, so that it is noticed when its peer leaves. */
export class SpliceEnd {
  /** The transport, which stays the caller's to close. */
  readonly transport: Transport;
  /** Resolves when the peer has left before the splice began, in whatever way. */
  readonly left: Promise<void>;
  readonly #buffer: Bytes = new Uint8Array(CIRCUIT_BUFFER_BYTES);
  #ahead: Promise<number | null> | null;

  /** Begins to read ahead. */
  constructor(transport: Transport) {
    this.transport = transport;
    this.#ahead = transport.read(this.#buffer);
    this.left = new Promise((resolve) => {
      this.#ahead?.then((count) => count === null && resolve(), () => resolve());
    });
  }

  /** Returns the next bytes, which are this end's again at the next call; null at the end. */
  async next(): Promise<Bytes | null> {
    const reading = this.#ahead ?? this.transport.read(this.#buffer);
    this.#ahead = null;
    const count = await reading;
    return count === null ? null : this.#buffer.subarray(0, count);
  }
}

/** How a splice ended. */
export type SpliceOutcome =
  /** Both ends were done. */
  | "done"
  /** One of them broke, or was closed. */
  | "broken"
  /** Nothing came any more, from either. */
  | "idle";

/** What bounds a splice. */
export interface SpliceOptions {
  /** How long nothing may come, in milliseconds. */
  readonly idleMs: number;
  /** Time. */
  readonly clock: Clock;
  /** Resolves when so many bytes may pass. */
  readonly admit: (count: number) => Promise<void> | null;
  /** Learns how many bytes have passed. */
  readonly passed: (count: number) => void;
}

/** Passes bytes until both directions have ended, then closes both ends. Never throws. */
export async function splice(
  one: SpliceEnd,
  other: SpliceEnd,
  { idleMs, clock, admit, passed }: SpliceOptions,
): Promise<SpliceOutcome> {
  let outcome: SpliceOutcome = "done";
  let movedAt = clock.monotonic();
  const close = () => {
    one.transport.close();
    other.transport.close();
  };
  const pass = async (from: SpliceEnd, { transport: to }: SpliceEnd): Promise<void> => {
    for (let bytes = await from.next(); bytes !== null; bytes = await from.next()) {
      movedAt = clock.monotonic();
      const waiting = admit(bytes.length);
      if (waiting !== null) await waiting;
      await to.write(bytes);
      movedAt = clock.monotonic();
      passed(bytes.length);
    }
    await to.closeWrite();
  };
  let timer: Disposable;
  const watch = (ms: number) => {
    timer = clock.after(ms, () => {
      const leftMs = movedAt + idleMs - clock.monotonic();
      if (leftMs > 0) return watch(leftMs);
      outcome = "idle";
      close();
    });
  };
  watch(idleMs);
  const broke = (error: unknown) => {
    if (!(error instanceof TransportError)) throw error;
    if (outcome === "done") outcome = "broken";
    close();
  };
  try {
    await Promise.all([pass(one, other).catch(broke), pass(other, one).catch(broke)]);
  } finally {
    timer![Symbol.dispose]();
    close();
  }
  return outcome;
}
