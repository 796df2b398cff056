/**
 * Who is connected now: control connections by peer, and by process within a peer. Pure bookkeeping.
 *
 * A second connection of one process takes the place of the first, which may be half-dead without anybody
 * knowing; two processes of one peer stand side by side. A peer is *online* while a process of it that
 * serves something is connected: a command that only asks does not make its user look reachable.
 */

import type { ServiceName } from "../lib/identity/names.ts";
import type { PeerId } from "../lib/identity/peer_id.ts";
import type { Invitation } from "../lib/wire/circuit.ts";
import type { ReasonBody } from "../lib/session/bodies.ts";
import type { RegistryLimits } from "./limits.ts";
import { isLoopbackSource, SITE_PART_OF_ALL, SITE_SHARE, siteOf } from "./site.ts";

/** A control connection that has said hello. */
export interface Client {
  /** Who. */
  readonly peer: PeerId;
  /** Which process, in hexadecimal. */
  readonly instance: string;
  /** From where, as quotas count it. */
  readonly source: string;
  /** Whether it has published a service and not withdrawn it. */
  readonly isServing: boolean;
  /** Whether it has published this service and not withdrawn it. */
  serves(service: ServiceName): boolean;
  /** When it last published this service, or any, in monotonic milliseconds; null where it serves it no more. */
  publishedAt(service?: ServiceName): number | null;
  /** Tells it that somebody calls. Returns false where it does not read what it is told. */
  invite(invitation: Invitation): boolean;
  /** Ends the connection, with a reason. Resolves when it has ended. */
  end(reason: ReasonBody): Promise<void>;
}

/** What became of a client that came. */
export type Entrance =
  /** It is in, in the place of `replaced` if that was another connection of the same process. */
  | { readonly entered: true; readonly replaced: Client | null }
  /** It is not: one of the bounds is reached. */
  | { readonly entered: false };

/** The clients of one registry. */
export class Presence {
  readonly #limits: RegistryLimits;
  readonly #peers = new Map<PeerId, Map<string, Client>>();
  /** By address, and by the /48 that it lies in. */
  readonly #perPlace = new Map<string, number>();
  #count = 0;

  /** Makes a presence without anybody. */
  constructor(limits: RegistryLimits) {
    this.#limits = limits;
  }

  /** How many clients are connected. */
  get count(): number {
    return this.#count;
  }

  /** The peers that are connected. */
  get peers(): Iterable<PeerId> {
    return this.#peers.keys();
  }

  /** How many peers are online. */
  get online(): number {
    let online = 0;
    for (const peer of this.#peers.keys()) if (this.isOnline(peer)) online++;
    return online;
  }

  /** Tells whether there is room for another client from an address. */
  hasRoom(source: string): boolean {
    const { connections, connectionsPerSource } = this.#limits;
    const part = SITE_PART_OF_ALL * connections;
    const perSource = isLoopbackSource(source) ? part : connectionsPerSource;
    return this.#count < connections &&
      this.#connectedFrom(source) < perSource &&
      this.#connectedFrom(siteOf(source)) < Math.min(SITE_SHARE * connectionsPerSource, part);
  }

  /** Lets a client in, if there is room for it. Whoever it replaces is to be ended by the caller. */
  enter(client: Client): Entrance {
    const clients = this.#peers.get(client.peer) ?? new Map<string, Client>();
    const replaced = clients.get(client.instance) ?? null;
    if (replaced !== null) this.leave(replaced);
    else if (clients.size >= this.#limits.connectionsPerPeer) return { entered: false };
    if (!this.hasRoom(client.source)) return { entered: false };
    clients.set(client.instance, client);
    this.#peers.set(client.peer, clients);
    this.#tally(client.source, 1);
    this.#tally(siteOf(client.source), 1);
    this.#count++;
    return { entered: true, replaced };
  }

  /** Lets a client go. Does nothing for one that was replaced, or that never was in. */
  leave(client: Client): void {
    const clients = this.#peers.get(client.peer);
    if (clients?.get(client.instance) !== client) return;
    clients.delete(client.instance);
    if (clients.size === 0) this.#peers.delete(client.peer);
    this.#tally(client.source, -1);
    this.#tally(siteOf(client.source), -1);
    this.#count--;
  }

  #connectedFrom(place: string | null): number {
    return place === null ? 0 : this.#perPlace.get(place) ?? 0;
  }

  #tally(place: string | null, change: 1 | -1): void {
    if (place === null) return;
    const count = this.#connectedFrom(place) + change;
    if (count === 0) this.#perPlace.delete(place);
    else this.#perPlace.set(place, count);
  }

  /** The clients of a peer, one for each process. */
  of(peer: PeerId): Iterable<Client> {
    return this.#peers.get(peer)?.values() ?? [];
  }

  /** Tells whether any process of a peer is connected. */
  isConnected(peer: PeerId): boolean {
    return this.#peers.has(peer);
  }

  /** Tells whether a process of a peer is connected that serves this. */
  serves(peer: PeerId, service: ServiceName): boolean {
    for (const client of this.of(peer)) if (client.serves(service)) return true;
    return false;
  }

  /** Returns the process of a peer that published a service last, or any service; null where none is connected. */
  serving(peer: PeerId, service?: ServiceName): Client | null {
    let latest: Client | null = null;
    let latestAt = -Infinity;
    for (const client of this.of(peer)) {
      const at = client.publishedAt(service);
      if (at === null || at < latestAt) continue;
      latest = client;
      latestAt = at;
    }
    return latest;
  }

  /** Tells whether a process of a peer that serves something is connected. */
  isOnline(peer: PeerId): boolean {
    for (const client of this.of(peer)) if (client.isServing) return true;
    return false;
  }
}
