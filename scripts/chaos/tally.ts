/**
 * What became of every call: the accounts of a chaos run, without any I/O.
 *
 * A call that ended without a result is excused only by a kill of its server: one that happened before the
 * call ended, and after which the agent had no result yet of a later call when this one was sent. Then
 * *outcome unknown* and *not run* are honest answers. A call whose own agent was killed is counted by
 * itself. Whether a call that was reported *not run* was run after all, the journal says.
 */

/** How a call ended. */
export type Outcome =
  | "result"
  | "not_run"
  | "outcome_unknown"
  | "other_error"
  | "no_answer"
  | "abandoned";

interface Call {
  readonly agent: string;
  readonly sentAt: number;
  outcome?: Outcome;
  endedAt: number;
  why: string;
}

interface Kill {
  readonly at: number;
  /** When the agent had the first result of a call that it sent after this. */
  recoveredAt: number;
}

/** What the journal of the servers says. */
export interface Journal {
  /** How often each call was run. */
  readonly runs: ReadonlyMap<number, number>;
  /** Lines about replies that nobody waited for. */
  readonly strays: readonly string[];
}

/** Reads a journal. */
export function journalOf(text: string): Journal {
  const runs = new Map<number, number>();
  const strays: string[] = [];
  for (const line of text.split("\n")) {
    const run = /^run (\d+) /.exec(line)?.[1];
    if (run !== undefined) runs.set(Number(run), (runs.get(Number(run)) ?? 0) + 1);
    else if (line.startsWith("stray ")) strays.push(line);
  }
  return { runs, strays };
}

/** The figures of a run. */
export interface Verdict {
  readonly sent: number;
  readonly outcomes: Readonly<Record<Outcome, number>>;
  /** Calls without a result that no kill excuses. */
  readonly lost: number;
  readonly duplicatedAnswers: number;
  /** Reported *not run*, and run. */
  readonly falseNotRun: number;
  readonly ranTwice: number;
  /** Answered with a result without having been run. */
  readonly neverRun: number;
  /** Replies of agents that a server did not wait for. */
  readonly strayReplies: number;
  readonly lostNotifications: number;
  /** Milliseconds from sending to the result: the median, and the greatest. */
  readonly medianMs: number;
  readonly worstMs: number;
  /** The call that took longest, and when it was sent: with `--log`, what happened then can be read. */
  readonly worst: string;
  /** A sentence for each of the above that may not happen, as far as there are not too many. */
  readonly failures: readonly string[];
}

const MAX_FAILURES = 40;

/** The accounts. Times are of one monotonic clock, in milliseconds. */
export class Tally {
  readonly #calls = new Map<number, Call>();
  readonly #kills = new Map<string, Kill[]>();
  readonly #lastNotification = new Map<string, number>();
  readonly #failures: string[] = [];
  #duplicatedAnswers = 0;
  #lostNotifications = 0;

  /** Notes that an agent sends a call, and returns its number. */
  sent(agent: string, now: number): number {
    const number = this.#calls.size + 1;
    this.#calls.set(number, { agent, sentAt: now, endedAt: Infinity, why: "" });
    return number;
  }

  /** Notes how a call ended. */
  ended(number: number, outcome: Outcome, now: number, why = ""): void {
    const call = this.#calls.get(number);
    if (call === undefined) throw new RangeError(`Cannot end call ${number}: it was never sent`);
    if (call.outcome !== undefined) {
      this.duplicated(`call ${number} of ${call.agent}: ${call.outcome}, then ${outcome}`);
      return;
    }
    Object.assign(call, { outcome, endedAt: now, why });
    if (outcome !== "result") return;
    for (const kill of this.#kills.get(call.agent) ?? []) {
      if (kill.at < call.sentAt) kill.recoveredAt = Math.min(kill.recoveredAt, now);
    }
  }

  /** Notes an answer that came once more, or to nothing that was asked. */
  duplicated(what: string): void {
    this.#duplicatedAnswers++;
    this.fail(`duplicated: ${what}`);
  }

  /** Notes that the server of `agent` is killed. */
  killed(agent: string, now: number): void {
    entry(this.#kills, agent, () => []).push({ at: now, recoveredAt: Infinity });
  }

  /** Notes a server's notification: they are numbered from 1 in each process, for one agent each. */
  notified(agent: string, generation: string, number: number): void {
    const expected = (this.#lastNotification.get(generation) ?? 0) + 1;
    this.#lastNotification.set(generation, number);
    if (number === expected) return;
    this.#lostNotifications += Math.max(1, number - expected);
    this.fail(`${agent}: notification ${number} of ${generation}, expected was ${expected}`);
  }

  /** Notes anything else that may not happen. */
  fail(what: string): void {
    this.#failures.push(what);
  }

  /** Whether a kill excuses a call of `agent` between two moments. */
  isExcused(agent: string, from: number, to: number): boolean {
    return (this.#kills.get(agent) ?? [])
      .some(({ at, recoveredAt }) => at <= to && recoveredAt >= from);
  }

  /** Calls of an agent, or of all, that have not ended. */
  inFlight(agent?: string): number {
    let count = 0;
    for (const call of this.#calls.values()) {
      if (call.outcome === undefined && (agent === undefined || agent === call.agent)) count++;
    }
    return count;
  }

  /** Closes the accounts. */
  verdict(journal: Journal): Verdict {
    const failures = [...this.#failures];
    const outcomes: Record<Outcome, number> = {
      result: 0,
      not_run: 0,
      outcome_unknown: 0,
      other_error: 0,
      no_answer: 0,
      abandoned: 0,
    };
    const counts = { lost: 0, falseNotRun: 0, ranTwice: 0, neverRun: 0 };
    const times: number[] = [];
    let worst = { ms: 0, name: "none" };
    for (const [number, call] of this.#calls) {
      const { agent, sentAt, endedAt, outcome = "no_answer", why } = call;
      const name = `call ${number} of ${agent}, sent at ${seconds(sentAt)}`;
      const runs = journal.runs.get(number) ?? 0;
      outcomes[outcome]++;
      const count = (key: keyof typeof counts, what: string) => {
        counts[key]++;
        failures.push(`${name}: ${what}`);
      };
      if (outcome === "result") {
        times.push(endedAt - sentAt);
        if (endedAt - sentAt > worst.ms) worst = { ms: endedAt - sentAt, name };
        if (runs === 0) count("neverRun", "has a result, and was never run");
      } else if (outcome !== "abandoned") {
        const excusable = outcome === "not_run" || outcome === "outcome_unknown";
        if (!excusable || !this.isExcused(agent, sentAt, endedAt)) {
          count("lost", `${outcome} after ${seconds(endedAt - sentAt)}: ${why}`);
        }
        if (outcome === "not_run" && runs > 0) count("falseNotRun", `not run, but it was: ${why}`);
      }
      if (runs > 1) count("ranTwice", `run ${runs} times`);
    }
    for (const stray of journal.strays) failures.push(`a server heard a reply: ${stray}`);
    times.sort((a, b) => a - b);
    return {
      sent: this.#calls.size,
      outcomes,
      ...counts,
      duplicatedAnswers: this.#duplicatedAnswers,
      strayReplies: journal.strays.length,
      lostNotifications: this.#lostNotifications,
      medianMs: times[Math.floor((times.length - 1) / 2)] ?? 0,
      worstMs: worst.ms,
      worst: worst.name,
      failures: failures.length <= MAX_FAILURES ? failures : [
        ...failures.slice(0, MAX_FAILURES),
        `and ${failures.length - MAX_FAILURES} more`,
      ],
    };
  }
}

function entry<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  const found = map.get(key);
  if (found !== undefined) return found;
  const made = make();
  map.set(key, made);
  return made;
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(2)} s`;
}
