/**
 * The sending side of a session: messages in, in the order of the calls; DATA frames out, as far as the
 * peer's credit and the channel's queue have room. It outlives connections: without one, messages are
 * accepted as long as there is room for them, and the next one begins where the peer says that it lacks
 * something.
 *
 * A message is accepted when there is room for it in the window and in the budget of the process; until
 * then whoever sends it waits, and whoever comes later waits behind. Before the session is granted the
 * peer's limit is not known: short messages leave as early data, a longer one waits.
 */

import type { Bytes } from "../bytes.ts";
import { EARLY_DATA_BYTES, FRAGMENT_COST_BYTES } from "../limits.ts";
import { DATA_HEADER_BYTES, encodeDataHeader } from "../wire/frames.ts";
import { SessionError } from "./errors.ts";
import type { LivenessWatch } from "./liveness_watch.ts";
import type { RecordChannel } from "./record_channel.ts";
import type { ReplayShare } from "./replay_budget.ts";
import { type ReceiveWindow, SendWindow, windowBytes } from "./window.ts";

/** A connection, as far as a sender needs it. */
export interface SenderLink {
  /** Where DATA goes. */
  readonly channel: RecordChannel;
  /** Learns when DATA leaves and when it is acknowledged. */
  readonly watch: LivenessWatch;
}

/** What a sender works with. It owns none of it but the share. */
export interface SenderParts {
  /** What DATA acknowledges and grants on its way. */
  readonly receiving: ReceiveWindow;
  /** Bounds what is kept until it is acknowledged. */
  readonly share: ReplayShare;
  /** The longest message of our side, in bytes. */
  readonly maxMessage: number;
}

/** Sends the messages of one session. */
export class Sender {
  readonly #parts: SenderParts;
  readonly #window = new SendWindow(EARLY_DATA_BYTES);
  /** Written anew for each fragment: the channel copies or seals what it is given at once. */
  readonly #header: Bytes = new Uint8Array(DATA_HEADER_BYTES);
  #link: SenderLink | null = null;
  #peerMaxMessage: number | undefined;
  #windowBytes = windowBytes(0);
  /** Resolves when there may be more room, or none any more; made when it is waited for. */
  #progress: PromiseWithResolvers<void> | undefined;
  #waitingForRoom = false;
  #waitingSends = 0;
  #lastSend: Promise<void> = Promise.resolve();
  #finishing = false;
  #end: Error | undefined;
  #messages = 0;
  #bytes = 0;

  /** Makes a sender that has no connection yet. */
  constructor(parts: SenderParts) {
    this.#parts = parts;
  }

  /** The longest message the peer takes, in bytes; undefined until it said so. */
  get peerMaxMessage(): number | undefined {
    return this.#peerMaxMessage;
  }

  /** How many messages were accepted. */
  get messages(): number {
    return this.#messages;
  }

  /**
   * How many messages were wholly handed to a connection, whatever became of it. Messages are handed over in
   * the order in which they were accepted: of all later ones the peer cannot have got the end.
   */
  get messagesHandedOver(): number {
    return this.#messages - this.#window.uncutMessages;
  }

  /** Whether any part of a message was handed to a connection. */
  get hasBegun(): boolean {
    return this.#window.lastSeq > 0;
  }

  /** What is held, in bytes and costs; less means that the peer has acknowledged some. */
  get heldBytes(): number {
    return this.#window.heldBytes;
  }

  /** How many bytes they had. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Sends over `link` from now on. */
  attach(link: SenderLink): void {
    this.#link = link;
    this.#waitingForRoom = false;
    this.#pump();
    this.#signalProgress();
  }

  /** Sends nothing until {@link attach} is called again. */
  detach(): void {
    this.#link = null;
  }

  /**
   * Prepares to send everything from fragment `next` on once more, and returns how many messages that is
   * the end of. Throws SessionError `protocol`, and changes nothing, when the peer cannot lack that.
   */
  rewind(next: number): number {
    this.#parts.share.giveBack(this.#window.rewind(next));
    return this.#window.keptMessages;
  }

  /**
   * Notes the longest message the peer takes, in bytes: the session is granted. The window is sized by our
   * own limit where that is less: no peer makes us keep more by taking more.
   */
  opened(peerMaxMessage: number): void {
    this.#peerMaxMessage = peerMaxMessage;
    this.#windowBytes = windowBytes(Math.min(peerMaxMessage, this.#parts.maxMessage));
    this.#signalProgress();
  }

  /**
   * Sends a message. Resolves when it is accepted. Throws SessionError `message_too_large` without sending
   * anything, `closed` after {@link finish}, and what {@link end} was given.
   */
  async send(message: Bytes): Promise<void> {
    if (this.#end !== undefined) throw this.#end;
    if (this.#finishing) throw new SessionError("closed", "Cannot send: the session is closed");
    if (!this.trySend(message)) await this.#sendInTurn(message);
  }

  /**
   * Sends a message if it can be accepted at once, and tells whether it was. Throws SessionError
   * `message_too_large` without sending anything.
   */
  trySend(message: Bytes): boolean {
    if (this.#end !== undefined || this.#finishing || this.#waitingSends > 0) return false;
    if (!this.#hasRoomFor(message) || !this.#parts.share.tryTake(message.length)) return false;
    this.#accept(message);
    return true;
  }

  async #sendInTurn(message: Bytes): Promise<void> {
    const before = this.#lastSend;
    const turn = Promise.withResolvers<void>();
    this.#lastSend = turn.promise;
    this.#waitingSends++;
    try {
      await before;
      while (this.#end === undefined && !this.#hasRoomFor(message)) await this.#progressed();
      if (this.#end === undefined) await this.#parts.share.take(message.length);
      if (this.#end !== undefined) throw this.#end;
      this.#accept(message);
    } finally {
      this.#waitingSends--;
      turn.resolve();
    }
  }

  /** Tells whether the window has room for `message`. Throws `message_too_large` where it never will. */
  #hasRoomFor({ length }: Bytes): boolean {
    const limit = this.#peerMaxMessage;
    if (limit === undefined && length + FRAGMENT_COST_BYTES > EARLY_DATA_BYTES) return false;
    if (limit !== undefined && length > limit) {
      throw new SessionError(
        "message_too_large",
        `Cannot send message: it has ${length} bytes, the peer takes ${limit}`,
      );
    }
    return this.#window.heldBytes <= this.#windowBytes;
  }

  #accept(message: Bytes): void {
    this.#messages++;
    this.#bytes += message.length;
    this.#window.push(message);
    this.#pump();
  }

  /** Takes the peer's acknowledgement and grant. Throws SessionError `protocol`. */
  acknowledged(ack: number, credit: number): void {
    this.#parts.share.giveBack(this.#window.acknowledge(ack, credit));
    this.#link?.watch.acknowledged(this.#window.awaitsAck);
    this.#pump();
    this.#signalProgress();
  }

  /**
   * Accepts no more messages. Resolves to true when all that were accepted have been handed to the
   * connection there is, to false when {@link end} came first.
   */
  async finish(): Promise<boolean> {
    this.#finishing = true;
    await this.#lastSend;
    while (this.#end === undefined && !this.#allSent) await this.#progressed();
    return this.#end === undefined;
  }

  get #allSent(): boolean {
    return this.#link !== null && this.#window.allSent;
  }

  /** Stops, once. Whoever waits, and whoever sends later, gets `error`. */
  end(error: Error): void {
    this.#end = error;
    this.#link = null;
    this.#parts.share[Symbol.dispose]();
    this.#signalProgress();
  }

  #pump(): void {
    const link = this.#link;
    if (link === null) return;
    const { channel, watch } = link;
    const { receiving } = this.#parts;
    while (channel.hasRoom) {
      const fragment = this.#window.next();
      if (fragment === null) return;
      const { ack, credit } = receiving;
      const { more, seq, bytes } = fragment;
      channel.enqueue(encodeDataHeader(more, seq, ack, credit, this.#header), bytes);
      receiving.advertised();
      watch.sent();
    }
    if (this.#waitingForRoom) return;
    this.#waitingForRoom = true;
    channel.whenWritten().then(() => {
      if (this.#link !== link) return;
      this.#waitingForRoom = false;
      watch.heard(); // a full queue moved: the other end's system takes bytes
      this.#pump();
      this.#signalProgress();
    });
  }

  #progressed(): Promise<void> {
    this.#progress ??= Promise.withResolvers();
    return this.#progress.promise;
  }

  #signalProgress(): void {
    this.#progress?.resolve();
    this.#progress = undefined;
  }
}
