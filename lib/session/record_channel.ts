/**
 * The record channel: frames over a transport, sealed.
 *
 *     u16 length ‖ ciphertext        one frame or a BUNDLE each, ChaCha20-Poly1305, 64-bit counter nonce
 *
 * Frames leave in the order in which they are enqueued. What is enqueued in one turn, or while a write is
 * under way, leaves in one write, in the records that {@link RecordSealer} makes of it. Reading hands out
 * every frame that is already here without waiting. Any record that does not decrypt ends the channel.
 * When a write fails, reading goes on to the end of the stream before it reports that: what the other
 * end said last may say why. Buffers begin small, because most connections are idle.
 */

import { type Bytes, EMPTY } from "../bytes.ts";
import {
  MAX_QUEUED_AHEAD_BYTES,
  MAX_RECORD_BYTES,
  RECORDS_PER_KEY,
  STRANGER_BYTES,
} from "../limits.ts";
import type { CipherState } from "../noise/cipher_state.ts";
import { NoiseError } from "../noise/errors.ts";
import { TransportError } from "../transport/errors.ts";
import type { Transport } from "../transport/transport.ts";
import { WireError } from "../wire/errors.ts";
import { BundleReader, FrameType, RECORD_LENGTH_BYTES, RECORD_TAG_BYTES } from "../wire/frames.ts";
import { SessionError } from "./errors.ts";
import { RecordSealer } from "./record_sealer.ts";

/** What a read buffer begins with: no more is read of a stranger before it is known to be none. */
const FIRST_READ_BUFFER_BYTES = STRANGER_BYTES;

/** What it becomes once it was full: whole records and then some, so that a full pipe is read in few calls. */
const READ_BUFFER_BYTES = 4 * (RECORD_LENGTH_BYTES + MAX_RECORD_BYTES);

/** Sealed and unsent bytes at which a peer that does not read counts as dead. */
const MAX_UNREAD_BYTES = 8 * MAX_QUEUED_AHEAD_BYTES;

/** The two cipher states of a finished handshake. */
export interface ChannelKeys {
  /** Seals what we send. */
  readonly send: CipherState;
  /** Opens what we receive. */
  readonly receive: CipherState;
}

/** What a record channel takes besides transport and keys. */
export interface RecordChannelOptions {
  /** Bytes that were read behind the handshake, if any. */
  readonly readAhead?: Bytes;
  /** Records under one key; tests use a small number. */
  readonly recordsPerKey?: number;
}

/** Frames over a transport, sealed and in order. */
export class RecordChannel implements Disposable {
  readonly #transport: Transport;
  readonly #keys: ChannelKeys;
  readonly #recordsPerKey: number;
  #receivedUnderKey = 0;

  #incoming: Bytes;
  #start = 0;
  #end: number;
  #readBytes: number;
  #trimming = false;
  /** Whether a first record has been opened. */
  #hasReceived = false;
  /** The frames of the record that was opened last, as far as they were not handed out. */
  readonly #frames = new BundleReader();

  readonly #sealer: RecordSealer;
  /** The size of the write that is under way. */
  #writingBytes = 0;
  #writing: Promise<void> | undefined;
  #written: PromiseWithResolvers<void> | undefined;

  /** What ended the channel, once nothing more can be read. */
  #failure: Error | undefined;
  /** What ended writing; reading goes on. */
  #writeFailure: Error | undefined;
  #writeEnded = false;
  #closed = false;

  /** Takes over `transport`; closing the channel closes it. */
  constructor(transport: Transport, keys: ChannelKeys, options: RecordChannelOptions = {}) {
    this.#transport = transport;
    this.#keys = keys;
    this.#recordsPerKey = options.recordsPerKey ?? RECORDS_PER_KEY;
    this.#sealer = new RecordSealer(keys.send, this.#recordsPerKey);
    const ahead = options.readAhead ?? EMPTY;
    this.#incoming = new Uint8Array(Math.max(FIRST_READ_BUFFER_BYTES, ahead.length));
    this.#incoming.set(ahead);
    this.#end = this.#readBytes = ahead.length;
  }

  /** Bytes on their way that the transport has not taken yet. */
  get queuedBytes(): number {
    return this.#sealer.heldBytes + this.#writingBytes;
  }

  /** Whether a bulk frame may be enqueued without delaying control frames too much. */
  get hasRoom(): boolean {
    return this.#writable && this.queuedBytes < MAX_QUEUED_AHEAD_BYTES;
  }

  /** Whether what is enqueued has a chance to leave. */
  get #writable(): boolean {
    return !this.#closed && !this.#writeEnded && this.#failure === undefined;
  }

  /**
   * Resolves when the write that is under way has finished; at once when there is none. Stays pending
   * when the channel can write no more: the reader learns why.
   */
  whenWritten(): Promise<void> {
    if (this.#writable && this.#writing === undefined) return Promise.resolve();
    this.#written ??= Promise.withResolvers();
    return this.#written.promise;
  }

  /**
   * Takes a frame, given as consecutive parts that are copied or sealed at once, and sees to it that it is
   * written soon. Does not wait. When the channel can write no more it does nothing. Throws RangeError for
   * a frame that fits into no record.
   */
  enqueue(...parts: readonly Bytes[]): void {
    if (!this.#writable) return;
    if (this.queuedBytes > MAX_UNREAD_BYTES) {
      this.#fail(
        new SessionError("connection_lost", "Lost the connection: the peer does not read"),
      );
      return;
    }
    this.#sealer.add(parts);
    this.#writing ??= this.#writeAll();
  }

  /** Writes until nothing is left. Begins a microtask later, so that one turn's frames share a write. */
  async #writeAll(): Promise<void> {
    await undefined;
    try {
      while (!this.#closed && this.#sealer.heldBytes > 0) {
        const records = this.#sealer.take();
        this.#writingBytes = records.length;
        await this.#transport.write(records);
        this.#writingBytes = 0;
        this.#signalWritten();
      }
    } catch (error) {
      this.#writeFailure = connectionLost(error);
      this.#writeEnded = true;
    }
    this.#writing = undefined;
  }

  #signalWritten(): void {
    this.#written?.resolve();
    this.#written = undefined;
  }

  /**
   * Returns the next frame that is already here, or null when {@link fill} is needed first. The frame is
   * the caller's. Throws SessionError `protocol` for a record that does not decrypt, for one whose
   * ciphertext is longer than `maxRecordBytes`, and for a first one that is a BUNDLE (PROTOCOL §5).
   */
  nextFrame(maxRecordBytes = MAX_RECORD_BYTES): Bytes | null {
    for (;;) {
      if (this.#failure !== undefined) throw this.#failure;
      if (this.#frames.hasMore && !this.#closed) return this.#unbundle(() => this.#frames.next());
      const record = this.#closed ? null : this.#nextRecord(maxRecordBytes);
      if (record === null) return null;
      const frame = this.#open(record);
      if (frame[0] === FrameType.rekey) {
        this.#rekeyed(frame);
        continue;
      }
      if (++this.#receivedUnderKey > this.#recordsPerKey) {
        throw this.#fail(unreadable("the sender did not rekey in time"));
      }
      const isFirst = !this.#hasReceived;
      this.#hasReceived = true;
      if (frame[0] !== FrameType.bundle) return frame;
      if (isFirst) throw this.#fail(unreadable("the first one is a BUNDLE"));
      return this.#unbundle(() => this.#frames.open(frame));
    }
  }

  /** Takes a REKEY, which has its one place: a flood of them would cost us more than who sends it. */
  #rekeyed({ length }: Bytes): void {
    if (length !== 1) throw this.#fail(unreadable("REKEY is longer than its type"));
    if (this.#receivedUnderKey !== this.#recordsPerKey) {
      throw this.#fail(unreadable(`REKEY came after ${this.#receivedUnderKey} records`));
    }
    this.#keys.receive.rekey();
    this.#receivedUnderKey = 0;
  }

  #unbundle<Frame extends Bytes | null>(read: () => Frame): Frame {
    try {
      return read();
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      throw this.#fail(unreadable("its frames do not fill it", error));
    }
  }

  #nextRecord(maxRecordBytes: number): Bytes | null {
    const available = this.#end - this.#start;
    if (available < RECORD_LENGTH_BYTES) return null;
    const length = (this.#incoming[this.#start]! << 8) | this.#incoming[this.#start + 1]!;
    if (length <= RECORD_TAG_BYTES || length > maxRecordBytes) {
      const least = RECORD_TAG_BYTES + 1;
      throw this.#fail(unreadable(`length is ${length}, expected ${least} to ${maxRecordBytes}`));
    }
    if (available < RECORD_LENGTH_BYTES + length) return null;
    const from = this.#start + RECORD_LENGTH_BYTES;
    this.#start = from + length;
    return this.#incoming.subarray(from, this.#start);
  }

  #open(ciphertext: Bytes): Bytes {
    try {
      return this.#keys.receive.decryptWithAd(EMPTY, ciphertext);
    } catch (error) {
      if (!(error instanceof NoiseError)) throw error;
      throw this.#fail(unreadable("it was altered, repeated or reordered", error));
    }
  }

  /**
   * Waits for more bytes, once {@link nextFrame} has returned null. Returns false at the end of the
   * stream, also when {@link close} was called. Throws SessionError `connection_lost` when it broke, in
   * either direction, and `protocol` instead of reading more than `maxBytes` in the life of the channel.
   */
  async fill(maxBytes = Infinity): Promise<boolean> {
    const left = maxBytes - this.#readBytes;
    if (left <= 0) throw this.#fail(unreadable(`it is not whole after ${this.#readBytes} bytes`));
    this.#makeRoom();
    let count: number | null;
    try {
      count = await this.#transport.read(this.#incoming.subarray(this.#end, this.#end + left));
    } catch (error) {
      throw this.#fail(connectionLost(error));
    }
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#closed) return false;
    if (count === null) {
      if (this.#writeFailure !== undefined) throw this.#fail(this.#writeFailure);
      return false;
    }
    this.#end += count;
    this.#readBytes += count;
    return true;
  }

  /**
   * Leaves at least one byte of room behind what is here. A first buffer that was filled is too small for
   * its traffic. In the later one, whatever part of a record is here fits in front of the rest: what is
   * moved is never more than one record, and only when the next would not fit behind it.
   */
  #makeRoom(): void {
    const held = this.#incoming.subarray(this.#start, this.#end);
    const { length } = this.#incoming;
    if (this.#end === length && length < READ_BUFFER_BYTES) {
      this.#incoming = new Uint8Array(READ_BUFFER_BYTES);
    } else if (this.#trimming && held.length === 0) {
      this.#incoming = new Uint8Array(FIRST_READ_BUFFER_BYTES);
      this.#trimming = false;
    } else if (held.length > 0 && length - this.#start >= RECORD_LENGTH_BYTES + MAX_RECORD_BYTES) {
      return;
    }
    this.#incoming.set(held);
    this.#start = 0;
    this.#end = held.length;
  }

  /** Gives back what busier times needed, as far as nothing is under way. For an idle connection. */
  trim(): void {
    this.#trimming = this.#incoming.length > FIRST_READ_BUFFER_BYTES; // done once the pending read ends
    if (this.#writing === undefined) this.#sealer.trim();
  }

  /** Waits until everything enqueued was taken by the transport, or can no longer be. */
  async flush(): Promise<void> {
    while (this.#writing !== undefined) await this.#writing;
  }

  /**
   * Writes what is queued and ends our direction: the other end's {@link fill} returns false behind it.
   * Reading goes on; what is enqueued later is dropped.
   */
  async closeWrite(): Promise<void> {
    await this.flush();
    if (!this.#writable) return;
    this.#writeEnded = true;
    await this.#transport.closeWrite();
  }

  /**
   * Ends our direction as {@link closeWrite} does, then reads and drops what still comes, until the end of
   * the stream or until the channel has read more than `maxBytes` in its life. So the other end can read
   * what was written last: closing at once could destroy it. Only {@link close} may follow.
   */
  async drain(maxBytes: number): Promise<void> {
    await this.closeWrite();
    const dropped = this.#incoming.subarray(0, FIRST_READ_BUFFER_BYTES);
    try {
      while (this.#readBytes <= maxBytes) {
        const count = await this.#transport.read(dropped);
        if (count === null) return;
        this.#readBytes += count;
      }
    } catch (error) {
      if (!(error instanceof TransportError)) throw error; // the stream is over, as wanted
    }
  }

  /** Closes the transport now and forgets the keys. What is queued is dropped: {@link flush} first. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#transport.close();
    this.#keys.send.destroy();
    this.#keys.receive.destroy();
  }

  /** The same as {@link close}. */
  [Symbol.dispose](): void {
    this.close();
  }

  #fail(error: Error): Error {
    this.#failure ??= error;
    this.#transport.close();
    return this.#failure;
  }
}

function unreadable(state: string, cause?: unknown): SessionError {
  return new SessionError("protocol", `Cannot read record: ${state}`, { cause });
}

function connectionLost(cause: unknown): SessionError {
  return new SessionError("connection_lost", "Lost the connection", { cause });
}
