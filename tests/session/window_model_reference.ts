/**
 * What one direction of a session must do, as plain lists: what was pushed, how it was cut, what was taken.
 *
 * The reference holds all of it for good and forgets nothing, so every figure that the windows keep up to
 * date step by step is here a difference of two sums. It is told of every step, right after the window
 * took it, and throws {@link BrokenProperty} at the first that does not fit. It does not know connections:
 * what may be lost on the way, and what then has to be said again, is for `window_model.ts`.
 */

import { Buffer } from "node:buffer";
import type { Bytes } from "../../lib/bytes.ts";
import { EARLY_DATA_BYTES, FRAGMENT_COST_BYTES, MIN_FRAGMENT_BYTES } from "../../lib/limits.ts";
import {
  type Fragment,
  type ReceiveWindow,
  type SendWindow,
  windowBytes,
} from "../../lib/session/window.ts";
import { MAX_FRAGMENT_BYTES } from "../../lib/wire/frames.ts";
import { BrokenProperty } from "../../scripts/fuzzing.ts";

/** What {@link SendWindow} offers, so that a copy with a mistake in it can take its place. */
export type SendHalf = Pick<SendWindow, keyof SendWindow>;

/** What {@link ReceiveWindow} offers, so that a copy with a mistake in it can take its place. */
export type ReceiveHalf = Pick<ReceiveWindow, keyof ReceiveWindow>;

/** What one fragment may cost at most, in bytes. */
export const MAX_FRAGMENT_COST = MAX_FRAGMENT_BYTES + FRAGMENT_COST_BYTES;

/** One direction of one session. */
export class Reference {
  /** The longest message, in bytes. */
  readonly maxMessage: number;
  readonly #messages: Bytes[] = [];
  readonly #fragments: Fragment[] = [];
  /** Bytes of the messages so far, by how many there are. */
  readonly #messageBytes = [0];
  /** Bytes and costs of the fragments so far, by how many there are. */
  readonly #fragmentBytes = [0];
  readonly #fragmentCosts = [0];
  /** The last fragment of every message that is wholly cut. */
  readonly #lastFragments: number[] = [];
  #cutInMessage = 0;
  #received = 0;
  #wholeReceived = 0;
  #taken = 0;
  #acked = 0;
  /** What the fragments of the whole session may cost: as the receiver said, as the sender heard. */
  #limitSaid = EARLY_DATA_BYTES;
  #limitHeard = EARLY_DATA_BYTES;

  /** A direction whose messages have up to `maxMessage` bytes, and nothing was pushed yet. */
  constructor(maxMessage: number) {
    this.maxMessage = maxMessage;
  }

  /** How many messages were pushed. */
  get pushed(): number {
    return this.#messages.length;
  }

  /** How many of them were taken. */
  get taken(): number {
    return this.#taken;
  }

  /** How many fragments were cut so far. */
  get cut(): number {
    return this.#fragments.length;
  }

  /** Whether the receiver holds a part of a message. */
  get isMidMessage(): boolean {
    return this.#fragments[this.#received - 1]?.more ?? false;
  }

  /** Notes a message. */
  push(message: Bytes): void {
    this.#messages.push(message);
    this.#messageBytes.push(this.#messageBytes.at(-1)! + message.length);
  }

  /** Checks a fragment that leaves, and returns whether it left before. */
  leaves(fragment: Fragment, expectedSeq: number): boolean {
    const { seq } = fragment;
    if (seq !== expectedSeq) throw broken(`fragment ${seq} leaves, ${expectedSeq} is next`);
    const before = this.#fragments[seq - 1];
    if (before === undefined) this.#firstTime(fragment);
    else if (!isSame(fragment, before)) {
      throw broken(`fragment ${seq} changed before it left again`);
    }
    const cost = this.#fragmentCosts[seq]!;
    if (cost > this.#limitHeard) {
      throw broken(`fragments up to ${seq} cost ${cost} bytes, granted were ${this.#limitHeard}`);
    }
    return before !== undefined;
  }

  #firstTime(fragment: Fragment): void {
    const { seq, more, bytes } = fragment;
    const message = this.#messages[this.#lastFragments.length];
    if (message === undefined) throw broken(`fragment ${seq} belongs to no message`);
    const end = this.#cutInMessage + bytes.length;
    const expected = message.subarray(this.#cutInMessage, end);
    if (!isSame(fragment, { seq, more: end < message.length, bytes: expected })) {
      throw broken(`fragment ${seq} is not the next part of message ${this.#lastFragments.length}`);
    }
    if (bytes.length > MAX_FRAGMENT_BYTES || (more && bytes.length < MIN_FRAGMENT_BYTES)) {
      throw broken(`fragment ${seq} has ${bytes.length} bytes`);
    }
    this.#fragments.push(fragment);
    this.#fragmentBytes.push(this.#fragmentBytes[seq - 1]! + bytes.length);
    this.#fragmentCosts.push(this.#fragmentCosts[seq - 1]! + bytes.length + FRAGMENT_COST_BYTES);
    this.#cutInMessage = more ? end : 0;
    if (!more) this.#lastFragments.push(seq);
  }

  /** Notes that the receiver took the next fragment. */
  arrived(): void {
    this.#received++;
    if (this.#lastFragments[this.#wholeReceived] === this.#received) this.#wholeReceived++;
  }

  /** Checks what the receiver says: no more than it holds, no less than it said, within its window. */
  said(ack: number, credit: number): void {
    if (ack !== this.#received) throw broken(`ack ${ack}, received are ${this.#received}`);
    const limit = this.#fragmentCosts[ack]! + credit;
    if (limit < this.#limitSaid) {
      throw broken(`credit ${credit} takes back ${this.#limitSaid - limit} bytes`);
    }
    const alone = this.isMidMessage && this.#taken === this.#wholeReceived;
    const free = windowBytes(this.maxMessage) - this.#buffered;
    const most = Math.max(free, alone ? MAX_FRAGMENT_COST : 0);
    if (limit > Math.max(this.#limitSaid, this.#fragmentCosts[ack]! + most)) {
      throw broken(`credit ${credit} is beyond the window, which has ${most} bytes left`);
    }
    this.#limitSaid = limit;
  }

  /** Checks what the sender made of an acknowledgement: how many bytes it no longer keeps. */
  heard(ack: number, credit: number, freed: number): void {
    this.#frees(ack, freed);
    this.#limitHeard = Math.max(this.#limitHeard, this.#fragmentCosts[ack]! + credit);
  }

  /** Checks what the sender made of a resumption at `next`: how many bytes it no longer keeps. */
  rewound(next: number, freed: number): void {
    this.#frees(next - 1, freed);
  }

  #frees(ack: number, freed: number): void {
    const expected = this.#fragmentBytes[ack]! - this.#fragmentBytes[this.#acked]!;
    if (freed !== expected) throw broken(`ack ${ack} frees ${freed} bytes, not ${expected}`);
    this.#acked = ack;
  }

  /** Checks a message that the consumer takes. */
  took(message: Bytes): void {
    const number = this.#taken++;
    const expected = this.#messages[number];
    if (expected === undefined) throw broken(`message ${number} was never sent`);
    if (message.length !== expected.length) {
      throw broken(
        `message ${number} arrives with ${message.length} bytes, ${expected.length} were sent`,
      );
    }
    if (Buffer.compare(message, expected) !== 0) throw broken(`message ${number} is another one`);
  }

  get #buffered(): number {
    const taken = this.#lastFragments[this.#taken - 1] ?? 0;
    return this.#fragmentCosts[this.#received]! - this.#fragmentCosts[taken]!;
  }

  /** Checks the sender's figures. */
  checkSender(sender: SendHalf): void {
    const { length: cut } = this.#fragments;
    const bytes = this.#messageBytes.at(-1)! - this.#fragmentBytes[this.#acked]!;
    const queued = this.pushed - this.#lastFragments.length;
    const held = bytes + (cut - this.#acked + queued) * FRAGMENT_COST_BYTES;
    if (sender.heldBytes !== held) {
      throw broken(`the sender says it holds ${sender.heldBytes} bytes, it is ${held}`);
    }
    if (sender.lastSeq !== cut) throw broken(`the sender's last fragment is ${sender.lastSeq}`);
    // A session takes no message while more than a window is held; cut, it costs a quarter more at most.
    const bound = 1.25 * (windowBytes(this.maxMessage) + this.maxMessage) + FRAGMENT_COST_BYTES;
    if (held > bound) throw broken(`the sender holds ${held} bytes, the bound is ${bound}`);
  }

  /** Checks the receiver's figures. */
  checkReceiver(receiver: ReceiveHalf): void {
    if (receiver.bufferedBytes !== this.#buffered) {
      throw broken(
        `the receiver says it holds ${receiver.bufferedBytes} bytes, it is ${this.#buffered}`,
      );
    }
    // Cut as small as may be, one message alone may take a quarter more than its bytes.
    const bound = Math.max(windowBytes(this.maxMessage), 1.25 * this.maxMessage) +
      MAX_FRAGMENT_COST;
    if (this.#buffered > bound) {
      throw broken(`the receiver holds ${this.#buffered} bytes, the bound is ${bound}`);
    }
    if (receiver.ack !== this.#received) throw broken(`the receiver's ack is ${receiver.ack}`);
    if (receiver.credit >= 2 ** 32) {
      throw broken(`credit ${receiver.credit} does not fit its field`);
    }
  }

  /** Whether all that was pushed was taken, and the sender knows. */
  isDone(sender: SendHalf): boolean {
    return this.#taken === this.pushed && sender.heldBytes === 0;
  }

  /** Returns where the direction stands, for a complaint. */
  describe(sender: SendHalf, receiver: ReceiveHalf): string {
    return `${this.#taken} of ${this.pushed} messages taken, ${this.#received} of ${this.cut} ` +
      `fragments received, ${this.#acked} acknowledged, ${sender.heldBytes} bytes held, ` +
      `${this.#limitHeard - this.#fragmentCosts[this.cut]!} bytes of credit left, the receiver ` +
      `offers ${receiver.credit}`;
  }
}

/** Whether two fragments are the same, down to where their bytes lie: nothing is copied. */
function isSame(a: Fragment, b: Fragment): boolean {
  return a.seq === b.seq && a.more === b.more && a.bytes.length === b.bytes.length &&
    a.bytes.buffer === b.bytes.buffer && a.bytes.byteOffset === b.bytes.byteOffset;
}

function broken(what: string): BrokenProperty {
  return new BrokenProperty(what);
}
