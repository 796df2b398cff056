/**
 * Which fault comes next, and when: repeatable from a seed.
 *
 * A lane is a sequence of faults one after the other; lanes run beside each other. Each lane deals from a
 * shuffled deck, so that every kind comes as often as it stands in the deck.
 */

import type { SeededRandom } from "../seeded_random.ts";

/** What can happen. */
export const FAULTS = [
  "cut",
  "silence",
  "suspend",
  "kill-agent",
  "kill-child",
  "kill-host",
  "kill-registry",
] as const;

/** A kind of fault. */
export type FaultKind = typeof FAULTS[number];

/** One fault to come. */
export interface Fault {
  readonly kind: FaultKind;
  /** Milliseconds since the end of the one before. */
  readonly afterMs: number;
  /** How long silence, suspension or absence lasts, in milliseconds. */
  readonly lastsMs: number;
  /** After how many more bytes a cut comes, and which way they go. */
  readonly bytes: number;
  readonly direction: "up" | "down";
  /** Whether silence ends with a cut. */
  readonly thenCut: boolean;
}

/** Data without an acknowledgement is probed after 2 s, and a probe waits 3 s. */
const LIVENESS_LIMIT_MS = 5_000;

/** Deals the faults of one lane, for ever. */
export function* lane(
  random: SeededRandom,
  deck: Readonly<Partial<Record<FaultKind, number>>>,
  pauseMs: readonly [least: number, most: number],
): Generator<Fault, never> {
  const cards = FAULTS.flatMap((kind) => Array<FaultKind>(deck[kind] ?? 0).fill(kind));
  for (;;) {
    for (const kind of shuffled(random, cards)) {
      yield {
        kind,
        afterMs: random.between(...pauseMs),
        lastsMs: lasting(random, kind),
        bytes: random.chance(0.5) ? random.below(200) : random.below(100_000),
        direction: random.pick(["up", "down"] as const),
        thenCut: random.chance(0.5),
      };
    }
  }
}

function lasting(random: SeededRandom, kind: FaultKind): number {
  switch (kind) {
    case "silence":
      return random.chance(0.5)
        ? random.between(1_000, LIVENESS_LIMIT_MS - 500)
        : random.between(LIVENESS_LIMIT_MS + 500, 8_000);
    case "suspend":
      return random.between(1_000, 5_000);
    case "kill-registry":
    case "kill-host":
      return random.between(0, 800);
    default:
      return 0;
  }
}

function shuffled<T>(random: SeededRandom, items: readonly T[]): T[] {
  const result = [...items];
  for (let at = result.length - 1; at > 0; at--) {
    const other = random.below(at + 1);
    [result[at], result[other]] = [result[other]!, result[at]!];
  }
  return result;
}
