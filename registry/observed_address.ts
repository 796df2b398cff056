/** The address of a caller as the registry sees it: what a NAT in between shows of it. Pure. */

import { parseHostPort } from "../lib/identity/host_port.ts";
import { scopeOf } from "../lib/identity/ip_address.ts";
import type { PathLabel } from "../lib/transport/transport.ts";

/** Where a caller seems to be. */
export interface ObservedAddress {
  /** An IP literal without a zone; empty where the path is no TCP connection. */
  readonly address: string;
  /** Whether it is on this machine. */
  readonly isLocal: boolean;
}

/** Returns the address at the other end of `path`. */
export function observedAddress({ kind, remote }: PathLabel): ObservedAddress {
  if (kind !== "direct") return { address: "", isLocal: false };
  const [address = ""] = parseHostPort(remote).host.split("%");
  return { address, isLocal: scopeOf(address) === "loopback" };
}
