/**
 * Who has used how much, for one process: read from `talos.db` when it is first asked for, written behind.
 *
 * What changed is written once a second, in one transaction, and at the end. So a crash loses the counts of
 * the last second, and a call never waits for a disk; a database that is busy is tried again a second later.
 * Calls that run are no part of it: they end with the process.
 */

import type { Clock } from "../../clock.ts";
import { messageOf } from "../../errors.ts";
import type { Database } from "../../identity/database.ts";
import { isJsonArray, parseJson } from "../../identity/strict_json.ts";
import { DAY_MS, USAGE_FLUSH_MS } from "../../limits.ts";
import type { Log } from "../../log.ts";
import type { PolicyCaller } from "./policy.ts";
import { type StoredUsage, Usage } from "./usage.ts";

/** How long a write waits for another process, while calls wait for us: it is tried again. */
const BUSY_MS = 20;
/** And at the end, when it is not. */
const LAST_BUSY_MS = 5_000;

/** What the counters need. */
export interface UsageBookOptions {
  /** Where they are kept: a connection of its own, which waits for others only at the end. Not closed here. */
  readonly database: Pick<Database, "owner" | "row" | "run" | "transaction">;
  /** Time. */
  readonly clock: Clock;
  /** Where it is said that they cannot be kept. */
  readonly log: Log;
}

/** The counters of one process. */
export class UsageBook implements Disposable {
  readonly #options: UsageBookOptions;
  readonly #usages = new Map<string, { readonly caller: PolicyCaller; readonly usage: Usage }>();
  readonly #offset: number;
  #timer: Disposable | undefined;
  #complaint = "";
  #closed = false;

  /** Begins with nothing in memory. */
  constructor(options: UsageBookOptions) {
    this.#options = options;
    this.#offset = options.clock.now() - options.clock.monotonic();
    options.database.row(`PRAGMA busy_timeout = ${BUSY_MS}`);
  }

  /** Unix time of a clock that never goes back, in milliseconds. */
  get steadyNow(): number {
    return this.#offset + this.#options.clock.monotonic();
  }

  /** Returns what `caller` has used. Throws IdentityError. */
  of(caller: PolicyCaller): Usage {
    const key = `${caller.peer} ${caller.service}`;
    const known = this.#usages.get(key);
    if (known !== undefined) return known.usage;
    const usage = new Usage(this.#load(caller), this.steadyNow);
    this.#usages.set(key, { caller, usage });
    return usage;
  }

  /** Something was counted. */
  touched(): void {
    if (this.#closed) return;
    this.#timer ??= this.#options.clock.after(USAGE_FLUSH_MS, () => {
      this.#timer = undefined;
      this.#flush();
    });
  }

  /** Writes what is not written yet. */
  [Symbol.dispose](): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#timer?.[Symbol.dispose]();
    this.#options.database.row(`PRAGMA busy_timeout = ${LAST_BUSY_MS}`);
    this.#flush();
  }

  #flush(): void {
    const changed = [...this.#usages.values()].filter(({ usage }) => usage.changed);
    if (changed.length === 0) return;
    const { database, log } = this.#options;
    try {
      database.transaction(() => {
        for (const { caller, usage } of changed) {
          const { day, bytes, requests } = usage.stored(this.steadyNow);
          database.run(
            "INSERT OR REPLACE INTO policy_usage VALUES (?, ?, ?, ?, ?, ?)",
            database.owner,
            caller.peer,
            caller.service,
            day,
            bytes,
            JSON.stringify(requests),
          );
        }
      });
      this.#complaint = "";
    } catch (error) {
      for (const { usage } of changed) usage.notStored();
      const reason = messageOf(error);
      if (reason !== this.#complaint) {
        log.warn("cannot write the counters of the policy; they are tried again", { reason });
      }
      this.#complaint = reason;
      this.touched();
    }
  }

  #load({ peer, service }: PolicyCaller): StoredUsage | null {
    const { database } = this.#options;
    const row = database.row(
      "SELECT day, bytes, requests FROM policy_usage WHERE owner = ? AND peer = ? AND service = ?",
      database.owner,
      peer,
      service,
    );
    if (row === undefined) return null;
    const [day, bytes] = [Number(row["day"]), Number(row["bytes"])];
    return { day, bytes, requests: requestsIn(String(row["requests"])) };
  }
}

/** The last second that could be meant: what lies beyond it is damaged. */
const LAST_SECOND = 100_000_000 * (DAY_MS / 1000);

function requestsIn(text: string): StoredUsage["requests"] {
  const list = parseJson(text);
  if (!isJsonArray(list)) return [];
  return list.flatMap((one) => {
    if (!isJsonArray(one)) return [];
    const [second, count] = one;
    const isCount = (value: unknown): value is number =>
      Number.isInteger(value) && Number(value) >= 0 && Number(value) <= LAST_SECOND;
    return isCount(second) && isCount(count) ? [[second, count] as const] : [];
  });
}
