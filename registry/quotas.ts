/**
 * What one peer and one address may take of a registry. Pure bookkeeping over {@link TokenBuckets}; who
 * asks decides what to do about a no.
 */

import type { Clock } from "../lib/clock.ts";
import type { PeerId } from "../lib/identity/peer_id.ts";
import type { Rate } from "../lib/limits.ts";
import { TokenBuckets } from "../lib/session/token_buckets.ts";
import type { RegistryLimits } from "./limits.ts";
import { SITE_SHARE, siteOf } from "./site.ts";

/** Buckets for addresses, and wider ones for the /48 that they lie in. */
class SourceBuckets {
  readonly #sources: TokenBuckets;
  readonly #sites: TokenBuckets;

  constructor(rate: Rate) {
    this.#sources = new TokenBuckets(rate);
    this.#sites = new TokenBuckets({
      burst: SITE_SHARE * rate.burst,
      perMinute: SITE_SHARE * rate.perMinute,
    });
  }

  take(source: string, now: number): number {
    const site = siteOf(source);
    const wait = Math.max(
      this.#sources.wait(source, now),
      site === null ? 0 : this.#sites.wait(site, now),
    );
    if (wait > 0) return wait;
    this.#sources.take(source, now);
    if (site !== null) this.#sites.take(site, now);
    return 0;
  }
}

/** The quotas of one registry. Each method returns 0, or in how many milliseconds to try again. */
export class Quotas {
  readonly #clock: Pick<Clock, "monotonic">;
  readonly #connects: SourceBuckets;
  readonly #requestsOfPeer: TokenBuckets;
  readonly #requestsFrom: TokenBuckets;
  readonly #registrationsFrom: SourceBuckets;

  /** Makes quotas of which nothing was used. */
  constructor(clock: Pick<Clock, "monotonic">, limits: RegistryLimits) {
    this.#clock = clock;
    this.#connects = new SourceBuckets(limits.connects);
    this.#requestsOfPeer = new TokenBuckets(limits.requestsPerPeer);
    this.#requestsFrom = new TokenBuckets(limits.requestsPerSource);
    this.#registrationsFrom = new SourceBuckets(limits.registrationsPerSource);
  }

  /** Counts a connection from an address. */
  connect(source: string): number {
    return this.#connects.take(source, this.#clock.monotonic());
  }

  /** Counts a request, or a PING, of a peer at an address, unless one of the two has no more. */
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
