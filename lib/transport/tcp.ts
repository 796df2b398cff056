/**
 * TCP as a transport: connecting, listening, and naming what went wrong.
 *
 * TCP_NODELAY is on at both ends; without it, requests of 1 MiB fall to a tenth of their speed.
 * Errors of the operating system become TransportError with a stable code; their text names the
 * address and nothing else.
 */

import type { Bytes } from "../bytes.ts";
import { formatHostPort, type HostPort } from "../identity/host_port.ts";
import { type Clock, systemClock } from "../clock.ts";
import { messageOf } from "../errors.ts";
import { TransportError } from "./errors.ts";
import type { PathLabel, Transport } from "./transport.ts";

/** How long nothing is accepted after accepting failed: the reason rarely passes sooner. */
const ACCEPT_RETRY_MS = 50;

/** A listening TCP socket, an async iterable of transports. */
export interface TcpListener extends Disposable, AsyncIterable<Transport> {
  /** The address it listens on, with the actual port. */
  readonly address: HostPort;
  /** Stops listening. Accepted transports live on. */
  close(): void;
}

/**
 * Connects to `address`. Throws TransportError: `refused`, `unreachable` (also when `signal` aborts),
 * `name_unknown`; and Deno.errors.NotCapable where this process may not.
 */
export async function connectTcp(address: HostPort, signal?: AbortSignal): Promise<Transport> {
  let conn: Deno.TcpConn;
  try {
    conn = await Deno.connect({
      hostname: address.host,
      port: address.port,
      ...(signal === undefined ? {} : { signal }),
    });
  } catch (error) {
    throw connectError(address, error);
  }
  return tcpTransport(conn);
}

/**
 * Listens on `address`. Throws TransportError `port_taken` or `listen_failed`. What fails for one caller
 * only, or for want of file descriptors, does not end the listening.
 */
export function listenTcp(address: HostPort, clock: Clock = systemClock): TcpListener {
  let listener: Deno.TcpListener;
  try {
    listener = Deno.listen({ hostname: address.host, port: address.port });
  } catch (error) {
    throw listenError(address, error);
  }
  return {
    address: { host: address.host, port: listener.addr.port },
    close: () => close(listener),
    [Symbol.dispose]: () => close(listener),
    async *[Symbol.asyncIterator]() {
      for (;;) {
        const conn = await accept(listener, clock);
        if (conn === null) return;
        yield tcpTransport(conn);
      }
    },
  };
}

/** Returns the next connection, or null once the listener is closed. */
async function accept(listener: Deno.TcpListener, clock: Clock): Promise<Deno.TcpConn | null> {
  for (;;) {
    try {
      return await listener.accept();
    } catch (error) {
      if (isClosedHere(error)) return null;
      // The caller hung up while it was queued, or we have no descriptor left for it: both pass.
      await new Promise<void>((resolve) => clock.after(ACCEPT_RETRY_MS, resolve));
    }
  }
}

/**
 * Returns what per-source limits count an IP address by: an IPv4 address itself (also in its
 * IPv4-mapped form), the first 64 bits of an IPv6 address.
 */
export function sourceOf(ip: string): string {
  const address = unmapped(ip);
  if (!address.includes(":")) return address;
  const [head = "", tail] = address.split("%")[0]!.split("::");
  const left = head === "" ? [] : head.split(":");
  const right = tail === undefined || tail === "" ? [] : tail.split(":");
  const gap = tail === undefined ? 0 : 8 - left.length - right.length;
  const groups = [...left, ...Array<string>(gap).fill("0"), ...right];
  const prefix = groups.slice(0, 4).map((group) => parseInt(group, 16).toString(16));
  return `${prefix.join(":")}::/64`;
}

/** Returns the IPv4 address inside an IPv4-mapped IPv6 address, and any other address as it is. */
function unmapped(ip: string): string {
  return /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(ip)?.[1] ?? ip;
}

function tcpTransport(conn: Deno.TcpConn): Transport {
  setNoDelay(conn);
  const { port } = conn.remoteAddr;
  const host = unmapped(conn.remoteAddr.hostname);
  const path: PathLabel = {
    kind: "direct",
    remote: formatHostPort({ host, port }),
    source: sourceOf(host),
  };
  return {
    path,
    async read(into: Bytes): Promise<number | null> {
      try {
        return await conn.read(into);
      } catch (error) {
        if (isClosedHere(error)) return null;
        throw broken(path, error);
      }
    },
    async write(bytes: Bytes): Promise<void> {
      try {
        for (let at = 0; at < bytes.length;) {
          at += await conn.write(at === 0 ? bytes : bytes.subarray(at));
        }
      } catch (error) {
        throw broken(path, error);
      }
    },
    async closeWrite(): Promise<void> {
      await conn.closeWrite().catch(() => {}); // reset or closed: the reader learns
    },
    close: () => close(conn),
    [Symbol.dispose]: () => close(conn),
  };
}

function setNoDelay(conn: Deno.TcpConn): void {
  try {
    conn.setNoDelay(true);
  } catch {
    // Some systems refuse it on a connection that was reset already: the reader learns.
  }
}

function close(resource: { close(): void }): void {
  try {
    resource.close();
  } catch (error) {
    if (!(error instanceof Deno.errors.BadResource)) throw error; // closed before: nothing to do
  }
}

function isClosedHere(error: unknown): boolean {
  return error instanceof Deno.errors.BadResource || error instanceof Deno.errors.Interrupted;
}

function broken(path: PathLabel, cause: unknown): TransportError {
  return new TransportError("broken", `Lost the connection to ${path.remote}`, { cause });
}

function connectError(address: HostPort, cause: unknown): unknown {
  if (cause instanceof Deno.errors.NotCapable) return cause; // no fault of the network
  const at = formatHostPort(address);
  const [code, state] = connectFailure(cause);
  return new TransportError(code, `Cannot connect to ${at}: ${state}`, { cause });
}

/**
 * Returns what a failed attempt to connect means, and its state for a sentence. That a name has no address
 * is only in the text, which is the system's own.
 */
export function connectFailure(
  cause: unknown,
): readonly [code: "refused" | "name_unknown" | "unreachable", state: string] {
  const text = messageOf(cause);
  if (cause instanceof Deno.errors.ConnectionRefused) {
    return ["refused", "nothing listens there (connection refused)"];
  }
  if (/lookup|name or service|resolve|no such host|nodename/i.test(text)) {
    return ["name_unknown", "the name has no address"];
  }
  return cause instanceof DOMException || cause instanceof Deno.errors.TimedOut
    ? ["unreachable", "no answer in time"]
    : ["unreachable", text];
}

function listenError(address: HostPort, cause: unknown): unknown {
  if (cause instanceof Deno.errors.NotCapable) return cause;
  const at = formatHostPort(address);
  if (cause instanceof Deno.errors.AddrInUse) {
    return new TransportError("port_taken", `Cannot listen on ${at}: the port is in use`, {
      cause,
    });
  }
  const why = cause instanceof Deno.errors.AddrNotAvailable
    ? "this machine has no such address"
    : messageOf(cause);
  return new TransportError("listen_failed", `Cannot listen on ${at}: ${why}`, { cause });
}
