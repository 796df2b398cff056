/**
 * `HOST[:PORT]` as people write it.
 *
 * IPv6 literals stand in brackets (RFC 3986 §3.2.2), with a zone where it is needed
 * (`[fe80::1%eth0]:8766`). A host name is ASCII: letters, digits, hyphens, underscores and dots. Text
 * that the system's resolver would read as an address in an old notation (`127.1`, `0x7f000001`) is
 * refused, so that what was checked is what is dialled.
 */

import { printable } from "../log.ts";
import { IdentityError } from "./errors.ts";
import { isIpLiteral } from "./ip_address.ts";

/** Where to connect or listen. */
export interface HostPort {
  /** A host name or an IP literal, without brackets. */
  readonly host: string;
  /** 1 to 65,535; to listen, 0 asks the system for a free port. */
  readonly port: number;
}

/** The greatest TCP port. */
export const MAX_PORT = 65_535;

/** The port of a registry unless told otherwise: `HOST` alone means it wherever a registry is named. */
export const DEFAULT_REGISTRY_PORT = 8765;

/** The port that a peer listens on unless told otherwise: `HOST` alone means it wherever a peer is named. */
export const DEFAULT_PEER_PORT = 8766;

const MAX_HOST_CHARACTERS = 253;
const MAX_SCHEME_CHARACTERS = 16;

const LABEL = /^[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?$/;
const NUMERIC = /^(?:\d+|0[xX][0-9A-Fa-f]*)$/;
const ZONE = /^[A-Za-z0-9._-]{1,32}$/;

/** Returns `host:port`, an IPv6 literal in brackets. */
export function formatHostPort({ host, port }: HostPort): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/**
 * Returns the host and port that `text` names.
 *
 * @param defaultPort The port where `text` has none; without it a missing port is an error.
 * Throws IdentityError "address_invalid".
 */
export function parseHostPort(text: string, defaultPort?: number): HostPort {
  const fail = (reason: string) => invalid(text, reason, defaultPort);
  const scheme = /^[a-z][a-z0-9+.-]*:\/\//i.exec(text)?.[0];
  if (scheme !== undefined) throw fail(`leave out "${printable(scheme, MAX_SCHEME_CHARACTERS)}"`);
  const bracketed = /^\[([^\]]*)\](.*)$/su.exec(text);
  if (bracketed !== null) {
    const [, host = "", rest = ""] = bracketed;
    if (!isIpv6(host)) throw fail("what stands in brackets is no IPv6 address");
    if (rest !== "" && !rest.startsWith(":")) throw fail('behind "]" a ":" is missing');
    return { host, port: parsePort(text, rest === "" ? undefined : rest.slice(1), defaultPort) };
  }
  const [host = "", port, ...more] = text.split(":");
  if (more.length > 0) throw fail("an IPv6 address is written in brackets, as [::1]");
  if (!isHostName(host)) throw fail("the host is neither a name nor an IP address");
  return { host, port: parsePort(text, port, defaultPort) };
}

function parsePort(text: string, digits: string | undefined, defaultPort?: number): number {
  if (digits === undefined) {
    if (defaultPort === undefined) {
      throw invalid(text, "the port is missing: HOST:PORT", defaultPort);
    }
    return defaultPort;
  }
  const port = /^[1-9]\d{0,4}$/.test(digits) ? Number(digits) : 0;
  if (port < 1 || port > MAX_PORT) {
    throw invalid(text, `the port is not 1 to ${MAX_PORT}`, defaultPort);
  }
  return port;
}

/** Returns the port to listen on that `text` is, 0 to 65,535; null where it is none. */
export function parseListenPort(text: string): number | null {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : Infinity;
  return port <= MAX_PORT ? port : null;
}

function isHostName(host: string): boolean {
  if (host.length > MAX_HOST_CHARACTERS) return false;
  if (isIpLiteral(host)) return true; // of IPv4: it has no colon
  const labels = (host.endsWith(".") ? host.slice(0, -1) : host).split(".");
  // A last label of digits makes resolvers think of an IPv4 address (WHATWG URL §3.5).
  return labels.every((label) => LABEL.test(label)) && !NUMERIC.test(labels.at(-1) ?? "");
}

function isIpv6(host: string): boolean {
  const [address = "", zone, ...more] = host.split("%");
  if (more.length > 0 || (zone !== undefined && !ZONE.test(zone))) return false;
  return address.includes(":") && isIpLiteral(address);
}

function invalid(text: string, reason: string, port = DEFAULT_PEER_PORT): IdentityError {
  return new IdentityError(
    "address_invalid",
    `Cannot read the address "${printable(text, 80)}": ${reason}`,
    {
      hints: [
        `write HOST:PORT, as in host.example:${port}, 192.0.2.7:${port} or [2001:db8::7]:${port}`,
      ],
    },
  );
}
