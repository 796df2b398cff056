/**
 * Dialling a peer at several addresses at once (happy eyeballs, RFC 8305): the next address is tried when
 * the one before has failed or was silent for a moment; the first finished handshake wins, all others are
 * closed. Every address is dialled for the same key, so a wrong one can only fail.
 */

import { type Clock, within } from "../clock.ts";
import type { HostPort } from "../identity/host_port.ts";
import type { Connection } from "../session/connection.ts";

/** How long an address may be silent before the next one is tried beside it (RFC 8305 §5). */
const STAGGER_MS = 250;

/**
 * Returns the first connection that `dialOne` makes to one of `addresses`, which must not be empty.
 * Throws what the most telling attempt threw: one that reached somebody rather than one that did not.
 */
export async function raceDial(
  addresses: readonly HostPort[],
  dialOne: (address: HostPort) => Promise<Connection>,
  clock: Clock,
): Promise<Connection> {
  const winner = Promise.withResolvers<Connection>();
  const failures: unknown[] = [];
  let won = false;
  let left = addresses.length;
  for (const address of addresses) {
    const attempt = dialOne(address).then(
      (connection) => {
        if (won) connection.channel.close();
        won = true;
        winner.resolve(connection);
      },
      (error: unknown) => {
        failures.push(error);
        if (--left === 0) winner.reject(mostTelling(failures));
      },
    );
    await within(clock, STAGGER_MS, attempt, undefined);
    if (won) break;
  }
  return await winner.promise;
}

/** An error of the handshake says more than that nothing listens at some other address. */
function mostTelling(failures: readonly unknown[]): unknown {
  const code = (error: unknown) => error instanceof Error && "code" in error ? error.code : "";
  const vague = new Set<unknown>(["refused", "unreachable", "name_unknown", "broken"]);
  return failures.find((error) => !vague.has(code(error))) ?? failures[0];
}
