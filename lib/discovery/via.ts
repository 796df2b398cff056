/** Which ways to a peer are tried. */

/** Both, the peer's own addresses alone, or the registry's relay alone. */
export const VIAS = ["auto", "direct", "relay"] as const;

/** One of {@link VIAS}. */
export type Via = typeof VIAS[number];
