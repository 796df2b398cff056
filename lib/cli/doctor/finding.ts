/**
 * What `talos doctor` finds: for each check a mark, a fact with its numbers, and what to do about it. Pure.
 *
 * `warn` is what works, and not as it should; `fail` is what keeps something from working, with the code of the
 * error that a command would have met, which decides the exit status; `skip` is what could not be asked, or need
 * not be. Facts may hold text from outside: whoever prints them makes that printable.
 */

import { messageOf, TalosError } from "../../errors.ts";

/** The checks, in the order in which they are made. Stable: programs match them. */
export const CHECKS = [
  "version",
  "home",
  "disk",
  "wallet",
  "database",
  "access",
  "services",
  "registry",
  "registry_key",
  "registry_clock",
  "registration",
  "peer",
  "peer_registered",
  "peer_online",
  "service",
  "address",
  "relay",
  "handshake",
  "peer_clock",
  "peer_version",
  "authorisation",
  "server",
  "client",
] as const;

/** One of {@link CHECKS}. */
export type CheckName = typeof CHECKS[number];

/** How a check came out. */
export type CheckStatus = "ok" | "warn" | "fail" | "skip";

/** What a check found. A check that looks at several things has several findings. */
export interface Finding {
  /** Which check. */
  readonly check: CheckName;
  /** How it came out. */
  readonly status: CheckStatus;
  /** What is so, with the numbers. */
  readonly fact: string;
  /** What to do, one command or sentence each; the best one first. */
  readonly fixes: readonly string[];
  /** With `fail`: the code of what went wrong. */
  readonly code?: string;
}

/** Returns the finding of a check that found everything as it should be. */
export function ok(check: CheckName, fact: string): Finding {
  return { check, status: "ok", fact, fixes: [] };
}

/** Returns the finding of what works, but not as it should. */
export function warn(check: CheckName, fact: string, ...fixes: readonly string[]): Finding {
  return { check, status: "warn", fact, fixes };
}

/** Returns the finding of what does not work. */
export function fail(
  check: CheckName,
  code: string,
  fact: string,
  ...fixes: readonly string[]
): Finding {
  return { check, status: "fail", fact, fixes, code };
}

/** Returns the finding of a check that was not made. */
export function skip(check: CheckName, fact: string, ...fixes: readonly string[]): Finding {
  return { check, status: "skip", fact, fixes };
}

/** Returns the finding of a check that met an error. What Talos may not do here is no finding: it is thrown. */
export function failure(check: CheckName, error: unknown): Finding {
  if (error instanceof Deno.errors.NotCapable) throw error;
  if (!(error instanceof TalosError)) return fail(check, "internal", messageOf(error));
  if (error.cause instanceof Deno.errors.NotCapable) throw error.cause;
  return fail(check, error.code, error.message, ...error.hints);
}

/** Returns what a failed run ends with: the first failure, and how many there are; null where there is none. */
export function firstFailure(findings: readonly Finding[]): TalosError | null {
  const failures = findings.filter(({ status }) => status === "fail");
  const [first] = failures;
  if (first === undefined) return null;
  const count = failures.length === 1 ? "1 check failed" : `${failures.length} checks failed`;
  return new TalosError(
    first.code ?? "internal",
    `${count}, ${failures.length === 1 ? "" : "first "}${checkText(first.check)}: ${first.fact}`,
    { hints: first.fixes },
  );
}

/** Returns a check's name for people. */
export function checkText(check: CheckName): string {
  return check.replaceAll("_", " ");
}
