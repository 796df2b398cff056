/**
 * Which way to a peer: directly, or through a relay. The direct way begins at once, the relay a moment later
 * or as soon as no direct way is left; the first finished handshake wins, the other one is given up.
 */

import { type Clock, within } from "../clock.ts";
import type { Connection } from "../session/connection.ts";
import type { FailedAttempt, RaceOutcome } from "./race_dial.ts";

/** How long the direct way has for itself: a handshake across a continent, and no more. */
const RELAY_DELAY_MS = 300;

/** The ways there are. */
export interface Paths {
  /** Dials the peer's own addresses. Gives up when the signal aborts. */
  readonly direct: (signal: AbortSignal) => Promise<RaceOutcome>;
  /** Dials through the relay; null where there is none. Gives up when the signal aborts. Throws TalosError. */
  readonly relay: ((signal: AbortSignal) => Promise<Connection>) | null;
  /** Whether the direct way failed for a reason that no other way cures. */
  readonly isFinal: (failures: readonly FailedAttempt[]) => boolean;
}

/** What a race ends with. */
export type PathsOutcome =
  | { readonly connection: Connection }
  | {
    /** The peer's addresses that led nowhere. */
    readonly failures: readonly FailedAttempt[];
    /** What became of the relay, if it was tried. */
    readonly relayError?: unknown;
  };

/** Returns the first connection, or why there is none. */
export async function racePaths(paths: Paths, clock: Clock): Promise<PathsOutcome> {
  const { relay } = paths;
  const over = new AbortController();
  const direct = paths.direct(over.signal);
  const isEnough = (outcome: RaceOutcome) =>
    "connection" in outcome || paths.isFinal(outcome.failures);
  const early = await within(clock, RELAY_DELAY_MS, direct, null);
  if (early !== null && (relay === null || isEnough(early))) return early;
  if (relay === null) return await direct;

  const relayed: Promise<{ readonly connection: Connection } | { readonly relayError: unknown }> =
    relay(over.signal).then(
      (connection) => ({ connection }),
      (relayError: unknown) => ({ relayError }),
    );
  const both = direct.then(async (outcome): Promise<PathsOutcome> => {
    if (isEnough(outcome)) return outcome;
    const through = await relayed;
    return "connection" in through ? through : { ...outcome, ...through };
  });
  const outcome = await Promise.race([
    both,
    relayed.then((through) => "connection" in through ? through : both),
  ]);
  over.abort();
  const chosen = "connection" in outcome ? outcome.connection : null;
  for (const way of [direct, relayed]) {
    void way.then((late) => {
      if ("connection" in late && late.connection !== chosen) late.connection.channel.close();
    });
  }
  return outcome;
}
