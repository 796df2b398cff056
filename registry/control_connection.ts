/**
 * One control connection, from the end of its handshake to its own.
 *
 * HELLO comes first; it makes the connection that of (peer, instance). Requests are answered in order, one
 * at a time: a client that asks faster than it is answered waits in its own socket, and one that leaves
 * answers unread is dropped. A request that is refused or malformed is answered with the reason; what is no
 * request at all, and a registry that is told so, ends the connection with CLOSE. A PING, and a PONG that nobody
 * asked for, count as requests; beyond the quota a PING gets no PONG. After some hundred frames of all clients
 * everything else has its turn. Nothing about the caller is stored or reported before its first record has
 * decrypted.
 */

import { type Bytes, hex } from "../lib/bytes.ts";
import { type Clock, within } from "../lib/clock.ts";
import { messageOf, TalosError } from "../lib/errors.ts";
import type { ServiceName } from "../lib/identity/names.ts";
import type { PeerId } from "../lib/identity/peer_id.ts";
import { MAX_REGISTRY_BODY_BYTES } from "../lib/limits.ts";
import type { Log } from "../lib/log.ts";
import { encodeReason, type ReasonBody } from "../lib/session/bodies.ts";
import type { Connection } from "../lib/session/connection.ts";
import { WireError } from "../lib/wire/errors.ts";
import { encodeInvitation, type Invitation } from "../lib/wire/circuit.ts";
import { encodePing, RECORD_TAG_BYTES } from "../lib/wire/frames.ts";
import type { MsgPackInput } from "../lib/wire/msgpack.ts";
import { decodeRegistryFrame, encodeRegistryFrame } from "../lib/wire/registry_frames.ts";
import {
  decodeRequest,
  encodeRefusal,
  encodeResponse,
  foundPeerFields,
  peerPageFields,
  type RegistryRefusal,
  type RegistryRequest,
  requestIdOf,
} from "../lib/wire/registry_messages.ts";
import { type Caller, checkedService, type Directory, requireQuota } from "./directory.ts";
import { RequestRefused } from "./errors.ts";
import type { JoinToken } from "./join_token.ts";
import {
  ENTRIES_PER_FRAME,
  FAREWELL_MS,
  MAX_FIRST_RECORD_BYTES,
  MAX_REFUSED_IN_A_ROW,
  READ_PATIENCE_MS,
} from "./limits.ts";
import type { ObservedAddress } from "./observed_address.ts";
import type { Client, Presence } from "./presence.ts";
import type { Quotas } from "./quotas.ts";
import type { Relay } from "./relay.ts";
import type { RequestKind, RequestOutcome } from "./registry_metrics.ts";
import type { Turns } from "./turns.ts";

/** The longest record of a client that has said hello: the longest body, its frame's type and the tag. */
const MAX_REQUEST_RECORD_BYTES = MAX_REGISTRY_BODY_BYTES + 1 + RECORD_TAG_BYTES;

type Result = Readonly<Record<string, MsgPackInput>>;

/** What a control connection works with. */
export interface ControlOptions {
  /** Answers most requests. */
  readonly directory: Directory;
  /** Where the connection enters with HELLO. */
  readonly presence: Presence;
  /** Opens circuits. */
  readonly relay: Relay;
  /** Bounds how often it may ask. */
  readonly quotas: Quotas;
  /** Bounds how much is taken at a stretch, of all connections together. */
  readonly turns: Turns;
  /** Makes the registry private. */
  readonly joinToken: JoinToken | null;
  /** Time. */
  readonly clock: Clock;
  /** Where failures and new peers are reported. */
  readonly log: Log;
  /** Learns how each request ended: `ok`, or the code of its refusal. */
  readonly counted: (op: RequestKind, outcome: RequestOutcome) => void;
  /** Called once, when the client has been let in. */
  readonly greeted: () => void;
}

/** A client of the registry. */
export class ControlConnection implements Client {
  /** Who it is: the handshake proved it. */
  readonly peer: PeerId;
  /** From where, as quotas count it. */
  readonly source: string;
  readonly #connection: Connection;
  readonly #observed: ObservedAddress;
  readonly #options: ControlOptions;
  /** What it serves, and when it published that last, in monotonic milliseconds. */
  readonly #services = new Map<ServiceName, number>();
  readonly #ended = Promise.withResolvers<void>();
  #instance: string | null = null;
  #heardAt: number;
  #pingedAt: number | null = null;
  #refusedInARow = 0;
  /** No request is taken any more. */
  #ending = false;
  readonly #stopped = Promise.withResolvers<void>();

  /** Takes over an authenticated connection. */
  constructor(connection: Connection, observed: ObservedAddress, options: ControlOptions) {
    this.peer = connection.peer;
    this.source = connection.path.source;
    this.#connection = connection;
    this.#observed = observed;
    this.#options = options;
    this.#heardAt = options.clock.monotonic();
  }

  /** Which process it is, in hexadecimal; empty before HELLO. */
  get instance(): string {
    return this.#instance ?? "";
  }

  /** Whether it has published a service and not withdrawn it. */
  get isServing(): boolean {
    return this.#services.size > 0;
  }

  /** Whether it has published this service and not withdrawn it. */
  serves(service: ServiceName): boolean {
    return this.#services.has(service);
  }

  /** When it last published this service, or any, in monotonic milliseconds; null where it serves it no more. */
  publishedAt(service?: ServiceName): number | null {
    if (service !== undefined) return this.#services.get(service) ?? null;
    return this.isServing ? Math.max(...this.#services.values()) : null;
  }

  /** Tells it that somebody calls. Returns false where it does not read what it is told. */
  invite(invitation: Invitation): boolean {
    const { channel } = this.#connection;
    if (this.#ending || !channel.hasRoom) return false;
    channel.enqueue(encodeRegistryFrame("event", encodeInvitation(invitation)));
    return true;
  }

  /** When it was last heard of, in monotonic milliseconds. */
  get heardAt(): number {
    return this.#heardAt;
  }

  /** When it was asked for a sign of life that has not come yet, in monotonic milliseconds; else null. */
  get pingedAt(): number | null {
    return this.#pingedAt;
  }

  /** Answers until the connection ends, whoever ends it. Throws SessionError when it broke. */
  async run(): Promise<void> {
    const { channel } = this.#connection;
    try {
      while (await this.#takeAll() && await channel.fill());
      if (this.#ending) await this.#soon(channel.drain(Infinity));
    } finally {
      this.#leave();
      channel.close();
      this.#ended.resolve();
    }
  }

  /** Asks for a sign of life. */
  ping(): void {
    this.#pingedAt = this.#options.clock.monotonic();
    this.#connection.channel.trim();
    this.#connection.channel.enqueue(encodePing("ping", 0));
  }

  /** Ends the connection, with a reason. Resolves when it has ended, after a second at most. */
  async end(reason: ReasonBody): Promise<void> {
    this.#farewell(reason);
    await this.#soon(this.#ended.promise);
    this.drop();
    await this.#ended.promise;
  }

  /** Closes the connection now, without a word. */
  drop(): void {
    this.#stop();
    this.#connection.channel.close();
  }

  /** Takes every frame that is here. Returns false when no more are wanted. */
  async #takeAll(): Promise<boolean> {
    for (let frame = this.#next(); frame !== null; frame = this.#next()) {
      const wasAsked = this.#pingedAt !== null;
      this.#heardAt = this.#options.clock.monotonic();
      this.#pingedAt = null;
      if (!await this.#take(frame, wasAsked)) return false;
      const turn = this.#options.turns.spend();
      if (turn !== null) await turn;
    }
    return !this.#ending;
  }

  #next(): Bytes | null {
    if (this.#ending) return null;
    const first = this.#instance === null;
    return this.#connection.channel.nextFrame(
      first ? MAX_FIRST_RECORD_BYTES : MAX_REQUEST_RECORD_BYTES,
    );
  }

  /** Takes one frame; `wasAsked` tells whether a PONG was owed. Returns false when it was the last. */
  async #take(bytes: Bytes, wasAsked: boolean): Promise<boolean> {
    const frame = decoded(bytes);
    switch (frame?.type) {
      case "request":
        return await this.#answer(frame.body);
      case "ping":
        return await this.#answerPing(frame.token);
      case "pong":
        return wasAsked || this.#takeQuota() || !this.#ending;
      case "close":
        return false;
      default:
        this.#farewell(NO_REQUEST);
        return false;
    }
  }

  async #answerPing(token: number): Promise<boolean> {
    if (!this.#takeQuota()) return !this.#ending;
    this.#connection.channel.enqueue(encodePing("pong", token));
    return await this.#readsAlong();
  }

  /** Counts a frame that is no request and has no answer. Returns whether it was within the quota. */
  #takeQuota(): boolean {
    try {
      requireQuota(this.#options.quotas.request(this.peer, this.source));
      this.#refusedInARow = 0;
      return true;
    } catch (error) {
      const refusal = this.#refusalOf(error);
      this.#options.counted("unknown", refusal.code);
      if (!this.#mayGoOn(refusal)) this.#farewell(refusal);
      return false;
    }
  }

  async #answer(body: Bytes): Promise<boolean> {
    const id = requestIdOf(body);
    if (id === null) {
      this.#farewell(NO_REQUEST);
      return false;
    }
    let op: RequestKind = "unknown";
    try {
      requireQuota(this.#options.quotas.request(this.peer, this.source));
      const { request } = decodeRequest(body);
      op = request.op;
      const result = await this.#perform(request);
      this.#options.counted(op, "ok");
      this.#refusedInARow = 0;
      this.#send(encodeResponse(id, result));
    } catch (error) {
      const refusal = this.#refusalOf(error);
      this.#options.counted(op, refusal.code);
      this.#send(encodeRefusal(id, refusal));
      if (!this.#mayGoOn(refusal)) {
        this.#farewell(refusal);
        return false;
      }
    }
    return await this.#readsAlong();
  }

  #perform(request: RegistryRequest): Result | Promise<Result> {
    if (request.op === "hello") return this.#hello(request);
    if (this.#instance === null) {
      throw new RequestRefused("out_of_turn", "HELLO comes first");
    }
    const { directory, quotas, turns, relay } = this.#options;
    switch (request.op) {
      case "register":
        return this.#register(request);
      case "publish":
        return this.#publish(request);
      case "lookup":
        return directory.lookup(request.peer, request.service).then(foundPeerFields);
      case "list":
        requireQuota(quotas.list(this.source, request.limit));
        void turns.spend(request.limit / ENTRIES_PER_FRAME); // waited for before the next frame
        return directory.list(request.after, request.limit).then(peerPageFields);
      case "circuit": {
        const service = request.service === undefined ? undefined : checkedService(request.service);
        const { token, node } = relay.open(this.#caller, request.peer, service);
        return { token, node };
      }
      case "decline":
        relay.decline(this.peer, request.token, request.reason);
        return {};
      default:
        throw request satisfies never;
    }
  }

  #hello({ instance, token }: RegistryRequest & { readonly op: "hello" }): Result {
    const { joinToken, presence, directory, clock, greeted } = this.#options;
    if (this.#instance !== null) {
      throw new RequestRefused("out_of_turn", "HELLO was said already");
    }
    if (joinToken !== null && token === undefined) {
      throw new RequestRefused(
        "token_required",
        "this registry is private: a join token is needed",
      );
    }
    if (joinToken !== null && token !== undefined && !joinToken.matches(token)) {
      throw new RequestRefused("token_wrong", "the join token is not that of this registry");
    }
    this.#instance = hex(instance);
    const entrance = presence.enter(this);
    if (!entrance.entered) {
      this.#instance = null;
      throw new RequestRefused("quota", "this peer, or its address, has too many connections");
    }
    entrance.replaced?.end(REPLACED).catch((error: unknown) => this.#report(error));
    directory.seen(this.peer);
    greeted();
    return { observed: this.#observed.address, time: clock.now() };
  }

  async #register(
    { name, unlisted }: RegistryRequest & { readonly op: "register" },
  ): Promise<Result> {
    const { directory, log } = this.#options;
    const isNew = await directory.register(this.#caller, name, unlisted);
    if (isNew) log.info("peer registered", { peer: this.peer, name, unlisted });
    return {};
  }

  async #publish(request: RegistryRequest & { readonly op: "publish" }): Promise<Result> {
    const { record, signature } = request;
    const published = await this.#options.directory.publish(this.#caller, { record, signature });
    if (published.ttlSeconds > 0) this.#services.set(published.service, this.#heardAt);
    else this.#services.delete(published.service);
    return { seq: published.seq };
  }

  get #caller(): Caller {
    return { peer: this.peer, source: this.source, isLocal: this.#observed.isLocal };
  }

  #refusalOf(error: unknown): RegistryRefusal {
    if (error instanceof RequestRefused) {
      const { code, message: reason, seq } = error;
      return { code, reason, ...(seq === undefined ? {} : { seq }) };
    }
    if (error instanceof WireError) {
      const code = error.path === "REQUEST.op" ? "unknown_op" : "request_invalid";
      return { code, reason: error.message };
    }
    this.#report(error);
    return { code: "internal", reason: "the registry failed; its log says why" };
  }

  #report(error: unknown): void {
    const code = error instanceof TalosError ? error.code : undefined;
    this.#options.log.error("request failed", { peer: this.peer, code, why: messageOf(error) });
  }

  /** Whether the connection outlives this refusal: not one without the token, nor a flood. */
  #mayGoOn({ code }: RegistryRefusal): boolean {
    if (code === "token_required" || code === "token_wrong") return false;
    if (code !== "quota") {
      this.#refusedInARow = 0;
      return true;
    }
    return this.#instance !== null && ++this.#refusedInARow < MAX_REFUSED_IN_A_ROW;
  }

  #send(body: Bytes): void {
    this.#connection.channel.enqueue(encodeRegistryFrame("response", body));
  }

  /** Waits until the client has read enough of what it was sent. Returns false when it does not. */
  async #readsAlong(): Promise<boolean> {
    const { channel } = this.#connection;
    while (!channel.hasRoom) {
      const written = channel.whenWritten().then(() => true);
      const stopped = this.#stopped.promise.then(() => false);
      const goesOn = Promise.race([written, stopped]);
      if (!await within(this.#options.clock, READ_PATIENCE_MS, goesOn, false)) return false;
    }
    return true;
  }

  /** Says why the connection ends. What still comes is not looked at any more. */
  #farewell(reason: ReasonBody): void {
    if (this.#ending) return;
    const { channel } = this.#connection;
    channel.enqueue(encodeReason("close", reason));
    this.#stop();
    void channel.closeWrite(); // never throws
  }

  #stop(): void {
    if (this.#ending) return;
    this.#ending = true;
    this.#stopped.resolve();
    this.#leave();
  }

  /** Waits for something, a moment at most. */
  async #soon(what: Promise<void>): Promise<void> {
    await within(this.#options.clock, FAREWELL_MS, what, undefined);
  }

  #leave(): void {
    if (this.#instance === null) return;
    this.#options.presence.leave(this);
    this.#options.directory.seen(this.peer);
  }
}

const NO_REQUEST: ReasonBody = { code: "protocol", reason: "what came is no request" };

const REPLACED: ReasonBody = {
  code: "replaced",
  reason: "the same process of this peer has connected again",
};

function decoded(bytes: Bytes) {
  try {
    return decodeRegistryFrame(bytes);
  } catch (error) {
    if (error instanceof WireError) return null;
    throw error;
  }
}
