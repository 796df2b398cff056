/**
 * The program under a clock that is wrong, or that runs fast: `SECONDS-AHEAD RATE ARGUMENTS…`. Test code:
 * the product has no way to do this.
 */

import { runTalos } from "../../lib/cli/run_talos.ts";
import { type Clock, systemClock } from "../../lib/clock.ts";
import { systemRandom } from "../../lib/crypto/random.ts";

/** Returns the system's clock, `aheadMs` milliseconds ahead, with timers that run `rate` times as fast. */
function otherClock(aheadMs: number, rate: number): Clock {
  return {
    now: () => systemClock.now() + aheadMs,
    monotonic: () => systemClock.monotonic() * rate,
    after: (ms, action) => systemClock.after(ms / rate, action),
  };
}

if (import.meta.main) {
  const [ahead, rate, ...args] = Deno.args;
  const clock = otherClock(Number(ahead) * 1000, Number(rate));
  Deno.exit(await runTalos(args, { clock, random: systemRandom }));
}
