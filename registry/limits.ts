/**
 * Every bound of the registry in one place, with its reason. What peers and a registry say to each other
 * is bounded in `lib/limits.ts`.
 *
 * An address is what `PathLabel.source` says: an IPv4 address or an IPv6 /64. The bounds per address are
 * wide: an office, a data centre or a proxy may stand behind one. Connections, new connections and new
 * registrations from one IPv6 /48 are bounded at a multiple of them, see `site.ts`.
 */

import type { Rate } from "../lib/limits.ts";

/** The bounds of one registry. */
export interface RegistryLimits {
  /** Control connections in all: 26 KB each, measured, and up to twice that in slack of the heap. */
  readonly connections: number;
  /** Control connections from one address. */
  readonly connectionsPerSource: number;
  /** Control connections of one peer: one for each of its processes. */
  readonly connectionsPerPeer: number;
  /** New connections from one address: a handshake costs 2 ms, and each is one guess of a join token. */
  readonly connects: Rate;
  /**
   * Requests and PINGs of one peer. A host that starts sends 3, each service 1 in minutes; a page of peers is
   * 1. The PINGs of as many processes as it may have are 256 in a minute: who gets no PONG gives up.
   */
  readonly requestsPerPeer: Rate;
  /**
   * Requests and PINGs from one address, so that many identities of one caller gain little. The PINGs of as
   * many connections as it may have are 8,192 in a minute.
   */
  readonly requestsPerSource: Rate;
  /** Peers that are new here, from one address: each stays in the database. */
  readonly registrationsPerSource: Rate;
  /**
   * Registered peers: at 16 records each of the largest size, 4 GiB; usually 100 MiB. Beyond it a new one
   * takes the place of one that was not seen for longest and serves nothing.
   */
  readonly registrations: number;
}

/** The bounds that hold unless tests set others. */
export const REGISTRY_LIMITS: RegistryLimits = {
  connections: 10_000,
  connectionsPerSource: 2_048,
  connectionsPerPeer: 64,
  connects: { burst: 3_000, perMinute: 1_200 },
  requestsPerPeer: { burst: 300, perMinute: 480 },
  requestsPerSource: { burst: 10_000, perMinute: 12_000 },
  registrationsPerSource: { burst: 100, perMinute: 100 / 60 },
  registrations: 100_000,
};

/** Refused requests and PINGs in a row, for want of quota, after which a connection is closed. */
export const MAX_REFUSED_IN_A_ROW = 100;

/** Frames of one client that are taken at a stretch, before others have their turn. */
export const FRAMES_PER_TURN = 256;

/** Silence after which a client is asked for a sign of life: clients ping each 15 s by themselves. */
export const PING_AFTER_SILENCE_MS = 40_000;

/** Time for that sign. */
export const PONG_TIMEOUT_MS = 10_000;

/** How often connections are looked over. */
export const SWEEP_INTERVAL_MS = 5_000;

/** How often it is written down who is connected. A crash loses no more than this of it. */
export const TOUCH_INTERVAL_MS = 300_000;

/** Time for everything that ends when the registry is stopped; what is not done by then is left. */
export const STOP_TIMEOUT_MS = 4_000;

/** How long a client may leave answers unread. */
export const READ_PATIENCE_MS = 10_000;

/** How long a connection that is ended may take to read why. */
export const FAREWELL_MS = 1_000;

/** The longest first record: HELLO with the longest token has 300 bytes. */
export const MAX_FIRST_RECORD_BYTES = 1024;

/** The least length of a join token: 96 bits in base64. */
export const MIN_JOIN_TOKEN_BYTES = 16;

/** The greatest length of a join token, as on the wire. */
export const MAX_JOIN_TOKEN_BYTES = 256;
