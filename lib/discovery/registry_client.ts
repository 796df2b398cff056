/**
 * A control connection to a registry: requests and their answers, for as long as it lasts.
 *
 * The registry's key is known beforehand, or pinned at first sight. Requests may overlap; each is answered
 * or fails when the connection ends. Any record proves life; a silent registry is pinged. A connection that
 * is lost is not made again here: {@link Publisher} does that, and commands ask once.
 */

import type { Bytes } from "../bytes.ts";
import type { Clock } from "../clock.ts";
import type { RandomBytes } from "../crypto/random.ts";
import type { Database } from "../identity/database.ts";
import { formatHostPort } from "../identity/host_port.ts";
import type { LocalIdentity } from "../identity/local_identity.ts";
import type { PeerId } from "../identity/peer_id.ts";
import type { Log } from "../log.ts";
import type { Connection } from "../session/connection.ts";
import { dial } from "../session/dial.ts";
import { SessionError } from "../session/errors.ts";
import { TransportError } from "../transport/errors.ts";
import { connectTcp } from "../transport/tcp.ts";
import type { SignedEndpointRecord } from "../wire/endpoint_record.ts";
import type { Fields } from "../wire/fields.ts";
import { encodePing } from "../wire/frames.ts";
import { ConnectionKind } from "../wire/preface.ts";
import { decodeRegistryFrame, encodeRegistryFrame } from "../wire/registry_frames.ts";
import {
  decodeResponse,
  encodeRequest,
  type FoundPeer,
  foundPeerOf,
  type HelloResponse,
  helloResponseOf,
  type PeerPage,
  peerPageOf,
  type RegistryRefusal,
  type RegistryRequest,
} from "../wire/registry_messages.ts";
import { DiscoveryError, type DiscoveryErrorCode } from "./errors.ts";
import { type RegistryAddress } from "./registry_address.ts";
import { pinKey, pinnedKey } from "./registry_keys.ts";
import { whoAreYou } from "./who_are_you.ts";

/** What connecting to a registry takes. */
export interface RegistryOptions {
  /** Where it is. */
  readonly address: RegistryAddress;
  /** Who we are. */
  readonly identity: LocalIdentity;
  /** Names this process: 16 random bytes. */
  readonly instance: Bytes;
  /** For a private registry. */
  readonly token?: string;
  /** Where its key is pinned. */
  readonly database: Database;
  /** Randomness for the handshake. */
  readonly random: RandomBytes;
  /** Time. */
  readonly clock: Clock;
  /** Learns of a key that is seen for the first time. */
  readonly log: Log;
}

const CONNECT_TIMEOUT_MS = 10_000;
const PING_EVERY_MS = 15_000;
const DEAD_AFTER_MS = 25_000;

/** A request that the registry refused. */
export class RegistryRefused extends DiscoveryError {
  /** What it said. */
  readonly refusal: RegistryRefusal;

  /** Makes the error of a refusal. */
  constructor(code: DiscoveryErrorCode, refusal: RegistryRefusal) {
    super(code, `The registry refused: ${refusal.reason}`);
    this.refusal = refusal;
  }
}

/** A control connection to a registry. */
export class RegistryClient implements AsyncDisposable {
  readonly #connection: Connection;
  readonly #clock: Clock;
  readonly #waiting = new Map<number, PromiseWithResolvers<Fields>>();
  readonly #ended = Promise.withResolvers<void>();
  #nextId = 1;
  #hello: HelloResponse = { observed: "", time: 0 };
  #heardAt: number;
  #watch: Disposable | undefined;
  #failure: Error | undefined;

  private constructor(connection: Connection, clock: Clock) {
    this.#connection = connection;
    this.#clock = clock;
    this.#heardAt = clock.monotonic();
    this.#keepWatch();
    this.#readAll().then(() => this.#end(lost()), (error: unknown) => this.#end(errorOf(error)));
  }

  /**
   * Connects and says hello. Throws DiscoveryError: `registry_unreachable`, `not_a_registry`,
   * `registry_key_changed`, `token_required`, `token_wrong`; and SessionError `clock`, `version`.
   */
  static async connect(options: RegistryOptions): Promise<RegistryClient> {
    const client = new RegistryClient(await connectPinned(options), options.clock);
    try {
      const { instance, token } = options;
      const hello = { op: "hello", instance, ...(token === undefined ? {} : { token }) } as const;
      client.#hello = helloResponseOf(await client.#request(hello));
      return client;
    } catch (error) {
      await client[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Who the registry is. */
  get registry(): PeerId {
    return this.#connection.peer;
  }

  /** What it answered first: our address as it sees it, and its time. */
  get hello(): HelloResponse {
    return this.#hello;
  }

  /** Its clock minus ours, in milliseconds. */
  get skewMs(): number {
    return this.#connection.skewMs;
  }

  /** Whether the registry was reached on this machine itself. */
  get isLocal(): boolean {
    return /^(?:127\.|\[?::1\]?)/.test(this.#connection.path.remote);
  }

  /** Resolves when the connection is over. */
  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  /** Makes us known, until we are forgotten. */
  async register(name: string, unlisted: boolean): Promise<void> {
    await this.#request({ op: "register", name, unlisted });
  }

  /** Publishes a record. Throws {@link RegistryRefused}, with `seq` when a newer one is there. */
  async publish(signed: SignedEndpointRecord): Promise<void> {
    await this.#request({ op: "publish", ...signed });
  }

  /** Returns what the registry knows of a peer, or null when it is not registered. */
  async lookup(peer: PeerId): Promise<FoundPeer | null> {
    return foundPeerOf(await this.#request({ op: "lookup", peer }));
  }

  /** Returns a page of those who are registered, from behind `after` on. */
  async list(limit: number, after?: PeerId): Promise<PeerPage> {
    const from = after === undefined ? {} : { after };
    return peerPageOf(await this.#request({ op: "list", limit, ...from }));
  }

  /** Closes the connection. */
  [Symbol.asyncDispose](): Promise<void> {
    this.#end(lost());
    return this.#ended.promise;
  }

  #request(request: RegistryRequest): Promise<Fields> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    const id = this.#nextId++;
    const answer = Promise.withResolvers<Fields>();
    this.#waiting.set(id, answer);
    this.#connection.channel.enqueue(encodeRegistryFrame("request", encodeRequest(id, request)));
    return answer.promise;
  }

  async #readAll(): Promise<void> {
    const { channel } = this.#connection;
    do {
      for (let frame = channel.nextFrame(); frame !== null; frame = channel.nextFrame()) {
        this.#heardAt = this.#clock.monotonic();
        if (!this.#take(frame)) return;
      }
    } while (await channel.fill());
  }

  /** Takes one frame. Returns false at the end. */
  #take(bytes: Bytes): boolean {
    const frame = decodeRegistryFrame(bytes);
    switch (frame.type) {
      case "response":
        this.#settle(frame.body);
        return true;
      case "ping":
        this.#connection.channel.enqueue(encodePing("pong", frame.token));
        return true;
      case "event": // of a newer registry: nothing that we must know
      case "pong":
        return true;
      case "close":
        return false;
      default:
        throw new SessionError("protocol", `Cannot take ${frame.type} frame from a registry`);
    }
  }

  #settle(body: Bytes): void {
    const { id, refused, fields } = decodeResponse(body);
    const answer = this.#waiting.get(id);
    if (answer === undefined) {
      throw new SessionError("protocol", `Cannot take response ${id}: nobody asked`);
    }
    this.#waiting.delete(id);
    if (refused === undefined) answer.resolve(fields);
    else answer.reject(refusedError(refused));
  }

  #keepWatch(): void {
    this.#watch = this.#clock.after(PING_EVERY_MS, () => {
      const silent = this.#clock.monotonic() - this.#heardAt;
      if (silent >= DEAD_AFTER_MS) {
        this.#end(lost());
        return;
      }
      if (silent >= PING_EVERY_MS) this.#connection.channel.enqueue(encodePing("ping", 0));
      this.#keepWatch();
    });
  }

  #end(failure: Error): void {
    if (this.#failure !== undefined) return;
    this.#failure = failure;
    this.#watch?.[Symbol.dispose]();
    this.#connection.channel.close();
    for (const answer of this.#waiting.values()) answer.reject(failure);
    this.#waiting.clear();
    this.#ended.resolve();
  }
}

/** Connects to the registry whose key is known, or asks it who it is and pins the proven answer. */
async function connectPinned(options: RegistryOptions): Promise<Connection> {
  const { address, database, clock, log } = options;
  const known = address.id ?? pinnedKey(database, address);
  if (known !== undefined) return await connectKnown(options, known);
  const claimed = await whoAreYou(await reach(address));
  const connection = await handshake(options, claimed);
  const holds = pinKey(database, address, claimed, clock.now());
  if (holds !== claimed) {
    connection.channel.close();
    throw keyChanged(options, holds, claimed);
  }
  log.info("registry pinned", { registry: formatHostPort(address), key: claimed });
  return connection;
}

async function connectKnown(options: RegistryOptions, known: PeerId): Promise<Connection> {
  try {
    return await handshake(options, known);
  } catch (error) {
    if (!(error instanceof SessionError) || error.code !== "handshake_failed") throw error;
    const now = await whoAreYou(await reach(options.address)).catch(() => undefined);
    if (now === undefined || now === known) throw error;
    throw keyChanged(options, known, now);
  }
}

async function handshake(options: RegistryOptions, peer: PeerId): Promise<Connection> {
  return await dial({
    ...options,
    peer,
    kind: ConnectionKind.registry,
    connect: () => reach(options.address),
  });
}

async function reach(address: RegistryAddress) {
  try {
    return await connectTcp(address, AbortSignal.timeout(CONNECT_TIMEOUT_MS));
  } catch (error) {
    if (!(error instanceof TransportError)) throw error;
    const place = formatHostPort(address);
    throw new DiscoveryError(
      "registry_unreachable",
      `Cannot reach the registry: ${error.message.replace(/^Cannot connect to /, "")}`,
      {
        cause: error,
        hints: [
          `is it running there? on that machine: talos-server --port ${address.port}`,
          `from here, see whether the port is open: nc -vz ${address.host} ${address.port}`,
          `another registry: --server HOST[:PORT] in place of ${place}`,
        ],
      },
    );
  }
}

function keyChanged({ address }: RegistryOptions, before: PeerId, now: PeerId): DiscoveryError {
  const place = formatHostPort(address);
  return new DiscoveryError(
    "registry_key_changed",
    `The registry ${place} has another key than before: it was ${before}, it is ${now}`,
    {
      hints: [
        "somebody may be in between: ask whoever runs the registry whether its key changed",
        `if it did: talos forget-registry ${place}`,
      ],
    },
  );
}

function refusedError(refusal: RegistryRefusal): RegistryRefused {
  const code = refusal.code === "token_required" || refusal.code === "token_wrong"
    ? refusal.code
    : "registry_refused";
  const error = new RegistryRefused(code, refusal);
  return code === "registry_refused"
    ? error
    : error.advise("the registry is private: give its token with --join-token-file FILE");
}

function lost(): DiscoveryError {
  return new DiscoveryError("registry_unreachable", "Lost the connection to the registry");
}

function errorOf(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}
