/**
 * Random schedules for the model of the windows: what happens, in which order and how often.
 *
 * Everything follows from (seed, number of the schedule). Each has habits of its own: how long messages
 * are, how lazy a consumer is, how often the connection is cut. So some keep windows full, some die before
 * the first byte, some resume and are cut again at once. One in {@link CRUMBS_EVERY} is not random in shape:
 * it lets a long message follow a window full of short ones, which are taken one by one, the way to the
 * smallest fragments there may be. At the end of each, everything must arrive.
 */

import { MIN_FRAGMENT_BYTES } from "../../lib/limits.ts";
import { MAX_FRAGMENT_BYTES } from "../../lib/wire/frames.ts";
import { messageOf } from "../../lib/errors.ts";
import { SeededRandom } from "../../scripts/seeded_random.ts";
import { Model } from "./window_model.ts";
import { type Coverage, noCoverage } from "./window_model_coverage.ts";
import { type Side, SIDES, type Windows } from "./window_model_endpoint.ts";
import type { Mistake } from "./window_model_mistakes.ts";

/** How often a schedule is one of crumbs: they take long. */
const CRUMBS_EVERY = 2_000;

/** Which schedules to run, and over what. */
export interface ScheduleRange {
  /** Where all randomness comes from. */
  readonly seed: string;
  /** The first schedule. */
  readonly from?: number;
  /** How many. */
  readonly count: number;
  /** The windows, unless they are the real ones. */
  readonly windows?: Windows;
  /** A mistake of the session. */
  readonly mistake?: Mistake | undefined;
}

/** What came out of a run. */
export interface ScheduleReport {
  /** How many schedules were run, a failing one included. */
  readonly schedules: number;
  /** How many operations they had, those that bring all home at the end not counted. */
  readonly operations: number;
  /** What they reached. */
  readonly coverage: Coverage;
  /** The schedule that ended the run, and why, or null. */
  readonly failure: { readonly schedule: number; readonly thrown: unknown } | null;
}

/** Runs schedules until one fails. */
export function runSchedules(range: ScheduleRange): ScheduleReport {
  const coverage = noCoverage();
  const from = range.from ?? 0;
  let operations = 0;
  for (let schedule = from; schedule < from + range.count; schedule++) {
    try {
      operations += new Schedule(range, schedule, coverage).run();
    } catch (thrown) {
      return {
        schedules: schedule - from + 1,
        operations,
        coverage,
        failure: { schedule, thrown },
      };
    }
  }
  return { schedules: range.count, operations, coverage, failure: null };
}

/** Returns the sentence that a failure is reported by, with what repeats it; null when there is none. */
export function failureText({ failure }: ScheduleReport, seed: string): string | null {
  if (failure === null) return null;
  return `schedule ${failure.schedule} of seed ${seed}: ${messageOf(failure.thrown)}`;
}

/** Lengths at which something changes. */
const EDGES = [
  0,
  1,
  MIN_FRAGMENT_BYTES - 1,
  MIN_FRAGMENT_BYTES,
  MIN_FRAGMENT_BYTES + 1,
  MAX_FRAGMENT_BYTES - 1,
  MAX_FRAGMENT_BYTES,
  MAX_FRAGMENT_BYTES + 1,
  2 * MAX_FRAGMENT_BYTES,
  2 * MAX_FRAGMENT_BYTES + 1,
] as const;

const MAX_MESSAGES = [1, MIN_FRAGMENT_BYTES, 3_000, 20_000, 70_000, 140_000, 300_000] as const;

/** An operation and how often it happens, against the others. */
type Habit = readonly [weight: number, operation: () => void];

class Schedule {
  readonly #random: SeededRandom;
  readonly #isCrumbs: boolean;
  readonly #model: Model;
  #operations = 0;

  constructor(range: ScheduleRange, number: number, coverage: Coverage) {
    const { seed, windows, mistake } = range;
    const random = new SeededRandom(`${seed}/window/${number}`);
    this.#random = random;
    this.#isCrumbs = number % CRUMBS_EVERY === CRUMBS_EVERY / 2;
    const maxMessage = this.#isCrumbs
      ? { initiator: 1024, host: 8 * 1024 * 1024 }
      : { initiator: random.pick(MAX_MESSAGES), host: random.pick(MAX_MESSAGES) };
    this.#model = new Model({
      random,
      maxMessage,
      coverage,
      mistake,
      ...(windows === undefined ? {} : { windows }),
    });
  }

  /** Runs it and returns how many operations it had. */
  run(): number {
    if (this.#isCrumbs) this.#crumbs();
    else this.#atRandom();
    this.#model.finish();
    return this.#operations;
  }

  #do(operation: () => void): void {
    this.#operations++;
    operation();
    this.#model.check();
  }

  #atRandom(): void {
    const random = this.#random;
    const habits = this.#habits();
    const total = habits.reduce((sum, [weight]) => sum + weight, 0);
    for (let left = random.between(20, 160); left > 0; left--) {
      let at = (random.uint32() / 2 ** 32) * total;
      const [, operation] = habits.find(([weight]) => (at -= weight) < 0) ?? habits[0]!;
      this.#do(operation);
    }
  }

  #habits(): Habit[] {
    const random = this.#random;
    const model = this.#model;
    const burst = random.pick([1, 4, 40]);
    const some = () => random.between(1, burst);
    const side = () => random.pick(SIDES);
    const talkers = random.pick([SIDES, ["initiator"], ["host"]] as const);
    const lengthy = random.chance(0.4);
    return [
      [random.pick([1, 4, 10]), () => this.#push(random.pick(talkers), some(), lengthy)],
      [6, () => model.transmit(side(), some())],
      [random.pick([2, 6]), () => model.deliver(side(), some())],
      [random.pick([0.2, 2]), () => model.fireAckTimer(side())],
      [random.pick([0, 1, 6]), () => model.take(side(), some())],
      [random.pick([0.05, 0.3, 2]), () => model.cut()],
      [1.5, () => model.notice(side())],
      [1.5, () => model.dial()],
      [random.pick([0, 0, 0.1]), () => model.crash(side())],
      [random.pick([0, 0, 0.5]), () => model.finish()],
    ];
  }

  #push(side: Side, count: number, lengthy: boolean): void {
    for (let i = 0; i < count; i++) this.#model.push(side, this.#length(side, lengthy));
  }

  #length(side: Side, lengthy: boolean): number {
    const random = this.#random;
    const max = this.#model.maxMessage(side);
    if (lengthy) return max - random.below(Math.ceil(max / 8));
    if (random.chance(0.5)) return Math.min(max, random.pick(EDGES));
    return random.below(Math.min(max, random.pick([16, 400, 5_000, max])) + 1);
  }

  /** Fills the host's window with short messages, which are then taken one by one. */
  #crumbs(): void {
    const model = this.#model;
    const fill = () => {
      for (let i = 0; i < 64; i++) model.push("initiator", MIN_FRAGMENT_BYTES);
      this.#exchange();
    };
    for (let i = 0; i < 120; i++) this.#do(fill);
    this.#do(() => model.push("initiator", model.maxMessage("initiator")));
    for (let i = 0; i < 7_600; i++) {
      this.#do(() => model.take("host", 1));
      this.#do(() => this.#exchange());
      if (this.#random.chance(0.001)) this.#do(() => this.#reconnect());
    }
  }

  #exchange(): void {
    for (const side of SIDES) {
      this.#model.transmit(side, Infinity);
      this.#model.deliver(side, Infinity);
    }
  }

  #reconnect(): void {
    this.#model.cut();
    for (const side of SIDES) this.#model.notice(side);
    this.#model.dial();
  }
}
