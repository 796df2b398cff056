/**
 * Dialling: connecting a transport, shaking hands, and the one retry that a wrong clock is worth.
 */

import { shortPeerId } from "../identity/peer_id.ts";
import { MAX_CLOCK_SKEW_MS } from "../limits.ts";
import type { Log } from "../log.ts";
import type { Transport } from "../transport/transport.ts";
import type { Connection } from "./connection.ts";
import { SessionError } from "./errors.ts";
import { initiate, type InitiateOptions } from "./handshake.ts";

/** What dialling needs besides the handshake. */
export interface DialOptions extends Omit<InitiateOptions, "timeOffsetMs"> {
  /** Makes a new transport to the peer. Throws TransportError. */
  readonly connect: () => Promise<Transport>;
  /** Learns of a clock difference beyond the limit. */
  readonly log: Log;
}

/**
 * Connects to a peer and authenticates it. A host whose clock differs by more than the limit says so in
 * an authenticated answer; dialling then tries once more with the host's time, with a warning, unless
 * `strictClock` is set on either side. Throws TransportError and SessionError.
 */
export async function dial(options: DialOptions): Promise<Connection> {
  try {
    return await initiate(await options.connect(), options);
  } catch (error) {
    if (!(error instanceof SessionError) || error.code !== "clock") throw error;
    if (error.skewMs === undefined) throw error;
    if (options.strictClock === true) {
      throw error.advise("or go on with the host's time: leave --strict-clock out");
    }
    if (error.strict) {
      throw error.advise("the host insists on it: it was started with --strict-clock");
    }
    warnOfSkew(options, error.skewMs);
    return await initiate(await options.connect(), { ...options, timeOffsetMs: error.skewMs });
  }
}

function warnOfSkew({ log, peer }: DialOptions, skewMs: number): void {
  const seconds = Math.round(Math.abs(skewMs) / 1000);
  const limit = MAX_CLOCK_SKEW_MS / 1000;
  log.warn(
    `clocks differ by ${seconds} s, the limit is ${limit} s; going on with the time of ${
      shortPeerId(peer)
    }`,
  );
}
