/**
 * A client of a registry under the test's control: it sends what a test wants, right or wrong, over a real
 * handshake and, unless a test has another transport, real TCP.
 */

import assert from "node:assert/strict";
import type { Bytes } from "../../lib/bytes.ts";
import { type Clock, systemClock } from "../../lib/clock.ts";
import { systemRandom } from "../../lib/crypto/random.ts";
import type { LocalIdentity } from "../../lib/identity/local_identity.ts";
import { mcpService, parseServerName } from "../../lib/identity/names.ts";
import type { PeerId } from "../../lib/identity/peer_id.ts";
import { decodeReason } from "../../lib/session/bodies.ts";
import { initiate } from "../../lib/session/handshake.ts";
import type { RecordChannel } from "../../lib/session/record_channel.ts";
import { connectTcp } from "../../lib/transport/tcp.ts";
import type { Transport } from "../../lib/transport/transport.ts";
import {
  type EndpointRecord,
  type SignedEndpointRecord,
  signEndpointRecord,
} from "../../lib/wire/endpoint_record.ts";
import type { Fields } from "../../lib/wire/fields.ts";
import { encodePing } from "../../lib/wire/frames.ts";
import { ConnectionKind } from "../../lib/wire/preface.ts";
import {
  decodeRegistryFrame,
  encodeRegistryFrame,
  type RegistryFrame,
} from "../../lib/wire/registry_frames.ts";
import {
  decodeResponse,
  encodeRequest,
  type RawResponse,
  type RegistryErrorCode,
  type RegistryRefusal,
  type RegistryRequest,
} from "../../lib/wire/registry_messages.ts";
import { SeededRandom } from "../../scripts/seeded_random.ts";

/** Where a registry is, and who it is. */
export interface RegistryAt {
  readonly port: number;
  readonly peer: PeerId;
}

/** How a client differs from the usual one. */
export interface RawClientOptions {
  /** Instead of a new TCP connection. */
  readonly transport?: Transport;
  readonly clock?: Clock;
}

/** A connection to a registry, after its handshake and before HELLO. */
export class RawClient implements Disposable {
  readonly identity: LocalIdentity;
  readonly channel: RecordChannel;
  #nextId = 1;

  private constructor(identity: LocalIdentity, channel: RecordChannel) {
    this.identity = identity;
    this.channel = channel;
  }

  /** Connects and shakes hands. */
  static async connect(
    { port, peer }: RegistryAt,
    identity: LocalIdentity,
    { transport, clock = systemClock }: RawClientOptions = {},
  ): Promise<RawClient> {
    const { channel } = await initiate(
      transport ?? await connectTcp({ host: "127.0.0.1", port }),
      { identity, peer, clock, random: systemRandom, kind: ConnectionKind.registry },
    );
    return new RawClient(identity, channel);
  }

  /** Connects and says hello. */
  static async enter(
    registry: RegistryAt,
    identity: LocalIdentity,
    options: RawClientOptions & { readonly instance?: Bytes; readonly token?: string } = {},
  ): Promise<RawClient> {
    const { instance = instanceOf("first"), token } = options;
    const client = await RawClient.connect(registry, identity, options);
    await client.ask({ op: "hello", instance, ...(token === undefined ? {} : { token }) });
    return client;
  }

  /** Sends a request and returns its id. */
  send(request: RegistryRequest): number {
    const id = this.#nextId++;
    this.sendBody(encodeRequest(id, request));
    return id;
  }

  /** Sends the body of a request, whatever it is. */
  sendBody(body: Bytes): void {
    this.channel.enqueue(encodeRegistryFrame("request", body));
  }

  /** Sends a PING. */
  ping(token: number): void {
    this.channel.enqueue(encodePing("ping", token));
  }

  /** Returns the next frame, or null at the end. */
  async nextFrame(): Promise<RegistryFrame | null> {
    for (;;) {
      const frame = this.channel.nextFrame();
      if (frame !== null) return decodeRegistryFrame(frame);
      if (!await this.channel.fill()) return null;
    }
  }

  /** Returns the next response. */
  async nextResponse(): Promise<RawResponse> {
    const frame = await this.nextFrame();
    assert.ok(frame !== null, "the connection ended");
    assert.equal(frame.type, "response");
    assert.ok("body" in frame);
    return decodeResponse(frame.body);
  }

  /** Asks and returns what is answered, which must be no refusal. */
  async ask(request: RegistryRequest): Promise<Fields> {
    const id = this.send(request);
    const { id: answered, refused, fields } = await this.nextResponse();
    assert.equal(answered, id);
    assert.equal(refused, undefined, `refused: ${refused?.code}: ${refused?.reason}`);
    return fields;
  }

  /** Asks and returns the refusal, which must have `code`. */
  async refused(request: RegistryRequest, code: RegistryErrorCode): Promise<RegistryRefusal> {
    this.send(request);
    const { refused } = await this.nextResponse();
    assert.equal(refused?.code, code, refused?.reason);
    return refused;
  }

  /** Returns the code of the CLOSE that must come now, with nothing behind it. */
  async closed(): Promise<string> {
    const frame = await this.nextFrame();
    assert.ok(frame !== null, "the connection ended without CLOSE");
    assert.equal(frame.type, "close");
    assert.ok("body" in frame);
    const { code } = decodeReason("close", frame.body);
    assert.equal(await this.nextFrame(), null);
    return code;
  }

  /** Closes the connection. */
  [Symbol.dispose](): void {
    this.channel.close();
  }
}

/** Returns 16 bytes that name a process. */
export function instanceOf(seed: string): Bytes {
  return new SeededRandom(`instance ${seed}`).bytes(16);
}

/** Returns what an endpoint record of `identity` says, with `changes`. */
export function endpoint(
  identity: LocalIdentity,
  changes: Partial<EndpointRecord> = {},
): EndpointRecord {
  return {
    peer: identity.peerId,
    service: mcpService(parseServerName("default")),
    name: "a peer",
    instance: instanceOf("first"),
    addresses: [{ host: "192.0.2.7", port: 8766 }],
    relays: [],
    min: 1,
    max: 1,
    seq: 1,
    issuedAt: 1_750_000_000_000,
    ttlSeconds: 600,
    ...changes,
  };
}

/** Returns a signed endpoint record of `identity`. */
export function signedEndpoint(
  identity: LocalIdentity,
  changes: Partial<EndpointRecord> = {},
): SignedEndpointRecord {
  return signEndpointRecord(identity, endpoint(identity, changes));
}
