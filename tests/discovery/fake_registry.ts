/**
 * A registry's end of connections, under a test's control: real handshakes and record channels over
 * in-memory pairs, and answers that the test chooses.
 */

import { type Bytes, concat, EMPTY } from "../../lib/bytes.ts";
import type { RegistryOptions } from "../../lib/discovery/registry_client.ts";
import { Database } from "../../lib/identity/database.ts";
import type { HostPort } from "../../lib/identity/host_port.ts";
import type { LocalIdentity } from "../../lib/identity/local_identity.ts";
import type { Log } from "../../lib/log.ts";
import { respond } from "../../lib/session/handshake.ts";
import type { RecordChannel } from "../../lib/session/record_channel.ts";
import { TransportError } from "../../lib/transport/errors.ts";
import { memoryPair } from "../../lib/transport/memory.ts";
import type { Transport } from "../../lib/transport/transport.ts";
import { encodePing } from "../../lib/wire/frames.ts";
import { CIRCUIT_TOKEN_BYTES } from "../../lib/wire/circuit.ts";
import type { MsgPackInput } from "../../lib/wire/msgpack.ts";
import { ConnectionKind } from "../../lib/wire/preface.ts";
import {
  decodeRegistryFrame,
  encodeRegistryFrame,
  type RegistryFrame,
} from "../../lib/wire/registry_frames.ts";
import {
  decodeRequest,
  encodeRefusal,
  encodeResponse,
  type RegistryRefusal,
  type RegistryRequest,
} from "../../lib/wire/registry_messages.ts";
import { whoAreYouAnswer } from "../../registry/first_contact.ts";
import { ReplayedTransport } from "../../registry/replayed_transport.ts";
import { seededIdentity } from "../../scripts/seeded_identity.ts";
import { SeededRandom } from "../../scripts/seeded_random.ts";
import { keptLog, temporaryHome } from "../identity/temporary_home.ts";
import { FakeClock, turn } from "../session/fake_clock.ts";
import { ALICE } from "../session/peers.ts";

/** What a request is answered with; null for silence. */
export type Answer =
  | { readonly result: Readonly<Record<string, MsgPackInput>> }
  | { readonly refusal: RegistryRefusal }
  | null;

/** Where the fake registry is said to be. */
export const ADDRESS: HostPort = { host: "registry.test", port: 8765 };

/** Answers as a registry does that knows nobody. */
export function agreeable(request: RegistryRequest): Answer {
  switch (request.op) {
    case "hello":
      return { result: { observed: "203.0.113.7", time: 1_750_000_000_000 } };
    case "lookup":
      return { result: { found: null } };
    case "list":
      return { result: { peers: [] } };
    default:
      return { result: {} };
  }
}

/** A registry that does what a test wants. */
export class FakeRegistry {
  /** Its key, which may change. */
  identity: LocalIdentity = seededIdentity("registry");
  /** Answers requests, in order. */
  answer: (request: RegistryRequest) => Answer = agreeable;
  /** Whether connections are refused. */
  isDown = false;
  /** Whether connections are made and nothing is ever said. */
  isMute = false;
  /** Whether it shows signs of life when asked. */
  answersPings = true;
  /** What its clock is ahead, in milliseconds. */
  aheadMs = 0;
  /** Does something about a leg of a circuit whose token was read; closed when it has. */
  leg: (token: Bytes, transport: Transport) => Promise<void> = () => Promise.resolve();
  /** Every request it got, in order. */
  readonly requests: RegistryRequest[] = [];
  /** Every other frame it got. */
  readonly frames: RegistryFrame[] = [];
  /** How often somebody connected. */
  connects = 0;
  readonly #clock: FakeClock;
  readonly #channels = new Set<RecordChannel>();
  readonly #transports = new Set<Transport>();
  readonly #random = new SeededRandom("fake registry").bytes;

  constructor(clock: FakeClock) {
    this.#clock = clock;
  }

  /** What clients reach it with. */
  readonly connect = (): Promise<Transport> => {
    this.connects++;
    if (this.isDown) {
      return Promise.reject(
        new TransportError(
          "refused",
          "Cannot connect to registry.test:8765: nothing listens there (connection refused)",
        ),
      );
    }
    const [near, far] = memoryPair();
    this.#transports.add(far);
    if (!this.isMute) this.#serve(far).catch(() => {}).finally(() => far.close());
    return Promise.resolve(near);
  };

  /** The requests of one kind. */
  of<Op extends RegistryRequest["op"]>(op: Op): Extract<RegistryRequest, { op: Op }>[] {
    return this.requests.filter((request): request is Extract<RegistryRequest, { op: Op }> =>
      request.op === op
    );
  }

  /** Ends all connections, as a killed process does. */
  async dropAll(): Promise<void> {
    for (const transport of this.#transports) transport.close();
    this.#transports.clear();
    this.#channels.clear();
    await turn();
  }

  /** Sends a frame on all connections. */
  async send(frame: Bytes): Promise<void> {
    for (const channel of this.#channels) channel.enqueue(frame);
    await turn();
  }

  async #serve(transport: Transport): Promise<void> {
    const preface = await readExactly(transport, 8);
    if (preface[6] === ConnectionKind.whoAreYou) {
      await transport.write(whoAreYouAnswer(this.identity.publicKey));
      return;
    }
    if (preface[6] === ConnectionKind.circuit) {
      await this.leg(await readExactly(transport, CIRCUIT_TOKEN_BYTES), transport);
      return;
    }
    const clock = this.#clock;
    const { channel } = await respond(new ReplayedTransport(transport, preface), {
      identity: this.identity,
      random: this.#random,
      clock: {
        now: () => clock.now() + this.aheadMs,
        monotonic: () => clock.monotonic(),
        after: (ms, action) => clock.after(ms, action),
      },
      kind: ConnectionKind.registry,
    });
    this.#channels.add(channel);
    do {
      for (let frame = channel.nextFrame(); frame !== null; frame = channel.nextFrame()) {
        this.#take(channel, decodeRegistryFrame(frame));
      }
    } while (await channel.fill());
  }

  #take(channel: RecordChannel, frame: RegistryFrame): void {
    if (frame.type !== "request") {
      this.frames.push(frame);
      if (frame.type === "ping" && this.answersPings) {
        channel.enqueue(encodePing("pong", frame.token));
      }
      return;
    }
    const { id, request } = decodeRequest(frame.body);
    this.requests.push(request);
    const answer = this.answer(request);
    if (answer === null) return;
    const body = "result" in answer
      ? encodeResponse(id, answer.result)
      : encodeRefusal(id, answer.refusal);
    channel.enqueue(encodeRegistryFrame("response", body));
  }
}

async function readExactly(transport: Transport, count: number): Promise<Bytes> {
  let bytes = EMPTY;
  while (bytes.length < count) {
    const buffer = new Uint8Array(count - bytes.length);
    const read = await transport.read(buffer);
    if (read === null) throw new Error("the caller left");
    bytes = concat(bytes, buffer.subarray(0, read));
  }
  return bytes;
}

/** A home with a database, a clock, a log that is kept, and a registry. */
export interface Scene extends AsyncDisposable {
  readonly clock: FakeClock;
  readonly registry: FakeRegistry;
  readonly database: Database;
  readonly log: Log;
  readonly lines: string[];
  /** What connecting to the registry takes. */
  readonly options: RegistryOptions;
}

/** Sets up a scene for `identity`. */
export async function scene(identity: LocalIdentity = ALICE): Promise<Scene> {
  const home = await temporaryHome();
  const clock = new FakeClock();
  const registry = new FakeRegistry(clock);
  const database = new Database(home.paths, identity.peerId);
  const { log, lines } = keptLog();
  return {
    clock,
    registry,
    database,
    log,
    lines,
    options: {
      address: ADDRESS,
      identity,
      instance: new Uint8Array(16).fill(3),
      database,
      random: new SeededRandom("client").bytes,
      clock,
      log,
      connect: registry.connect,
    },
    async [Symbol.asyncDispose]() {
      await registry.dropAll();
      database[Symbol.dispose]();
      await home[Symbol.asyncDispose]();
    },
  };
}
