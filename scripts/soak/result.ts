/** What a soak run found out: figures to write down, and failures. */

/** How long and how hard a run may be. */
export interface SoakOptions {
  /** Where all randomness comes from. */
  readonly seed: string;
  /** How much of the usual amount of work: 1 is all of it. */
  readonly scale: number;
}

/** The outcome of one run. */
export interface SoakResult {
  /** What was done, in a few words. */
  readonly name: string;
  /** Label and value of every figure, as measured. */
  readonly figures: readonly (readonly [label: string, value: string])[];
  /** What went wrong, a sentence each. */
  readonly failures: readonly string[];
}

/** Returns `amount` times the scale, at least `least`. */
export function scaled({ scale }: SoakOptions, amount: number, least = 1): number {
  return Math.max(least, Math.round(amount * scale));
}

/** Returns milliseconds as people read them. */
export function milliseconds(ms: number): string {
  return ms < 1000 ? `${ms.toFixed(0)} ms` : `${(ms / 1000).toFixed(1)} s`;
}

/** Returns bytes as people read them. */
export function mebibytes(bytes: number): string {
  return `${(bytes / 1024 / 1024).toFixed(1)} MiB`;
}

/** Returns the least, the median and the greatest of some times. */
export function spread(times: readonly number[]): string {
  const sorted = times.toSorted((a, b) => a - b);
  const at = (part: number) => milliseconds(sorted[Math.floor((sorted.length - 1) * part)] ?? 0);
  return `${at(0)} to ${at(1)}, median ${at(0.5)}`;
}
