/**
 * A link: one connection in the service of a session. A session has at most one, and several in its life.
 *
 *     opening ── OPENED ──▶ running
 *     resuming ── RESUMED ──▶ running         all of them ── lost, or replaced ──▶ gone
 *
 * It reads its channel until it is gone, hands every frame to the session, and watches for signs of life.
 * What it cannot do with a frame the session says by throwing: that is a violation of the protocol by an
 * authenticated peer, and told apart from a connection that broke or was tampered with on its way.
 */

import type { Clock } from "../clock.ts";
import { race } from "../race.ts";
import { decodeFrame, encodePing, type Frame } from "../wire/frames.ts";
import type { Connection } from "./connection.ts";
import { LivenessWatch } from "./liveness_watch.ts";
import { SessionError } from "./errors.ts";

/** What a link waits for, if anything. */
export type LinkPhase = "opening" | "resuming" | "running";

/** What a session does with its link. */
export interface LinkOwner {
  /** Takes a frame. Throws what is wrong with it. */
  take(link: Link, frame: Frame): void;
  /** Learns that all frames which were here have been taken. */
  tookAll(link: Link): void;
  /** Learns that a frame broke the protocol. */
  violated(link: Link, error: unknown): void;
  /** Learns that the connection is over. */
  lost(link: Link, error: unknown): void;
}

/** One connection of a session. */
export class Link {
  /** The connection, which the link owns. */
  readonly connection: Connection;
  /** What the link waits for. */
  phase: LinkPhase;
  /** Whether we have said CLOSE here. */
  closeSent = false;
  /** Whether the other end has said CLOSE here. */
  closeReceived = false;
  /** Watches for signs of life. */
  readonly watch: LivenessWatch;
  /** When it began, in monotonic milliseconds. */
  readonly since: number;
  readonly #gone = Promise.withResolvers<void>();
  readonly #owner: LinkOwner;
  #isGone = false;
  #pingToken = 0;
  #pingedAt: number | null = null;
  #roundTripMs: number | undefined;
  /** Resolves with the answer to the last ping; made when it is waited for. */
  #ponged: PromiseWithResolvers<void> | undefined;
  readonly #clock: Clock;

  /** Takes over `connection`. Nothing is read before {@link begin}. */
  constructor(connection: Connection, phase: LinkPhase, clock: Clock, owner: LinkOwner) {
    this.connection = connection;
    this.phase = phase;
    this.since = clock.monotonic();
    this.#clock = clock;
    this.#owner = owner;
    this.watch = new LivenessWatch(clock, {
      ping: () => this.#ping(),
      dead: (silentMs) => this.#owner.lost(this, silent(silentMs)),
    });
  }

  /** Frames to and from the peer. */
  get channel(): Connection["channel"] {
    return this.connection.channel;
  }

  /** Whether it is of no use any more. */
  get isGone(): boolean {
    return this.#isGone;
  }

  /** Resolves when it is of no use any more. */
  get gone(): Promise<void> {
    return this.#gone.promise;
  }

  /** How long the last question of ours was under way, there and back, in milliseconds; undefined before any. */
  get roundTripMs(): number | undefined {
    return this.#roundTripMs;
  }

  /** Notes that what we asked for with the first record has been answered. */
  answered(): void {
    this.#roundTripMs = this.#clock.monotonic() - this.since;
  }

  /** Notes a PONG. One that answers another PING than the last says nothing. */
  ponged(token: number): void {
    if (this.#pingedAt === null || token !== (this.#pingToken - 1) >>> 0) return;
    this.#roundTripMs = this.#clock.monotonic() - this.#pingedAt;
    this.#pingedAt = null;
    this.#ponged?.resolve();
    this.#ponged = undefined;
  }

  /** Sends a PING, and resolves when it is answered or the link is gone. */
  async measure(): Promise<void> {
    if (this.#isGone) return;
    if (this.#pingedAt === null) this.#ping();
    this.#ponged ??= Promise.withResolvers();
    await race(this.#ponged.promise, this.gone);
  }

  /** Begins to read. */
  begin(): void {
    this.#readAll().then(
      () => this.#owner.lost(this, hungUp()),
      (error: unknown) => this.#owner.lost(this, error),
    );
  }

  /** Ends it at once; what was not read is dropped. */
  drop(): void {
    if (this.#isGone) return;
    this.#isGone = true;
    this.watch[Symbol.dispose]();
    this.channel.close();
    this.#gone.resolve();
  }

  async #readAll(): Promise<void> {
    const { channel, watch } = this;
    for (;;) {
      let frame = channel.nextFrame();
      while (frame !== null) {
        try {
          this.#owner.take(this, decodeFrame(frame));
        } catch (error) {
          return this.#owner.violated(this, error);
        }
        if (this.#isGone) return;
        frame = channel.nextFrame();
      }
      this.#owner.tookAll(this);
      if (this.#isGone || !await channel.fill()) return;
      watch.heard();
    }
  }

  #ping(): void {
    this.#pingedAt = this.#clock.monotonic();
    this.channel.trim(); // a ping is only due when little is going on
    this.channel.enqueue(encodePing("ping", this.#pingToken++ >>> 0));
  }
}

function hungUp(): SessionError {
  return new SessionError("connection_lost", "Lost the connection: the peer is gone");
}

function silent(ms: number): SessionError {
  const seconds = (ms / 1000).toFixed(1);
  return new SessionError("connection_lost", `Lost the connection: silent for ${seconds} s`);
}
