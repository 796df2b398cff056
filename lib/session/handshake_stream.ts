/**
 * The transport during a handshake: messages as `u16 length ‖ bytes`, each bounded before it is read.
 *
 * Reads no more than a handshake message at a time, and keeps what came behind the last one for the
 * records that follow.
 */

import { type Bytes, concat, EMPTY } from "../bytes.ts";
import { MAX_HANDSHAKE_MESSAGE_BYTES } from "../limits.ts";
import type { Transport } from "../transport/transport.ts";
import { decodeVersionAnswer, PREFACE_BYTES, PROTOCOL_VERSION } from "../wire/preface.ts";
import { SessionError } from "./errors.ts";

/** Reads exactly what is asked for and keeps what came behind it. */
export class HandshakeStream {
  /** What carries the handshake. */
  readonly transport: Transport;
  readonly #buffer: Bytes = new Uint8Array(PREFACE_BYTES + 2 + MAX_HANDSHAKE_MESSAGE_BYTES);
  #length = 0;

  /** Reads from and writes to `transport`, which stays the caller's. */
  constructor(transport: Transport) {
    this.transport = transport;
  }

  /** What was read and not asked for: the beginning of the records. */
  get readAhead(): Bytes {
    return this.#buffer.slice(0, this.#length);
  }

  /** Writes all of `bytes`. */
  write(bytes: Bytes): Promise<void> {
    return this.transport.write(bytes);
  }

  /**
   * Writes and ends our direction, then reads to the end of the other's, or as much as a handshake has:
   * closing with bytes unread could destroy what was written.
   */
  async writeLast(bytes: Bytes): Promise<void> {
    await this.transport.write(bytes);
    await this.transport.closeWrite();
    for (let left = MAX_HANDSHAKE_MESSAGE_BYTES; left > 0;) {
      const read = await this.transport.read(this.#buffer);
      if (read === null) return;
      left -= read;
    }
  }

  /** Returns the next `count` bytes, copied. Throws SessionError `handshake_failed` at the end. */
  async readExactly(count: number): Promise<Bytes> {
    while (this.#length < count) {
      const read = await this.transport.read(this.#buffer.subarray(this.#length));
      if (read === null) throw goneDuringHandshake(this.transport.path.remote);
      this.#length += read;
    }
    const bytes = this.#buffer.slice(0, count);
    this.#buffer.copyWithin(0, count, this.#length);
    this.#length -= count;
    return bytes;
  }

  /** Returns the next message. Throws SessionError `not_talos` when its length cannot be. */
  async readMessage(): Promise<Bytes> {
    const length = u16(await this.readExactly(2));
    if (length > MAX_HANDSHAKE_MESSAGE_BYTES || length === 0) {
      throw new SessionError(
        "not_talos",
        `Cannot read handshake message: length is ${length}, limit is ${MAX_HANDSHAKE_MESSAGE_BYTES}`,
      );
    }
    return await this.readExactly(length);
  }

  /**
   * Returns message 2. Throws SessionError `version` when the answer to an unknown version is what comes,
   * and `not_talos` when it is neither.
   */
  async readAnswer(): Promise<Bytes> {
    const head = await this.readExactly(2);
    const length = u16(head);
    if (length > MAX_HANDSHAKE_MESSAGE_BYTES) {
      const versions = decodeVersionAnswer(
        concat(head, await this.readExactly(PREFACE_BYTES - 2).catch(() => EMPTY)),
      );
      if (versions === null) {
        throw new SessionError(
          "not_talos",
          `What answers at ${this.transport.path.remote} does not speak Talos`,
        );
      }
      throw new SessionError(
        "version",
        `The host speaks protocol versions ${versions.min} to ${versions.max}, ` +
          `this program speaks ${PROTOCOL_VERSION}`,
        { hints: ["install the same version of Talos on both machines: `talos version` shows it"] },
      );
    }
    return await this.readExactly(length);
  }
}

/** Returns the error for an end of the stream, or a break, in the middle of a handshake. */
export function goneDuringHandshake(remote: string, cause?: unknown): SessionError {
  return new SessionError(
    "handshake_failed",
    `${remote} closed the connection during the handshake`,
    { cause },
  );
}

function u16(bytes: Bytes): number {
  return (bytes[0]! << 8) | bytes[1]!;
}
