/**
 * A session: two ordered, reliable streams of messages between two peers, for one service.
 *
 *     opening ── OPENED ──▶ open ── CLOSE sent and received, stream ended ──▶ ended
 *        │                   │
 *        └─ REFUSED ─────────┴── connection lost, protocol error ──▶ ended (with an error)
 *
 * This is the shell around {@link Sender}, {@link ReceiveWindow} and {@link LivenessWatch}: it moves frames
 * between them and one record channel. The socket is always read, whatever the consumer does;
 * what bounds memory is credit. CLOSE means "I send nothing more": messages that arrived before it are
 * still delivered, and the other direction goes on until it closes too. Then both ends end their streams
 * and read to the end of the other's, so that nothing on its way is destroyed.
 */

import type { Bytes } from "../bytes.ts";
import { type Clock, within } from "../clock.ts";
import { messageOf } from "../errors.ts";
import { ACK_DELAY_MS, EARLY_DATA_BYTES } from "../limits.ts";
import { describePath, type PathLabel } from "../transport/transport.ts";
import { WireError } from "../wire/errors.ts";
import { decodeFrame, encodeAck, encodePing, type Frame } from "../wire/frames.ts";
import {
  decodeOpened,
  decodeReason,
  encodeOpen,
  encodeOpened,
  encodeReason,
  type OpenBody,
  type OpenedBody,
  type ReasonBody,
} from "./bodies.ts";
import type { Connection } from "./connection.ts";
import { SessionError, type SessionErrorCode } from "./errors.ts";
import { LivenessWatch } from "./liveness_watch.ts";
import { ReplayBudget } from "./replay_budget.ts";
import { Sender } from "./sender.ts";
import { ReceiveWindow } from "./window.ts";

/** How long {@link Session.close} waits for the other end's CLOSE unless told otherwise. */
const CLOSE_PATIENCE_MS = 2_000;

/** An orderly end. */
export const NORMAL_CLOSE: ReasonBody = { code: "done", reason: "" };

/** What a session counted so far. */
export interface SessionCounts {
  /** Messages that {@link Session.send} accepted. */
  readonly messagesSent: number;
  /** Messages handed out by {@link Session.receive}. */
  readonly messagesReceived: number;
  /** Their bytes. */
  readonly bytesSent: number;
  /** Their bytes. */
  readonly bytesReceived: number;
}

/** One session over one connection. */
export class Session implements AsyncDisposable {
  readonly #connection: Connection;
  readonly #clock: Clock;
  readonly #open: OpenBody;
  readonly #sender: Sender;
  readonly #receiving: ReceiveWindow;
  readonly #watch: LivenessWatch;
  readonly #opened = Promise.withResolvers<OpenedBody>();
  readonly #peerClosed = Promise.withResolvers<void>();
  readonly #ended = Promise.withResolvers<void>();

  /** Resolves when something has arrived or nothing more will; made when it is waited for. */
  #arrival: PromiseWithResolvers<void> | undefined;
  #messagesReceived = 0;
  #bytesReceived = 0;
  #receivers = 0;
  #ackTimer: Disposable | undefined;
  #pingToken = 0;

  #closing: Promise<void> | undefined;
  #closeSent = false;
  #closeReceived: ReasonBody | undefined;
  #failure: Error | undefined;
  #over = false;

  private constructor(
    connection: Connection,
    open: OpenBody,
    maxMessage: number,
    clock: Clock,
    budget: ReplayBudget,
  ) {
    this.#connection = connection;
    this.#open = open;
    this.#clock = clock;
    this.#receiving = new ReceiveWindow(maxMessage, EARLY_DATA_BYTES);
    this.#watch = new LivenessWatch(clock, {
      ping: () => this.#ping(),
      dead: (silentMs) => this.#fail(silent(silentMs)),
    });
    this.#sender = new Sender({
      channel: connection.channel,
      receiving: this.#receiving,
      watch: this.#watch,
      share: budget.share(connection.peer),
      maxMessage,
    });
    this.#opened.promise.catch(() => {}); // whoever does not wait for it learns of it from receive()
  }

  /**
   * Asks for a session. Messages may be sent at once; {@link opened} tells whether it was granted.
   * The session owns the connection from here on. `budget` bounds what all sessions of the process hold.
   */
  static open(
    connection: Connection,
    open: OpenBody,
    clock: Clock,
    budget = new ReplayBudget(),
  ): Session {
    const frame = encodeOpen(open);
    const session = new Session(connection, open, open.maxMessage, clock, budget);
    connection.channel.enqueue(frame);
    session.#start();
    return session;
  }

  /**
   * Grants the session that `open` asked for. The session owns the connection from here on. `budget`
   * bounds what all sessions of the process hold.
   */
  static accept(
    connection: Connection,
    open: OpenBody,
    mine: OpenedBody,
    clock: Clock,
    budget = new ReplayBudget(),
  ): Session {
    const frame = encodeOpened(mine);
    const session = new Session(connection, open, mine.maxMessage, clock, budget);
    session.#sender.opened(open.maxMessage);
    session.#opened.resolve(mine);
    connection.channel.enqueue(frame);
    session.#start();
    return session;
  }

  /** The connection that carries the session: who the peer is and which way the bytes go. */
  get connection(): Connection {
    return this.#connection;
  }

  /** Which way the bytes go. */
  get path(): PathLabel {
    return this.#connection.path;
  }

  /** The session's id, service and salt. */
  get request(): OpenBody {
    return this.#open;
  }

  /** Resolves when the host granted the session; rejects with SessionError when it did not. */
  get opened(): Promise<OpenedBody> {
    return this.#opened.promise;
  }

  /** Resolves when the session is over, however it ended. */
  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  /** What the other end gave as its reason for closing, once it has closed. */
  get closeReason(): ReasonBody | undefined {
    return this.#closeReceived;
  }

  /** What the session counted so far. */
  get counts(): SessionCounts {
    return {
      messagesSent: this.#sender.messages,
      messagesReceived: this.#messagesReceived,
      bytesSent: this.#sender.bytes,
      bytesReceived: this.#bytesReceived,
    };
  }

  /** The longest message the other end takes, in bytes; undefined until it said so. */
  get peerMaxMessage(): number | undefined {
    return this.#sender.peerMaxMessage;
  }

  /**
   * Sends a message, whose bytes must not change afterwards. Resolves when there was room for it: in the
   * window, and in the budget of the process. Messages leave in the order of the calls. Before the session
   * is granted only short ones are sent; a longer one waits, for the other end's limit is not known yet.
   * Throws SessionError `message_too_large` without sending anything, and what ended the session.
   */
  send(message: Bytes): Promise<void> {
    return this.#sender.send(message);
  }

  /**
   * Sends a message if that needs no waiting, and tells whether it did: where not, {@link send} waits or
   * says why. Throws SessionError `message_too_large` without sending anything.
   */
  trySend(message: Bytes): boolean {
    return this.#sender.trySend(message);
  }

  /**
   * Returns the next message, or null when the other end has closed in order. Throws what ended the
   * session otherwise. One call at a time.
   */
  async receive(): Promise<Bytes | null> {
    if (this.#receivers > 0) throw new TypeError("Cannot receive: another call is waiting");
    this.#receivers++;
    try {
      for (;;) {
        const message = this.#receiving.take();
        if (message !== null) return this.#handOut(message);
        if (this.#closeReceived !== undefined) return null;
        if (this.#failure !== undefined) throw this.#failure;
        if (this.#over) return null;
        this.#arrival ??= Promise.withResolvers();
        await this.#arrival.promise;
      }
    } finally {
      this.#receivers--;
    }
  }

  /** Returns the next message if one is here already, else null: what that means {@link receive} tells. */
  tryReceive(): Bytes | null {
    const message = this.#receivers > 0 ? null : this.#receiving.take();
    return message === null ? null : this.#handOut(message);
  }

  #handOut(message: Bytes): Bytes {
    this.#messagesReceived++;
    this.#bytesReceived += message.length;
    if (this.#receiving.ackUrgent) this.#sendAck();
    return message;
  }

  /**
   * Ends the session in order: what was sent before leaves first, as far as the other end takes it
   * within `patienceMs`; then CLOSE; then the other end's CLOSE and the end of its stream are awaited for
   * the rest of that time. Messages that still arrive can be received meanwhile and afterwards.
   */
  async close(reason: ReasonBody = NORMAL_CLOSE, patienceMs = CLOSE_PATIENCE_MS): Promise<void> {
    try {
      if (!this.#over) {
        this.#closing ??= this.#closeInOrder(encodeReason("close", reason));
        await within(this.#clock, patienceMs, this.#closing, undefined);
      }
    } finally {
      this.#end();
    }
  }

  async #closeInOrder(frame: Bytes): Promise<void> {
    const { channel } = this.#connection;
    if (!await this.#sender.finish()) return;
    this.#closeSent = true;
    channel.enqueue(frame);
    await Promise.race([this.#peerClosed.promise, this.#ended.promise]);
    await channel.closeWrite();
    await this.#ended.promise;
  }

  /** Ends the session now, without a word to the other end beyond the end of the connection. */
  abort(error: Error): void {
    this.#fail(error);
  }

  /** The same as {@link close} with {@link NORMAL_CLOSE}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #start(): void {
    this.#sendAck();
    this.#readAll().then(
      () => this.#streamEnded(gone()),
      (error: unknown) => this.#streamEnded(error),
    );
  }

  async #readAll(): Promise<void> {
    const { channel } = this.#connection;
    do {
      let frame = channel.nextFrame();
      if (frame !== null) this.#watch.heard();
      while (frame !== null && !this.#over) {
        this.#take(decodeFrame(frame));
        frame = channel.nextFrame();
      }
      if (this.#receiving.ackUrgent) this.#sendAck();
      else if (this.#receiving.ackPending) this.#delayAck();
    } while (!this.#over && await channel.fill());
  }

  #take(frame: Frame): void {
    this.#checkTurn(frame);
    switch (frame.type) {
      case "data":
        this.#receiving.accept(frame);
        this.#signalArrival();
        return this.#sender.acknowledged(frame.ack, frame.credit);
      case "ack":
        return this.#sender.acknowledged(frame.ack, frame.credit);
      case "ping":
        // A peer that floods us with pings and reads nothing gets no answers beyond what has room.
        if (this.#connection.channel.hasRoom) {
          this.#connection.channel.enqueue(encodePing("pong", frame.token));
        }
        return;
      case "pong":
        return;
      case "opened":
        return this.#takeOpened(decodeOpened(frame.body));
      case "refused":
        return this.#fail(
          refusal(decodeReason("refused", frame.body), this.#connection),
        );
      case "close":
        return this.#takeClose(decodeReason("close", frame.body));
      case "open":
      case "resume":
      case "resumed":
      case "rekey":
        throw outOfTurn(frame, "the session runs");
      default:
        frame satisfies never;
    }
  }

  /** Refuses a frame whose time has not come or has passed. */
  #checkTurn(frame: Frame): void {
    const { type } = frame;
    if (type === "ping" || type === "pong") return;
    const answers = type === "opened" || type === "refused";
    const opened = this.#sender.peerMaxMessage !== undefined;
    if (opened && answers) throw outOfTurn(frame, "the session is open");
    if (!opened && !answers) throw outOfTurn(frame, "the session is not open yet");
    if (this.#closeReceived !== undefined && type !== "ack") {
      throw outOfTurn(frame, "the peer has closed");
    }
  }

  #takeOpened(opened: OpenedBody): void {
    this.#sender.opened(opened.maxMessage);
    this.#opened.resolve(opened);
  }

  #takeClose(reason: ReasonBody): void {
    this.#closeReceived = reason;
    this.#signalArrival();
    this.#peerClosed.resolve();
  }

  #sendAck(): void {
    if (this.#over) return;
    const { ack, credit } = this.#receiving;
    this.#connection.channel.enqueue(encodeAck(ack, credit));
    this.#receiving.advertised();
  }

  /** One timer serves all messages of the next moments: it is not set anew for each of them. */
  #delayAck(): void {
    if (this.#over) return;
    this.#ackTimer ??= this.#clock.after(ACK_DELAY_MS, () => {
      this.#ackTimer = undefined;
      if (this.#receiving.ackPending) this.#sendAck();
    });
  }

  #ping(): void {
    this.#connection.channel.trim(); // a ping is only due when little is going on
    this.#connection.channel.enqueue(encodePing("ping", this.#pingToken++ >>> 0));
  }

  #streamEnded(error: unknown): void {
    // Once the peer has closed, and we have too, how its stream ends says nothing.
    if (this.#closeReceived !== undefined && this.#closeSent) this.#end();
    else this.#fail(translated(error));
  }

  #fail(error: Error): void {
    if (this.#over) return;
    this.#failure = error;
    this.#opened.reject(error);
    this.#end();
  }

  #end(): void {
    if (this.#over) return;
    this.#over = true;
    this.#watch[Symbol.dispose]();
    this.#ackTimer?.[Symbol.dispose]();
    this.#connection.channel.close();
    this.#sender.end(this.#failure ?? closed());
    this.#opened.reject(closed());
    this.#signalArrival();
    this.#ended.resolve();
  }

  #signalArrival(): void {
    this.#arrival?.resolve();
    this.#arrival = undefined;
  }
}

function closed(): SessionError {
  return new SessionError("closed", "Cannot use the session: it is closed");
}

function gone(): SessionError {
  return new SessionError("connection_lost", "Lost the connection: the peer is gone");
}

function silent(ms: number): SessionError {
  const seconds = (ms / 1000).toFixed(1);
  return new SessionError("connection_lost", `Lost the connection: silent for ${seconds} s`);
}

function outOfTurn(frame: Frame, state: string): SessionError {
  return new SessionError("protocol", `Cannot take ${frame.type} frame: ${state}`);
}

function translated(error: unknown): Error {
  if (error instanceof WireError) {
    return new SessionError("protocol", error.message, { cause: error });
  }
  return error instanceof Error ? error : new Error(messageOf(error));
}

const REFUSALS: ReadonlySet<string> = new Set<SessionErrorCode>([
  "unauthorized",
  "unknown_service",
  "service_failed",
  "busy",
]);

function refusal({ code, reason }: ReasonBody, to: Connection): SessionError {
  const known = REFUSALS.has(code) ? code as SessionErrorCode : "protocol";
  return new SessionError(
    known,
    `The host ${to.peer} (${describePath(to.path)}) refused: ${reason}`,
  );
}
