/**
 * Which frame may come when, pure.
 *
 *     link is    may come
 *     opening    OPENED, REFUSED
 *     resuming   RESUMED, REFUSED
 *     running    ACK; DATA until the peer has closed the session; CLOSE once per link
 *     any        PING, PONG
 *
 * OPEN and RESUME come first on a connection or not at all: the host takes them before there is a link.
 */

import type { Frame } from "../wire/frames.ts";
import { SessionError } from "./errors.ts";
import type { Link } from "./link.ts";

/**
 * Refuses a frame whose time has not come or has passed; `hasClosed` tells whether the peer has closed the
 * session, on this link or on an earlier one. Throws SessionError `protocol`.
 */
export function checkTurn(
  frame: Frame,
  link: Pick<Link, "phase" | "closeReceived">,
  hasClosed: boolean,
): void {
  const { type } = frame;
  if (type === "ping" || type === "pong") return;
  if (link.phase === "running") {
    if (type === "opened" || type === "resumed" || type === "refused") {
      throw outOfTurn(type, "the session is open");
    }
    const isLate = type === "close" ? link.closeReceived : type !== "ack" && hasClosed;
    if (isLate) throw outOfTurn(type, "the peer has closed");
    return;
  }
  const awaited = link.phase === "opening" ? "opened" : "resumed";
  if (type !== awaited && type !== "refused") {
    throw outOfTurn(type, `the session is not ${awaited === "opened" ? "open" : "resumed"} yet`);
  }
}

/** Returns the error for a frame that may not come in a `state`, which is a sentence. */
export function outOfTurn(type: Frame["type"], state: string): SessionError {
  return new SessionError("protocol", `Cannot take ${type} frame: ${state}`);
}
