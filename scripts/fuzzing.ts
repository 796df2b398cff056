/**
 * The engine under `fuzz.ts`: what a target is, and the run over one target.
 *
 * A target fails when it throws anything but an error of its own layer: a TypeError, a stack overflow,
 * or a {@link BrokenProperty}, its own complaint that what it accepted does not survive a round trip.
 * Every input follows from (seed, target, iteration) alone, so any one of them can be made again without
 * those before it. How inputs are made is in `mutation.ts`.
 */

import { type Bytes, equalBytes, hex } from "../lib/bytes.ts";
import { messageOf, TalosError } from "../lib/errors.ts";
import { mutant, type MutationHints } from "./mutation.ts";

/** A class of errors. */
export type ErrorClass = abstract new (...args: never[]) => Error;

/** Something that takes bytes from outside. One file of `scripts/fuzz/` each. */
export interface FuzzTarget extends MutationHints {
  /** What it is called on the command line. */
  readonly name: string;
  /** The only errors by which it may refuse an input: those of its own layer. */
  readonly errors: readonly ErrorClass[];
  /** Returns inputs that are valid, each of which must be accepted. */
  corpus(): readonly Bytes[] | Promise<readonly Bytes[]>;
  /**
   * Reads `input` and checks what must hold if it is accepted, a round trip for example. Throws one of
   * `errors` to refuse it, anything else if something is wrong.
   */
  run(input: Bytes): void | Promise<void>;
}

/** Which inputs to make. */
export interface FuzzRange {
  /** Where all randomness comes from. */
  readonly seed: string;
  /** The first iteration. */
  readonly from: number;
  /** How many. */
  readonly runs: number;
}

/** An input that did what none may do. */
export interface Violation {
  /** Its iteration, or null when it is a member of the corpus that was refused. */
  readonly iteration: number | null;
  /** The input. */
  readonly input: Bytes;
  /** What was thrown. */
  readonly thrown: unknown;
}

/** What came out of a run. */
export interface FuzzReport {
  /** How many mutated inputs were tried, the violating one included. */
  readonly runs: number;
  /** How many of them were accepted. */
  readonly accepted: number;
  /** How many of them were refused, by code, the most frequent first. */
  readonly refused: readonly (readonly [code: string, count: number])[];
  /** How long it took, in milliseconds. */
  readonly elapsedMs: number;
  /** The longest time for one input, in milliseconds. */
  readonly slowestMs: number;
  /** The first violation, which ends the run. */
  readonly violation: Violation | null;
}

/** Runs one target over a range of inputs. */
export async function fuzz(target: FuzzTarget, range: FuzzRange): Promise<FuzzReport> {
  const corpus = await target.corpus();
  if (corpus.length === 0) throw new TypeError(`Cannot fuzz ${target.name}: its corpus is empty`);
  const refused = new Map<string, number>();
  let runs = 0;
  let acceptedRuns = 0;
  let slowestMs = 0;
  const began = performance.now();
  const report = (violation: Violation | null): FuzzReport => ({
    runs,
    accepted: acceptedRuns,
    refused: [...refused].sort(([, a], [, b]) => b - a),
    elapsedMs: performance.now() - began,
    slowestMs,
    violation,
  });

  for (const input of corpus) {
    const thrown = await outcome(target, input);
    if (thrown !== ACCEPTED) return report({ iteration: null, input, thrown });
  }
  for (let iteration = range.from; iteration < range.from + range.runs; iteration++) {
    const input = mutant(target, corpus, `${range.seed}/${target.name}/${iteration}`);
    const start = performance.now();
    const thrown = await outcome(target, input.slice());
    slowestMs = Math.max(slowestMs, performance.now() - start);
    runs++;
    if (thrown === ACCEPTED) acceptedRuns++;
    else if (isRefusal(target, thrown)) {
      const code = thrown instanceof TalosError ? thrown.code : thrown.name;
      refused.set(code, (refused.get(code) ?? 0) + 1);
    } else return report({ iteration, input, thrown });
  }
  return report(null);
}

/** Stands for "nothing was thrown": a target may throw undefined too. */
const ACCEPTED = Symbol("accepted");

async function outcome(target: FuzzTarget, input: Bytes): Promise<unknown> {
  try {
    // A turn of the event loop for each input would cost more than most of the parsers.
    const pending = target.run(input);
    if (pending !== undefined) await pending;
    return ACCEPTED;
  } catch (thrown) {
    return thrown;
  }
}

function isRefusal(target: FuzzTarget, thrown: unknown): thrown is Error {
  return target.errors.some((expected) => thrown instanceof expected);
}

/** A property of a target that an input broke. Never among the errors that a target may throw. */
export class BrokenProperty extends Error {
  /** The name of the class. */
  override readonly name = "BrokenProperty";
}

/** Throws BrokenProperty unless `holds`. */
export function check(what: string, holds: boolean): asserts holds {
  if (!holds) throw new BrokenProperty(what);
}

/**
 * Returns what `step` returns. Throws BrokenProperty where it throws: for what must succeed once an input
 * is accepted, and would count as a refusal of the input otherwise.
 */
export function accepted<T>(what: string, step: () => T): T {
  try {
    return step();
  } catch (cause) {
    throw new BrokenProperty(`${what}: ${messageOf(cause)}`, { cause });
  }
}

/** Throws BrokenProperty unless both byte strings are the same. */
export function checkSameBytes(what: string, got: Uint8Array, expected: Uint8Array): void {
  if (equalBytes(got, expected)) return;
  throw new BrokenProperty(`${what}: got ${hex(got)}, expected ${hex(expected)}`);
}

/** Throws BrokenProperty unless both texts are the same. */
export function checkSameText(what: string, got: string, expected: string): void {
  if (got === expected) return;
  throw new BrokenProperty(
    `${what}: got ${JSON.stringify(got)}, expected ${JSON.stringify(expected)}`,
  );
}
