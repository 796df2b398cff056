/**
 * What one side has said and the session has not taken yet, in order. Bounded by whoever fills it and waits
 * for room. A line is in it until the session has taken it: so it is known for certain what was not sent.
 *
 * One session may follow another. While a new server is brought up to date, the outbox is held: only what is
 * posted to go first leaves, and what answers the new server.
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

/** A session, as far as an outbox needs it. */
export type OutboxSession = Pick<
  Session,
  "send" | "trySend" | "peerMaxMessage" | "counts" | "messagesHandedOver"
>;

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
  #entries = new Queue<Entry>();
  /** What leaves before all else, held or not. */
  #first = new Queue<Entry>();
  #held = false;
  /** Where everything goes, once that is known. */
  #session: OutboxSession | undefined;
  /** What the session took and has not handed to a connection yet: the last ones of `#takenCount`. */
  #unhanded = new Queue<Bytes>();
  #takenCount = 0;
  #sentBefore = 0;
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
    return this.#entries.length === 0 && this.#first.length === 0;
  }

  /** Adds a line, whose bytes must not change any more. */
  post(line: Bytes): void {
    this.#add({ line, isReply: false });
  }

  /** Adds a line that leaves before those of {@link post}, and even while the outbox is held. */
  postFirst(line: Bytes): void {
    this.#add({ line, isReply: false }, this.#first);
  }

  /** Adds a line that answers what came out of the session, whose bytes must not change any more. */
  postReply(line: Bytes): void {
    this.#add({ line, isReply: true }, this.#held ? this.#first : this.#entries);
  }

  #add(entry: Entry, lane = this.#entries): void {
    if (this.#sendsAtOnce(entry.line)) return;
    lane.push(entry);
    this.#cost += costOf(entry.line);
    if (entry.isReply) this.#replyCost += costOf(entry.line);
    this.#signal();
  }

  /** Most of the time nothing is in the way: then a line takes none of the detours. */
  #sendsAtOnce(line: Bytes): boolean {
    if (this.#session === undefined || this.#held || !this.isEmpty) return false;
    try {
      if (!this.#session.trySend(line)) return false;
    } catch {
      return false; // sendTo() sees to what is too large
    }
    this.#taken(this.#session, line);
    return true;
  }

  /** From now on only what goes first is sent. */
  hold(): void {
    this.#held = true;
  }

  /** Ends {@link hold}. */
  release(): void {
    this.#held = false;
    this.#signal();
  }

  /** Sends nothing more to the session: {@link sendTo} ends, unless the session itself keeps it. */
  detach(): void {
    this.#session = undefined;
    this.#signal();
  }

  /** Empties it. */
  clear(): void {
    this.#entries = new Queue();
    this.#first = new Queue();
    this.#cost = 0;
    this.#replyCost = 0;
    this.#signal();
  }

  /** Takes the requests out of it, and what stands in one batch with a request. */
  dropRequests(): void {
    const kept = new Queue<Entry>();
    for (let at = 0; at < this.#entries.length; at++) {
      const entry = this.#entries.at(at)!;
      if (requestKeysOf(entry.line).length === 0) {
        kept.push(entry);
        continue;
      }
      this.#cost -= costOf(entry.line);
      if (entry.isReply) this.#replyCost -= costOf(entry.line);
    }
    this.#entries = kept;
    this.#signal();
  }

  /** Lets {@link sendTo} end once everything is sent: nothing more is expected. */
  close(): void {
    this.#closed = true;
    this.#signal();
  }

  /** Lets go of what the session has handed over. */
  tidy(): void {
    if (this.#unhanded.length > 0 && this.#session !== undefined) {
      this.#forgetHandedOver(this.#session);
    }
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
   * Sends what is in it, until it is closed and empty or detached. Throws what ended the session. `tooLarge`
   * takes the lines that are beyond the `limit` of the session's other end, in bytes.
   */
  async sendTo(
    session: OutboxSession,
    tooLarge: (line: Bytes, limit: number) => Promise<void>,
  ): Promise<void> {
    this.#session = session;
    this.#sentBefore = session.counts.messagesSent;
    this.#takenCount = 0;
    this.#unhanded = new Queue();
    while (this.#session === session) {
      const lane = this.#first.length > 0 || this.#held ? this.#first : this.#entries;
      const first = lane.at(0);
      if (first === undefined) {
        if (this.#closed && this.isEmpty) return;
        await this.#changed();
        continue;
      }
      const { line, isReply } = first;
      try {
        await session.send(line); // what it throws for was not sent, and stays
        this.#taken(session, line);
      } catch (error) {
        if (!(error instanceof SessionError) || error.code !== "message_too_large") throw error;
        await tooLarge(line, session.peerMaxMessage ?? 0);
      }
      const isThere = lane === this.#first || lane === this.#entries;
      if (!isThere || lane.at(0) !== first) continue; // it was emptied meanwhile
      lane.shift();
      this.#cost -= costOf(line);
      if (isReply) this.#replyCost -= costOf(line);
      this.#signal();
    }
  }

  #taken(session: OutboxSession, line: Bytes): void {
    this.#takenCount++;
    const isHandedOver = session.messagesHandedOver - this.#sentBefore >= this.#takenCount;
    if (!isHandedOver) this.#unhanded.push(line);
    this.#forgetHandedOver(session);
  }

  #forgetHandedOver(session: OutboxSession): void {
    // What send() has just taken may be handed over before we learn that it was taken.
    const handedOver = session.messagesHandedOver - this.#sentBefore;
    const kept = Math.max(0, this.#takenCount - handedOver);
    while (this.#unhanded.length > kept) this.#unhanded.shift();
  }

  /**
   * Returns the keys of the requests that were not sent: those that are in it, and those that `session` took
   * and handed to no connection.
   */
  requestKeys(session?: OutboxSession): Set<string> {
    const keys = new Set<string>();
    if (session !== undefined) {
      this.#forgetHandedOver(session);
      for (let at = 0; at < this.#unhanded.length; at++) {
        for (const key of requestKeysOf(this.#unhanded.at(at)!)) keys.add(key);
      }
    }
    for (const lane of [this.#first, this.#entries]) {
      for (let at = 0; at < lane.length; at++) {
        for (const key of requestKeysOf(lane.at(at)!.line)) keys.add(key);
      }
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

/** Returns the keys of the requests in a line. */
export function requestKeysOf(line: Bytes): string[] {
  const scanned = scanLine(line, "towards_agent");
  const messages = scanned.kind === "batch"
    ? scanned.elements.map(({ message }) => message)
    : [scanned];
  return messages.flatMap((message) => message.kind === "request" ? [message.id.key] : []);
}
