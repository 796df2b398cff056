/**
 * Frames in, sealed records out: what one direction of a record channel has to write. It knows no transport.
 *
 * Short frames share records, because sealing costs more than they do; but the first record has one frame:
 * what asks for something is judged by itself. After 2^20 records REKEY is said as the last record under the
 * old key; the nonce goes on. Records are made in two buffers that take turns: one is filled while the other
 * is written.
 */

import { type Bytes, EMPTY } from "../bytes.ts";
import type { CipherState } from "../noise/cipher_state.ts";
import {
  BUNDLE_HEADER_BYTES,
  encodeRekey,
  FrameType,
  MAX_FRAME_BYTES,
  RECORD_LENGTH_BYTES,
  RECORD_TAG_BYTES,
} from "../wire/frames.ts";

/** What a write buffer begins with; it grows to what one write needs and is used again. */
const WRITE_BUFFER_BYTES = 4 * 1024;

/** Frames up to this size share records: copying them together beats sealing them one by one. */
const SHORT_FRAME_BYTES = 2 * 1024;

/** The longest record of several frames: long enough that sealing it costs little per frame. */
const MAX_BUNDLE_BYTES = 16 * 1024;

/** Seals the frames of one direction, in order. */
export class RecordSealer {
  readonly #cipher: CipherState;
  readonly #recordsPerKey: number;
  #sealedUnderKey = 0;
  #isFirstRecord = true;
  /** Short frames that wait to be sealed: a BUNDLE, or what its only frame stands in. */
  #bundle: Bytes = new Uint8Array(WRITE_BUFFER_BYTES);
  #bundleBytes = 0;
  #bundled = 0;
  /** Records that were sealed and not taken. */
  #outgoing: Bytes = new Uint8Array(WRITE_BUFFER_BYTES);
  #outgoingBytes = 0;
  /** What was taken last stands in it. */
  #spare: Bytes = new Uint8Array(WRITE_BUFFER_BYTES);

  /** Seals with `cipher`, which has a new key after `recordsPerKey` records. */
  constructor(cipher: CipherState, recordsPerKey: number) {
    this.#cipher = cipher;
    this.#recordsPerKey = recordsPerKey;
  }

  /** Bytes of what was added and not taken, sealed or not. */
  get heldBytes(): number {
    return this.#bundleBytes + this.#outgoingBytes;
  }

  /**
   * Adds a frame, given as consecutive parts that are copied or sealed at once. Throws RangeError for a frame
   * that fits into no record.
   */
  add(parts: readonly Bytes[]): void {
    let length = 0;
    for (const part of parts) length += part.length;
    if (length > MAX_FRAME_BYTES) {
      throw new RangeError(
        `Cannot seal frame: it has ${length} bytes, a record holds ${MAX_FRAME_BYTES}`,
      );
    }
    if (length > SHORT_FRAME_BYTES) {
      this.#sealBundle();
      this.#seal(parts, length);
    } else {
      this.#addToBundle(parts, length);
    }
  }

  /** Returns all records that are due, sealed; they stay as they are until it is called again. */
  take(): Bytes {
    this.#sealBundle();
    const batch = this.#outgoing;
    const records = batch.subarray(0, this.#outgoingBytes);
    this.#outgoing = this.#spare;
    this.#spare = batch;
    this.#outgoingBytes = 0;
    return records;
  }

  /** Gives back what busier times needed. To be called when nothing is held, and nothing taken is in use. */
  trim(): void {
    if (this.#bundle.length > WRITE_BUFFER_BYTES) this.#bundle = new Uint8Array(WRITE_BUFFER_BYTES);
    if (this.#outgoing.length > WRITE_BUFFER_BYTES) {
      this.#outgoing = new Uint8Array(WRITE_BUFFER_BYTES);
    }
    if (this.#spare.length > WRITE_BUFFER_BYTES) this.#spare = new Uint8Array(WRITE_BUFFER_BYTES);
  }

  #addToBundle(parts: readonly Bytes[], length: number): void {
    const needed = BUNDLE_HEADER_BYTES + length;
    if (this.#bundleBytes + needed > MAX_BUNDLE_BYTES) this.#sealBundle();
    if (this.#bundled === 0) this.#bundleBytes = 1;
    const end = this.#bundleBytes + needed;
    if (end > this.#bundle.length) this.#bundle = grown(this.#bundle, this.#bundleBytes, end);
    let at = this.#bundleBytes;
    this.#bundle[at++] = length >>> 8;
    this.#bundle[at++] = length;
    for (const part of parts) {
      this.#bundle.set(part, at);
      at += part.length;
    }
    this.#bundleBytes = end;
    this.#bundled++;
    if (this.#isFirstRecord) this.#sealBundle();
  }

  /** Seals the short frames that wait: one as it is, several as a BUNDLE. */
  #sealBundle(): void {
    if (this.#bundled === 0) return;
    const start = this.#bundled === 1 ? 1 + BUNDLE_HEADER_BYTES : 0;
    this.#bundle[0] = FrameType.bundle;
    const record = this.#bundle.subarray(start, this.#bundleBytes);
    this.#bundleBytes = 0;
    this.#bundled = 0;
    this.#seal([record], record.length);
  }

  #seal(parts: readonly Bytes[], length: number): void {
    this.#sealRecord(parts, length);
    this.#isFirstRecord = false;
    if (++this.#sealedUnderKey < this.#recordsPerKey) return;
    const rekey = encodeRekey();
    this.#sealRecord([rekey], rekey.length);
    this.#cipher.rekey();
    this.#sealedUnderKey = 0;
  }

  #sealRecord(parts: readonly Bytes[], length: number): void {
    const sealedLength = length + RECORD_TAG_BYTES;
    const at = this.#outgoingBytes + RECORD_LENGTH_BYTES;
    const end = at + sealedLength;
    if (end > this.#outgoing.length) {
      this.#outgoing = grown(this.#outgoing, this.#outgoingBytes, end);
    }
    this.#outgoing[at - 2] = sealedLength >>> 8;
    this.#outgoing[at - 1] = sealedLength;
    this.#cipher.encryptInto(EMPTY, parts, this.#outgoing, at);
    this.#outgoingBytes = end;
  }
}

/** Returns a larger buffer with the first `kept` bytes of `buffer` and room for `needed` in all. */
function grown(buffer: Bytes, kept: number, needed: number): Bytes {
  const larger = new Uint8Array(Math.max(needed, 2 * buffer.length));
  larger.set(buffer.subarray(0, kept));
  return larger;
}
