/**
 * The bound on what all sessions of one process keep until it is acknowledged.
 *
 * A session takes its share before it queues a message and gives it back when the other end has
 * acknowledged it. Who finds no room waits in line: back-pressure, never loss. One peer that acknowledges
 * nothing must not silence the others: the sessions with it hold a quarter of the whole at most, and do not
 * keep others in line waiting; and a session that holds nothing may always send one message of up to
 * 64 KiB. The bounds are exceeded by no more than that for each session. Counts message bytes, not what an
 * engine adds to them. Pure bookkeeping.
 */

import type { PeerId } from "../identity/peer_id.ts";
import {
  MIN_REPLAY_SHARE_BYTES,
  REPLAY_BUDGET_BYTES,
  REPLAY_BUDGET_PER_PEER_BYTES,
} from "../limits.ts";

/** What one session holds of a {@link ReplayBudget}. Disposing it gives all of it back. */
export interface ReplayShare extends Disposable {
  /** Bytes held. */
  readonly heldBytes: number;
  /** Takes `bytes` and returns true, or returns false where {@link take} has to wait for them. */
  tryTake(bytes: number): boolean;
  /**
   * Takes `bytes` as soon as it is their turn; resolves to false when the share is disposed before. One
   * call at a time.
   */
  take(bytes: number): Promise<boolean>;
  /** Gives back `bytes` that were taken. */
  giveBack(bytes: number): void;
}

/** Bytes that the sessions of a process share. */
export class ReplayBudget {
  readonly #limit: number;
  readonly #limitPerPeer: number;
  /** The shares that wait, first come first. */
  readonly #line = new Set<Share>();
  /** Bytes held by the sessions with a peer, as far as they hold any. */
  readonly #heldWith = new Map<PeerId, number>();
  #held = 0;

  /** Bounds what is held at once, in bytes: in all, and by the sessions with one peer. */
  constructor(
    limitBytes = REPLAY_BUDGET_BYTES,
    perPeerBytes = Math.min(limitBytes, REPLAY_BUDGET_PER_PEER_BYTES),
  ) {
    this.#limit = limitBytes;
    this.#limitPerPeer = perPeerBytes;
  }

  /** Bytes held by all sessions. */
  get heldBytes(): number {
    return this.#held;
  }

  /** Returns the share of a new session with `peer`, empty. */
  share(peer: PeerId): ReplayShare {
    return new Share(peer, {
      mayTake: (bytes) => this.#fits(bytes) && this.#fitsPeer(peer, bytes) && !this.#isBehind(peer),
      change: (bytes) => this.#change(peer, bytes),
      enterLine: (share) => this.#line.add(share),
      leaveLine: (share) => this.#line.delete(share),
      serveLine: () => this.#serveLine(),
    });
  }

  /** Whether `bytes` more are within the bound. More than all of it fits when nothing is held. */
  #fits(bytes: number): boolean {
    return this.#held + Math.min(bytes, this.#limit) <= this.#limit;
  }

  /** Whether `bytes` more are within the bound of `peer`. More than all of it fits when it holds nothing. */
  #fitsPeer(peer: PeerId, bytes: number): boolean {
    const held = this.#heldWith.get(peer) ?? 0;
    return held + Math.min(bytes, this.#limitPerPeer) <= this.#limitPerPeer;
  }

  /** Whether somebody in line comes before a newcomer with `peer`: its own, and whoever only waits for all. */
  #isBehind(peer: PeerId): boolean {
    for (const share of this.#line) {
      if (share.peer === peer || this.#fitsPeer(share.peer, share.wantedBytes)) return true;
    }
    return false;
  }

  #change(peer: PeerId, bytes: number): void {
    this.#held += bytes;
    const held = (this.#heldWith.get(peer) ?? 0) + bytes;
    if (held === 0) this.#heldWith.delete(peer);
    else this.#heldWith.set(peer, held);
  }

  /** Grants what fits, in turn. Whoever waits for its own peer's acknowledgements is passed over. */
  #serveLine(): void {
    const passedOver = new Set<PeerId>();
    for (const share of this.#line) {
      const { peer, wantedBytes } = share;
      if (passedOver.has(peer) || !this.#fitsPeer(peer, wantedBytes)) passedOver.add(peer);
      else if (this.#fits(wantedBytes)) share.grant();
      else return;
    }
  }
}

/** What a share needs of its budget. */
interface Ledger {
  readonly mayTake: (bytes: number) => boolean;
  readonly change: (bytes: number) => void;
  readonly enterLine: (share: Share) => void;
  readonly leaveLine: (share: Share) => void;
  readonly serveLine: () => void;
}

class Share implements ReplayShare {
  /** Whom its session is with. */
  readonly peer: PeerId;
  readonly #ledger: Ledger;
  #heldBytes = 0;
  #waiting: { readonly bytes: number; readonly taken: PromiseWithResolvers<boolean> } | undefined;
  #disposed = false;

  constructor(peer: PeerId, ledger: Ledger) {
    this.peer = peer;
    this.#ledger = ledger;
  }

  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** How many bytes it waits for. */
  get wantedBytes(): number {
    return this.#waiting?.bytes ?? 0;
  }

  tryTake(bytes: number): boolean {
    if (this.#disposed || this.#waiting !== undefined) return false;
    if (!this.#isFirstSmall(bytes) && !this.#ledger.mayTake(bytes)) return false;
    this.#change(bytes);
    return true;
  }

  take(bytes: number): Promise<boolean> {
    if (this.#waiting !== undefined) throw new TypeError("Cannot take: the share waits already");
    if (this.#disposed) return Promise.resolve(false);
    if (this.tryTake(bytes)) return Promise.resolve(true);
    this.#waiting = { bytes, taken: Promise.withResolvers() };
    const { promise } = this.#waiting.taken;
    this.#ledger.enterLine(this);
    return promise;
  }

  /** Ends its waiting with what it waited for. */
  grant(): void {
    this.#change(this.wantedBytes);
    this.#leaveLine(true);
  }

  #leaveLine(granted: boolean): void {
    this.#ledger.leaveLine(this);
    this.#waiting?.taken.resolve(granted);
    this.#waiting = undefined;
  }

  giveBack(bytes: number): void {
    if (bytes > this.#heldBytes) {
      throw new RangeError(`Cannot give back ${bytes} bytes: ${this.#heldBytes} are held`);
    }
    if (bytes === 0) return;
    this.#change(-bytes);
    if (this.#waiting !== undefined && this.#isFirstSmall(this.#waiting.bytes)) this.grant();
    this.#ledger.serveLine();
  }

  [Symbol.dispose](): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#leaveLine(false);
    this.#change(-this.#heldBytes);
    this.#ledger.serveLine();
  }

  #isFirstSmall(bytes: number): boolean {
    return this.#heldBytes === 0 && bytes <= MIN_REPLAY_SHARE_BYTES;
  }

  #change(bytes: number): void {
    this.#heldBytes += bytes;
    this.#ledger.change(bytes);
  }
}
