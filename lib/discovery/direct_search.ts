/**
 * Looks for a direct way to a peer while its session goes through a relay, and moves it over when there is
 * one: every half minute, and at once when this machine's addresses have changed.
 *
 * The session goes on meanwhile; what is dialled in vain costs a look-up and a few packets. A session that
 * goes directly, or has no path at all, is left alone: dialling it again is its own business.
 */

import type { Clock } from "../clock.ts";
import { messageOf, TalosError } from "../errors.ts";
import type { Log } from "../log.ts";
import type { Connection } from "../session/connection.ts";
import type { Session } from "../session/session.ts";
import { describePath } from "../transport/transport.ts";

/** How often a direct way is looked for. */
const SEARCH_INTERVAL_MS = 30_000;

/** How often this machine's addresses are compared: Deno passes no system's notice of a change on. */
const ADDRESS_CHECK_MS = 2_000;

/** What a search takes. */
export interface DirectSearchOptions {
  /** What is to be moved. */
  readonly session: Session;
  /** Connects to the peer by its own addresses. Gives up when `signal` aborts. Throws TalosError. */
  readonly connect: (signal: AbortSignal) => Promise<Connection>;
  /** This machine's addresses now, as IP literals. */
  readonly addresses: () => readonly string[];
  /** Time. */
  readonly clock: Clock;
  /** Learns of attempts. */
  readonly log: Log;
}

/** Searches until its session is over, or it is disposed. */
export class DirectSearch implements Disposable {
  readonly #options: DirectSearchOptions;
  readonly #over = new AbortController();
  #timer: Disposable | undefined;
  #addresses: string;
  #triedAt: number;
  #isTrying = false;

  /** Begins. The first attempt is one interval away, unless addresses change: a direct way was just tried. */
  constructor(options: DirectSearchOptions) {
    const { session, clock } = options;
    this.#options = options;
    this.#addresses = this.#here();
    this.#triedAt = clock.monotonic();
    this.#schedule();
    void session.ended.then(() => this[Symbol.dispose]());
  }

  /** Gives up. */
  [Symbol.dispose](): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
    this.#over.abort();
  }

  #here(): string {
    return this.#options.addresses().join();
  }

  #schedule(): void {
    if (this.#over.signal.aborted) return;
    this.#timer = this.#options.clock.after(ADDRESS_CHECK_MS, () => this.#look());
  }

  #look(): void {
    this.#schedule();
    const { session, clock } = this.#options;
    if (session.path.kind !== "relay") {
      this.#triedAt = clock.monotonic(); // when it is lost, the direct way is tried again anyway
      return;
    }
    const addresses = this.#here();
    const isElsewhere = addresses !== this.#addresses;
    this.#addresses = addresses;
    const isDue = isElsewhere || clock.monotonic() - this.#triedAt >= SEARCH_INTERVAL_MS;
    if (!isDue || this.#isTrying || session.state !== "live") return;
    this.#isTrying = true;
    this.#triedAt = clock.monotonic();
    void this.#try().finally(() => {
      this.#isTrying = false;
    });
  }

  /** Never throws. */
  async #try(): Promise<void> {
    const { session, connect, log } = this.#options;
    try {
      const connection = await connect(this.#over.signal);
      const path = describePath(connection.path);
      if (!this.#over.signal.aborted && session.moveTo(connection)) {
        log.debug("a direct path was found; moving there", { path });
      } else connection.channel.close();
    } catch (error) {
      const report = error instanceof TalosError ? log.debug : log.error;
      report("no direct path yet", { why: messageOf(error) });
    }
  }
}
