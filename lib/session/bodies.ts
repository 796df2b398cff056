/**
 * The MsgPack bodies of OPEN, OPENED, RESUME, RESUMED, REFUSED and CLOSE: typed on our side, checked field
 * by field when they come from a peer.
 */

import type { Bytes } from "../bytes.ts";
import { EARLY_DATA_BYTES, MAX_DETACH_TIMEOUT_MS, MAX_SERVICE_BYTES } from "../limits.ts";
import { printable } from "../log.ts";
import { Fields } from "../wire/fields.ts";
import { encodeControl, INSTANCE_BYTES } from "../wire/frames.ts";
import { decode, encode } from "../wire/msgpack.ts";

/** The size of a session id: random, chosen by the initiator. */
export const SESSION_ID_BYTES = 16;

/** The size of the salt under which both sides' records hash a session's contents. */
export const SALT_BYTES = 16;

/** What a side may announce as its largest message: whatever early data holds, what a u32 credit can grant. */
const MAX_MESSAGE_BOUNDS = { min: EARLY_DATA_BYTES, max: 2 ** 31 } as const;

/** The session that an initiator asks for: the same each time it asks for it. */
export interface SessionRequest {
  /** {@link SESSION_ID_BYTES} random bytes. */
  readonly id: Bytes;
  /** The service, such as `mcp/default`. */
  readonly service: string;
  /** The longest message the initiator accepts, in bytes. */
  readonly maxMessage: number;
  /** {@link SALT_BYTES} random bytes. */
  readonly salt: Bytes;
}

/** What an OPEN says. */
export interface OpenBody extends SessionRequest {
  /** How often the initiator has asked for this session before, on connections that were lost. */
  readonly attempt: number;
}

/** What a host answers when it grants a session. */
export interface OpenedBody {
  /** Names the host's process: 16 random bytes, new at each start. */
  readonly instance: Bytes;
  /** The service that was opened: an initiator may have left the choice to the host. */
  readonly service: string;
  /** The longest message the host accepts, in bytes. */
  readonly maxMessage: number;
  /** How long the host keeps the session without a connection, in milliseconds; 0 for not at all. */
  readonly detachTimeoutMs: number;
  /** The number of the first fragment that the host lacks; 1 unless it has the session already. */
  readonly next: number;
}

/** How an initiator carries on with a session over a new connection. */
export interface ResumeBody {
  /** The session, {@link SESSION_ID_BYTES} bytes. */
  readonly id: Bytes;
  /** The host's process that has it, as in OPENED. */
  readonly instance: Bytes;
  /** Greater than in every OPEN and RESUME of this session before. */
  readonly attempt: number;
  /** The number of the first fragment that the initiator lacks. */
  readonly next: number;
}

/** What a host answers when the session goes on. */
export interface ResumedBody {
  /** The number of the first fragment that the host lacks. */
  readonly next: number;
}

/** Why a session was refused or ended. */
export interface ReasonBody {
  /** A stable name, for programs. */
  readonly code: string;
  /** A sentence for people, without control characters. */
  readonly reason: string;
}

const MAX_CODE_BYTES = 128;
const MAX_REASON_BYTES = 2048;

/**
 * Returns an OPEN frame; a first one does not say which attempt it is. Throws RangeError when `maxMessage` is
 * no limit that a peer would accept.
 */
export function encodeOpen({ id, service, maxMessage, salt }: SessionRequest, attempt = 0): Bytes {
  checkMaxMessage(maxMessage);
  const fields = { id, service, max_message: maxMessage, salt };
  return encodeControl("open", encode(attempt === 0 ? fields : { ...fields, attempt }));
}

/** Reads the body of an OPEN frame. Throws WireError. */
export function decodeOpen(body: Bytes): OpenBody {
  const fields = new Fields(decode(body), "OPEN");
  return {
    id: fields.bin("id", SESSION_ID_BYTES),
    service: fields.str("service", { max: MAX_SERVICE_BYTES }),
    maxMessage: fields.uint("max_message", MAX_MESSAGE_BOUNDS),
    salt: fields.bin("salt", SALT_BYTES),
    attempt: fields.optional("attempt", (name) => fields.uint(name)) ?? 0,
  };
}

/** Returns an OPENED frame. Throws RangeError when `maxMessage` is no limit that a peer would accept. */
export function encodeOpened(opened: OpenedBody): Bytes {
  const { instance, service, maxMessage, detachTimeoutMs, next } = opened;
  checkMaxMessage(maxMessage);
  return encodeControl(
    "opened",
    encode({
      instance,
      service,
      max_message: maxMessage,
      detach_timeout: detachTimeoutMs,
      next,
    }),
  );
}

/** Reads the body of an OPENED frame. Throws WireError. */
export function decodeOpened(body: Bytes): OpenedBody {
  const fields = new Fields(decode(body), "OPENED");
  return {
    instance: fields.bin("instance", INSTANCE_BYTES),
    service: fields.str("service", { max: MAX_SERVICE_BYTES }),
    maxMessage: fields.uint("max_message", MAX_MESSAGE_BOUNDS),
    detachTimeoutMs: fields.uint("detach_timeout", { max: MAX_DETACH_TIMEOUT_MS }),
    next: fields.uint("next", { min: 1 }),
  };
}

/** Returns a RESUME frame. */
export function encodeResume({ id, instance, attempt, next }: ResumeBody): Bytes {
  return encodeControl("resume", encode({ id, instance, attempt, next }));
}

/** Reads the body of a RESUME frame. Throws WireError. */
export function decodeResume(body: Bytes): ResumeBody {
  const fields = new Fields(decode(body), "RESUME");
  return {
    id: fields.bin("id", SESSION_ID_BYTES),
    instance: fields.bin("instance", INSTANCE_BYTES),
    attempt: fields.uint("attempt", { min: 1 }),
    next: fields.uint("next", { min: 1 }),
  };
}

/** Returns a RESUMED frame. */
export function encodeResumed({ next }: ResumedBody): Bytes {
  return encodeControl("resumed", encode({ next }));
}

/** Reads the body of a RESUMED frame. Throws WireError. */
export function decodeResumed(body: Bytes): ResumedBody {
  return { next: new Fields(decode(body), "RESUMED").uint("next", { min: 1 }) };
}

function checkMaxMessage(bytes: number): void {
  const { min, max } = MAX_MESSAGE_BOUNDS;
  if (bytes >= min && bytes <= max) return;
  throw new RangeError(`Cannot announce a largest message of ${bytes} bytes: not ${min} to ${max}`);
}

/** Returns a REFUSED or CLOSE frame. What is beyond the limits is cut. */
export function encodeReason(name: "refused" | "close", { code, reason }: ReasonBody): Bytes {
  return encodeControl(
    name,
    encode({
      code: shortened(code, MAX_CODE_BYTES / 4),
      reason: shortened(reason, MAX_REASON_BYTES / 4),
    }),
  );
}

/** Returns `text` without control characters, at most `limit` characters of at most 4 bytes each. */
function shortened(text: string, limit: number): string {
  return printable(text, limit - 1); // and an ellipsis
}

/** Reads the body of a REFUSED or CLOSE frame. The texts lose their control characters here. */
export function decodeReason(name: "refused" | "close", body: Bytes): ReasonBody {
  const fields = new Fields(decode(body), name.toUpperCase());
  return {
    code: printable(fields.str("code", { max: MAX_CODE_BYTES })),
    reason: printable(fields.str("reason", { max: MAX_REASON_BYTES })),
  };
}
