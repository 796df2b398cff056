/**
 * Every bound of the registry in one place, with its reason. What peers and a registry say to each other
 * is bounded in `lib/limits.ts`.
 *
 * An address is what `PathLabel.source` says: an IPv4 address or an IPv6 /64. The bounds per address are
 * wide: an office, a data centre or a proxy may stand behind one. One IPv6 /48 is bounded at a multiple of
 * them, see `site.ts`.
 */

import type { Rate } from "../lib/limits.ts";

/** The bounds of one registry. */
export interface RegistryLimits {
  /** Control connections in all: 26 KB each, measured, and up to twice that in slack of the heap. */
  readonly connections: number;
  /** Control connections from one address; this machine's own share one quarter of all. */
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
   * many connections as this machine's own may be are 10,000 in a minute.
   */
  readonly requestsPerSource: Rate;
  /** Entries of pages that one address asks for: 10 µs each. Once the longest list that `talos peers` prints. */
  readonly listedPerSource: Rate;
  /** Peers that are new here, from one address: each stays in the database. */
  readonly registrationsPerSource: Rate;
  /**
   * Registered peers: at 16 records each of the largest size, 4 GiB; usually 100 MiB. Beyond it a new one
   * takes the place of one that was not seen for longest and serves nothing.
   */
  readonly registrations: number;
  /** Circuits of the relay, joined or not: two buffers each, 64 KiB. */
  readonly circuits: number;
  /** Those of one peer: a host with as many agents, or an agent with as many sessions. */
  readonly circuitsPerPeer: number;
  /** Those that were asked for from one address; this machine's own share one quarter of all. */
  readonly circuitsPerSource: number;
  /** Invitations that one peer may have sent: each session is one, and each attempt to resume it. */
  readonly invitationsByCaller: Rate;
  /** Invitations that one peer may get, whoever sends them: it reads each and answers. */
  readonly invitationsOfCallee: Rate;
  /** Invitations from one address, so that many identities of one caller gain little. */
  readonly invitationsPerSource: Rate;
  /** Bytes that one peer may have relayed, to it and from it: 10 MB/s. Beyond it they are slowed down. */
  readonly relayedPerPeer: Rate;
  /** The same over a day: 64 GiB, and then 780 kB/s. */
  readonly relayedPerPeerAndDay: Rate;
  /** The same for one address, so that many identities of one caller gain little: 40 MB/s. */
  readonly relayedPerSource: Rate;
}

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;

/** The bounds that hold unless tests set others. */
export const REGISTRY_LIMITS: RegistryLimits = {
  connections: 10_000,
  connectionsPerSource: 256,
  connectionsPerPeer: 64,
  connects: { burst: 3_000, perMinute: 1_200 },
  requestsPerPeer: { burst: 300, perMinute: 480 },
  requestsPerSource: { burst: 10_000, perMinute: 12_000 },
  listedPerSource: { burst: 12_000, perMinute: 6_000 },
  registrationsPerSource: { burst: 100, perMinute: 100 / 60 },
  registrations: 100_000,
  circuits: 2_000,
  circuitsPerPeer: 128,
  circuitsPerSource: 256,
  invitationsByCaller: { burst: 120, perMinute: 120 },
  invitationsOfCallee: { burst: 300, perMinute: 300 },
  invitationsPerSource: { burst: 300, perMinute: 300 },
  relayedPerPeer: { burst: 256 * MIB, perMinute: 600 * MIB },
  relayedPerPeerAndDay: { burst: 64 * GIB, perMinute: 64 * GIB / (24 * 60) },
  relayedPerSource: { burst: GIB, perMinute: 2_400 * MIB },
};

/** How long a leg's token joins: a leg comes at once, unless its network is bad. */
export const CIRCUIT_TOKEN_LIFE_MS = 30_000;

/** How long a leg waits for the other. Whoever waits for the answer waits no longer. */
export const CIRCUIT_JOIN_TIMEOUT_MS = 10_000;

/** Silence both ways after which a circuit ends: the sessions in it say something each 15 s. */
export const CIRCUIT_IDLE_MS = 60_000;

/** What is held for each direction of a circuit: half of the longest record, so that small ones go at once. */
export const CIRCUIT_BUFFER_BYTES = 32 * 1024;

/** Refused requests and PINGs in a row, for want of quota, after which a connection is closed. */
export const MAX_REFUSED_IN_A_ROW = 100;

/** Frames of all clients that are taken at a stretch, before timers and sockets have their turn. */
export const FRAMES_PER_TURN = 256;

/** Entries of a page that count as one frame in that: they take as long. */
export const ENTRIES_PER_FRAME = 5;

/** Silence after which a client is asked for a sign of life: clients ping each 15 s by themselves. */
export const PING_CLIENT_AFTER_SILENCE_MS = 40_000;

/** Time for that sign. */
export const CLIENT_PONG_TIMEOUT_MS = 10_000;

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
