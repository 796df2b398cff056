/**
 * The bounds that several modules or both sides share, with their reasons; one that a single module needs
 * stands there. All are checked before anything is allocated.
 *
 * Names end in their unit: `_BYTES`, `_MS`, or none for a plain count.
 */

const KIB = 1024;
const MIB = 1024 * KIB;

/** The longest handshake message: message 1 needs 1,184 + 32 + 48 + 16 bytes and its payload. */
export const MAX_HANDSHAKE_MESSAGE_BYTES = 4096;

/** The longest record ciphertext, tag included: what a u16 length can announce. */
export const MAX_RECORD_BYTES = 65_535;

/** Records sent under one key before the sender says REKEY. */
export const RECORDS_PER_KEY = 2 ** 20;

/** The longest control frame (everything but DATA), so that a peer cannot make us parse much. */
export const MAX_CONTROL_BODY_BYTES = 4 * KIB;

/** How deep MsgPack may nest. Our own messages need 3. */
export const MAX_MSGPACK_DEPTH = 8;

/** Time for a whole handshake, on both sides. */
export const HANDSHAKE_TIMEOUT_MS = 10_000;

/** The largest difference between two clocks at which a handshake still succeeds. */
export const MAX_CLOCK_SKEW_MS = 60_000;

/** Half-open connections (handshake not finished) from one IPv4 address or IPv6 /64. */
export const MAX_HALF_OPEN_PER_SOURCE = 32;

/** Half-open connections in all. */
export const MAX_HALF_OPEN = 1024;

/** Recent initiator ephemerals that a responder remembers, to drop replays early. */
export const RECENT_EPHEMERALS = 4096;

/** What a peer that is authorised for nothing may make us read after the handshake. */
export const STRANGER_BYTES = 4 * KIB;

/** How long a peer that is authorised for nothing may stay. */
export const STRANGER_TIMEOUT_MS = 5_000;

/** Message bytes an initiator may send behind OPEN before OPENED: OPEN and these fit in {@link STRANGER_BYTES}. */
export const EARLY_DATA_BYTES = 3 * KIB;

/** The largest MCP message unless configured otherwise. */
export const DEFAULT_MAX_MESSAGE_BYTES = 64 * MIB;

/** What a session's window holds beyond one largest message. */
export const WINDOW_SLACK_BYTES = 1 * MIB;

/** DATA queued ahead of control frames in one connection. */
export const MAX_QUEUED_AHEAD_BYTES = 256 * KIB;

/** Replay buffers of all sessions of one process. */
export const REPLAY_BUDGET_BYTES = 1024 * MIB;

/** Silence after which a connection is asked for a sign of life. */
export const PING_AFTER_SILENCE_MS = 15_000;

/** Unacknowledged DATA after which a connection is asked for a sign of life. */
export const PING_AFTER_UNACKED_MS = 2_000;

/** Time to answer a ping before the connection counts as dead. */
export const PONG_TIMEOUT_MS = 3_000;

/** How long a receiver may keep an acknowledgement back, hoping to send it along with DATA. */
export const ACK_DELAY_MS = 200;

/** Live or detached children for one (peer, service). */
export const MAX_CHILDREN_PER_PEER_SERVICE = 4;

/** Time between the steps of a child's shutdown: stdin closed, SIGTERM, SIGKILL. */
export const CHILD_GRACE_MS = 2_000;

/** How long `mcp-connect` keeps trying to reach a host while its agent waits. */
export const CONNECT_PATIENCE_MS = 50_000;

/** The last lines of a child's stderr that accompany an error. */
export const CHILD_STDERR_LINES = 20;

/** The longest line of a child's stderr, or of noise on its stdout, that is logged whole. */
export const MAX_LOG_LINE_BYTES = 4 * KIB;

/** A name that a person gives: a wallet, a contact, a service. */
export const MAX_NAME_BYTES = 64;

/** Array items and map entries in one MsgPack value: an empty map costs 1 byte sent and 200 held. */
export const MAX_MSGPACK_ELEMENTS = 4096;

/** A wallet file: a whole one has about 400 bytes; more is not a wallet. */
export const MAX_WALLET_FILE_BYTES = 64 * KIB;

/** `access.json`: about 7,000 grants; it is parsed at every change. */
export const MAX_ACCESS_FILE_BYTES = 1 * MIB;

/** `run/<service>.json` and other small facts that processes of one home tell each other. */
export const MAX_FACTS_FILE_BYTES = 64 * KIB;

/** How deep the JSON of our own files may nest. They need 3. */
export const MAX_JSON_DEPTH = 8;

/** scrypt's N of a new sealed wallet: 128 MiB of memory and about half a second. */
export const SCRYPT_N = 2 ** 17;

/** The largest scrypt N that a wallet file may ask of us: 1 GiB of memory at r = 8. */
export const MAX_SCRYPT_N = 2 ** 20;

/** A passphrase in UTF-8. */
export const MAX_PASSPHRASE_BYTES = 1024;

/** How deep an MCP message may nest: what every common JSON parser still reads. Real ones need about 20. */
export const MAX_MESSAGE_DEPTH = 512;

/** The JSON token of an id, a method, a tool's or a prompt's name: they are kept while a call is pending. */
export const MAX_IDENTIFIER_BYTES = 1 * KIB;

/** The JSON token of a resource's URI: globs are matched against it. */
export const MAX_URI_BYTES = 64 * KIB;

/** Messages in one JSON-RPC batch: each costs 30 bytes sent and 300 held. */
export const MAX_BATCH_MESSAGES = 1024;

/** Calls without a reply in one direction of one session. An id and a name are held for each. */
export const MAX_PENDING_CALLS = 16_384;

/** Cancelled calls that are remembered, in case their reply was already under way. */
export const REMEMBERED_CANCELLED_CALLS = 1024;

/** The beginning of an over-long line that is kept, to show what it was. */
export const OVERSIZED_HEAD_BYTES = 64 * KIB;

/** What every fragment costs in credit beyond its bytes: about what it takes in memory, so that a flood of empty messages has a price. */
export const FRAGMENT_COST_BYTES = 256;

/** The least bytes of a fragment that is not the last of its message: so costs stay a quarter of the bytes. */
export const MIN_FRAGMENT_BYTES = 1 * KIB;

/** What a session that holds nothing may send even when the replay budget is used up by others. */
export const MIN_REPLAY_SHARE_BYTES = 64 * KIB;

/** A difference between wall and monotonic time, or a timer's delay, that means this machine stood still. */
export const CLOCK_JUMP_MS = 1_000;

/** The longest message between a peer and a registry: one record, with room to spare. */
export const MAX_REGISTRY_BODY_BYTES = 48 * KIB;

/** Addresses in one endpoint record. */
export const MAX_ENDPOINT_ADDRESSES = 8;

/** The longest endpoint record. */
export const MAX_ENDPOINT_RECORD_BYTES = 2 * KIB;

/** How long an endpoint record may hold, in seconds. */
export const MAX_ENDPOINT_TTL_S = 24 * 3600;

/** An `mcpServers` file, or another file of configuration. */
export const MAX_CONFIG_FILE_BYTES = 1 * MIB;

/** Replies of our own that a peer provoked and has not taken: beyond it nothing more is read from it. Honest ones are owed a few. */
export const MAX_OWED_REPLY_BYTES = 1 * MIB;

/** What pending calls hold in one direction of one session, as ids and names: 250 bytes each, if there are as many as may be. */
export const MAX_PENDING_CALL_BYTES = 4 * MIB;

/**
 * What all sessions with one peer hold of {@link REPLAY_BUDGET_BYTES}: one that acknowledges nothing leaves
 * the rest to others, and four of the largest messages still fit.
 */
export const REPLAY_BUDGET_PER_PEER_BYTES = REPLAY_BUDGET_BYTES / 4;

/** How often something may happen: a bucket of `burst` tokens that fills with `perMinute`. */
export interface Rate {
  /** How many at once. */
  readonly burst: number;
  /** How many in the long run. */
  readonly perMinute: number;
}

/**
 * Handshakes that one source may begin: each costs the responder 2 ms, so a flood from one source takes 1 %
 * of a core. An office behind one address whose host starts anew begins many at once.
 */
export const HANDSHAKES_PER_SOURCE: Rate = { burst: 200, perMinute: 300 };

/** Callers of whom a quota remembers what they took. Beyond it those that took longest ago are forgotten. */
export const MAX_BUCKETS = 65_536;

/**
 * Time until message 1 has arrived whole: it leaves at once in one packet or two, and one loss costs a
 * second. A caller that sends nothing holds its place no longer.
 */
export const FIRST_MESSAGE_TIMEOUT_MS = 3_000;

/** The latest moment that a `Date` holds, Unix time in milliseconds. What others say of time is not later. */
export const MAX_TIME_MS = 8_640_000_000_000_000;

/** How far an endpoint record's `seq` may be ahead of the time when it was made: a year. No clock that went back explains more. */
export const MAX_SEQ_AHEAD_MS = 365 * 24 * 3600 * 1000;
