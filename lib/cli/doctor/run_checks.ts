/**
 * Makes checks in their order. What depends on a check that failed is not asked, and says so; what takes too
 * long has failed; what throws has failed with what it threw. So a run always ends, and always says everything.
 *
 * Pure but for the clock: what the checks look at is theirs.
 */

import { type Clock, within } from "../../clock.ts";
import { type CheckName, checkText, fail, failure, type Finding, skip } from "./finding.ts";

/** Something to look at. */
export interface Check {
  /** What it tells of: names it does not mention are skipped where another of them failed. */
  readonly names: readonly [CheckName, ...CheckName[]];
  /** What must have come out well; asked when its turn has come. */
  readonly needs: () => readonly CheckName[];
  /** How long it may take, in milliseconds. */
  readonly limitMs: number;
  /** The code of the failure where it takes longer. */
  readonly lateCode: string;
  /** What to do then. */
  readonly lateFixes?: readonly string[];
  /** Looks. The signal aborts when it is over. */
  readonly look: (signal: AbortSignal) => Promise<readonly Finding[]> | readonly Finding[];
}

const NOT_ASKED = "not asked: ";

/** Makes `checks` one after the other and yields what they find. */
export async function* runChecks(
  checks: readonly Check[],
  clock: Clock,
): AsyncGenerator<Finding, void> {
  const found: Finding[] = [];
  for (const check of checks) {
    const unmet = check.needs().find((name) => !isMet(found, name));
    const findings = unmet === undefined
      ? withSkipped(check, await outcome(check, clock))
      : check.names.map((name) => blocked(name, unmet, found));
    found.push(...findings);
    yield* findings;
  }
}

/** Tells whether others can build on a check: it was made, and nothing of it failed. */
function isMet(found: readonly Finding[], name: CheckName): boolean {
  const its = found.filter(({ check }) => check === name);
  return its.some(({ status }) => status === "ok" || status === "warn") &&
    !its.some(({ status }) => status === "fail");
}

async function outcome(check: Check, clock: Clock): Promise<readonly Finding[]> {
  const { names: [name], limitMs, lateCode, lateFixes = [], look } = check;
  const over = new AbortController();
  try {
    const findings = await within(clock, limitMs, Promise.resolve(look(over.signal)), null);
    return findings ?? [fail(name, lateCode, `no answer in ${limitMs / 1000} s`, ...lateFixes)];
  } catch (error) {
    return [failure(name, error)];
  } finally {
    over.abort();
  }
}

/** Adds the names that were not reached because another of the same check failed. */
function withSkipped({ names }: Check, findings: readonly Finding[]): readonly Finding[] {
  const failed = findings.find(({ status }) => status === "fail");
  if (failed === undefined) return findings;
  const missing = names.filter((name) => !findings.some(({ check }) => check === name));
  return [...findings, ...missing.map((name) => blocked(name, failed.check, findings))];
}

/** Returns the finding of a check that others kept from being made; it names the first of them. */
function blocked(name: CheckName, unmet: CheckName, found: readonly Finding[]): Finding {
  const its = found.filter(({ check }) => check === unmet);
  const earlier = its.find(({ status, fact }) => status === "skip" && fact.startsWith(NOT_ASKED));
  if (earlier !== undefined) return skip(name, earlier.fact);
  const failed = its.some(({ status }) => status === "fail");
  return skip(name, `${NOT_ASKED}${checkText(unmet)} ${failed ? "failed" : "was skipped"}`);
}
