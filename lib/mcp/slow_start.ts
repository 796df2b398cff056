/** A server that keeps an agent waiting for its first answer: when that is noticed, and what is advised. */

import type { Clock } from "../clock.ts";

/** Agents give a server 30 s or 60 s to answer for the first time; before that there is still time to say why. */
export const SLOW_START_MS = 20_000;

/** Tells when a child leaves its first request unanswered for {@link SLOW_START_MS}. */
export class SlowStartWatch implements Disposable {
  readonly #clock: Clock;
  readonly #tell: () => void;
  #timer: Disposable | undefined;
  #over = false;

  /** Calls `tell` at most once. */
  constructor(clock: Clock, tell: () => void) {
    this.#clock = clock;
    this.#tell = tell;
  }

  /** The child was given a request. */
  asked(): void {
    if (this.#over) return;
    this.#timer ??= this.#clock.after(SLOW_START_MS, this.#tell);
  }

  /** The child printed something, or is gone. */
  [Symbol.dispose](): void {
    this.#over = true;
    this.#timer?.[Symbol.dispose]();
  }
}

/** Programs that look on the network for what they run. */
const FETCHING = /^(?:npx|pnpx|bunx|uvx|pipx|dlx)(?:\.cmd|\.exe)?$/i;

/** Returns what shortens the start of the server that `argv` runs. */
export function slowStartAdvice(argv: readonly string[], prewarmed: boolean): string {
  const fetches = argv.find((word) => FETCHING.test(word.split(/[\\/]/).at(-1) ?? ""));
  const advice = [
    ...(prewarmed ? [] : ["keep one ready: mcp-serve --prewarm 1"]),
    ...(fetches === undefined
      ? []
      : [`install the package and name its program instead of ${fetches.split(/[\\/]/).at(-1)}`]),
  ];
  return advice.length > 0 ? advice.join("; or ") : "see its lines above for what it waits for";
}
