/** How a host was reached, as errors to an agent tell it. */

import type { Session } from "../session/session.ts";
import { describePath } from "../transport/transport.ts";

/** The path of a session, if there was one. */
export interface PathTaken {
  /** Which way the bytes went: `direct 192.0.2.7:8766`, or `relay` and the registry. */
  readonly path?: string;
  /** How long a question was under way on it, there and back, in milliseconds, if that was measured. */
  readonly roundTripMs?: number;
}

/** Returns the path that `session` has, or had last. */
export function pathTaken(session: Session | undefined): PathTaken {
  if (session === undefined) return {};
  const { path, roundTripMs } = session;
  return {
    path: describePath(path),
    ...(roundTripMs === undefined ? {} : { roundTripMs }),
  };
}
