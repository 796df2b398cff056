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
export class SourceBuckets {
  readonly #sources: TokenBuckets;
  readonly #sites: TokenBuckets;

  /** Makes buckets that are full. */
  constructor(rate: Rate) {
    this.#sources = new TokenBuckets(rate);
    this.#sites = new TokenBuckets({
      burst: SITE_SHARE * rate.burst,
      perMinute: SITE_SHARE * rate.perMinute,
    });
  }

  /** Returns in how many milliseconds there will be `count` tokens; 0 when there are. */
  wait(source: string, now: number, count = 1): number {
    const site = siteOf(source);
    return Math.max(
      this.#sources.wait(source, now, count),
      site === null ? 0 : this.#sites.wait(site, now, count),
    );
  }

  /** Takes `count` tokens and returns 0, or takes none and returns what {@link wait} does. */
  take(source: string, now: number, count = 1): number {
    const wait = this.wait(source, now, count);
    if (wait > 0) return wait;
    const site = siteOf(source);
    this.#sources.take(source, now, count);
    if (site !== null) this.#sites.take(site, now, count);
    return 0;
  }
}

/** The quotas of one registry. Each method returns 0, or in how many milliseconds to try again. */
export class Quotas {
  readonly #clock: Pick<Clock, "monotonic">;
  readonly #connects: SourceBuckets;
  readonly #requestsOfPeer: TokenBuckets;
  readonly #requestsFrom: SourceBuckets;
  readonly #listedFor: SourceBuckets;
  readonly #registrationsFrom: SourceBuckets;

  /** Makes quotas of which nothing was used. */
  constructor(clock: Pick<Clock, "monotonic">, limits: RegistryLimits) {
    this.#clock = clock;
    this.#connects = new SourceBuckets(limits.connects);
    this.#requestsOfPeer = new TokenBuckets(limits.requestsPerPeer);
    this.#requestsFrom = new SourceBuckets(limits.requestsPerSource);
    this.#listedFor = new SourceBuckets(limits.listedPerSource);
    this.#registrationsFrom = new SourceBuckets(limits.registrationsPerSource);
  }

  /** Counts a connection from an address. */
  connect(source: string): number {
    return this.#connects.take(source, this.#clock.monotonic());
  }

  /** Counts a request, a PING, or a PONG that nobody asked for, unless the peer or its address has no more. */
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

  /** Counts the entries of a page that an address asks for. */
  list(source: string, limit: number): number {
    return this.#listedFor.take(source, this.#clock.monotonic(), limit);
  }

  /** Counts a peer that is new here, from an address. */
  registration(source: string): number {
    return this.#registrationsFrom.take(source, this.#clock.monotonic());
  }
}
