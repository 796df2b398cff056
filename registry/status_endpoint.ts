/**
 * `/healthz`, `/readyz` and `/metrics`, over plain HTTP.
 *
 * For load balancers and monitoring on the same machine or a private network: nothing here is secret, and
 * nothing is authenticated, so it listens on loopback unless it is told otherwise. Health says that the
 * process answers; readiness that it takes connections and can read its store.
 */

import { messageOf } from "../lib/errors.ts";
import { formatHostPort, type HostPort } from "../lib/identity/host_port.ts";
import { TransportError } from "../lib/transport/errors.ts";
import type { Metrics } from "./metrics.ts";

/** What there is to tell. */
export interface StatusSources {
  /** What `/metrics` prints. */
  readonly metrics: Metrics;
  /** Returns why the registry is not ready, or null. */
  readonly unready: () => Promise<string | null>;
}

/** An HTTP server that is up. */
export interface StatusEndpoint extends AsyncDisposable {
  /** Where it listens, with the actual port. */
  readonly address: HostPort;
}

/** Listens on `address`. Throws TransportError `port_taken` or `listen_failed`. */
export function serveStatus(address: HostPort, sources: StatusSources): StatusEndpoint {
  let server: Deno.HttpServer<Deno.NetAddr>;
  try {
    server = Deno.serve({
      hostname: address.host,
      port: address.port,
      onListen() {},
      onError: (error) => plain(500, messageOf(error)),
    }, (request) => answer(request, sources));
  } catch (cause) {
    const taken = cause instanceof Deno.errors.AddrInUse;
    const state = taken ? "the port is in use" : messageOf(cause);
    throw new TransportError(
      taken ? "port_taken" : "listen_failed",
      `Cannot listen on ${formatHostPort(address)}: ${state}`,
      { cause, hints: ["choose another with --http-port"] },
    );
  }
  return {
    address: { host: address.host, port: server.addr.port },
    // A client that keeps its connection must not keep us.
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}

async function answer(request: Request, { metrics, unready }: StatusSources): Promise<Response> {
  if (request.method !== "GET" && request.method !== "HEAD") {
    return plain(405, "GET only", { allow: "GET, HEAD" });
  }
  switch (new URL(request.url).pathname) {
    case "/healthz":
      return plain(200, "ok");
    case "/readyz": {
      const why = await unready();
      return why === null ? plain(200, "ready") : plain(503, why);
    }
    case "/metrics":
      return new Response(await metrics.text(), {
        headers: { "content-type": "text/plain; version=0.0.4; charset=utf-8" },
      });
    default:
      return plain(404, "there are /healthz, /readyz and /metrics");
  }
}

function plain(status: number, text: string, headers: Record<string, string> = {}): Response {
  return new Response(text + "\n", {
    status,
    headers: { "content-type": "text/plain; charset=utf-8", ...headers },
  });
}
