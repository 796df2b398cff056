/**
 * Listening on every interface of this machine, for IPv4 and IPv6 callers.
 *
 * One socket on `::` takes both on Linux and macOS. On Windows it takes IPv6 alone (Deno leaves the
 * system's default, IPV6_V6ONLY, as it is), so two sockets share the port there. A machine without IPv6
 * listens on IPv4 alone. A system that is told to behave otherwise (`net.ipv6.bindv6only=1` on Linux)
 * needs an explicit address.
 */

import type { HostPort } from "../identity/host_port.ts";
import { TransportError } from "./errors.ts";
import { listenTcp, type TcpListener } from "./tcp.ts";
import type { Transport } from "./transport.ts";

/** How often another free port is tried where one that was free for IPv6 is taken for IPv4. */
const FREE_PORT_ATTEMPTS = 16;

/**
 * Returns what to listen on, most wanted first: every inner list is a whole, the next one is for
 * machines that lack an address of the one before.
 */
export function wildcardAddresses(os: typeof Deno.build.os): readonly (readonly string[])[] {
  return os === "windows" ? [["0.0.0.0", "::"], ["0.0.0.0"]] : [["::"], ["0.0.0.0"]];
}

/**
 * Listens on all interfaces at `port`, or at any free one for 0. Throws TransportError `port_taken` or
 * `listen_failed`.
 */
export function listenOnAllInterfaces(os: typeof Deno.build.os, port: number): TcpListener {
  let failure: unknown;
  for (const hosts of wildcardAddresses(os)) {
    try {
      return listenOnAll(hosts, port);
    } catch (error) {
      if (error instanceof TransportError && error.code === "port_taken") throw error;
      failure = error;
    }
  }
  throw failure;
}

/** Listens on one port of all `hosts`, at least one. Throws TransportError; then nothing listens. */
export function listenOnAll(hosts: readonly string[], port: number): TcpListener {
  for (let attempt = 1;; attempt++) {
    const listeners: TcpListener[] = [];
    try {
      for (const host of hosts) {
        listeners.push(listenTcp({ host, port: listeners[0]?.address.port ?? port }));
      }
      return listeners.length === 1 ? listeners[0]! : new Listeners(listeners);
    } catch (error) {
      for (const listener of listeners) listener.close();
      const another = port === 0 && attempt < FREE_PORT_ATTEMPTS &&
        error instanceof TransportError && error.code === "port_taken";
      if (!another) throw error;
    }
  }
}

/** Several listeners that look like one. Whoever iterates takes all that arrive at any of them. */
class Listeners implements TcpListener {
  readonly address: HostPort;
  readonly #listeners: readonly TcpListener[];

  constructor(listeners: readonly TcpListener[]) {
    this.#listeners = listeners;
    this.address = listeners[0]!.address;
  }

  close(): void {
    for (const listener of this.#listeners) listener.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Transport> {
    const arrived: Transport[] = [];
    let changed = Promise.withResolvers<void>();
    let open = this.#listeners.length;
    const take = async (listener: TcpListener) => {
      for await (const transport of listener) {
        arrived.push(transport);
        changed.resolve();
      }
      open--;
      changed.resolve();
    };
    const taking = this.#listeners.map(take);
    try {
      while (open > 0 || arrived.length > 0) {
        const transport = arrived.shift();
        if (transport !== undefined) {
          yield transport;
          continue;
        }
        await changed.promise;
        changed = Promise.withResolvers();
      }
    } finally {
      this.close();
      await Promise.all(taking);
      for (const transport of arrived) transport.close();
    }
  }
}
