/** Where a long-running command listens. */

import type { OperatingSystem } from "../identity/file_path.ts";
import { DEFAULT_PEER_PORT } from "../identity/host_port.ts";
import { listenOnAllInterfaces } from "../transport/all_interfaces.ts";
import { TransportError } from "../transport/errors.ts";
import { listenTcp, type TcpListener } from "../transport/tcp.ts";

/** How many ports above {@link DEFAULT_PEER_PORT} are tried. */
const PORTS_TRIED = 100;

/**
 * Listens on `host` (all interfaces by default) and `port`. An explicit port that is taken is an error; the
 * default falls to the next free one. Throws TransportError.
 */
export function listenFrom(host: string | undefined, port: number | undefined): TcpListener {
  if (port !== undefined) {
    try {
      return listenOn(host, port);
    } catch (error) {
      throw advised(error, port);
    }
  }
  for (
    let candidate = DEFAULT_PEER_PORT;
    candidate < DEFAULT_PEER_PORT + PORTS_TRIED;
    candidate++
  ) {
    try {
      return listenOn(host, candidate);
    } catch (error) {
      if (!isTaken(error)) throw advised(error, candidate);
    }
  }
  return listenOn(host, 0);
}

function listenOn(host: string | undefined, port: number): TcpListener {
  return host === undefined
    ? listenOnAllInterfaces(Deno.build.os, port)
    : listenTcp({ host, port });
}

function isTaken(error: unknown): boolean {
  return error instanceof TransportError && error.code === "port_taken";
}

/** Adds to an error what can be done about it. */
function advised(error: unknown, port: number): unknown {
  if (!(error instanceof TransportError)) return error;
  return isTaken(error)
    ? error.advise(
      "leave --port out to take the next free one",
      `see what holds this one: ${portHolderCommand(Deno.build.os, port)}`,
    )
    : error.advise("leave --host out to listen on all addresses of this machine");
}

/** Returns the command that shows which program listens on `port`. */
export function portHolderCommand(os: OperatingSystem, port: number): string {
  switch (os) {
    case "linux":
    case "android":
      return `ss -ltnp 'sport = :${port}'`;
    case "windows":
      return `netstat -ano | findstr :${port}`;
    default:
      return `lsof -nP -iTCP:${port} -sTCP:LISTEN`;
  }
}
