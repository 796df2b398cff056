/** A connection: an authenticated peer at the other end of a record channel. */

import type { Bytes } from "../bytes.ts";
import type { PeerId } from "../identity/peer_id.ts";
import type { PathLabel } from "../transport/transport.ts";
import type { VersionRange } from "../wire/preface.ts";
import type { RecordChannel } from "./record_channel.ts";

/** What a finished handshake gives. */
export interface Connection {
  /** Who is at the other end: the handshake proved it. */
  readonly peer: PeerId;
  /** Frames to and from the peer. */
  readonly channel: RecordChannel;
  /** Which way the bytes go. */
  readonly path: PathLabel;
  /** Names the peer's process, if it is a host that said so: a host that was restarted has another. */
  readonly instance?: Bytes;
  /** What the peer's program can do beyond version 1, by name. */
  readonly caps: readonly string[];
  /** The protocol versions that the peer's program speaks. */
  readonly versions: VersionRange;
  /** The peer's clock minus ours, in milliseconds, as far as a handshake can tell. */
  readonly skewMs: number;
  /** The hash of the whole handshake: both ends have the same, nobody else can make it. */
  readonly handshakeHash: Uint8Array;
}
