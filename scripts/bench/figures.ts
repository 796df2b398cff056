/** The figures: what they are called, how they come out of samples, and the table that shows them. Pure. */

/** What is known of every figure. */
export interface FigureFacts {
  /** What the table says. */
  readonly label: string;
  /** How many digits behind the point. */
  readonly digits: number;
  /** Whether more is better. */
  readonly moreIsBetter: boolean;
}

/** Every figure, in the order of the table. Units: ms, µs, MB (10^6 bytes). */
export const FIGURES = {
  start_ms: figure("spawn to initialize answered, ms"),
  call_p50_us: figure("small call, p50, µs"),
  call_p99_us: figure("small call, p99, µs"),
  paced_p50_us: figure("one call each 10 ms, p50, µs"),
  paced_p99_us: figure("one call each 10 ms, p99, µs"),
  calls_per_s: figure("calls/s, 64 in flight", true),
  result_mb_s: figure("1 MiB results, MB/s", true),
  request_mb_s: figure("1 MiB requests, MB/s", true),
  cpu_us: figure("CPU of a small call, µs"),
  paced_cpu_us: figure("CPU of a call each 10 ms, µs"),
  peak_rss_mb: figure("peak memory, MB"),
  exit_ms: figure("stdin closed to exit, ms", false, 1),
} as const;

/** The name of a figure. */
export type Figure = keyof typeof FIGURES;

/** All figures of one contender; null where this system does not tell. */
export type Figures = Readonly<Record<Figure, number | null>>;

/** One contender's result. */
export interface Result {
  /** Its stable name. */
  readonly name: string;
  /** What people read. */
  readonly label: string;
  /** What was measured. */
  readonly figures: Figures;
}

/** The contender that the ratios are to. */
export const REFERENCE = "ssh";

function figure(label: string, moreIsBetter = false, digits = 0): FigureFacts {
  return { label, digits, moreIsBetter };
}

/** Returns the names of all figures, in the order of the table. */
export function figureNames(): Figure[] {
  return Object.keys(FIGURES).filter((name): name is Figure => name in FIGURES);
}

/** Returns the value below which `share` (0 to 1) of `samples` lie. Throws RangeError when there are none. */
export function percentile(samples: readonly number[], share: number): number {
  if (samples.length === 0) throw new RangeError("Cannot take a percentile: there are no samples");
  const sorted = samples.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]!;
}

/** Returns the median. Throws RangeError when there are no samples. */
export function median(samples: readonly number[]): number {
  return percentile(samples, 0.5);
}

/** Returns a value over the reference's; null where either is unknown. */
export function ratio(value: number | null, reference: number | null | undefined): number | null {
  return value === null || !reference ? null : value / reference;
}

/** Returns the results as a table: a line per figure, a column per contender, ratios to ssh behind. */
export function table(results: readonly Result[]): string {
  const reference = results.find(({ name }) => name === REFERENCE);
  const rows = figureNames().map((name) => [
    FIGURES[name].label,
    ...results.map(({ figures }) => cell(name, figures[name], reference?.figures[name])),
  ]);
  const all = [["", ...results.map(({ label }) => label)], ...rows];
  const widths = all[0]!.map((_, column) => Math.max(...all.map((row) => row[column]!.length)));
  const line = (row: readonly string[]) =>
    row.map((text, column) =>
      column === 0 ? text.padEnd(widths[0]!) : text.padStart(widths[column]!)
    ).join("  ").trimEnd();
  return all.map(line).join("\n");
}

function cell(name: Figure, value: number | null, reference: number | null | undefined): string {
  if (value === null) return "–";
  const times = ratio(value, reference);
  const text = value.toFixed(FIGURES[name].digits).replace(/\B(?=(\d{3})+(?!\d))/g, " ");
  return times === null ? text : `${text} ×${times.toFixed(times < 9.95 ? 2 : 0)}`;
}
