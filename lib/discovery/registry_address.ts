/** Where a registry is: `HOST[:PORT]`, or `PEER-ID@HOST[:PORT]`, which pins its key from the start. */

import {
  DEFAULT_REGISTRY_PORT,
  formatHostPort,
  type HostPort,
  parseHostPort,
} from "../identity/host_port.ts";
import { parsePeerId, type PeerId } from "../identity/peer_id.ts";

/** A registry's address, and its key where it is known beforehand. */
export interface RegistryAddress extends HostPort {
  /** Its key, from the address itself. */
  readonly id?: PeerId;
}

/** Returns the registry that `text` names. Throws IdentityError. */
export function parseRegistryAddress(text: string): RegistryAddress {
  const at = text.indexOf("@");
  const address = parseHostPort(text.slice(at + 1), DEFAULT_REGISTRY_PORT);
  return at < 0 ? address : { ...address, id: parsePeerId(text.slice(0, at)) };
}

/** Returns the form that `parseRegistryAddress` reads, and that settings hold. */
export function formatRegistryAddress({ id, ...address }: RegistryAddress): string {
  const place = formatHostPort(address);
  return id === undefined ? place : `${id}@${place}`;
}
