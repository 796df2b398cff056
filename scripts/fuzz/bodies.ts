/** Fuzzes the MsgPack bodies of control frames, frame and all. */

import type { Bytes } from "../../lib/bytes.ts";
import {
  decodeOpen,
  decodeOpened,
  decodeReason,
  decodeResume,
  decodeResumed,
  encodeOpen,
  encodeOpened,
  encodeReason,
  encodeResume,
  encodeResumed,
  SALT_BYTES,
  SESSION_ID_BYTES,
} from "../../lib/session/bodies.ts";
import { WireError } from "../../lib/wire/errors.ts";
import { decodeFrame, encodeControl } from "../../lib/wire/frames.ts";
import { encode } from "../../lib/wire/msgpack.ts";
import { accepted, checkSameBytes, type FuzzTarget } from "../fuzzing.ts";
import { mutateMsgPack } from "../msgpack_mutation.ts";

const ID = new Uint8Array(SESSION_ID_BYTES).fill(7);
const SALT = new Uint8Array(SALT_BYTES).fill(9);

/** The bodies of OPEN, OPENED, RESUME, RESUMED, REFUSED and CLOSE: written and read again they stay as they are. */
export const bodies: FuzzTarget = {
  name: "bodies",
  errors: [WireError],
  dictionary: [
    "id",
    "service",
    "max_message",
    "salt",
    "attempt",
    "instance",
    "detach_timeout",
    "next",
    "code",
    "reason",
    "x",
  ].map((word) => encode(word)),
  mutate: (input, random) => mutateMsgPack(input, random, 1),
  corpus: () => [
    encodeOpen({ id: ID, service: "mcp/default", maxMessage: 2 ** 26, salt: SALT }),
    encodeOpen({ id: ID, service: "mcp", maxMessage: 2 ** 26, salt: SALT }, 300),
    encodeOpened({
      instance: ID,
      service: "mcp/default",
      maxMessage: 4096,
      detachTimeoutMs: 600_000,
      next: 1,
    }),
    encodeResume({ id: ID, instance: SALT, attempt: 1, next: 2 ** 40 }),
    encodeResumed({ next: 300 }),
    encodeControl("resume", encode({ id: ID, instance: ID, attempt: 1, next: 1, more: [] })),
    encodeControl("resumed", encode({ next: 1, later: [] })),
    encodeReason("refused", { code: "unauthorized", reason: "Talos says: no" }),
    encodeReason("close", { code: "closed", reason: "😀".repeat(300) }),
    encodeControl("open", encode({ id: ID, service: "", max_message: 4096, salt: SALT, more: [] })),
  ],
  run(input) {
    const written = rewrite(input);
    if (written === null) return;
    const again = accepted("write, read, write", () => rewrite(written));
    checkSameBytes("write, read, write", again ?? new Uint8Array(0), written);
  },
};

/** Returns the frame that says what `input` says, or null where it has no body to read. */
function rewrite(input: Bytes): Bytes | null {
  const frame = decodeFrame(input);
  switch (frame.type) {
    case "open": {
      const body = decodeOpen(frame.body);
      return accepted("write OPEN", () => encodeOpen(body, body.attempt));
    }
    case "opened": {
      const body = decodeOpened(frame.body);
      return accepted("write OPENED", () => encodeOpened(body));
    }
    case "resume": {
      const body = decodeResume(frame.body);
      return accepted("write RESUME", () => encodeResume(body));
    }
    case "resumed": {
      const body = decodeResumed(frame.body);
      return accepted("write RESUMED", () => encodeResumed(body));
    }
    case "refused":
    case "close": {
      const { type } = frame;
      const body = decodeReason(type, frame.body);
      return accepted("write a reason", () => encodeReason(type, body));
    }
    default:
      return null;
  }
}
