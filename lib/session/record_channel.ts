/**
 * The record channel: frames over a transport, sealed.
 *
 *     u16 length ‖ ciphertext        one frame each, ChaCha20-Poly1305, 64-bit counter nonce
 *
 * Frames are sealed the moment they are enqueued, so the order of nonces is the order of the calls.
 * What is enqueued while a write is under way leaves in the next write as one piece. After 2^20 records
 * the sender says REKEY as its last record under the old key; the nonce goes on. Reading hands out
 * every frame that is already here without waiting. Any record that does not decrypt ends the channel.
 */

import { type Bytes, EMPTY } from "../bytes.ts";
import { MAX_QUEUED_AHEAD_BYTES, MAX_RECORD_BYTES, RECORDS_PER_KEY } from "../limits.ts";
import { NoiseError } from "../noise/errors.ts";
import type { CipherState } from "../noise/cipher_state.ts";
import type { Transport } from "../transport/transport.ts";
import { encodeRekey, FrameType, RECORD_TAG_BYTES } from "../wire/frames.ts";
import { SessionError } from "./errors.ts";

const LENGTH_BYTES = 2;

/** One whole record and then some, so that a full pipe is read in few calls. */
const READ_BUFFER_BYTES = 4 * (MAX_RECORD_BYTES + 1);

/** What a write buffer begins with; it grows to what one write needs and is used again. */
const WRITE_BUFFER_BYTES = 16 * 1024;

/** The two cipher states of a finished handshake. */
export interface ChannelKeys {
  /** Seals what we send. */
  readonly send: CipherState;
  /** Opens what we receive. */
  readonly receive: CipherState;
}

/** Sealed and unsent bytes at which a peer that does not read counts as dead. */
const MAX_UNREAD_BYTES = 8 * MAX_QUEUED_AHEAD_BYTES;

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
  #sentUnderKey = 0;
  #receivedUnderKey = 0;

  #incoming: Bytes = new Uint8Array(READ_BUFFER_BYTES);
  #start = 0;
  #end = 0;

  #outgoing: Bytes = new Uint8Array(WRITE_BUFFER_BYTES);
  #spare: Bytes = new Uint8Array(WRITE_BUFFER_BYTES);
  #outgoingBytes = 0;
  #writingBytes = 0;
  #writing: Promise<void> | undefined;
  #room = Promise.withResolvers<void>();
  #failure: Error | undefined;
  #closed = false;

  /** Takes over `transport`; closing the channel closes it. */
  constructor(transport: Transport, keys: ChannelKeys, options: RecordChannelOptions = {}) {
    this.#transport = transport;
    this.#keys = keys;
    this.#recordsPerKey = options.recordsPerKey ?? RECORDS_PER_KEY;
    const ahead = options.readAhead ?? EMPTY;
    this.#incoming.set(ahead);
    this.#end = ahead.length;
  }

  /** Bytes sealed and not yet taken by the transport. */
  get queuedBytes(): number {
    return this.#outgoingBytes + this.#writingBytes;
  }

  /** Whether a bulk frame may be enqueued without delaying control frames too much. */
  get hasRoom(): boolean {
    return this.queuedBytes < MAX_QUEUED_AHEAD_BYTES;
  }

  /** Resolves when the write that is under way has finished; at once when there is none. */
  whenWritten(): Promise<void> {
    return this.#writing === undefined ? Promise.resolve() : this.#room.promise;
  }

  /**
   * Seals a frame, given as consecutive parts, and sees to it that it is written soon. Does not wait.
   * After a failure or {@link close} it does nothing: the reader reports why.
   */
  enqueue(...parts: readonly Bytes[]): void {
    if (this.#closed || this.#failure !== undefined) return;
    if (this.queuedBytes > MAX_UNREAD_BYTES) {
      this.#fail(
        new SessionError("connection_lost", "Lost the connection: the peer does not read"),
      );
      return;
    }
    this.#seal(parts);
    if (++this.#sentUnderKey >= this.#recordsPerKey) {
      this.#seal([encodeRekey()]);
      this.#keys.send.rekey();
      this.#sentUnderKey = 0;
    }
    this.#writing ??= this.#writeAll();
  }

  #seal(parts: readonly Bytes[]): void {
    let length = RECORD_TAG_BYTES;
    for (const part of parts) length += part.length;
    if (length > MAX_RECORD_BYTES) {
      throw new RangeError(
        `Cannot seal frame: record is ${length} bytes, limit is ${MAX_RECORD_BYTES}`,
      );
    }
    const at = this.#outgoingBytes;
    const end = at + LENGTH_BYTES + length;
    if (end > this.#outgoing.length) this.#grow(end);
    this.#outgoing[at] = length >>> 8;
    this.#outgoing[at + 1] = length;
    this.#keys.send.encryptInto(EMPTY, parts, this.#outgoing, at + LENGTH_BYTES);
    this.#outgoingBytes = end;
  }

  #grow(needed: number): void {
    const larger = new Uint8Array(Math.max(needed, 2 * this.#outgoing.length));
    larger.set(this.#outgoing.subarray(0, this.#outgoingBytes));
    this.#outgoing = larger;
  }

  /** Writes until nothing is left. Begins a microtask later, so that one turn's frames share a write. */
  async #writeAll(): Promise<void> {
    await undefined;
    try {
      while (this.#outgoingBytes > 0 && !this.#closed) {
        const batch = this.#outgoing;
        this.#writingBytes = this.#outgoingBytes;
        this.#outgoing = this.#spare;
        this.#spare = batch;
        this.#outgoingBytes = 0;
        await this.#transport.write(batch.subarray(0, this.#writingBytes));
        this.#writingBytes = 0;
        this.#signalRoom();
      }
    } catch (error) {
      this.#fail(connectionLost(error));
    }
    this.#writing = undefined;
    this.#signalRoom();
  }

  #signalRoom(): void {
    const { resolve } = this.#room;
    this.#room = Promise.withResolvers();
    resolve();
  }

  /**
   * Returns the next frame that is already here, or null when {@link fill} is needed first. The frame is
   * the caller's. Throws SessionError `protocol` for a record that does not decrypt.
   */
  nextFrame(): Bytes | null {
    const available = this.#end - this.#start;
    if (available < LENGTH_BYTES) return null;
    const length = (this.#incoming[this.#start]! << 8) | this.#incoming[this.#start + 1]!;
    if (length <= RECORD_TAG_BYTES) {
      throw this.#fail(
        new SessionError(
          "protocol",
          `Cannot read record: length is ${length}, at least 17 expected`,
        ),
      );
    }
    if (available < LENGTH_BYTES + length) return null;
    const from = this.#start + LENGTH_BYTES;
    this.#start = from + length;
    const frame = this.#open(this.#incoming.subarray(from, this.#start));
    if (frame[0] !== FrameType.rekey) {
      if (++this.#receivedUnderKey > this.#recordsPerKey) {
        throw this.#fail(
          new SessionError("protocol", "Cannot read record: the sender did not rekey in time"),
        );
      }
      return frame;
    }
    this.#keys.receive.rekey();
    this.#receivedUnderKey = 0;
    return this.nextFrame();
  }

  #open(ciphertext: Bytes): Bytes {
    try {
      return this.#keys.receive.decryptWithAd(EMPTY, ciphertext);
    } catch (error) {
      if (!(error instanceof NoiseError)) throw error;
      throw this.#fail(
        new SessionError("protocol", "Cannot read record: it was altered, repeated or reordered", {
          cause: error,
        }),
      );
    }
  }

  /**
   * Waits for more bytes. Returns false at the end of the stream, also when {@link close} was called.
   * Throws SessionError `connection_lost` when it broke, in either direction.
   */
  async fill(): Promise<boolean> {
    if (this.#start === this.#end) this.#start = this.#end = 0;
    else if (this.#incoming.length - this.#start < LENGTH_BYTES + MAX_RECORD_BYTES) {
      this.#incoming.copyWithin(0, this.#start, this.#end);
      this.#end -= this.#start;
      this.#start = 0;
    }
    let count: number | null;
    try {
      count = await this.#transport.read(this.#incoming.subarray(this.#end));
    } catch (error) {
      throw this.#fail(connectionLost(error));
    }
    if (this.#failure !== undefined) throw this.#failure;
    if (count === null || this.#closed) return false;
    this.#end += count;
    return true;
  }

  /** Waits until everything enqueued was taken by the transport, or the channel failed. */
  async flush(): Promise<void> {
    while (this.#writing !== undefined) await this.#writing;
  }

  /**
   * Writes what is queued, then reads and drops what still comes, until the end of the stream, an error
   * or more than `maxBytes`.
   */
  async drain(maxBytes: number): Promise<void> {
    await this.flush();
    try {
      for (let bytes = 0; bytes <= maxBytes;) {
        bytes += this.nextFrame()?.length ?? (await this.fill() ? 0 : Infinity);
      }
    } catch (error) {
      if (!(error instanceof SessionError)) throw error; // the stream is over, as wanted
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

function connectionLost(cause: unknown): SessionError {
  return new SessionError("connection_lost", "Lost the connection", { cause });
}
