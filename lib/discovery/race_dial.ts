/**
 * Dialling a peer at several addresses at once (happy eyeballs, RFC 8305): the next address is tried when
 * the one before has failed or was silent for a moment; the first finished handshake wins, all others are
 * given up. Every address is dialled for the same key, so a wrong one can only fail.
 */

import { type Clock, within } from "../clock.ts";
import type { HostPort } from "../identity/host_port.ts";
import type { Connection } from "../session/connection.ts";

/** How long an address may be silent before the next one is tried beside it (RFC 8305 §5). */
const STAGGER_MS = 250;

/** Dials one address. Gives up when `signal` aborts, unless it has succeeded. Throws TalosError. */
export type DialOne = (address: HostPort, signal: AbortSignal) => Promise<Connection>;

/** An address that led nowhere. */
export interface FailedAttempt {
  /** Where. */
  readonly address: HostPort;
  /** What came of it. */
  readonly error: unknown;
}

/** What a race ends with: a connection, or every attempt's failure in the order of addresses. */
export type RaceOutcome =
  | { readonly connection: Connection }
  | { readonly failures: readonly FailedAttempt[] };

/**
 * Returns the first connection that `dialOne` makes to one of `addresses`, or why there is none. When
 * `signal` aborts, every attempt is given up, and what comes about later is closed.
 */
export async function raceDial(
  addresses: readonly HostPort[],
  dialOne: DialOne,
  clock: Clock,
  signal?: AbortSignal,
): Promise<RaceOutcome> {
  const race = new AbortController();
  const either = signal === undefined ? race.signal : AbortSignal.any([race.signal, signal]);
  const winner = Promise.withResolvers<Connection>();
  const failures: (FailedAttempt | undefined)[] = [];
  let won = false;
  const attempts: Promise<void>[] = [];
  for (const [index, address] of addresses.entries()) {
    const attempt = dialOne(address, either).then(
      (connection) => {
        if (won || either.aborted) return connection.channel.close();
        won = true;
        winner.resolve(connection);
      },
      (error: unknown) => {
        failures[index] = { address, error };
      },
    );
    attempts.push(attempt);
    const first = Promise.race([attempt, winner.promise]);
    await within(clock, STAGGER_MS, first, undefined);
    if (won || either.aborted) break;
  }
  await Promise.race([winner.promise, Promise.all(attempts)]);
  if (won) {
    race.abort();
    return { connection: await winner.promise };
  }
  return { failures: failures.filter((failure) => failure !== undefined) };
}
