/**
 * What a registry counts, and the text in which Prometheus reads it (exposition format 0.0.4).
 *
 * Counters only grow; gauges are asked for when somebody reads. No label is ever a peer, an address or a
 * text of a remote: every label has a few fixed values, so the number of series is bounded.
 */

/** Names and values that tell the series of one metric apart. */
export type Labels = Readonly<Record<string, string>>;

/** What a gauge has to say now. */
export type GaugeReader = () => number | Promise<number>;

interface Metric {
  readonly help: string;
  readonly type: "counter" | "gauge";
  readonly series: () => Promise<Iterable<readonly [labels: string, value: number]>>;
}

/** A number for each combination of labels that was seen. */
export class Counter {
  readonly #values = new Map<string, number>();

  /** Counts one, or `by`. */
  add(labels: Labels = {}, by = 1): void {
    const key = labelText(labels);
    this.#values.set(key, (this.#values.get(key) ?? 0) + by);
  }

  /** Returns what was counted with these labels. */
  value(labels: Labels = {}): number {
    return this.#values.get(labelText(labels)) ?? 0;
  }

  /** All that were counted: labels as text, and the number. */
  get series(): Iterable<readonly [string, number]> {
    return this.#values;
  }
}

/** The metrics of one registry. */
export class Metrics {
  readonly #metrics = new Map<string, Metric>();

  /** Makes a counter. `name` ends in `_total`; where `labels` are given, they count from 0 at once. */
  counter(name: string, help: string, labels: readonly Labels[] = []): Counter {
    const counter = new Counter();
    for (const each of labels) counter.add(each, 0);
    this.#metrics.set(name, {
      help,
      type: "counter",
      series: () => Promise.resolve(counter.series),
    });
    return counter;
  }

  /** Makes a gauge that `read` is asked for. */
  gauge(name: string, help: string, read: GaugeReader, labels: Labels = {}): void {
    this.#metrics.set(name, {
      help,
      type: "gauge",
      series: async () => [[labelText(labels), await read()]],
    });
  }

  /** Returns all of them as Prometheus reads them. */
  async text(): Promise<string> {
    const lines: string[] = [];
    for (const [name, { help, type, series }] of this.#metrics) {
      lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`);
      for (const [labels, value] of await series()) lines.push(`${name}${labels} ${value}`);
    }
    return lines.join("\n") + "\n";
  }
}

function labelText(labels: Labels): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escaped(value)}"`);
  return pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
}

function escaped(value: string): string {
  return value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}
