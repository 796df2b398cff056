/**
 * What somebody asks for first: the OPEN or RESUME in the first record behind a handshake.
 *
 * Nothing is known of the peer yet but who it is, and it may be a stranger: so the record must be a short
 * one, and no more than `STRANGER_BYTES` are read for it.
 */

import type { Bytes } from "../bytes.ts";
import { STRANGER_BYTES } from "../limits.ts";
import { decodeFrame } from "../wire/frames.ts";
import { decodeOpen, decodeResume, type OpenBody, type ResumeBody } from "./bodies.ts";
import { SessionError } from "./errors.ts";
import type { RecordChannel } from "./record_channel.ts";

/** The longest record in which a peer may ask for something: an OPEN has about 200 bytes. */
const MAX_FIRST_RECORD_BYTES = STRANGER_BYTES / 4;

/** What a peer asks for in its first record. */
export type FirstRequest =
  | ({ readonly asks: "open" } & OpenBody)
  | ({ readonly asks: "resume" } & ResumeBody);

/**
 * Reads what a peer asks for. Throws SessionError `protocol` for anything else and for a long record,
 * `connection_lost` when the peer leaves before, and WireError for a body that is not of its form.
 */
export async function readFirstRequest(channel: RecordChannel): Promise<FirstRequest> {
  const frame = decodeFrame(await firstFrame(channel));
  switch (frame.type) {
    case "open":
      return { asks: "open", ...decodeOpen(frame.body) };
    case "resume":
      return { asks: "resume", ...decodeResume(frame.body) };
    default:
      throw new SessionError(
        "protocol",
        `Cannot take ${frame.type} frame: OPEN or RESUME comes first`,
      );
  }
}

/** Reads up to the first frame, and no more than {@link STRANGER_BYTES} whatever comes before it. */
async function firstFrame(channel: RecordChannel): Promise<Bytes> {
  for (;;) {
    const frame = channel.nextFrame(MAX_FIRST_RECORD_BYTES);
    if (frame !== null) return frame;
    if (!await channel.fill(STRANGER_BYTES)) {
      throw new SessionError("connection_lost", "The peer left before it asked for anything");
    }
  }
}
