/** Durations as people type them: `90s`, `15m`, `24h`, `7d`. */

import { CliError } from "./errors.ts";

const UNIT_MS: Readonly<Record<string, number>> = {
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** Returns milliseconds. Throws CliError "usage". */
export function parseDuration(text: string): number {
  const [, count = "", unit = ""] = /^([1-9]\d{0,8})([smhd])$/.exec(text) ?? [];
  const unitMs = UNIT_MS[unit];
  if (unitMs === undefined) {
    throw new CliError("usage", `Cannot read the duration "${text}"`, {
      hints: ["write a number and a unit: 90s, 15m, 24h or 7d"],
    });
  }
  return Number(count) * unitMs;
}
