/** The addresses of this machine: one of the thin executors. */

import { messageOf } from "../errors.ts";
import type { Log } from "../log.ts";
import type { InterfaceAddress } from "./ip_address.ts";

/** Returns the addresses of this machine's interfaces; none, and a warning, where looking is not permitted. */
export function interfaceAddresses(log: Log): readonly InterfaceAddress[] {
  try {
    return Deno.networkInterfaces();
  } catch (error) {
    log.warn("cannot list this machine's addresses", { why: messageOf(error) });
    return [];
  }
}

/** Returns the same as IP literals; none, without a word and without asking anybody, where it is not permitted. */
export function permittedAddresses(): readonly string[] {
  const { state } = Deno.permissions.querySync({ name: "sys", kind: "networkInterfaces" });
  return state === "granted" ? Deno.networkInterfaces().map(({ address }) => address) : [];
}
