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

/**
 * The same while calls wait for their answers: a path that broke behind the last acknowledgement must not
 * cost them a quarter of a minute. A call that takes an hour costs a ping of 31 bytes every 2 s.
 */
export const PING_AFTER_EXPECTANT_MS = 2_000;

/** Unacknowledged DATA after which a connection is asked for a sign of life. */
export const PING_AFTER_UNACKED_MS = 2_000;

/** Time to answer a ping before the connection counts as dead. */
export const PONG_TIMEOUT_MS = 3_000;

/** How long a receiver may keep an acknowledgement back, hoping to send it along with DATA. */
export const ACK_DELAY_MS = 200;

/** Sessions of one (peer, service), live, detached or closing: as many children, and receive windows. */
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

/** The longest service name on the wire, `mcp/` included. */
export const MAX_SERVICE_BYTES = 80;

/** A Peer ID on the wire: 48 characters, 56 with `did:key:`, with room to spare. */
export const MAX_PEER_ID_BYTES = 64;

/** The longest join token of a private registry. */
export const MAX_JOIN_TOKEN_BYTES = 256;

/** The file of a join token, the white space around it included: one file serves a registry and its peers. */
export const MAX_JOIN_TOKEN_FILE_BYTES = 4 * KIB;

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

/** How long a host keeps a session, and its child, that lost its connection: a meeting, a train ride, a reboot of a router. */
export const DETACH_TIMEOUT_MS = 10 * 60_000;

/** The longest such time that a host may be configured for, and that an initiator believes. */
export const MAX_DETACH_TIMEOUT_MS = 24 * 3600 * 1000;

/** What doubles from one attempt to reach a lost peer to the next, at first. */
export const FIRST_REDIAL_MS = 50;

/** The longest pause between two attempts in the first minutes: a path that returns is used within 2 s. */
export const EARLY_REDIAL_MS = 1_000;

/** And afterwards. */
export const LATE_REDIAL_MS = 5_000;

/** How long a peer counts as lost only lately. */
export const EARLY_REDIAL_PERIOD_MS = 5 * 60_000;

/** Attempts to reach a lost peer that may be under way at once: one may hang in a network that is gone. */
export const MAX_REDIALS_AT_ONCE = 4;

/**
 * A connection that lasted this long counts as a good one: after its loss pauses are short again. The loss of
 * one that carried a session on and lasted less is no reason to dial at once.
 */
export const GOOD_CONNECTION_MS = 5_000;

/** How often an initiator looks whether its machine has slept. */
export const WAKE_CHECK_MS = 1_000;

/** Ids of ended sessions that a host remembers, so that none begins a second time. */
export const REMEMBERED_SESSIONS = 16_384;

/** `initialize`, and its answer, that are remembered for a new server: real ones have a few kilobytes. */
export const MAX_REMEMBERED_INITIALIZE_BYTES = 1 * MIB;

/** Resource subscriptions, and requests for one, that are remembered for a new server. */
export const MAX_REMEMBERED_SUBSCRIPTIONS = 1024;

/** Their bytes together with that of the log level. */
export const MAX_REMEMBERED_SETTINGS_BYTES = 1 * MIB;

/** Calls that are kept to be made once more if their server dies: beyond it one is answered instead. */
export const MAX_REPEATABLE_CALLS_BYTES = 16 * MIB;

/** A server that dies sooner, and answered nothing, may be one that always does. */
export const EARLY_DEATH_MS = 10_000;

/** Early deaths in a row after which no further server is started. */
export const MAX_EARLY_DEATHS = 3;

/** A configuration of an MCP client: one that keeps its history in it has some megabytes. */
export const MAX_CLIENT_CONFIG_BYTES = 32 * MIB;

/** How deeply it may be nested: an editor's settings reach a dozen. */
export const MAX_CLIENT_CONFIG_DEPTH = 128;

/** One answer to `mcp-install` when it tries what it wrote: lists of tools have some hundred kilobytes. */
export const MAX_TRIED_ANSWER_BYTES = 16 * MIB;

/** How long that may take: a host may have to fetch its server's package first. */
export const ROUND_TRIP_MS = 60_000;

/** The longest ticket, with its `talos:`: one line of a chat, and little enough to be copied by a phone. */
export const MAX_TICKET_CHARACTERS = 199;

/** Direct addresses in a ticket: a machine has one in each of its networks. */
export const MAX_TICKET_ADDRESSES = 3;

/** Pending and spent invites that a home keeps: nobody has more to give out. */
export const MAX_INVITES = 256;

/** How often one invite may be used at most. */
export const MAX_INVITE_USES = 100;

/** How long an invite may hold, in milliseconds: a year. */
export const MAX_INVITE_MS = 365 * 24 * 3600 * 1000;

/** How long a spent invite is remembered behind its end, in milliseconds, so that its ticket is refused with the reason. */
export const REMEMBER_INVITE_MS = 30 * 24 * 3600 * 1000;

/** `invites.json`: {@link MAX_INVITES} of at most 6 KiB each. */
export const MAX_INVITES_FILE_BYTES = 2 * MIB;

/** Wrong tickets that one source may try: people paste wrong a few times. */
export const JOIN_GUESSES_PER_SOURCE: Rate = { burst: 5, perMinute: 5 };

/** Wrong tickets from everywhere: a secret has 128 bits, this bounds what guessing costs and logs. */
export const JOIN_GUESSES: Rate = { burst: 50, perMinute: 60 };

/** A policy file: a rule for each of a thousand peers. */
export const MAX_POLICY_FILE_BYTES = 1 * MIB;

/** Rules in one policy. */
export const MAX_POLICY_RULES = 4096;

/** Globs in one list, and argument rules for one tool: each is looked at for every call. */
export const MAX_POLICY_GLOBS = 1024;

/** Days, in milliseconds. */
export const DAY_MS = 24 * 3600 * 1000;

/** How long a call that was cancelled still counts as one that runs: a server need not answer it. */
export const CANCELLED_CALL_GRACE_MS = 10_000;

/** How long a host waits for its server's own list of tools. */
export const OWN_LISTING_TIMEOUT_MS = 30_000;

/** How long that list holds unless the server announces another one. */
export const OWN_LISTING_TTL_MS = 60_000;

/** Pages of that list: a server whose list never ends is not followed. */
export const MAX_OWN_LISTING_PAGES = 256;

/** Tasks of which a session remembers which tool made them; beyond it the oldest are forgotten. */
export const MAX_REMEMBERED_TASKS = 4096;

/** Questions of a server that a session remembers, so that the answer to one counts as no other call. */
export const MAX_OWED_RETRIES = 1024;

/** How often counters of the policy are written to disk: what a crash may lose. */
export const USAGE_FLUSH_MS = 1_000;
