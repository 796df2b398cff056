/**
 * IP literals, as endpoint records hold them: which are addresses that a peer can be reached at, and how
 * they are written. Pure.
 */

/** What kind of address an IP literal is. */
export type AddressScope = "global" | "private" | "link_local" | "loopback" | "unusable";

/** An address of a network interface: what `Deno.networkInterfaces()` gives of each. */
export interface InterfaceAddress {
  /** Which IP. */
  readonly family: "IPv4" | "IPv6";
  /** The address itself, as an IP literal. */
  readonly address: string;
}

const IPV4 = /^(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}$/;

/** Tells whether `text` is an IPv4 or IPv6 literal, without brackets and without a zone. */
export function isIpLiteral(text: string): boolean {
  if (IPV4.test(text)) return true;
  return /^[0-9A-Fa-f:.]{2,45}$/.test(text) && text.includes(":") &&
    URL.canParse(`http://[${text}]/`);
}

/**
 * Returns the scope of an IP literal; `unusable` for what no peer can have: unspecified, multicast and
 * broadcast addresses, and what is no literal at all.
 */
export function scopeOf(address: string): AddressScope {
  if (IPV4.test(address)) return ipv4Scope(address.split(".").map(Number));
  if (!isIpLiteral(address)) return "unusable";
  const groups = ipv6Groups(address);
  const mapped = groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff;
  if (mapped) {
    const [high = 0, low = 0] = groups.slice(6);
    return ipv4Scope([high >> 8, high & 0xff, low >> 8, low & 0xff]);
  }
  const [first = 0] = groups;
  if (groups.slice(0, 7).every((group) => group === 0)) {
    return groups[7] === 1 ? "loopback" : "unusable";
  }
  if ((first & 0xff00) === 0xff00) return "unusable";
  if ((first & 0xffc0) === 0xfe80) return "link_local";
  return (first & 0xfe00) === 0xfc00 ? "private" : "global";
}

/** Tells whether an IP literal means something beyond its own machine and its own link. */
export function isRoutable(address: string): boolean {
  const scope = scopeOf(address);
  return scope === "global" || scope === "private";
}

function ipv4Scope([a = 0, b = 0]: readonly number[]): AddressScope {
  if (a === 127) return "loopback";
  if (a === 0 || a >= 224) return "unusable"; // "this network", multicast, reserved, broadcast
  if (a === 169 && b === 254) return "link_local";
  if (a === 10 || (a === 172 && b >= 16 && b < 32) || (a === 192 && b === 168)) return "private";
  if (a === 100 && b >= 64 && b < 128) return "private"; // carrier-grade NAT, and VPNs
  return "global";
}

/** Returns the eight groups of an IPv6 literal. */
function ipv6Groups(address: string): number[] {
  // The URL parser writes the one canonical form (RFC 5952), embedded IPv4 included.
  const canonical = new URL(`http://[${address}]/`).hostname.slice(1, -1);
  const [head = "", tail] = canonical.split("::");
  const parse = (text: string) =>
    text === "" ? [] : text.split(":").map((hex) => parseInt(hex, 16));
  const left = parse(head);
  if (tail === undefined) return left;
  const right = parse(tail);
  return [...left, ...Array<number>(8 - left.length - right.length).fill(0), ...right];
}
