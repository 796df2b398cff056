/**
 * How often peers may be called through a relay, and how much they may send. Pure bookkeeping.
 *
 * A call beyond its bound is refused. Bytes beyond theirs are only slowed down: what is not read yet waits
 * with its sender, and a session that goes over a relay lives on. Identities cost nothing, so addresses have
 * bounds of their own; this machine's own has none, as a proxy on it stands for everybody.
 */

import type { Clock } from "../lib/clock.ts";
import { TokenBuckets } from "../lib/session/token_buckets.ts";
import type { Parties } from "./circuit_table.ts";
import type { RegistryLimits } from "./limits.ts";
import { SourceBuckets } from "./quotas.ts";
import { isLoopbackSource } from "./site.ts";

/** The quotas of one relay. Each method returns 0, or in how many milliseconds to try again. */
export class RelayQuotas {
  readonly #clock: Pick<Clock, "monotonic">;
  readonly #callsBy: TokenBuckets;
  readonly #callsOf: TokenBuckets;
  readonly #callsFrom: SourceBuckets;
  readonly #bytesOf: TokenBuckets;
  readonly #bytesOfDay: TokenBuckets;
  readonly #bytesFrom: SourceBuckets;

  /** Makes quotas of which nothing was used. */
  constructor(clock: Pick<Clock, "monotonic">, limits: RegistryLimits) {
    this.#clock = clock;
    this.#callsBy = new TokenBuckets(limits.invitationsByCaller);
    this.#callsOf = new TokenBuckets(limits.invitationsOfCallee);
    this.#callsFrom = new SourceBuckets(limits.invitationsPerSource);
    this.#bytesOf = new TokenBuckets(limits.relayedPerPeer);
    this.#bytesOfDay = new TokenBuckets(limits.relayedPerPeerAndDay);
    this.#bytesFrom = new SourceBuckets(limits.relayedPerSource);
  }

  /** Counts an invitation. */
  invite({ caller, callee }: Parties): number {
    const now = this.#clock.monotonic();
    const isLocal = isLoopbackSource(caller.source);
    const wait = Math.max(
      this.#callsBy.wait(caller.peer, now),
      this.#callsOf.wait(callee.peer, now),
      isLocal ? 0 : this.#callsFrom.wait(caller.source, now),
    );
    if (wait > 0) return wait;
    this.#callsBy.take(caller.peer, now);
    this.#callsOf.take(callee.peer, now);
    if (!isLocal) this.#callsFrom.take(caller.source, now);
    return 0;
  }

  /** Counts bytes that pass between two peers, whichever way. `count` is at most one buffer. */
  bytes({ caller, callee }: Parties, count: number): number {
    const now = this.#clock.monotonic();
    const peers = caller.peer === callee.peer ? [caller.peer] : [caller.peer, callee.peer];
    const sources = [...new Set([caller.source, callee.source])].filter((source) =>
      !isLoopbackSource(source)
    );
    let wait = 0;
    for (const peer of peers) {
      wait = Math.max(
        wait,
        this.#bytesOf.wait(peer, now, count),
        this.#bytesOfDay.wait(peer, now, count),
      );
    }
    for (const source of sources) wait = Math.max(wait, this.#bytesFrom.wait(source, now, count));
    if (wait > 0) return wait;
    for (const peer of peers) {
      this.#bytesOf.take(peer, now, count);
      this.#bytesOfDay.take(peer, now, count);
    }
    for (const source of sources) this.#bytesFrom.take(source, now, count);
    return 0;
  }
}
