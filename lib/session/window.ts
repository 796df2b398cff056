/**
 * The two halves of a session's flow control, pure: what may be sent, what was received.
 *
 * A message is cut into fragments, one DATA frame each, numbered from 1 per direction. The sender keeps
 * every fragment until it is acknowledged, so that a later connection can carry on where an earlier one
 * broke. The receiver grants credit: bytes it will buffer beyond what it acknowledged. Acknowledged
 * means held in the session's memory, not used. Because a window is larger than the largest message, a
 * message that has begun can always be finished.
 *
 * Neither half knows connections, clocks or promises. Misuse by the other end throws SessionError
 * `protocol`. Message bytes are kept by reference: they must not change once pushed.
 */

import { type Bytes, concat } from "../bytes.ts";
import { WINDOW_SLACK_BYTES } from "../limits.ts";
import { MAX_FRAGMENT_BYTES } from "../wire/frames.ts";
import { SessionError } from "./errors.ts";
import { Queue } from "./queue.ts";

/** One DATA frame's content. */
export interface Fragment {
  /** Counts DATA frames of one direction, from 1. */
  readonly seq: number;
  /** More fragments of the same message follow. */
  readonly more: boolean;
  /** At most {@link MAX_FRAGMENT_BYTES}. */
  readonly bytes: Bytes;
}

/** What every fragment costs beyond its bytes, so that a flood of tiny messages has a price too. */
export const FRAGMENT_COST_BYTES = 64;

/** A fragment that is neither the end of its message nor this long waits for more credit. */
const MIN_SPLIT_BYTES = 1024;

/** Returns how much credit a fragment uses up. */
function costOf(fragment: Fragment): number {
  return fragment.bytes.length + FRAGMENT_COST_BYTES;
}

/** Returns the window of a direction whose messages have at most `maxMessage` bytes. */
export function windowBytes(maxMessage: number): number {
  return maxMessage + WINDOW_SLACK_BYTES;
}

/** The sending half: cuts messages into fragments and keeps them until they are acknowledged. */
export class SendWindow {
  /** Messages not yet wholly cut; the first may be cut up to `#offset`. */
  readonly #queue = new Queue<Bytes>();
  #offset = 0;
  #queuedBytes = 0;
  /** Fragments cut and not acknowledged, oldest first; those from `#unsent` on are to be sent (again). */
  readonly #kept = new Queue<Fragment>();
  #unsent = 0;
  #keptCost = 0;
  #acked = 0;
  #lastSeq = 0;
  #credit: number;

  /** `initialCredit` is what may be sent before the first grant, in bytes. */
  constructor(initialCredit: number) {
    this.#credit = initialCredit;
  }

  /** Bytes held: waiting, or sent and not acknowledged. */
  get heldBytes(): number {
    return this.#queuedBytes + this.#keptCost;
  }

  /** Message bytes that were not yet handed to a connection. */
  get unsentBytes(): number {
    return this.#queuedBytes;
  }

  /** Whether fragments were sent that are not acknowledged. */
  get awaitsAck(): boolean {
    return this.#unsent > 0;
  }

  /** The number of the last fragment that was cut; 0 when none was. */
  get lastSeq(): number {
    return this.#lastSeq;
  }

  /** Queues a whole message. */
  push(message: Bytes): void {
    this.#queue.push(message);
    this.#queuedBytes += message.length;
  }

  /** Returns the next fragment to send, or null when there is none or no credit for it. */
  next(): Fragment | null {
    const again = this.#kept.at(this.#unsent);
    if (again !== undefined) {
      this.#unsent++;
      return again;
    }
    const message = this.#queue.at(0);
    if (message === undefined) return null;
    const left = message.length - this.#offset;
    const room = this.#credit - this.#keptCost - FRAGMENT_COST_BYTES;
    const length = Math.min(left, MAX_FRAGMENT_BYTES, room);
    if (length < left && length < MIN_SPLIT_BYTES) return null;
    return this.#cut(message, length);
  }

  #cut(message: Bytes, length: number): Fragment {
    const end = this.#offset + length;
    const more = end < message.length;
    const whole = length === message.length;
    const bytes = whole ? message : message.subarray(this.#offset, end);
    const fragment: Fragment = { seq: ++this.#lastSeq, more, bytes };
    this.#offset = more ? end : 0;
    if (!more) this.#queue.shift();
    this.#queuedBytes -= length;
    this.#keptCost += costOf(fragment);
    this.#kept.push(fragment);
    this.#unsent++;
    return fragment;
  }

  /**
   * Takes an acknowledgement of all fragments up to `ack` and the grant of `credit` bytes beyond it.
   * An acknowledgement older than one seen before is ignored.
   */
  acknowledge(ack: number, credit: number): void {
    const lastSent = this.#acked + this.#unsent;
    if (ack > lastSent) {
      throw new SessionError(
        "protocol",
        `Cannot take acknowledgement: fragment ${ack} was not sent, the last was ${lastSent}`,
      );
    }
    if (ack < this.#acked) return;
    for (; this.#acked < ack; this.#acked++) {
      this.#keptCost -= costOf(this.#kept.shift()!);
      this.#unsent--;
    }
    this.#credit = credit;
  }

  /** Prepares to send again everything from fragment `next` on, which the other end names. */
  rewind(next: number): void {
    if (next <= this.#acked || next > this.#lastSeq + 1) {
      throw new SessionError(
        "protocol",
        `Cannot resume at fragment ${next}: held are ${this.#acked + 1} to ${this.#lastSeq}`,
      );
    }
    this.#unsent = next - 1 - this.#acked;
  }
}

/** The receiving half: puts fragments together, acknowledges them and grants credit. */
export class ReceiveWindow {
  readonly #maxMessage: number;
  readonly #window: number;
  readonly #messages = new Queue<Bytes>();
  /** What the messages in `#messages` cost, each as one fragment or several. */
  readonly #costs = new Queue<number>();
  #partial: Bytes[] = [];
  #partialBytes = 0;
  #partialCost = 0;
  #buffered = 0;
  #received = 0;
  #advertisedAck = 0;
  /** What the sender may still send of what it was granted. */
  #granted: number;
  #sinceAck = 0;

  /** `maxMessage` is the longest message accepted, `granted` the credit the sender begins with. */
  constructor(maxMessage: number, granted: number) {
    this.#maxMessage = maxMessage;
    this.#window = windowBytes(maxMessage);
    this.#granted = granted;
  }

  /** The number of the last fragment received; all before it were received too. */
  get ack(): number {
    return this.#received;
  }

  /**
   * Bytes that will be buffered beyond {@link ack}: never less than what was granted already, and room
   * for one fragment while a message is incomplete.
   */
  get credit(): number {
    const least = this.#partial.length > 0 ? MAX_FRAGMENT_BYTES + FRAGMENT_COST_BYTES : 0;
    return Math.max(this.#window - this.#buffered, least, this.#granted);
  }

  /** Whether the sender waits for an acknowledgement, at its leisure. */
  get ackPending(): boolean {
    return this.#advertisedAck !== this.#received;
  }

  /** Whether an acknowledgement should leave at once: the sender is or will soon be short of credit. */
  get ackUrgent(): boolean {
    if (this.#sinceAck >= WINDOW_SLACK_BYTES / 4) return true;
    return this.#granted < MAX_FRAGMENT_BYTES && this.credit > this.#granted + MIN_SPLIT_BYTES;
  }

  /** Notes that {@link ack} and {@link credit} were sent as they are now. */
  advertised(): void {
    this.#advertisedAck = this.#received;
    this.#granted = this.credit;
    this.#sinceAck = 0;
  }

  /** Takes a fragment. One that was received before is ignored; a gap or too much is an error. */
  accept(fragment: Fragment): void {
    const { seq, more, bytes } = fragment;
    if (seq <= this.#received) return;
    this.#check(fragment);
    const cost = costOf(fragment);
    this.#received = seq;
    this.#buffered += cost;
    this.#granted -= cost;
    this.#sinceAck += cost;
    this.#partialCost += cost;
    if (more) {
      this.#partial.push(bytes);
      this.#partialBytes += bytes.length;
      return;
    }
    this.#messages.push(this.#partial.length === 0 ? bytes : concat(...this.#partial, bytes));
    this.#costs.push(this.#partialCost);
    this.#partial = [];
    this.#partialBytes = 0;
    this.#partialCost = 0;
  }

  #check(fragment: Fragment): void {
    const { seq, more, bytes } = fragment;
    const refuse = (why: string) =>
      new SessionError("protocol", `Cannot take fragment ${seq}: ${why}`);
    if (seq !== this.#received + 1) throw refuse(`fragment ${this.#received + 1} is next`);
    if (costOf(fragment) > this.#granted) {
      throw refuse(`it costs ${costOf(fragment)} bytes, granted were ${this.#granted}`);
    }
    if (this.#partialBytes + bytes.length > this.#maxMessage) {
      throw refuse(`its message exceeds the limit of ${this.#maxMessage} bytes`);
    }
    if (more && bytes.length === 0) throw refuse("it is empty and not the last of its message");
  }

  /** Returns the next whole message and frees its place in the window, or null. */
  take(): Bytes | null {
    const message = this.#messages.shift();
    if (message === undefined) return null;
    this.#buffered -= this.#costs.shift()!;
    return message;
  }
}
