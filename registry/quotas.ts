/**
 * What one peer and one address may take of a registry. Pure bookkeeping over {@link TokenBuckets}; who
 * asks decides what to do about a no.
 */

import type { Clock } from "../lib/clock.ts";
import type { PeerId } from "../lib/identity/peer_id.ts";
import { TokenBuckets } from "../lib/session/token_buckets.ts";
import type { RegistryLimits } from "./limits.ts";

/** The quotas of one registry. Each method returns 0, or in how many milliseconds to try again. */
export class Quotas {
  readonly #clock: Pick<Clock, "monotonic">;
  readonly #connects: TokenBuckets;
  readonly #requestsOfPeer: TokenBuckets;
  readonly #requestsFrom: TokenBuckets;
  readonly #registrationsFrom: TokenBuckets;

  /** Makes quotas of which nothing was used. */
  constructor(clock: Pick<Clock, "monotonic">, limits: RegistryLimits) {
    this.#clock = clock;
    this.#connects = new TokenBuckets(limits.connects);
    this.#requestsOfPeer = new TokenBuckets(limits.requestsPerPeer);
    this.#requestsFrom = new TokenBuckets(limits.requestsPerSource);
    this.#registrationsFrom = new TokenBuckets(limits.registrationsPerSource);
  }

  /** Counts a connection from an address. */
  connect(source: string): number {
    return this.#connects.take(source, this.#clock.monotonic());
  }

  /** Counts a request of a peer at an address, unless one of the two has no more. */
  request(peer: PeerId, source: string): number {
    const now = this.#clock.monotonic();
    const wait = Math.max(
      this.#requestsOfPeer.wait(peer, now),
      this.#requestsFrom.wait(source, now),
    );
    if (wait > 0) return wait;
    this.#requestsOfPeer.take(peer, now);
    this.#requestsFrom.take(source, now);
    return 0;
  }

  /** Counts a peer that is new here, from an address. */
  registration(source: string): number {
    return this.#registrationsFrom.take(source, this.#clock.monotonic());
  }
}
