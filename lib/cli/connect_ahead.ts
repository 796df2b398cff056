/**
 * Connecting before it is known whether that is worth it: TCP needs no key, so its round trip passes
 * while cryptography loads and the wallet is read. Whatever turns out to be wrong, nothing but an empty
 * connection was made, which is closed again.
 */

import {
  DEFAULT_PEER_PORT,
  formatHostPort,
  type HostPort,
  parseHostPort,
} from "../identity/host_port.ts";
import { connectTcp } from "../transport/tcp.ts";
import type { Transport } from "../transport/transport.ts";

/** How long one attempt to connect may take, in milliseconds. */
const CONNECT_TIMEOUT_MS = 10_000;

/** Connects to `address`, once, unless `signal` aborts or `limitMs` passes before. Throws TransportError. */
export function connectInTime(
  address: HostPort,
  signal?: AbortSignal,
  limitMs = CONNECT_TIMEOUT_MS,
): Promise<Transport> {
  const limit = AbortSignal.timeout(limitMs);
  return connectTcp(address, signal === undefined ? limit : AbortSignal.any([limit, signal]));
}

/** A connection that was begun before anybody asked for it. */
export class ConnectionAhead implements Disposable {
  readonly #at: string;
  #transport: Promise<Transport> | undefined;

  /** Begins to connect to `address`. */
  constructor(address: HostPort) {
    this.#at = formatHostPort(address);
    this.#transport = connectInTime(address);
    this.#transport.catch(() => {}); // whoever takes it learns of it
  }

  /** Returns the connection to `address` and gives it away; a new one if this is not it any more. */
  take(address: HostPort): Promise<Transport> {
    const transport = this.#transport;
    if (transport === undefined || formatHostPort(address) !== this.#at) {
      return connectInTime(address);
    }
    this.#transport = undefined;
    return transport;
  }

  /** Closes the connection if nobody took it. */
  [Symbol.dispose](): void {
    this.#transport?.then((transport) => transport.close(), () => {}); // there is none to close
    this.#transport = undefined;
  }
}

/** Begins to connect to the address in `PEER[/SERVICE]@HOST[:PORT]`; null where there is none. */
export function connectAhead(target: string): ConnectionAhead | null {
  const at = target.indexOf("@");
  if (at < 0) return null;
  try {
    return new ConnectionAhead(parseHostPort(target.slice(at + 1), DEFAULT_PEER_PORT));
  } catch {
    return null; // no address: said when the whole target is read
  }
}
