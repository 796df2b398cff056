/**
 * The registry's side of every connection, as far as it is built: it says who it is, shakes hands with
 * whoever asks for a registry, and then ends the connection with CLOSE `not_available`.
 *
 * There is no directory, no relay and no mailbox yet, so nothing about a caller is stored, and nobody
 * has anything to do here for longer than a handshake takes: a connection gets 10 s in all. Who cannot
 * shake hands is told nothing. Half-open connections are bounded per source and in all.
 */

import type { Bytes } from "../lib/bytes.ts";
import type { Clock } from "../lib/clock.ts";
import type { RandomBytes } from "../lib/crypto/random.ts";
import { messageOf, TalosError } from "../lib/errors.ts";
import type { LocalIdentity } from "../lib/identity/local_identity.ts";
import { HANDSHAKE_TIMEOUT_MS, STRANGER_BYTES } from "../lib/limits.ts";
import type { Log } from "../lib/log.ts";
import { HalfOpenLimiter, RecentEphemerals } from "../lib/session/admission.ts";
import { encodeReason, type ReasonBody } from "../lib/session/bodies.ts";
import { respond } from "../lib/session/handshake.ts";
import { describePath, type Transport } from "../lib/transport/transport.ts";
import { ConnectionKind, PREFACE_BYTES } from "../lib/wire/preface.ts";
import { firstContact } from "./first_contact.ts";
import { ReplayedTransport } from "./replayed_transport.ts";

/** Why every authenticated connection ends. */
export const NOT_AVAILABLE: ReasonBody = {
  code: "not_available",
  reason: "this registry has no directory, relay or mailbox yet: connect with PEER@HOST:PORT",
};

/** What a registry needs. */
export interface RegistryOptions {
  /** Who it is. */
  readonly identity: LocalIdentity;
  /** Randomness for handshakes. */
  readonly random: RandomBytes;
  /** Time. */
  readonly clock: Clock;
  /** Where connections and their ends are reported. */
  readonly log: Log;
}

/** Accepts connections and answers them. */
export class Registry implements AsyncDisposable {
  readonly #options: RegistryOptions;
  readonly #halfOpen = new HalfOpenLimiter();
  readonly #ephemerals = new RecentEphemerals();
  readonly #open = new Set<Transport>();
  readonly #running = new Set<Promise<void>>();
  #closing = false;

  /** Makes a registry that accepts nothing until {@link accept} is called. */
  constructor(options: RegistryOptions) {
    this.#options = options;
  }

  /** Accepts every transport of `incoming` until it ends. */
  async serve(incoming: AsyncIterable<Transport>): Promise<void> {
    for await (const transport of incoming) this.accept(transport);
  }

  /** Runs the whole life of one transport in the background. Never throws. */
  accept(transport: Transport): void {
    const place = this.#closing ? null : this.#halfOpen.enter(transport.path.source);
    if (place === null) {
      this.#options.log.debug("connection dropped: too many are half-open", {
        from: transport.path.source,
      });
      transport.close();
      return;
    }
    this.#open.add(transport);
    const life = this.#live(transport)
      .catch((error: unknown) => this.#report(transport, error))
      .finally(() => {
        transport.close();
        place[Symbol.dispose]();
        this.#open.delete(transport);
        this.#running.delete(life);
      });
    this.#running.add(life);
  }

  /** Ends everything at once: nobody has anything here that could be lost. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing = true;
    for (const transport of this.#open) transport.close();
    await Promise.all(this.#running);
  }

  async #live(transport: Transport): Promise<void> {
    const { clock, identity, log } = this.#options;
    using _limit = clock.after(HANDSHAKE_TIMEOUT_MS, () => transport.close());
    const preface = await readPreface(transport);
    if (preface === null) return;
    const contact = firstContact(preface, identity.publicKey);
    switch (contact.action) {
      case "handshake":
        return await this.#shakeHands(new ReplayedTransport(transport, preface));
      case "answer":
        await transport.write(contact.bytes);
        await transport.closeWrite();
        return await drain(transport);
      case "close":
        log.debug("connection closed", { from: describePath(transport.path), why: contact.why });
        return;
      default:
        throw contact satisfies never;
    }
  }

  async #shakeHands(transport: Transport): Promise<void> {
    const { log } = this.#options;
    const { channel, peer, path } = await respond(transport, {
      ...this.#options,
      kind: ConnectionKind.registry,
      firstSeen: (key) => this.#ephemerals.firstSeen(key),
    });
    log.debug("shook hands", { peer, from: describePath(path) });
    channel.enqueue(encodeReason("close", NOT_AVAILABLE));
    await channel.drain(STRANGER_BYTES);
    channel.close();
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
