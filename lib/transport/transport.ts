/**
 * A transport: a reliable, ordered, two-way stream of bytes that knows nothing of what it carries.
 *
 * TCP, an in-memory pair and a relay circuit all look like this to the handshake above them. A
 * transport has one reader and one writer at a time. Closing is immediate and idempotent; a pending
 * read then returns null and a pending write throws TransportError. It may also destroy what the other
 * end has not read yet (a TCP reset): whoever ends in order ends its own direction first and reads to
 * the end of the other. A transport whose write failed comes to the end of its reading by itself.
 */

import type { Bytes } from "../bytes.ts";

/** Which way the bytes go, for people and for limits. */
export interface PathLabel {
  /** `direct` is a TCP connection between the two peers, `relay` goes through a registry. */
  readonly kind: "direct" | "relay" | "memory";
  /** The other end: `192.0.2.7:8766`, `[2001:db8::1]:8766`, or a registry's name. */
  readonly remote: string;
  /** What per-source limits count by: an IPv4 address, an IPv6 /64, a relayed caller. */
  readonly source: string;
}

/** A reliable, ordered, two-way byte stream. */
export interface Transport extends Disposable {
  /** Which way the bytes go. */
  readonly path: PathLabel;
  /**
   * Reads at least one byte into `into` and returns how many, or null at the end of the stream.
   * Throws TransportError `broken` when the stream was reset.
   */
  read(into: Bytes): Promise<number | null>;
  /** Writes all of `bytes`, which must not change until then. Throws TransportError `broken`. */
  write(bytes: Bytes): Promise<void>;
  /**
   * Ends our direction: the other end reads null behind what was written. Reading goes on. Does not
   * throw: whether the stream is broken, the reader learns. Nothing may be written afterwards.
   */
  closeWrite(): Promise<void>;
  /** Ends both directions now. */
  close(): void;
}

/**
 * Returns `kind remote`, as it stands in logs and errors, and how long a question is under way there and back
 * where that is known.
 */
export function describePath({ kind, remote }: PathLabel, roundTripMs?: number): string {
  const time = roundTripMs === undefined ? "" : `, ${Math.max(1, Math.round(roundTripMs))} ms`;
  return `${kind} ${remote}${time}`;
}
