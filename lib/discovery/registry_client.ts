/**
 * A control connection to a registry: requests and their answers, for as long as it lasts.
 *
 * Requests may overlap; each is answered within 10 s or fails when the connection ends, which a request
 * without an answer brings about. Any record proves life; a silent registry is pinged. What a registry
 * says unasked is of a newer one and passed over, and one that says too much of it is left. A connection that is lost is not made again here:
 * {@link Publisher} does that, and commands ask once.
 */

import type { Bytes } from "../bytes.ts";
import type { Clock } from "../clock.ts";
import { parseHostPort } from "../identity/host_port.ts";
import { scopeOf } from "../identity/ip_address.ts";
import type { PeerId } from "../identity/peer_id.ts";
import { PING_AFTER_SILENCE_MS, type Rate } from "../limits.ts";
import { decodeReason } from "../session/bodies.ts";
import type { Connection } from "../session/connection.ts";
import { SessionError } from "../session/errors.ts";
import { TokenBuckets } from "../session/token_buckets.ts";
import type { SignedEndpointRecord } from "../wire/endpoint_record.ts";
import { WireError } from "../wire/errors.ts";
import {
  type CircuitLeg,
  circuitLegOf,
  type DeclineReason,
  decodeInvitation,
  type Invitation,
} from "../wire/circuit.ts";
import type { Fields } from "../wire/fields.ts";
import { encodePing } from "../wire/frames.ts";
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
  type RegistryErrorCode,
  type RegistryRefusal,
  type RegistryRequest,
} from "../wire/registry_messages.ts";
import { DiscoveryError, type DiscoveryErrorCode } from "./errors.ts";
import { connectToRegistry, type RegistryConnectionOptions } from "./registry_connection.ts";
import { quoted } from "./remote_text.ts";

/** What connecting to a registry takes. */
export interface RegistryOptions extends RegistryConnectionOptions {
  /** Names this process: `INSTANCE_BYTES` random bytes. */
  readonly instance: Bytes;
  /** For a private registry. */
  readonly token?: string;
  /** Learns of invitations to circuits; without it they are passed over. */
  readonly onInvitation?: InvitationObserver;
}

/** Learns that somebody calls through a registry, and by which connection to it the call can be declined. */
export type InvitationObserver = (invitation: Invitation, client: RegistryClient) => void;

const ANSWER_TIMEOUT_MS = 10_000;
/** More than between peers: a registry that has many clients, or a slow disk, is not lost. */
const REGISTRY_PONG_TIMEOUT_MS = 5_000;

/** What a registry may say unasked, PINGs and needless PONGs included: each frame costs us some 30 µs. */
const UNASKED_FRAMES: Rate = { burst: 1_000, perMinute: 600 };

/** Frames that are taken at a stretch, before everything else has its turn. */
const FRAMES_PER_TURN = 256;

/** A request that the registry refused. */
export class RegistryRefused extends DiscoveryError {
  /** What it said. */
  readonly refusal: RegistryRefusal;

  /** Makes the error of a refusal. */
  constructor(refusal: RegistryRefusal) {
    super(CODE_OF_REFUSAL[refusal.code] ?? "registry_refused", sentenceOf(refusal), {
      hints: HINTS_OF_REFUSAL[refusal.code] ?? [],
    });
    this.refusal = refusal;
  }
}

/** A control connection to a registry. */
export class RegistryClient implements AsyncDisposable {
  readonly #connection: Connection;
  readonly #clock: Clock;
  readonly #onInvitation: InvitationObserver | undefined;
  readonly #waiting = new Map<number, PromiseWithResolvers<Fields>>();
  readonly #ended = Promise.withResolvers<Error>();
  readonly #reading: Promise<void>;
  readonly #unasked = new TokenBuckets(UNASKED_FRAMES);
  #nextId = 1;
  #hello: HelloResponse = { observed: "", time: 0 };
  #heardAt: number;
  #watch: Disposable | undefined;
  #failure: Error | undefined;

  private constructor(
    connection: Connection,
    { clock, onInvitation }: Pick<RegistryOptions, "clock" | "onInvitation">,
  ) {
    this.#connection = connection;
    this.#clock = clock;
    this.#onInvitation = onInvitation;
    this.#heardAt = clock.monotonic();
    this.#keepWatch();
    this.#reading = this.#readAll().then(
      () => this.#end(lost("it closed the connection")),
      (error: unknown) => this.#end(translated(error)),
    );
  }

  /**
   * Connects and says hello. Throws DiscoveryError: `registry_unreachable`, `registry_busy`,
   * `not_a_registry`, `registry_key_changed`, `token_required`, `token_wrong`; and SessionError `clock`,
   * `version`, `blocked`.
   */
  static async connect(options: RegistryOptions): Promise<RegistryClient> {
    const client = new RegistryClient(await connectToRegistry(options), options);
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
    const { kind, remote } = this.#connection.path;
    return kind === "direct" && scopeOf(parseHostPort(remote).host) === "loopback";
  }

  /** Resolves with the reason when the connection is over. */
  get ended(): Promise<Error> {
    return this.#ended.promise;
  }

  /** Makes us known, until we are forgotten. */
  async register(name: string, unlisted: boolean): Promise<void> {
    await this.#request({ op: "register", name, unlisted });
  }

  /** Publishes a record. Throws {@link RegistryRefused}, `stale` when it says that a newer one is there. */
  async publish(signed: SignedEndpointRecord): Promise<void> {
    await this.#request({ op: "publish", ...signed });
  }

  /** Returns what the registry knows of a peer, or null when it is not registered. */
  async lookup(peer: PeerId): Promise<FoundPeer | null> {
    return foundPeerOf(await this.#request({ op: "lookup", peer }));
  }

  /**
   * Returns a page of those who are registered, from behind `after` on. Throws WireError for a page whose
   * `next` does not lead further: who follows it would never come to an end.
   */
  async list(limit: number, after?: PeerId): Promise<PeerPage> {
    const from = after === undefined ? {} : { after };
    const page = peerPageOf(await this.#request({ op: "list", limit, ...from }));
    if (after !== undefined && page.next !== undefined && page.next <= after) {
      throw new WireError(
        "field_invalid",
        `Cannot take the page behind ${after}: the next one would begin behind ${page.next}`,
        { path: "RESPONSE.next" },
      );
    }
    return page;
  }

  /** Asks for a circuit to a peer that serves this, or anything, and returns our leg of it. */
  async circuit(peer: PeerId, service?: string): Promise<CircuitLeg> {
    const which = service === undefined ? {} : { service };
    return circuitLegOf(await this.#request({ op: "circuit", peer, ...which }));
  }

  /** Says that an invitation will not be followed. */
  async decline(token: Bytes, reason: DeclineReason): Promise<void> {
    await this.#request({ op: "decline", token, reason });
  }

  /** Closes the connection. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#end(
      new DiscoveryError("registry_unreachable", "The connection to the registry is closed"),
    );
    await this.#reading;
  }

  async #request(request: RegistryRequest): Promise<Fields> {
    if (this.#failure !== undefined) throw this.#failure;
    const id = this.#nextId++;
    const answer = Promise.withResolvers<Fields>();
    this.#waiting.set(id, answer);
    this.#connection.channel.enqueue(encodeRegistryFrame("request", encodeRequest(id, request)));
    using _limit = this.#clock.after(
      ANSWER_TIMEOUT_MS,
      () => this.#end(lost(`it did not answer within ${ANSWER_TIMEOUT_MS / 1000} s`)),
    );
    return await answer.promise;
  }

  async #readAll(): Promise<void> {
    const { channel } = this.#connection;
    let taken = 0;
    do {
      for (let frame = channel.nextFrame(); frame !== null; frame = channel.nextFrame()) {
        this.#heardAt = this.#clock.monotonic();
        this.#take(frame);
        if (this.#failure !== undefined) return;
        if (++taken % FRAMES_PER_TURN === 0) {
          await new Promise<void>((resolve) => void setImmediate(resolve));
        }
      }
    } while (await channel.fill());
  }

  #take(bytes: Bytes): void {
    const frame = decodeRegistryFrame(bytes);
    if (frame.type !== "response" && frame.type !== "close" && this.#isTooMuch()) {
      return this.#end(lost("it says too much that nobody asked for"));
    }
    switch (frame.type) {
      case "response":
        this.#settle(frame.body);
        return;
      case "ping":
        this.#connection.channel.enqueue(encodePing("pong", frame.token));
        return;
      case "event":
        this.#takeEvent(frame.body);
        return;
      case "pong":
        return;
      case "close": {
        const { code, reason } = decodeReason("close", frame.body);
        const said = quoted(reason === "" ? code : reason);
        this.#end(lost(`it ended the connection; it says: ${said}`));
        return;
      }
      default:
        throw new SessionError("protocol", `Cannot take ${frame.type} frame from a registry`);
    }
  }

  /** Counts a frame that is no answer. */
  #isTooMuch(): boolean {
    return this.#unasked.take("", this.#clock.monotonic()) > 0;
  }

  #takeEvent(body: Bytes): void {
    const invitation = decodeInvitation(body);
    if (invitation === null || this.#onInvitation === undefined) return;
    this.#onInvitation({ ...invitation, token: invitation.token.slice() }, this);
  }

  #settle(body: Bytes): void {
    const { id, refused, fields } = decodeResponse(body);
    const answer = this.#waiting.get(id);
    if (answer === undefined) {
      throw new SessionError("protocol", `Cannot take response ${id}: nobody asked`);
    }
    this.#waiting.delete(id);
    if (refused === undefined) answer.resolve(fields);
    else answer.reject(new RegistryRefused(refused));
  }

  /** Asks a registry that was silent for a sign of life, and ends the connection where none comes. */
  #keepWatch(): void {
    const { channel } = this.#connection;
    const silence = this.#clock.monotonic() - this.#heardAt;
    this.#watch = this.#clock.after(PING_AFTER_SILENCE_MS - silence, () => {
      const asked = this.#clock.monotonic();
      if (asked - this.#heardAt < PING_AFTER_SILENCE_MS) return this.#keepWatch();
      channel.enqueue(encodePing("ping", 0));
      this.#watch = this.#clock.after(REGISTRY_PONG_TIMEOUT_MS, () => {
        if (this.#heardAt >= asked) this.#keepWatch();
        else this.#end(lost("it does not answer"));
      });
    });
  }

  #end(failure: Error): void {
    if (this.#failure !== undefined) return;
    this.#failure = failure;
    this.#watch?.[Symbol.dispose]();
    this.#connection.channel.close();
    for (const answer of this.#waiting.values()) answer.reject(failure);
    this.#waiting.clear();
    this.#ended.resolve(failure);
  }
}

const CODE_OF_REFUSAL: Readonly<Partial<Record<RegistryErrorCode, DiscoveryErrorCode>>> = {
  token_required: "token_required",
  token_wrong: "token_wrong",
  peer_away: "peer_away",
  quota: "registry_busy",
  internal: "registry_busy",
};

const HINTS_OF_REFUSAL: Readonly<Partial<Record<RegistryErrorCode, readonly string[]>>> = {
  token_required: [
    "ask whoever runs the registry for its token, put it into a file and name that: --join-token-file FILE",
  ],
  token_wrong: [
    "ask whoever runs the registry for its token of today, and see what the file holds",
    "name another file: --join-token-file FILE",
  ],
};

/** What a refusal means, in words of ours: those of the registry are a stranger's. */
const MEANING_OF_REFUSAL: Readonly<Record<RegistryErrorCode, string>> = {
  out_of_turn: "the request came out of turn",
  token_required: "it is private and wants a join token",
  token_wrong: "the join token is not its own",
  not_yours: "it takes records from their owner alone",
  record_invalid: "it does not take this record",
  stale: "it has a newer record",
  peer_away: "the peer is not there now",
  not_registered: "this peer is not registered there",
  quota: "it has no room for this now",
  unknown_op: "it does not know this request",
  request_invalid: "it cannot read this request",
  internal: "something failed there",
};

function sentenceOf({ code, reason }: RegistryRefusal): string {
  return `The registry refused: ${MEANING_OF_REFUSAL[code]}; it says: ${quoted(reason)}`;
}

function lost(state: string): DiscoveryError {
  return new DiscoveryError("registry_unreachable", `Lost the registry: ${state}`);
}

function translated(error: unknown): Error {
  if (error instanceof SessionError && error.code === "connection_lost") {
    return new DiscoveryError("registry_unreachable", "Lost the registry: the connection broke", {
      cause: error,
    });
  }
  return error instanceof Error ? error : new Error(String(error));
}
