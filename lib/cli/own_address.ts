/**
 * The address under which other machines probably reach this one: what goes into the command line that
 * the agent's machine is to run. A guess: a machine cannot know what is translated or filtered on the way.
 */

import { type InterfaceAddress, isRoutable } from "../identity/ip_address.ts";
import { interfaceAddresses } from "../identity/network_interfaces.ts";
import { SILENT } from "../log.ts";

/** What stands where no address is known. */
export const UNKNOWN_ADDRESS = "HOST";

/**
 * Returns the best of a machine's addresses, as it is written before a port: IPv4 before IPv6, which
 * fewer networks carry; none that holds on this machine or this link alone. Null when there is none.
 */
export function bestAddress(addresses: readonly InterfaceAddress[]): string | null {
  const usable = addresses.filter(({ address }) => isRoutable(address));
  const ipv4 = usable.find(({ family }) => family === "IPv4");
  if (ipv4 !== undefined) return ipv4.address;
  const ipv6 = usable.find(({ family }) => family === "IPv6");
  return ipv6 === undefined ? null : `[${ipv6.address}]`;
}

/** Returns this machine's best address, or {@link UNKNOWN_ADDRESS}. */
export function ownAddress(): string {
  return bestAddress(interfaceAddresses(SILENT)) ?? UNKNOWN_ADDRESS;
}
