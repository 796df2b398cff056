/**
 * A session: two ordered, reliable streams of messages between two peers, for one service.
 *
 *     opening ── OPENED ──▶ open ── CLOSE sent and received ──▶ ended
 *        │                   │
 *        └─ REFUSED ─────────┴── connection lost, protocol error ──▶ ended (with an error)
 *
 * This is the shell around {@link SendWindow}, {@link ReceiveWindow} and {@link livenessStep}: it moves
 * frames between them and one record channel. The socket is always read, whatever the consumer does;
 * what bounds memory is credit. CLOSE means "I send nothing more": messages that arrived before it are
 * still delivered, and the other direction goes on until it closes too.
 */

import type { Bytes } from "../bytes.ts";
import { type Clock, within } from "../clock.ts";
import { ACK_DELAY_MS, EARLY_DATA_BYTES } from "../limits.ts";
import { describePath, type PathLabel } from "../transport/transport.ts";
import {
  decodeFrame,
  encodeAck,
  encodeDataHeader,
  encodePing,
  type Frame,
} from "../wire/frames.ts";
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
import { livenessStep } from "./liveness.ts";
import { ReceiveWindow, SendWindow, windowBytes } from "./window.ts";

/** How long {@link Session.close} waits for the other end's CLOSE unless told otherwise. */
const CLOSE_PATIENCE_MS = 2_000;

/** An orderly end. */
export const NORMAL_CLOSE: ReasonBody = { code: "done", reason: "" };

/** What a session counted so far. */
export interface SessionCounts {
  /** Messages handed to {@link Session.send}. */
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
  readonly #sending: SendWindow;
  readonly #receiving: ReceiveWindow;
  readonly #opened = Promise.withResolvers<OpenedBody>();
  readonly #ended = Promise.withResolvers<void>();
  readonly #counts = { messagesSent: 0, messagesReceived: 0, bytesSent: 0, bytesReceived: 0 };

  #peerMaxMessage: number | undefined;
  #arrival = Promise.withResolvers<void>();
  #progress = Promise.withResolvers<void>();
  #waitingForRoom = false;
  #closeSent = false;
  #closeReceived: ReasonBody | undefined;
  #failure: Error | undefined;
  #over = false;

  #heardAt: number;
  #unackedSince: number | null = null;
  #pingedAt: number | null = null;
  #pingToken = 0;
  #watch: Disposable | undefined;
  #watchAt = Infinity;
  #ackTimer: Disposable | undefined;

  private constructor(connection: Connection, open: OpenBody, maxMessage: number, clock: Clock) {
    this.#connection = connection;
    this.#open = open;
    this.#clock = clock;
    this.#sending = new SendWindow(EARLY_DATA_BYTES);
    this.#receiving = new ReceiveWindow(maxMessage, EARLY_DATA_BYTES);
    this.#heardAt = clock.monotonic();
    this.#opened.promise.catch(() => {}); // whoever does not wait for it learns of it from receive()
  }

  /**
   * Asks for a session. Messages may be sent at once; {@link opened} tells whether it was granted.
   * The session owns the connection from here on.
   */
  static open(connection: Connection, open: OpenBody, clock: Clock): Session {
    const session = new Session(connection, open, open.maxMessage, clock);
    connection.channel.enqueue(encodeOpen(open));
    session.#advertise();
    session.#start();
    return session;
  }

  /** Grants the session that `open` asked for. The session owns the connection from here on. */
  static accept(connection: Connection, open: OpenBody, mine: OpenedBody, clock: Clock): Session {
    const session = new Session(connection, open, mine.maxMessage, clock);
    session.#peerMaxMessage = open.maxMessage;
    session.#opened.resolve(mine);
    connection.channel.enqueue(encodeOpened(mine));
    session.#advertise();
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
    return this.#counts;
  }

  /** The longest message the other end takes, in bytes; undefined until it said so. */
  get peerMaxMessage(): number | undefined {
    return this.#peerMaxMessage;
  }

  /**
   * Sends a message, whose bytes must not change afterwards. Resolves when there is room for another.
   * Throws SessionError `message_too_large` without sending anything, and what ended the session.
   */
  async send(message: Bytes): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#over || this.#closeSent) throw closedError();
    const limit = this.#peerMaxMessage;
    if (limit !== undefined && message.length > limit) {
      throw new SessionError(
        "message_too_large",
        `Cannot send message: it has ${message.length} bytes, the peer takes ${limit}`,
      );
    }
    this.#counts.messagesSent++;
    this.#counts.bytesSent += message.length;
    this.#sending.push(message);
    this.#pump();
    while (this.#sending.heldBytes > this.#highWater && !this.#over) await this.#progress.promise;
    if (this.#failure !== undefined) throw this.#failure;
  }

  get #highWater(): number {
    return windowBytes(this.#peerMaxMessage ?? 0);
  }

  /**
   * Returns the next message, or null when the other end has closed in order. Throws what ended the
   * session otherwise. One caller at a time.
   */
  async receive(): Promise<Bytes | null> {
    for (;;) {
      const message = this.#receiving.take();
      if (message !== null) {
        this.#counts.messagesReceived++;
        this.#counts.bytesReceived += message.length;
        if (this.#receiving.ackUrgent) this.#sendAck();
        return message;
      }
      if (this.#failure !== undefined) throw this.#failure;
      if (this.#closeReceived !== undefined || this.#over) return null;
      await this.#arrival.promise;
    }
  }

  /**
   * Ends the session in order: what was sent before leaves first, as far as the other end takes it
   * within `patienceMs`; then CLOSE; then the other end's CLOSE is awaited for the rest of that time.
   */
  async close(reason: ReasonBody = NORMAL_CLOSE, patienceMs = CLOSE_PATIENCE_MS): Promise<void> {
    if (!this.#over) await within(this.#clock, patienceMs, this.#closeInOrder(reason), undefined);
    this.#end();
  }

  async #closeInOrder(reason: ReasonBody): Promise<void> {
    if (!this.#closeSent) {
      this.#closeSent = true;
      while (this.#sending.unsentBytes > 0 && !this.#over) await this.#progress.promise;
      if (this.#over) return;
      this.#connection.channel.enqueue(encodeReason("close", reason));
      await this.#connection.channel.flush();
    }
    if (this.#closeReceived !== undefined) return;
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
    this.#scheduleWatch();
    this.#readAll().then(
      () => this.#streamEnded(),
      (error: unknown) => this.#fail(error instanceof Error ? error : new Error(String(error))),
    );
  }

  async #readAll(): Promise<void> {
    const { channel } = this.#connection;
    do {
      let frame = channel.nextFrame();
      if (frame !== null) this.#heardAt = this.#clock.monotonic();
      for (; frame !== null && !this.#over; frame = channel.nextFrame()) {
        this.#take(decodeFrame(frame));
      }
      if (this.#receiving.ackUrgent) this.#sendAck();
      else if (this.#receiving.ackPending) this.#delayAck();
    } while (!this.#over && await channel.fill());
  }

  #take(frame: Frame): void {
    switch (frame.type) {
      case "data":
        this.#acknowledged(frame.ack, frame.credit);
        this.#receiving.accept(frame);
        this.#signalArrival();
        return;
      case "ack":
        this.#acknowledged(frame.ack, frame.credit);
        return;
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
        return this.#takeRefused(decodeReason("refused", frame.body));
      case "close":
        return this.#takeClose(decodeReason("close", frame.body));
      case "open":
      case "resume":
      case "resumed":
      case "rekey":
        throw new SessionError("protocol", `Cannot take ${frame.type} frame in a running session`);
      default:
        frame satisfies never;
    }
  }

  #takeOpened(opened: OpenedBody): void {
    if (this.#peerMaxMessage !== undefined) {
      throw new SessionError("protocol", "Cannot take opened frame: the session is open");
    }
    this.#peerMaxMessage = opened.maxMessage;
    this.#opened.resolve(opened);
    this.#signalProgress();
  }

  #takeRefused({ code, reason }: ReasonBody): void {
    if (this.#peerMaxMessage !== undefined) {
      throw new SessionError("protocol", "Cannot take refused frame: the session is open");
    }
    this.#fail(refusal(code, reason, this.#open.service, this.#connection));
  }

  #takeClose(reason: ReasonBody): void {
    this.#closeReceived ??= reason;
    this.#signalArrival();
    if (this.#closeSent) this.#end();
  }

  #acknowledged(ack: number, credit: number): void {
    this.#sending.acknowledge(ack, credit);
    this.#unackedSince = this.#sending.awaitsAck ? this.#clock.monotonic() : null;
    this.#signalProgress();
    this.#pump();
  }

  /** Moves fragments into the channel as far as credit and the channel's queue have room. */
  #pump(): void {
    const { channel } = this.#connection;
    while (channel.hasRoom) {
      const fragment = this.#sending.next();
      if (fragment === null) return;
      const { ack, credit } = this.#receiving;
      channel.enqueue(encodeDataHeader(fragment.more, fragment.seq, ack, credit), fragment.bytes);
      this.#receiving.advertised();
      if (this.#unackedSince === null) {
        this.#unackedSince = this.#clock.monotonic();
        this.#scheduleWatch();
      }
    }
    if (this.#waitingForRoom) return;
    this.#waitingForRoom = true;
    channel.whenWritten().then(() => {
      this.#waitingForRoom = false;
      this.#signalProgress();
      if (!this.#over) this.#pump();
    });
  }

  #sendAck(): void {
    if (this.#over) return;
    this.#advertise();
  }

  #advertise(): void {
    const { ack, credit } = this.#receiving;
    this.#connection.channel.enqueue(encodeAck(ack, credit));
    this.#receiving.advertised();
  }

  /** One timer serves all calls of the next moments: it is not set anew for each of them. */
  #delayAck(): void {
    this.#ackTimer ??= this.#clock.after(ACK_DELAY_MS, () => {
      this.#ackTimer = undefined;
      if (this.#receiving.ackPending) this.#sendAck();
    });
  }

  /** Sets the timer for the next liveness decision, unless it is set for that moment or an earlier one. */
  #scheduleWatch(): void {
    if (this.#over) return;
    const now = this.#clock.monotonic();
    const step = livenessStep(this.#liveness, now);
    const wait = step.action === "wait" ? step.ms : 0;
    if (this.#watch !== undefined && this.#watchAt <= now + wait) return;
    this.#watch?.[Symbol.dispose]();
    this.#watchAt = now + wait;
    this.#watch = this.#clock.after(wait, () => this.#checkLiveness());
  }

  get #liveness() {
    return {
      heardAt: this.#heardAt,
      unackedSince: this.#unackedSince,
      pingedAt: this.#pingedAt,
    };
  }

  #checkLiveness(): void {
    this.#watch = undefined;
    const now = this.#clock.monotonic();
    const step = livenessStep(this.#liveness, now);
    if (step.action === "dead") {
      const seconds = (step.silentMs / 1000).toFixed(1);
      this.#fail(
        new SessionError("connection_lost", `Lost the connection: silent for ${seconds} s`),
      );
      return;
    }
    if (step.action === "ping") {
      this.#pingedAt = now;
      this.#connection.channel.enqueue(encodePing("ping", this.#pingToken++ >>> 0));
    }
    this.#scheduleWatch();
  }

  #streamEnded(): void {
    if (this.#over) return;
    if (this.#closeReceived !== undefined) this.#end();
    else this.#fail(new SessionError("connection_lost", "Lost the connection: the peer is gone"));
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
    this.#watch?.[Symbol.dispose]();
    this.#ackTimer?.[Symbol.dispose]();
    this.#connection.channel.close();
    this.#opened.reject(closedError());
    this.#signalArrival();
    this.#signalProgress();
    this.#ended.resolve();
  }

  #signalArrival(): void {
    const { resolve } = this.#arrival;
    this.#arrival = Promise.withResolvers();
    resolve();
  }

  #signalProgress(): void {
    const { resolve } = this.#progress;
    this.#progress = Promise.withResolvers();
    resolve();
  }
}

function closedError(): SessionError {
  return new SessionError("closed", "Cannot send: the session is closed");
}

const REFUSALS: ReadonlySet<string> = new Set<SessionErrorCode>([
  "unauthorized",
  "unknown_service",
  "service_failed",
  "busy",
]);

function refusal(code: string, reason: string, service: string, to: Connection): SessionError {
  const known = REFUSALS.has(code) ? code as SessionErrorCode : "protocol";
  return new SessionError(
    known,
    `The host ${to.peer} (${describePath(to.path)}) refused service ${service}: ${reason}`,
  );
}
