/**
 * The two halves of a session's flow control, pure: what may be sent, what was received.
 *
 * A message is cut into fragments, one DATA frame each, numbered from 1 per direction. The sender keeps
 * every fragment until it is acknowledged, so that a later connection can carry on where an earlier one
 * broke. The receiver grants credit: bytes it will buffer beyond what it acknowledged. Acknowledged
 * means held in the session's memory, not used. Every fragment costs {@link FRAGMENT_COST_BYTES} beyond
 * its bytes, and only the last of a message may be shorter than {@link MIN_FRAGMENT_BYTES}: so credit bounds
 * memory, however a sender cuts. A message that has begun can always be finished: while it is all that a
 * receiver holds, there is credit for at least one more fragment.
 *
 * Neither half knows connections, clocks or promises. Misuse by the other end throws SessionError
 * `protocol`. Message bytes are kept by reference: they must not change once pushed.
 */

import type { Bytes } from "../bytes.ts";
import { FRAGMENT_COST_BYTES, MIN_FRAGMENT_BYTES, WINDOW_SLACK_BYTES } from "../limits.ts";
import { MAX_FRAGMENT_BYTES } from "../wire/frames.ts";
import { SessionError } from "./errors.ts";
import { Queue } from "./queue.ts";

/** One DATA frame's content. */
export interface Fragment {
  /** Counts DATA frames of one direction, from 1. */
  readonly seq: number;
  /** More fragments of the same message follow. */
  readonly more: boolean;
  /** At most {@link MAX_FRAGMENT_BYTES}; with `more`, at least {@link MIN_FRAGMENT_BYTES}. */
  readonly bytes: Bytes;
}

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
  /** Fragments cut and not acknowledged, oldest first; the first `#sent` are on the way, the rest wait. */
  readonly #kept = new Queue<Fragment>();
  #sent = 0;
  #keptCost = 0;
  #acked = 0;
  #lastSeq = 0;
  #credit: number;

  /** `initialCredit` is what may be sent before the first grant, in bytes. */
  constructor(initialCredit: number) {
    this.#credit = initialCredit;
  }

  /** What is held, in bytes and costs: waiting, or sent and not acknowledged. */
  get heldBytes(): number {
    return this.#queuedBytes + this.#queue.length * FRAGMENT_COST_BYTES + this.#keptCost;
  }

  /** Whether everything that was pushed is on its way. */
  get allSent(): boolean {
    return this.#queue.length === 0 && this.#sent === this.#kept.length;
  }

  /** Whether fragments are on their way that are not acknowledged. */
  get awaitsAck(): boolean {
    return this.#sent > 0;
  }

  /** How many messages are not wholly cut: the last fragment of none of these was ever sent. */
  get uncutMessages(): number {
    return this.#queue.length;
  }

  /** How many messages are wholly cut and not wholly acknowledged. Takes time in proportion to what is kept. */
  get keptMessages(): number {
    let messages = 0;
    for (let at = 0; at < this.#kept.length; at++) if (!this.#kept.at(at)!.more) messages++;
    return messages;
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
    const again = this.#kept.at(this.#sent);
    if (again !== undefined) {
      this.#sent++;
      return again;
    }
    const message = this.#queue.at(0);
    if (message === undefined) return null;
    const left = message.length - this.#offset;
    const room = this.#credit - this.#keptCost - FRAGMENT_COST_BYTES;
    const length = Math.min(left, MAX_FRAGMENT_BYTES, room);
    if (length < left && length < MIN_FRAGMENT_BYTES) return null;
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
    this.#sent++;
    return fragment;
  }

  /**
   * Takes an acknowledgement of all fragments up to `ack` and the grant of `credit` bytes beyond it, and
   * returns how many message bytes are no longer kept. An acknowledgement older than one seen before
   * changes nothing.
   */
  acknowledge(ack: number, credit: number): number {
    const lastSent = this.#acked + this.#sent;
    if (ack > lastSent) {
      throw new SessionError(
        "protocol",
        `Cannot take acknowledgement: fragment ${ack} was not sent, the last was ${lastSent}`,
      );
    }
    if (ack < this.#acked) return 0;
    const freed = this.#forget(ack);
    this.#credit = credit;
    return freed;
  }

  /** Forgets the fragments up to `ack` and returns how many message bytes they had. */
  #forget(ack: number): number {
    let freed = 0;
    for (; this.#acked < ack; this.#acked++) {
      const fragment = this.#kept.shift()!;
      freed += fragment.bytes.length;
      this.#keptCost -= costOf(fragment);
      this.#sent--;
    }
    return freed;
  }

  /**
   * Prepares to send again everything from fragment `next` on, which the other end names as the first
   * that it lacks; those before it count as acknowledged. What they cost is no longer granted. Returns how
   * many message bytes are no longer kept.
   */
  rewind(next: number): number {
    const lastSent = this.#acked + this.#sent;
    if (next <= this.#acked || next > lastSent + 1) {
      throw new SessionError(
        "protocol",
        `Cannot resume at fragment ${next}: it must be from ${this.#acked + 1} to ${lastSent + 1}`,
      );
    }
    const costBefore = this.#keptCost;
    const freed = this.#forget(next - 1);
    this.#credit -= costBefore - this.#keptCost;
    this.#sent = 0;
    return freed;
  }
}

/** The receiving half: puts fragments together, acknowledges them and grants credit. */
export class ReceiveWindow {
  readonly #maxMessage: number;
  readonly #window: number;
  #messages = new Queue<Bytes>();
  /** What the messages in `#messages` cost, each as one fragment or several. */
  #costs = new Queue<number>();
  #partial: Bytes[] = [];
  #partialBytes = 0;
  #partialCost = 0;
  #buffered = 0;
  #received = 0;
  #advertisedAck = 0;
  /** What the sender may still send of what it was granted. */
  #granted: number;
  #sinceAck = 0;
  /** Whether nobody will take any message any more. */
  #discards = false;

  /**
   * `maxMessage` is the longest message accepted, `granted` the credit the sender begins with, `window` what is
   * buffered at most.
   */
  constructor(maxMessage: number, granted: number, window = windowBytes(maxMessage)) {
    this.#maxMessage = maxMessage;
    this.#window = window;
    this.#granted = granted;
  }

  /** The number of the last fragment received; all before it were received too. */
  get ack(): number {
    return this.#received;
  }

  /** What is held, in bytes and costs: whole messages that nobody took yet, and a part of one. */
  get bufferedBytes(): number {
    return this.#buffered;
  }

  /**
   * Bytes that will be buffered beyond {@link ack}: never less than what was granted already, and room
   * for one fragment while an incomplete message is all there is; behind {@link discard} only the former.
   */
  get credit(): number {
    if (this.#discards) return this.#granted;
    const alone = this.#partial.length > 0 && this.#messages.length === 0;
    const least = alone ? MAX_FRAGMENT_BYTES + FRAGMENT_COST_BYTES : 0;
    return Math.max(this.#window - this.#buffered, least, this.#granted);
  }

  /** Whether the sender waits for an acknowledgement, at its leisure. */
  get ackPending(): boolean {
    return this.#advertisedAck !== this.#received;
  }

  /** Whether an acknowledgement should leave at once: the sender is or will soon be short of credit. */
  get ackUrgent(): boolean {
    if (this.#sinceAck >= WINDOW_SLACK_BYTES / 4) return true;
    return this.#granted < MAX_FRAGMENT_BYTES && this.credit > this.#granted + MIN_FRAGMENT_BYTES;
  }

  /** Notes that {@link ack} and {@link credit} were sent as they are now. */
  advertised(): void {
    this.#advertisedAck = this.#received;
    this.#granted = this.credit;
    this.#sinceAck = 0;
  }

  /** Takes the next fragment. Another one, one too many or a message too long is an error. */
  accept(fragment: Fragment): void {
    this.#check(fragment);
    const { seq, more, bytes } = fragment;
    const cost = costOf(fragment);
    this.#received = seq;
    this.#granted -= cost;
    this.#sinceAck += cost;
    if (this.#discards) return;
    this.#buffered += cost;
    this.#partialCost += cost;
    if (more) {
      this.#partial.push(bytes);
      this.#partialBytes += bytes.length;
      return;
    }
    this.#messages.push(this.#partial.length === 0 ? bytes : this.#assembled(bytes));
    this.#costs.push(this.#partialCost);
    this.#forgetPartial();
  }

  /**
   * Drops what is held and whatever still comes, and grants nothing more: nobody will take it. What was granted
   * may come, and is acknowledged.
   */
  discard(): void {
    this.#discards = true;
    this.#messages = new Queue();
    this.#costs = new Queue();
    this.#forgetPartial();
    this.#buffered = 0;
  }

  #forgetPartial(): void {
    this.#partial = [];
    this.#partialBytes = 0;
    this.#partialCost = 0;
  }

  /** Returns the whole message whose last fragment is `last`. There may be too many for a spread call. */
  #assembled(last: Bytes): Bytes {
    const whole = new Uint8Array(this.#partialBytes + last.length);
    let at = 0;
    for (const part of this.#partial) {
      whole.set(part, at);
      at += part.length;
    }
    whole.set(last, at);
    return whole;
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
    if (more && bytes.length < MIN_FRAGMENT_BYTES) {
      throw refuse(`it has ${bytes.length} bytes and is not the last of its message`);
    }
  }

  /** Returns the next whole message and frees its place in the window, or null. */
  take(): Bytes | null {
    const message = this.#messages.shift();
    if (message === undefined) return null;
    this.#buffered -= this.#costs.shift()!;
    return message;
  }
}
