/**
 * The IPv6 /48 that an address lies in: what one customer of a provider usually gets, 65,536 networks of
 * /64 in one hand. What is bounded per /64 is bounded per /48 too, or such a caller had no bound. Pure.
 */

/** What a /48 may take: so many times what one of its /64 may. An office has several networks, not thousands. */
export const SITE_SHARE = 8;

/** What part of all connections one /48 may have, if that is less: others find room in any case. */
export const SITE_PART_OF_ALL = 1 / 4;

/**
 * Returns the /48 of a `PathLabel.source` such as `2001:db8:1:2::/64`, in the form `2001:db8:1::/48`; null
 * for an IPv4 address and everything else.
 */
export function siteOf(source: string): string | null {
  const groups = /^((?:[0-9a-f]+:){2}[0-9a-f]+):[0-9a-f]+::\/64$/.exec(source)?.[1];
  return groups === undefined ? null : `${groups}::/48`;
}

/** Tells whether a `PathLabel.source` is this machine itself: all that it and a proxy on it pass on. */
export function isLoopbackSource(source: string): boolean {
  return source === "0:0:0:0::/64" || source.startsWith("127.");
}
