/**
 * Children that are kept ready before anybody asks: a pool for one service.
 *
 * A ready child was started for one caller, whose name stands in its environment, and nothing was written
 * to it; only that caller's session can take it. One that is taken, or dies, is replaced. A child that
 * dies while it waits is replaced after 1 s, 2 s, 4 s … up to a minute, so that a command that cannot
 * start is tried once a minute and no more. The pool knows no processes: it is given what starts a child.
 */

import type { Clock } from "../clock.ts";
import { messageOf } from "../errors.ts";
import { shortPeerId } from "../identity/peer_id.ts";
import type { Log } from "../log.ts";
import type { ChildExit } from "./child_exit.ts";
import type { Caller } from "./launcher.ts";

/** What a pool holds. */
export interface WarmChild {
  /** The child, as far as a pool deals with it. */
  readonly process: {
    /** Its process id. */
    readonly pid: number;
    /** Resolves when it has ended. */
    readonly exited: Promise<ChildExit>;
    /** Ends it in order. */
    shutDown(clock: Clock): Promise<unknown>;
  };
}

/** What a pool needs. */
export interface PrewarmOptions<Child extends WarmChild> {
  /** How many children are kept ready for each caller; 0 for none. */
  readonly size: number;
  /** Starts a child. May throw. */
  readonly start: (caller: Caller) => Child;
  /** Time. */
  readonly clock: Clock;
  /** The host's log. */
  readonly log: Log;
}

/** How many children are ready for whom. */
export interface WarmCount {
  /** For whom. */
  readonly peer: string;
  /** How many. */
  readonly ready: number;
}

/** Time until a taken child is replaced: the session that took it has its first call on the way. */
export const REPLACE_AFTER_MS = 250;
/** Time until a child that died is replaced; doubled for each that follows. */
export const FIRST_BACKOFF_MS = 1_000;
/** The longest such time. */
export const MAX_BACKOFF_MS = 60_000;
/** A child that waited for so long did not die of its start. */
const STABLE_MS = 60_000;

/** Ready children of one service. */
export class PrewarmPool<Child extends WarmChild> implements AsyncDisposable {
  readonly #options: PrewarmOptions<Child>;
  readonly #shelves = new Map<string, Shelf<Child>>();
  readonly #ending = new Set<Promise<unknown>>();

  /** Makes a pool that is empty until {@link keepFor} is called. */
  constructor(options: PrewarmOptions<Child>) {
    this.#options = options;
  }

  /** Keeps children ready for `callers` and for nobody else: those of others are ended. */
  keepFor(callers: readonly Caller[]): void {
    if (this.#options.size === 0) return;
    const wanted = new Map(callers.map((caller) => [keyOf(caller), caller]));
    for (const [key, shelf] of this.#shelves) {
      if (wanted.has(key)) continue;
      this.#shelves.delete(key);
      for (const child of shelf.clear()) this.#end(child);
    }
    for (const [key, caller] of wanted) {
      if (!this.#shelves.has(key)) this.#shelves.set(key, this.#shelf(caller));
    }
  }

  /** Returns a ready child, which is the taker's from now on; null when there is none for `caller`. */
  take(caller: Caller): Child | null {
    return this.#shelves.get(keyOf(caller))?.take() ?? null;
  }

  /** How many children are ready for whom. */
  get counts(): readonly WarmCount[] {
    return [...this.#shelves.values()].map(({ peer, ready }) => ({ peer, ready }));
  }

  /** Ends all that are ready, and resolves when they are gone. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.keepFor([]);
    await Promise.all(this.#ending);
  }

  #shelf(caller: Caller): Shelf<Child> {
    return new Shelf(caller, this.#options, (child) => this.#end(child));
  }

  #end({ process }: Child): void {
    const { clock, log } = this.#options;
    const ended = process.shutDown(clock)
      .catch((error: unknown) => {
        log.error("cannot end a prewarmed MCP server", {
          pid: process.pid,
          why: messageOf(error),
        });
      })
      .finally(() => this.#ending.delete(ended));
    this.#ending.add(ended);
  }
}

/** What stands in a child's environment: whoever is called otherwise now cannot use it. */
function keyOf({ peer, name }: Caller): string {
  return `${peer} ${name ?? ""}`;
}

/** The ready children of one caller. */
class Shelf<Child extends WarmChild> {
  readonly #caller: Caller;
  readonly #options: PrewarmOptions<Child>;
  readonly #end: (child: Child) => void;
  /** The oldest first. */
  readonly #children = new Set<Child>();
  #timer: Disposable | undefined;
  #deaths = 0;
  #closed = false;

  constructor(caller: Caller, options: PrewarmOptions<Child>, end: (child: Child) => void) {
    this.#caller = caller;
    this.#options = options;
    this.#end = end;
    this.#fill();
  }

  get peer(): string {
    return this.#caller.peer;
  }

  get ready(): number {
    return this.#children.size;
  }

  take(): Child | null {
    const [child] = this.#children;
    if (child === undefined) return null;
    this.#children.delete(child);
    this.#deaths = 0;
    this.#fillIn(REPLACE_AFTER_MS);
    return child;
  }

  /** Keeps nothing ready from now on; returns what was. */
  clear(): readonly Child[] {
    this.#closed = true;
    this.#timer?.[Symbol.dispose]();
    const children = [...this.#children];
    this.#children.clear();
    return children;
  }

  #fill(): void {
    this.#timer = undefined;
    while (!this.#closed && this.#timer === undefined && this.#children.size < this.#options.size) {
      this.#startOne();
    }
  }

  #startOne(): void {
    const { start, clock, log } = this.#options;
    const facts = { peer: shortPeerId(this.#caller.peer), service: this.#caller.service };
    let child: Child;
    try {
      child = start(this.#caller);
    } catch (error) {
      const retry = this.#backOff();
      log.error("cannot prewarm the MCP server", { ...facts, why: messageOf(error), retry });
      return;
    }
    const since = clock.monotonic();
    this.#children.add(child);
    log.info("prewarmed", { ...facts, pid: child.process.pid });
    void child.process.exited.then((exit) => {
      if (!this.#children.delete(child)) return; // it was taken, or is meant to end
      if (clock.monotonic() - since >= STABLE_MS) this.#deaths = 0;
      const retry = this.#backOff();
      log.warn("a prewarmed MCP server ended before anybody used it", {
        ...facts,
        pid: child.process.pid,
        exit: exit.signal ?? exit.code,
        retry,
      });
      this.#end(child); // what it started and left behind
    });
  }

  /** Returns when the next child is started, for people. */
  #backOff(): string {
    if (this.#timer !== undefined) return "with the next";
    const ms = Math.min(FIRST_BACKOFF_MS * 2 ** this.#deaths++, MAX_BACKOFF_MS);
    this.#fillIn(ms);
    return `in ${ms / 1000} s`;
  }

  #fillIn(ms: number): void {
    if (this.#closed) return;
    this.#timer ??= this.#options.clock.after(ms, () => this.#fill());
  }
}
