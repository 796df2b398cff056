/**
 * A model of resumable sessions around the windows: two endpoints, the connections between them, and
 * everything that can happen to those.
 *
 * The endpoints do with their windows what a session does: DATA carries acknowledgements, others leave at
 * once or are delayed, the initiator dials again and names the first fragment it lacks, the host answers
 * with its own, both grant anew right behind it, and the initiator sends DATA once it has the answer. A
 * connection keeps order and loses nothing while it lives; when it is cut, everything behind a random point
 * is lost in both directions, and an end that has not noticed goes on sending into the void. A crash loses
 * an endpoint, and both begin anew.
 *
 * After every operation both directions are compared with a {@link Reference}. Of the mistakes in
 * `window_model_mistakes.ts`, those of a session, {@link Mistake}, are made here.
 */

import type { Bytes } from "../../lib/bytes.ts";
import { MIN_FRAGMENT_BYTES } from "../../lib/limits.ts";
import { type Fragment, windowBytes } from "../../lib/session/window.ts";
import { BrokenProperty } from "../../scripts/fuzzing.ts";
import { SeededRandom } from "../../scripts/seeded_random.ts";
import { countCut, type Coverage } from "./window_model_coverage.ts";
import {
  Endpoint,
  ModelConnection,
  type ModelFrame,
  other,
  REAL_WINDOWS,
  type Side,
  SIDES,
  type Windows,
} from "./window_model_endpoint.ts";
import type { Mistake } from "./window_model_mistakes.ts";
import { Reference } from "./window_model_reference.ts";

/** What a model is made of. */
export interface ModelOptions {
  /** Decides everything that is left to chance. */
  readonly random: SeededRandom;
  /** The longest message that each end takes, in bytes. */
  readonly maxMessage: Readonly<Record<Side, number>>;
  /** Counts what was reached. */
  readonly coverage: Coverage;
  /** {@link REAL_WINDOWS}, or some with a mistake in them. */
  readonly windows?: Windows;
  /** A mistake of the session. */
  readonly mistake?: Mistake | undefined;
}

/** Every round brings home a window in both directions; what needs more than this many never ends. */
const MAX_ROUNDS = 1_000;

/** Random bytes of which every message is a piece of its own, so that none is mistaken for another. */
const PATTERN = pattern(9 * 1024 * 1024);

function pattern(length: number): Bytes {
  const random = new SeededRandom("window model");
  const words = new Uint32Array(length / 4);
  for (let i = 0; i < words.length; i++) words[i] = random.uint32();
  return new Uint8Array(words.buffer);
}

/** Two endpoints and what is between them. Every method is one operation, and does nothing where it cannot. */
export class Model {
  readonly #options: ModelOptions;
  readonly #random: SeededRandom;
  readonly #coverage: Coverage;
  readonly #windows: Windows;
  readonly #mistake: Mistake | undefined;
  #ends!: Record<Side, Endpoint>;
  /** What each side sends. */
  #references!: Record<Side, Reference>;
  /** Those the initiator dialled whose RESUME the host has not read. */
  #dialled: ModelConnection[] = [];
  #attempt = 0;
  #hostAttempt = 0;
  #instance = 0;
  /** Whether the host's process is another one that knows nothing of the session. */
  #hostGone = false;
  #quietSinceCut = false;
  #messages = 0;
  /** Grows whenever something moves: what stands still is stuck. */
  #moves = 0;

  /** A session that has just been opened. */
  constructor(options: ModelOptions) {
    this.#options = options;
    this.#random = options.random;
    this.#coverage = options.coverage;
    this.#windows = options.windows ?? REAL_WINDOWS;
    this.#mistake = options.mistake;
    this.#open();
  }

  #open(): void {
    const { maxMessage } = this.#options;
    this.#ends = {
      initiator: new Endpoint(this.#windows, maxMessage.initiator),
      host: new Endpoint(this.#windows, maxMessage.host),
    };
    this.#references = {
      initiator: new Reference(maxMessage.host),
      host: new Reference(maxMessage.initiator),
    };
    this.#hostGone = false;
    this.#hostAttempt = this.#attempt;
    this.#dialled = [];
    this.#quietSinceCut = false;
    const connection = new ModelConnection(this.#attempt, this.#instance);
    for (const side of SIDES) {
      this.#ends[side].connection = connection;
      this.#ends[side].resumed = true;
      this.#say(side);
    }
  }

  /** The longest message that `side` may push, in bytes. */
  maxMessage(side: Side): number {
    return this.#references[side].maxMessage;
  }

  /** Pushes a message of `length` bytes, unless the sender holds more than a window. */
  push(side: Side, length: number): void {
    if (this.#isGone(side)) return;
    const { sender } = this.#ends[side];
    if (sender.heldBytes > windowBytes(this.maxMessage(side))) {
      this.#coverage["full send buffers"]++;
      return;
    }
    const at = (this.#messages++ * 7919) % (PATTERN.length - length);
    const message = PATTERN.subarray(at, at + length);
    if (length === 0) this.#coverage["empty messages"]++;
    this.#references[side].push(message);
    sender.push(message);
  }

  /** Sends up to `count` fragments as far as there is credit. */
  transmit(side: Side, count: number): void {
    const end = this.#ends[side];
    if (this.#isGone(side) || !end.canSend) return;
    for (let i = 0; i < count; i++) {
      const fragment = end.sender.next();
      if (fragment === null) {
        if (!end.sender.allSent) this.#coverage["stalls for lack of credit"]++;
        return;
      }
      if (this.#references[side].leaves(fragment, end.nextSeq++)) this.#noteReplay(fragment);
      if (end.receiver.ackPending) this.#coverage["acknowledgements along with DATA"]++;
      this.#send(side, { type: "data", fragment, ...this.#word(side) });
    }
  }

  #noteReplay(fragment: Fragment): void {
    this.#coverage["replayed fragments"]++;
    if (fragment.more) this.#coverage["replays of a part of a message"]++;
  }

  #send(side: Side, frame: ModelFrame): void {
    const { connection } = this.#ends[side];
    this.#moves++;
    if (connection!.alive) connection!.towards[other(side)].push(frame);
    else this.#coverage["frames sent into the void"]++;
  }

  /** Returns what `side` says of what it received, and notes it as said. */
  #word(side: Side): { readonly ack: number; readonly credit: number } {
    const { receiver, connection } = this.#ends[side];
    const { ack, credit } = receiver;
    this.#references[other(side)].said(ack, credit);
    if (receiver.bufferedBytes > windowBytes(this.#options.maxMessage[side])) {
      this.#coverage["grants to a message that is alone"]++;
    }
    receiver.advertised();
    if (credit < MIN_FRAGMENT_BYTES) this.#coverage["full windows"]++;
    const onTheWay = connection!.towards[side].some(({ type }) => type === "data");
    const early = this.#mistake === "ack_before_holding" && onTheWay;
    return { ack: early ? ack + 1 : ack, credit };
  }

  #say(side: Side): void {
    const word = this.#word(side);
    if (this.#mistake === "ack_lost" && this.#random.chance(0.1)) return;
    this.#send(side, { type: "ack", ...word });
  }

  /** Hands up to `count` frames that have arrived to `side`. */
  deliver(side: Side, count: number): void {
    const { connection } = this.#ends[side];
    const isNew = side === "host" && this.#dialled.length > 0;
    if (isNew && (connection === null || this.#random.chance(0.5))) return this.#acceptDialled();
    if (connection === null) return;
    for (const frame of connection.towards[side].splice(0, count)) {
      this.#moves++;
      this.#take(side, frame);
      if (this.#ends[side].connection !== connection) return;
    }
    this.#acknowledge(side);
  }

  #take(side: Side, frame: ModelFrame): void {
    switch (frame.type) {
      case "data":
        this.#ends[side].receiver.accept(frame.fragment);
        this.#references[other(side)].arrived();
        this.#quietSinceCut = false;
        return this.#hear(side, frame.ack, frame.credit);
      case "ack":
        return this.#hear(side, frame.ack, frame.credit);
      case "resumed":
        return this.#resume(side, frame.next);
      case "refused":
        return this.#anew();
      case "resume":
        throw new BrokenProperty("RESUME came twice on one connection");
      default:
        frame satisfies never;
    }
  }

  #hear(side: Side, ack: number, credit: number): void {
    const granted = this.#mistake === "credit_too_many" ? credit + 1 : credit;
    const freed = this.#ends[side].sender.acknowledge(ack, granted);
    this.#references[side].heard(ack, granted, freed);
  }

  /** Acknowledges at once or sets the timer, as a session does after it has read. */
  #acknowledge(side: Side): void {
    const end = this.#ends[side];
    if (end.connection === null) return;
    if (end.receiver.ackUrgent) {
      this.#coverage["acknowledgements at once"]++;
      this.#say(side);
    } else if (end.receiver.ackPending) end.ackTimer = true;
  }

  /** Lets the timer of the delayed acknowledgement fire. */
  fireAckTimer(side: Side): void {
    const end = this.#ends[side];
    if (!end.ackTimer) return;
    end.ackTimer = false;
    if (end.connection === null || !end.receiver.ackPending) return;
    this.#coverage["acknowledgements after a delay"]++;
    this.#say(side);
  }

  /** Takes up to `count` messages that `side` received. */
  take(side: Side, count: number): void {
    if (this.#isGone(side)) return;
    const end = this.#ends[side];
    for (let i = 0; i < count; i++) {
      const message = end.receiver.take();
      if (message === null) return;
      this.#moves++;
      this.#references[other(side)].took(message);
      this.#coverage["messages taken"]++;
      if (message.buffer !== PATTERN.buffer) this.#coverage["messages of several fragments"]++;
      if (end.connection !== null && end.receiver.ackUrgent) this.#say(side);
    }
  }

  /** Cuts the connection: what is behind a random point is lost in both directions. */
  cut(): void {
    const { connection } = this.#ends.initiator;
    if (connection === null || !connection.alive) return;
    countCut(this.#coverage, {
      connection,
      ends: this.#ends,
      references: this.#references,
      isQuiet: this.#quietSinceCut,
    });
    this.#quietSinceCut = true;
    connection.alive = false;
    for (const side of SIDES) {
      const frames = connection.towards[side];
      frames.length = this.#random.below(frames.length + 1);
    }
  }

  /** Lets `side` notice that its connection is dead. */
  notice(side: Side): void {
    const end = this.#ends[side];
    if (end.connection === null || end.connection.alive) return;
    end.connection.close(side);
    end.connection = null;
    end.resumed = false;
  }

  /** Lets the initiator dial again, once it has noticed. */
  dial(): void {
    const { initiator } = this.#ends;
    if (initiator.connection !== null) return;
    initiator.connection = new ModelConnection(++this.#attempt, this.#instance);
    this.#dialled.push(initiator.connection);
    this.#send("initiator", { type: "resume", next: this.#lacking("initiator") });
    this.#sayAnew("initiator");
  }

  /** Returns the first fragment that `side` lacks. */
  #lacking(side: Side): number {
    const { receiver } = this.#ends[side];
    if (this.#mistake === "part_forgotten") receiver.forgetPart?.();
    const next = receiver.ack + 1;
    if (this.#mistake === "next_too_low") return next - 1;
    return this.#mistake === "next_too_high" ? next + 1 : next;
  }

  /** Lets the host read a RESUME. */
  #acceptDialled(): void {
    const index = this.#random.below(this.#dialled.length);
    const connection = this.#dialled.splice(index, 1)[0]!;
    const resume = connection.towards.host.shift();
    this.#moves++;
    if (resume?.type !== "resume") return; // it was cut before anything arrived
    if (this.#hostGone && this.#mistake !== "resume_after_crash") {
      connection.towards.host.length = 0;
      if (connection.alive) connection.towards.initiator.push({ type: "refused" });
      return;
    }
    this.#hostGone = false;
    if (connection.attempt < this.#hostAttempt && this.#mistake !== "older_attempt") {
      this.#coverage["RESUMEs that came too late"]++;
      return connection.close("host");
    }
    this.#ends.host.connection?.close("host");
    this.#hostAttempt = connection.attempt;
    this.#ends.host.connection = connection;
    this.#resume("host", resume.next);
    this.#send("host", { type: "resumed", next: this.#lacking("host") });
    this.#sayAnew("host");
  }

  #resume(side: Side, next: number): void {
    const end = this.#ends[side];
    const freed = end.sender.rewind(next);
    this.#references[side].rewound(next, freed);
    end.resumed = true;
    end.nextSeq = next;
    end.replayedTo = this.#references[side].cut;
    if (side === "initiator") this.#coverage.resumptions++;
  }

  /** Grants anew on a new connection: what was said on the old one may not have arrived. */
  #sayAnew(side: Side): void {
    if (this.#mistake !== "no_ack_at_resume") this.#say(side);
  }

  /** Ends the process of `side`, which loses everything. */
  crash(side: Side): void {
    if (this.#isGone(side)) return;
    this.#coverage[`crashes of the ${side}`]++;
    if (side === "initiator") return this.#anew();
    this.cut();
    this.#instance++;
    this.#hostGone = true;
    this.#ends.host.connection?.close("host");
    this.#ends.host = new Endpoint(this.#windows, this.#options.maxMessage.host);
  }

  /** Begins a new session; what was not taken of the old one is lost. */
  #anew(): void {
    for (const side of SIDES) {
      const { pushed, taken } = this.#references[side];
      this.#coverage["messages lost by crashes"] += pushed - taken;
    }
    this.#attempt++;
    this.#open();
  }

  #isGone(side: Side): boolean {
    return side === "host" && this.#hostGone;
  }

  /** Checks all figures. Throws {@link BrokenProperty}. */
  check(): void {
    for (const side of SIDES) {
      if (!this.#isGone(side)) this.#references[side].checkSender(this.#ends[side].sender);
      const to = other(side);
      if (!this.#isGone(to)) this.#references[side].checkReceiver(this.#ends[to].receiver);
    }
  }

  /**
   * Lets everything happen that is due, with no more cuts, until all that was pushed was taken and
   * acknowledged. Throws {@link BrokenProperty} when nothing moves before that, or without end.
   */
  finish(): void {
    for (let round = 0; round < MAX_ROUNDS; round++) {
      const before = this.#moves;
      for (const side of SIDES) this.notice(side);
      this.dial();
      for (const side of SIDES) {
        this.transmit(side, Infinity);
        this.deliver(side, Infinity);
        this.fireAckTimer(side);
        this.take(side, Infinity);
      }
      this.check();
      if (this.#moves > before) continue;
      if (this.#hostGone) throw new BrokenProperty("the initiator waits for a host that is gone");
      for (const side of SIDES) this.#checkDone(side);
      return;
    }
    throw new BrokenProperty(`the two talk without end: ${this.#describe("initiator")}`);
  }

  #checkDone(side: Side): void {
    if (this.#references[side].isDone(this.#ends[side].sender)) return;
    throw new BrokenProperty(`the ${side} is stuck: ${this.#describe(side)}`);
  }

  #describe(side: Side): string {
    const { sender } = this.#ends[side];
    return this.#references[side].describe(sender, this.#ends[other(side)].receiver);
  }
}
