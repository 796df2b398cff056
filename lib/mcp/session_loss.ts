/**
 * Which ends of a session an agent survives, and how often in a row. Pure.
 *
 * A session that is over because its host or its server died can be followed by another one; one that the
 * host cut, refused or closed in order cannot. A server that dies soon and answers nothing probably always
 * does: then a few attempts are enough. One that has answered the agent has been of use; if its agent then
 * makes it die again and again, that is the agent's loop.
 */

import { TalosError } from "../errors.ts";
import { EARLY_DEATH_MS, MAX_EARLY_DEATHS } from "../limits.ts";
import type { SessionErrorCode } from "../session/errors.ts";
import type { TransportErrorCode } from "../transport/errors.ts";
import { mayPass } from "./dialling.ts";
import type { McpErrorCode } from "./errors.ts";

/** Errors that say that host or path are gone, and the session with them. */
const LOSSES: ReadonlySet<string> = new Set<
  SessionErrorCode | TransportErrorCode | McpErrorCode
>([
  "session_lost",
  "connection_lost",
  "broken",
  "restoration_timeout",
]);

/** Reasons of a host's CLOSE after which there may be another session. */
const CURABLE_CLOSES: ReadonlySet<string> = new Set(["child_exited", "host_stopped", "internal"]);

/** How a session ended. */
export interface SessionEnd {
  /** What it ended with. */
  readonly error: unknown;
  /** The code of the host's CLOSE, if it sent one. */
  readonly closeCode: string | undefined;
  /** How long it lasted, in milliseconds. */
  readonly lastedMs: number;
  /** Whether any of the agent's requests was answered in it. */
  readonly answered: boolean;
  /** Whether it was not the agent's first. */
  readonly isLater: boolean;
}

/** Tells whether another session may take the place of one that ended so. */
export function isCurable({ error, closeCode, isLater }: SessionEnd): boolean {
  if (!(error instanceof TalosError)) return false;
  if (closeCode !== undefined) return CURABLE_CLOSES.has(closeCode);
  // A later session may be refused as long as the host counts the server of the one before.
  return LOSSES.has(error.code) || (isLater && mayPass(error));
}

/** Tells whether a session was over soon and of no use: then the next one should not follow at once. */
export function isInVain({ answered, lastedMs }: SessionEnd): boolean {
  return !answered && lastedMs < EARLY_DEATH_MS;
}

/** Counts the early deaths of an agent's servers. */
export class EarlyDeaths {
  #inARow = 0;

  /** How many there were since a server was of use. */
  get inARow(): number {
    return this.#inARow;
  }

  /** Notes the end of a session. Returns whether that was one too many. */
  add({ closeCode, error, lastedMs, answered }: SessionEnd): boolean {
    const hung = error instanceof TalosError && error.code === "restoration_timeout";
    const died = closeCode === "child_exited" || closeCode === "internal";
    if (!answered && (hung || (died && lastedMs < EARLY_DEATH_MS))) this.#inARow++;
    else if (answered || lastedMs >= EARLY_DEATH_MS) this.#inARow = 0;
    return this.#inARow >= MAX_EARLY_DEATHS;
  }
}
