/**
 * The receiving side of a session: DATA frames in; messages out, as somebody asks for them; acknowledgements
 * and credit back, along with DATA where that comes soon enough, else by themselves. It outlives connections:
 * without one, messages that have arrived can still be taken.
 *
 * The other end is never waited for here, and no message costs a timer or a promise of its own: a promise is
 * made when nothing is there, a timer when an acknowledgement is kept back.
 */

import type { Bytes } from "../bytes.ts";
import type { Clock } from "../clock.ts";
import { ACK_DELAY_MS, EARLY_DATA_BYTES } from "../limits.ts";
import { encodeAck } from "../wire/frames.ts";
import type { RecordChannel } from "./record_channel.ts";
import { type Fragment, ReceiveWindow } from "./window.ts";

/** Receives the messages of one session. */
export class Receiver {
  /** What has arrived, and what may. */
  readonly window: ReceiveWindow;
  readonly #clock: Clock;
  /** Where acknowledgements go. */
  #channel: RecordChannel | undefined;
  #ackTimer: Disposable | undefined;
  /** Resolves when something has arrived or nothing more will; made when it is waited for. */
  #arrival: PromiseWithResolvers<void> | undefined;
  #receivers = 0;
  #messages = 0;
  #bytes = 0;
  /** What came behind the last message: null for an end in order; undefined as long as more may come. */
  #end: Error | null | undefined;

  /**
   * Makes a receiver of messages of at most `maxMessage` bytes that has no connection yet. It buffers at most
   * `window` bytes of them, by default one and some room.
   */
  constructor(maxMessage: number, window: number | undefined, clock: Clock) {
    this.window = new ReceiveWindow(maxMessage, EARLY_DATA_BYTES, window);
    this.#clock = clock;
  }

  /** How many messages were handed out. */
  get messages(): number {
    return this.#messages;
  }

  /** How many bytes they had. */
  get bytes(): number {
    return this.#bytes;
  }

  /** The number of the first fragment that is lacking. */
  get next(): number {
    return this.window.ack + 1;
  }

  /** Acknowledges over `channel` from now on, at once to begin with. */
  attach(channel: RecordChannel): void {
    this.#channel = channel;
    this.#acknowledge();
  }

  /** Acknowledges nothing until {@link attach} is called again. */
  detach(): void {
    this.#ackTimer?.[Symbol.dispose]();
    this.#ackTimer = undefined;
    this.#channel = undefined;
  }

  /** Takes the next fragment. Throws SessionError `protocol` when it is another one, or too much. */
  accept(fragment: Fragment): void {
    this.window.accept(fragment);
    this.#signalArrival();
  }

  /** Sees to the acknowledgement of what was accepted, once all that is here has been. */
  acknowledgeSoon(): void {
    if (this.window.ackUrgent) this.#acknowledge();
    else if (this.window.ackPending) this.#acknowledgeLater();
  }

  /**
   * Returns the next message, or null when the other end has closed in order. Throws what ended the
   * session otherwise. One call at a time.
   */
  async receive(): Promise<Bytes | null> {
    if (this.#receivers > 0) throw new TypeError("Cannot receive: another call is waiting");
    this.#receivers++;
    try {
      for (;;) {
        const message = this.window.take();
        if (message !== null) return this.#handOut(message);
        if (this.#end === null) return null;
        if (this.#end !== undefined) throw this.#end;
        this.#arrival ??= Promise.withResolvers();
        await this.#arrival.promise;
      }
    } finally {
      this.#receivers--;
    }
  }

  /** Returns the next message if one is here already and no call of {@link receive} waits, else null. */
  tryReceive(): Bytes | null {
    const message = this.#receivers > 0 ? null : this.window.take();
    return message === null ? null : this.#handOut(message);
  }

  /** Notes that nothing more comes: null when that is in order, else why. The first call is the one that counts. */
  end(failure: Error | null): void {
    if (this.#end === undefined) this.#end = failure;
    this.#signalArrival();
  }

  /** Drops what is here and whatever still comes, and grants nothing more: nobody will ask for it. */
  discard(): void {
    this.window.discard();
  }

  #handOut(message: Bytes): Bytes {
    this.#messages++;
    this.#bytes += message.length;
    if (this.window.ackUrgent) this.#acknowledge();
    return message;
  }

  #acknowledge(): void {
    if (this.#channel === undefined) return;
    const { ack, credit } = this.window;
    this.#channel.enqueue(encodeAck(ack, credit));
    this.window.advertised();
  }

  /** One timer serves all messages of the next moments: it is not set anew for each of them. */
  #acknowledgeLater(): void {
    if (this.#channel === undefined) return;
    this.#ackTimer ??= this.#clock.after(ACK_DELAY_MS, () => {
      this.#ackTimer = undefined;
      if (this.window.ackPending) this.#acknowledge();
    });
  }

  #signalArrival(): void {
    this.#arrival?.resolve();
    this.#arrival = undefined;
  }
}
