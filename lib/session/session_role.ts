/** What the two ends of a session do differently, as {@link SessionCore} asks them for it. */

import type { Bytes } from "../bytes.ts";
import type { Link } from "./link.ts";

/** What the two ends of a session do differently. */
export interface SessionRole {
  /** Whether it is this end that makes another connection when one is lost. */
  readonly dials: boolean;
  /** How long the session may be without a connection, in milliseconds; 0 when it ends with it. */
  readonly detachTimeoutMs: number;
  /** Takes the host's answer. Throws what is wrong with it. */
  answered(link: Link, name: "opened" | "resumed" | "refused", body: Bytes): void;
  /** Learns that `link` was lost, and for the time being the session is carried by none. */
  detached(link: Link): void;
  /** Learns that `link`, which was to carry the session on, was lost before it did. */
  notCarried(link: Link, error: Error): void;
  /** Returns what the session ends with: nothing carried it for `limitMs`; `last` was in the way. */
  givenUp(limitMs: number, last: unknown): Error;
  /** Lets go of whatever it holds: the session is over. */
  ended(): void;
}
