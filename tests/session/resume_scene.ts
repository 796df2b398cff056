/**
 * A host and an initiator in memory whose connections break where a test wants: no handshake, no network,
 * and time in the hands of the test.
 */

import assert from "node:assert/strict";
import { type Bytes, fromUtf8, utf8 } from "../../lib/bytes.ts";
import type { LocalIdentity } from "../../lib/identity/local_identity.ts";
import { SILENT } from "../../lib/log.ts";
import { systemRandom } from "../../lib/crypto/random.ts";
import type { Connection } from "../../lib/session/connection.ts";
import { Host, type HostOptions, type OpenDecision } from "../../lib/session/host.ts";
import type { RecordChannel } from "../../lib/session/record_channel.ts";
import { type PathEvent, Session } from "../../lib/session/session.ts";
import { memoryPair } from "../../lib/transport/memory.ts";
import { SeededRandom } from "../../scripts/seeded_random.ts";
import { type Faults, FaultyTransport } from "../transport/faulty.ts";
import { FakeClock, turn } from "./fake_clock.ts";
import { ALICE, channelsOver, connectionOver, HOST, openBody } from "./peers.ts";

/** How long a host keeps a session here, in milliseconds. */
export const DETACH_MS = 600_000;

/** One connection of a scene. */
export interface Cable {
  /** The initiator's end. */
  readonly near: FaultyTransport;
  /** The host's end. */
  readonly far: FaultyTransport;
}

/** What goes wrong with one connection, at the initiator's end and at the host's. */
export type CableFaults = readonly [Faults, Faults];

/** How a scene differs from the usual one. */
export interface SceneOptions {
  /** What goes wrong with each connection, first to last; nothing with those beyond. */
  readonly faults?: readonly CableFaults[];
  /** What the host does with a session; it answers every message with `re: …` unless told otherwise. */
  readonly run?: (session: Session) => Promise<void>;
  /** How the host differs. */
  readonly host?: Partial<HostOptions>;
  /** How long the host keeps a session, in milliseconds. */
  readonly detachTimeoutMs?: number;
  /** The longest message, in bytes. */
  readonly maxMessage?: number;
}

/** A host, and whatever connects to it. */
export class ResumeScene implements AsyncDisposable {
  readonly clock = new FakeClock();
  /** Every connection so far. */
  readonly cables: Cable[] = [];
  /** What the host's sessions got, in order. */
  readonly heard: string[] = [];
  /** The host's end of each session, in the order in which they were opened. */
  readonly hosted: Session[] = [];
  /** What the initiator was told about its path. */
  readonly events: PathEvent[] = [];
  /** Who may use the host. */
  readonly permitted = new Set([ALICE.peerId]);
  /** The host; another one takes its place when it is restarted. */
  host: Host;
  instance = new Uint8Array(16).fill(1);
  /** Whether the network leads anywhere; what it throws otherwise. */
  unreachable: Error | null = null;
  /** Learns of every attempt to dial. */
  dialled: (() => void) | null = null;
  /** Plays the host on every connection. */
  answerInstead: ((channel: RecordChannel) => Promise<void>) | null = null;
  /** Makes every attempt to dial hang, and learns of it. */
  hang: (() => void) | null = null;
  readonly #options: SceneOptions;

  constructor(options: SceneOptions = {}) {
    this.#options = options;
    this.host = this.#start();
  }

  #start(): Host {
    return new Host({
      identity: HOST,
      instance: this.instance,
      random: systemRandom,
      clock: this.clock,
      log: SILENT,
      knows: (peer) => this.permitted.has(peer),
      decide: (peer, open): OpenDecision => {
        if (!this.permitted.has(peer)) {
          return { granted: false, code: "unauthorized", reason: "you are not authorised" };
        }
        return {
          granted: true,
          service: open.service,
          maxMessage: this.#options.maxMessage ?? 65_536,
          detachTimeoutMs: this.#options.detachTimeoutMs ?? DETACH_MS,
          run: async (session) => {
            this.hosted.push(session);
            await (this.#options.run ?? ((session) => this.answer(session)))(session);
          },
        };
      },
      ...this.#options.host,
    });
  }

  /** Answers every message with `re: …` until the initiator closes. */
  async answer(session: Session): Promise<void> {
    for (let next = await session.receive(); next !== null; next = await session.receive()) {
      const text = fromUtf8(next);
      this.heard.push(text);
      await session.send(utf8(`re: ${text}`));
    }
  }

  /** The host's process dies without a word, and another one takes its place. */
  async restart(): Promise<void> {
    for (const session of this.hosted) session.abort(new Error("killed"));
    for (const { far } of this.cables) far.close();
    await turn();
    this.instance = new Uint8Array(16).fill(this.instance[0]! + 1);
    this.host = this.#start();
  }

  /** Returns a connection to the host whose other end the host has. */
  connect(from: LocalIdentity = ALICE): Connection {
    const [near, far] = this.#channels();
    if (this.answerInstead !== null) void this.answerInstead(far);
    else this.host.acceptConnection(connectionOver(far, from));
    return { ...connectionOver(near, HOST), instance: this.instance };
  }

  #channels(): readonly [RecordChannel, RecordChannel] {
    const [a, b] = memoryPair();
    const faults = this.#options.faults?.[this.cables.length] ?? [{}, {}];
    const cable = {
      near: new FaultyTransport(a, faults[0]),
      far: new FaultyTransport(b, faults[1]),
    };
    this.cables.push(cable);
    return channelsOver([cable.near, cable.far]);
  }

  /** Opens a session that dials again when its connection is lost. */
  open(id: Bytes = new Uint8Array(16).fill(7)): Session {
    return Session.open(
      this.connect(),
      openBody({ id, maxMessage: this.#options.maxMessage ?? 65_536 }),
      this.clock,
      undefined,
      {
        redial: () => {
          this.dialled?.();
          if (this.hang !== null) {
            this.hang();
            return Promise.withResolvers<Connection>().promise;
          }
          if (this.unreachable !== null) return Promise.reject(this.unreachable);
          return Promise.resolve(this.connect());
        },
        random: new SeededRandom("redial").bytes,
        onPath: (event) => this.events.push(event),
      },
    );
  }

  /** Breaks the latest connection, or another one. */
  async cut(index = -1): Promise<void> {
    this.cables.at(index)!.near.close();
    await turn();
  }

  /** Moves time on until `promise` settles, and returns what it gives. Fails after `limitMs`. */
  async until<T>(promise: Promise<T>, limitMs = 60_000): Promise<T> {
    let settled = false;
    const settle = () => {
      settled = true;
    };
    promise.then(settle, settle);
    for (let passed = 0; !settled; passed += 50) {
      if (passed > limitMs) assert.fail(`nothing happened for ${limitMs} ms`);
      await this.clock.advance(50);
    }
    return await promise;
  }

  /** The kinds of what the initiator was told about its path. */
  get kinds(): string[] {
    return this.events.map(({ kind }) => kind);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.until(this.host[Symbol.asyncDispose]());
  }
}
