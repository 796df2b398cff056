/**
 * The sessions that a host has, live or detached, by peer and session id; and the ids of those that ended,
 * so that an OPEN which was long on its way begins none of them a second time.
 */

import { type Bytes, hex } from "../bytes.ts";
import type { PeerId } from "../identity/peer_id.ts";
import { REMEMBERED_SESSIONS } from "../limits.ts";
import type { Session, SessionGrant } from "./session.ts";

/** A session that a host runs. */
export interface HostedSession {
  /** The session itself. */
  readonly session: Session;
  /** Who opened it. */
  readonly peer: PeerId;
  /** For which service. */
  readonly service: string;
  /** When, in Unix milliseconds. */
  readonly since: number;
  /** What was granted. */
  readonly grant: SessionGrant;
  /** Resolves when what it ran has ended, too. */
  readonly over: Promise<void>;
}

/** Sessions by peer and session id. */
export class SessionTable {
  readonly #sessions = new Map<string, HostedSession>();
  readonly #ended = new Set<string>();

  /** All sessions, in the order in which they were opened. */
  get all(): Iterable<HostedSession> {
    return this.#sessions.values();
  }

  /** Returns the session of `peer` with this id, or undefined. */
  get(peer: PeerId, id: Bytes): HostedSession | undefined {
    return this.#sessions.get(keyOf(peer, id));
  }

  /** Whether a session of `peer` with this id has ended, as far as is remembered. */
  hasEnded(peer: PeerId, id: Bytes): boolean {
    return this.#ended.has(keyOf(peer, id));
  }

  /** Adds a session. */
  add(hosted: HostedSession): void {
    this.#sessions.set(keyOf(hosted.peer, hosted.session.request.id), hosted);
  }

  /** Removes a session and remembers that it was there. */
  remove(hosted: HostedSession): void {
    const key = keyOf(hosted.peer, hosted.session.request.id);
    this.#sessions.delete(key);
    this.#ended.add(key);
    if (this.#ended.size <= REMEMBERED_SESSIONS) return;
    const oldest = this.#ended.values().next();
    if (oldest.done !== true) this.#ended.delete(oldest.value);
  }
}

function keyOf(peer: PeerId, id: Bytes): string {
  return `${peer} ${hex(id)}`;
}
