/** IP addresses as the 4 or 16 bytes that they are. Pure; for compact forms such as tickets. */

import type { Bytes } from "../bytes.ts";
import { isIpLiteral } from "./ip_address.ts";

/** The size of an IPv4 address. */
export const IPV4_BYTES = 4;

/** The size of an IPv6 address. */
export const IPV6_BYTES = 16;

/** Returns the bytes of an IP literal, in network order; null for anything else, such as a name or a zone. */
export function ipBytes(text: string): Bytes | null {
  if (!isIpLiteral(text)) return null;
  if (!text.includes(":")) return Uint8Array.from(text.split("."), Number);
  // The URL parser writes the one canonical form (RFC 5952), embedded IPv4 included.
  const canonical = new URL(`http://[${text}]/`).hostname.slice(1, -1);
  const [head = "", tail] = canonical.split("::");
  const left = groupsOf(head);
  const right = groupsOf(tail ?? "");
  const zeros = IPV6_BYTES / 2 - left.length - right.length;
  const groups = tail === undefined ? left : [...left, ...Array<number>(zeros).fill(0), ...right];
  return Uint8Array.from(groups.flatMap((group) => [group >> 8, group & 0xff]));
}

/** Returns the literal of 4 or 16 bytes, an IPv6 one as RFC 5952 has it. */
export function ipText(bytes: Uint8Array): string {
  if (bytes.length === IPV4_BYTES) return bytes.join(".");
  if (bytes.length !== IPV6_BYTES) throw new RangeError(`No IP address has ${bytes.length} bytes`);
  const groups = Array.from(
    { length: IPV6_BYTES / 2 },
    (_, at) => bytes.subarray(2 * at, 2 * at + 2).toHex(),
  );
  return new URL(`http://[${groups.join(":")}]/`).hostname.slice(1, -1);
}

function groupsOf(text: string): number[] {
  return text === "" ? [] : text.split(":").map((group) => parseInt(group, 16));
}
