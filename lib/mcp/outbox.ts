/**
 * What one side has said and the session has not taken yet, in order. Bounded by whoever fills it and waits
 * for room. A line is in it until the session has taken it: so it is known for certain what was not sent.
 *
 * What the other end provokes is counted by itself: one that goes on sending and takes nothing is answered
 * no further than `MAX_OWED_REPLY_BYTES`, and what this side says never keeps the other from being heard.
 */

import type { Bytes } from "../bytes.ts";
import { FRAGMENT_COST_BYTES, MAX_OWED_REPLY_BYTES } from "../limits.ts";
import { SessionError } from "../session/errors.ts";
import { Queue } from "../session/queue.ts";
import type { Session } from "../session/session.ts";
import { scanLine } from "./scan.ts";

interface Entry {
  readonly line: Bytes;
  /** Whether it answers what came out of the session. */
  readonly isReply: boolean;
}

/** What a line costs: a short one takes more memory than its bytes. */
function costOf(line: Bytes): number {
  return line.length + FRAGMENT_COST_BYTES;
}

/** Lines on their way into a session. */
export class Outbox {
  readonly #entries = new Queue<Entry>();
  /** Where everything goes, once that is known. */
  #session: Session | undefined;
  readonly #limit: number;
  #cost = 0;
  #replyCost = 0;
  #closed = false;
  /** Resolves at the next change; made when somebody waits for it. */
  #change: PromiseWithResolvers<void> | undefined;

  /** {@link room} waits while there are more than `limit` bytes and costs in it. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Whether nothing waits to be sent. */
  get isEmpty(): boolean {
    return this.#entries.length === 0;
  }

  /** Adds a line, whose bytes must not change any more. */
  post(line: Bytes): void {
    this.#add({ line, isReply: false });
  }

  /** Adds a line that answers what came out of the session, whose bytes must not change any more. */
  postReply(line: Bytes): void {
    this.#add({ line, isReply: true });
  }

  #add(entry: Entry): void {
    if (this.#sendsAtOnce(entry.line)) return;
    this.#entries.push(entry);
    this.#cost += costOf(entry.line);
    if (entry.isReply) this.#replyCost += costOf(entry.line);
    this.#signal();
  }

  /** Most of the time nothing is in the way: then a line takes none of the detours. */
  #sendsAtOnce(line: Bytes): boolean {
    if (this.#session === undefined || this.#entries.length > 0) return false;
    try {
      return this.#session.trySend(line);
    } catch {
      return false; // sendTo() sees to what is too large
    }
  }

  /** Lets {@link sendTo} end once everything is sent: nothing more is expected. */
  close(): void {
    this.#closed = true;
    this.#signal();
  }

  /** Waits until there is room: back-pressure, never loss. */
  async room(): Promise<void> {
    while (this.#cost > this.#limit) await this.#changed();
  }

  /** Whether there is room for another reply. Lines that are no replies take none of it. */
  get hasRoomForReplies(): boolean {
    return this.#replyCost <= MAX_OWED_REPLY_BYTES;
  }

  /** Waits until there is room for another reply. */
  async roomForReplies(): Promise<void> {
    while (!this.hasRoomForReplies) await this.#changed();
  }

  /**
   * Sends what is in it, until it is closed and empty. Throws what ended the session. `tooLarge` takes the
   * lines that are beyond the `limit` of the session's other end, in bytes.
   */
  async sendTo(
    session: Session,
    tooLarge: (line: Bytes, limit: number) => Promise<void>,
  ): Promise<void> {
    this.#session = session;
    for (;;) {
      const first = this.#entries.at(0);
      if (first === undefined) {
        if (this.#closed) return;
        await this.#changed();
        continue;
      }
      const { line, isReply } = first;
      try {
        await session.send(line); // what it throws for was not sent, and stays
      } catch (error) {
        if (!(error instanceof SessionError) || error.code !== "message_too_large") throw error;
        await tooLarge(line, session.peerMaxMessage ?? 0);
      }
      this.#entries.shift();
      this.#cost -= costOf(line);
      if (isReply) this.#replyCost -= costOf(line);
      this.#signal();
    }
  }

  /** Returns the keys of the requests that are in it. */
  requestKeys(): Set<string> {
    const keys = new Set<string>();
    for (let at = 0; at < this.#entries.length; at++) {
      const scanned = scanLine(this.#entries.at(at)!.line, "towards_agent");
      const messages = scanned.kind === "batch"
        ? scanned.elements.map(({ message }) => message)
        : [scanned];
      for (const message of messages) if (message.kind === "request") keys.add(message.id.key);
    }
    return keys;
  }

  #changed(): Promise<void> {
    this.#change ??= Promise.withResolvers();
    return this.#change.promise;
  }

  #signal(): void {
    this.#change?.resolve();
    this.#change = undefined;
  }
}
