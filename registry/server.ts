/**
 * The registry's side of every connection: it says who it is, shakes hands with whoever asks for a
 * registry, and hands the connection to a {@link ControlConnection}.
 *
 * Until HELLO was accepted a connection has 10 s in all and holds one of a bounded number of places per
 * address and in all; who cannot shake hands is told nothing, and nothing is stored or reported about
 * anybody whose first record has not decrypted. One timer looks after all connections: a silent client is
 * asked for a sign of life and dropped without one. Draining tells every client that the registry ends.
 */

import type { Bytes } from "../lib/bytes.ts";
import type { Clock } from "../lib/clock.ts";
import type { RandomBytes } from "../lib/crypto/random.ts";
import { messageOf, TalosError } from "../lib/errors.ts";
import type { LocalIdentity } from "../lib/identity/local_identity.ts";
import { CLOCK_JUMP_MS, HANDSHAKE_TIMEOUT_MS, STRANGER_BYTES } from "../lib/limits.ts";
import type { Log } from "../lib/log.ts";
import { HalfOpenLimiter, RecentEphemerals } from "../lib/session/admission.ts";
import type { ReasonBody } from "../lib/session/bodies.ts";
import type { Connection } from "../lib/session/connection.ts";
import { SessionError } from "../lib/session/errors.ts";
import { respond } from "../lib/session/handshake.ts";
import { describePath, type Transport } from "../lib/transport/transport.ts";
import { VERSION } from "../lib/version.ts";
import { ConnectionKind, PREFACE_BYTES } from "../lib/wire/preface.ts";
import { ControlConnection } from "./control_connection.ts";
import { Directory } from "./directory.ts";
import { firstContact } from "./first_contact.ts";
import type { JoinToken } from "./join_token.ts";
import {
  CLIENT_PONG_TIMEOUT_MS,
  PING_CLIENT_AFTER_SILENCE_MS,
  REGISTRY_LIMITS,
  type RegistryLimits,
  SWEEP_INTERVAL_MS,
  TOUCH_INTERVAL_MS,
} from "./limits.ts";
import { MeteredTransport } from "./metered_transport.ts";
import { observedAddress } from "./observed_address.ts";
import { Presence } from "./presence.ts";
import { Quotas } from "./quotas.ts";
import { type Beginning, RegistryMetrics } from "./registry_metrics.ts";
import { Relay } from "./relay.ts";
import { ReplayedTransport } from "./replayed_transport.ts";
import type { Store } from "./store.ts";
import { Turns } from "./turns.ts";

/** What every client hears when the registry is stopped. */
export const DRAINING: ReasonBody = {
  code: "draining",
  reason: "the registry is being stopped or restarted: connect again",
};

/** What a registry needs. */
export interface RegistryOptions {
  /** Who it is. */
  readonly identity: LocalIdentity;
  /** Its memory; not closed with it. */
  readonly store: Store;
  /** Makes it private; null for a public one. */
  readonly joinToken: JoinToken | null;
  /** Its bounds, unless they are the usual ones. */
  readonly limits?: RegistryLimits;
  /** Randomness for handshakes. */
  readonly random: RandomBytes;
  /** Time. */
  readonly clock: Clock;
  /** Where connections and their ends are reported. */
  readonly log: Log;
}

/** Accepts connections and answers them. */
export class Registry implements AsyncDisposable {
  /** What it counts. */
  readonly metrics: RegistryMetrics;
  readonly #options: RegistryOptions;
  readonly #presence: Presence;
  readonly #quotas: Quotas;
  readonly #turns = new Turns();
  readonly #directory: Directory;
  readonly #relay: Relay;
  readonly #halfOpen = new HalfOpenLimiter();
  readonly #ephemerals = new RecentEphemerals();
  /** Connections whose HELLO was not accepted yet. */
  readonly #beginning = new Set<Transport>();
  readonly #clients = new Set<ControlConnection>();
  readonly #running = new Set<Promise<void>>();
  #sweep: Disposable | undefined;
  #sweepDueAt = 0;
  #touchDueAt: number;
  #draining = false;

  /** Makes a registry that accepts nothing until {@link accept} is called. */
  constructor(options: RegistryOptions) {
    const { clock, store, limits = REGISTRY_LIMITS } = options;
    this.#options = options;
    this.#presence = new Presence(limits);
    this.#quotas = new Quotas(clock, limits);
    this.#directory = new Directory({
      store: store.directory,
      presence: this.#presence,
      quotas: this.#quotas,
      limits,
      clock,
    });
    this.metrics = new RegistryMetrics({
      presence: this.#presence,
      store: store.directory,
      relay: () => this.#relay,
      halfOpen: () => this.#beginning.size,
      isDraining: () => this.#draining,
      startedAt: clock.now(),
      version: VERSION,
    });
    this.#relay = new Relay({
      ...options,
      presence: this.#presence,
      limits,
      meter: this.metrics,
    });
    this.#touchDueAt = clock.monotonic() + TOUCH_INTERVAL_MS;
  }

  /** Accepts every transport of `incoming` until it ends. */
  async serve(incoming: AsyncIterable<Transport>): Promise<void> {
    for await (const transport of incoming) this.accept(transport);
  }

  /** Runs the whole life of one transport in the background. Never throws. */
  accept(transport: Transport): void {
    const place = this.#placeFor(transport.path.source);
    if (place === null) {
      this.metrics.began("dropped");
      this.#options.log.debug("connection dropped: too many from there, or in all", {
        from: transport.path.source,
      });
      transport.close();
      return;
    }
    this.#scheduleSweep();
    const metered = new MeteredTransport(transport, this.metrics);
    this.#beginning.add(metered);
    const life = this.#live(metered, place)
      .catch((error: unknown) => this.#report(metered, error))
      .finally(() => {
        metered.close();
        place[Symbol.dispose]();
        this.#beginning.delete(metered);
        this.#running.delete(life);
      });
    this.#running.add(life);
  }

  /** Returns why the registry should get no new connections, or null. */
  async unready(): Promise<string | null> {
    if (this.#draining) return "draining";
    try {
      await this.#options.store.check();
      return null;
    } catch (error) {
      return `the store cannot be read: ${messageOf(error)}`;
    }
  }

  /** Ends everything: what has only begun at once, clients with the reason, in a second or two. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#draining = true;
    this.#sweep?.[Symbol.dispose]();
    for (const transport of this.#beginning) transport.close();
    await this.#relay[Symbol.asyncDispose]();
    await Promise.all([...this.#clients].map((client) => client.end(DRAINING)));
    await Promise.all(this.#running);
    await this.#flush();
  }

  #placeFor(source: string): Disposable | null {
    if (this.#draining || this.#quotas.connect(source) > 0) return null;
    return this.#halfOpen.enter(source);
  }

  async #live(transport: Transport, place: Disposable): Promise<void> {
    const { clock, identity, log } = this.#options;
    using limit = clock.after(HANDSHAKE_TIMEOUT_MS, () => transport.close());
    const preface = await readPreface(transport);
    if (preface === null) return;
    const contact = firstContact(preface, identity.publicKey);
    switch (contact.action) {
      case "handshake": {
        const connection = await this.#shakeHands(new ReplayedTransport(transport, preface));
        return await this.#serve(connection, () => {
          limit[Symbol.dispose]();
          place[Symbol.dispose]();
          this.#beginning.delete(transport);
        });
      }
      case "circuit":
        this.metrics.began("circuit");
        return await this.#relay.join(transport, () => {
          limit[Symbol.dispose]();
          place[Symbol.dispose]();
          this.#beginning.delete(transport);
        });
      case "answer":
        this.metrics.began("who_are_you");
        await transport.write(contact.bytes);
        await transport.closeWrite();
        return await drain(transport);
      case "close":
        this.metrics.began("other");
        log.debug("connection closed", { from: describePath(transport.path), why: contact.why });
        return;
      default:
        throw contact satisfies never;
    }
  }

  async #shakeHands(transport: Transport): Promise<Connection> {
    try {
      const connection = await respond(transport, {
        ...this.#options,
        kind: ConnectionKind.registry,
        refuse: () => this.#presence.hasRoom(transport.path.source) ? null : "busy",
        firstSeen: (key) => this.#ephemerals.firstSeen(key),
      });
      this.metrics.began("ok");
      return connection;
    } catch (error) {
      this.metrics.began(failedBeginning(error));
      throw error;
    }
  }

  /** Runs an authenticated connection. `greeted` is called once it has said HELLO and been let in. */
  async #serve(connection: Connection, greeted: () => void): Promise<void> {
    const { clock, log, joinToken } = this.#options;
    const client = new ControlConnection(connection, observedAddress(connection.path), {
      directory: this.#directory,
      relay: this.#relay,
      presence: this.#presence,
      quotas: this.#quotas,
      turns: this.#turns,
      joinToken,
      clock,
      log,
      counted: (op, outcome) => this.metrics.answered(op, outcome),
      greeted: () => {
        greeted();
        this.#clients.add(client);
        log.debug("peer connected", { peer: client.peer, instance: client.instance });
      },
    });
    try {
      await client.run();
    } finally {
      this.#clients.delete(client);
    }
  }

  #scheduleSweep(): void {
    if (this.#sweep !== undefined || this.#draining) return;
    const { clock } = this.#options;
    this.#sweepDueAt = clock.monotonic() + SWEEP_INTERVAL_MS;
    this.#sweep = clock.after(SWEEP_INTERVAL_MS, () => this.#lookAround());
  }

  /** Asks silent clients for a sign of life, drops those that gave none, writes down who was here. */
  #lookAround(): void {
    const { clock, log } = this.#options;
    const now = clock.monotonic();
    // When this process stood still, what clients said meanwhile is still unread.
    const stoodStill = now - this.#sweepDueAt > CLOCK_JUMP_MS;
    for (const client of this.#clients) {
      if (client.pingedAt === null) {
        if (now - client.heardAt >= PING_CLIENT_AFTER_SILENCE_MS) client.ping();
      } else if (now - client.pingedAt >= CLIENT_PONG_TIMEOUT_MS && !stoodStill) {
        log.debug("peer dropped: it is silent", { peer: client.peer });
        client.drop();
      }
    }
    const isLast = this.#running.size === 0;
    if (now >= this.#touchDueAt || isLast) {
      this.#touchDueAt = now + TOUCH_INTERVAL_MS;
      for (const peer of this.#presence.peers) this.#directory.seen(peer);
      void this.#flush(); // never throws
    }
    this.#sweep = undefined;
    if (!isLast) this.#scheduleSweep();
  }

  async #flush(): Promise<void> {
    try {
      await this.#directory.flush();
    } catch (error) {
      this.#options.log.error("cannot write down who was connected", { why: messageOf(error) });
    }
  }

  #report(transport: Transport, error: unknown): void {
    const { log } = this.#options;
    const from = describePath(transport.path);
    if (error instanceof TalosError) {
      log.debug("connection ended", { from, code: error.code, why: error.message });
    } else {
      log.error("connection failed", { from, why: messageOf(error) });
    }
  }
}

function failedBeginning(error: unknown): Beginning {
  if (!(error instanceof SessionError)) return "failed";
  if (error.code === "clock" || error.code === "busy") return error.code;
  return error.code === "handshake_timeout" ? "timeout" : "failed";
}

/** Returns the first 8 bytes, and not one more is read; null when the stream ends before. */
async function readPreface(transport: Transport): Promise<Bytes | null> {
  const preface: Bytes = new Uint8Array(PREFACE_BYTES);
  for (let at = 0; at < PREFACE_BYTES;) {
    const count = await transport.read(preface.subarray(at));
    if (count === null) return null;
    at += count;
  }
  return preface;
}

/** Reads and drops what still comes, so that closing does not destroy an answer that is under way. */
async function drain(transport: Transport): Promise<void> {
  const buffer: Bytes = new Uint8Array(1024);
  for (let left = STRANGER_BYTES; left > 0;) {
    const count = await transport.read(buffer);
    if (count === null) return;
    left -= count;
  }
}
