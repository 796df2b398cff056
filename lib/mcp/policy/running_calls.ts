/**
 * The calls of one session that a policy let pass and that were not answered yet.
 *
 * A call that its caller cancelled, or that was given up, counts as running until the server answers, or for
 * ten seconds: a server need not answer what was cancelled, but it may well go on with it.
 */

import { type Bytes, concat, utf8 } from "../../bytes.ts";
import type { Clock } from "../../clock.ts";
import { CANCELLED_CALL_GRACE_MS } from "../../limits.ts";
import type { ScannedRequest } from "../scan.ts";
import type { SessionLines } from "../session_lines.ts";
import type { PolicyRequest } from "./request.ts";
import type { Usage } from "./usage.ts";

/** A call that runs. */
export class RunningCall {
  /** The key of its id. */
  readonly key: string;
  /** The JSON token of its id: a copy. */
  readonly idToken: Bytes;
  /** What it asks for. */
  readonly request: PolicyRequest;
  /** Whether it is one of the calls that may run at once. */
  readonly counts: boolean;
  /** Whether its caller has been answered here, so that the server's answer goes nowhere. */
  isGivenUp = false;
  /** Whether nobody waits for it any more, and it counts a while longer. */
  isLetGo = false;
  #timer: Disposable | undefined;

  /** Begins; arguments, which may be long, are not kept. */
  constructor({ id }: ScannedRequest, request: PolicyRequest, counts: boolean) {
    this.key = id.key;
    this.idToken = id.token.slice();
    this.request = request.kind === "use" ? { ...request, args: null } : request;
    this.counts = counts;
  }

  /** Has `action` done in `ms` milliseconds, in place of what was to be done before. */
  limitTime(clock: Clock, ms: number, action: () => void): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = clock.after(ms, action);
  }

  /** Nothing is to be done any more. */
  stop(): void {
    this.#timer?.[Symbol.dispose]();
  }
}

/** How many calls may be remembered beyond those that wait, before it is looked which have ended. */
const SPARE_CALLS = 64;

/** The calls of one session. */
export class RunningCalls {
  readonly #lines: SessionLines;
  readonly #clock: Clock;
  readonly #usage: Usage;
  readonly #calls = new Map<string, RunningCall>();
  /** Of calls that wait for a decision: aborted when they are cancelled. */
  readonly #cancellations = new Map<string, AbortController>();

  /** Begins with none. */
  constructor(lines: SessionLines, clock: Clock, usage: Usage) {
    this.#lines = lines;
    this.#clock = clock;
    this.#usage = usage;
    usage.reviewers.add(this.#review);
  }

  /** Those that were not given up. */
  get calls(): readonly RunningCall[] {
    return [...this.#calls.values()].filter(({ isGivenUp }) => !isGivenUp);
  }

  /** A call begins. One with its id that was cancelled and never answered ends. */
  add(call: RunningCall): void {
    this.settled(call.key);
    if (this.#calls.size > SPARE_CALLS + 2 * this.#lines.calls.size) this.#review();
    this.#calls.set(call.key, call);
    if (call.counts) this.#usage.begin();
  }

  /** Returns what aborts when the call with this key, which does not run yet, is cancelled. */
  cancellation(key: string): AbortSignal {
    const controller = new AbortController();
    this.#cancellations.set(key, controller);
    return controller.signal;
  }

  /** A call is answered: returns it, which runs no longer. Null when none with this key does. */
  settled(key: string): RunningCall | null {
    this.#cancellations.delete(key);
    const call = this.#calls.get(key);
    if (call === undefined) return null;
    this.#calls.delete(key);
    call.stop();
    if (call.counts) this.#usage.end();
    return call;
  }

  /** Its caller cancels a call. */
  cancelled(key: string): void {
    this.#cancellations.get(key)?.abort();
    const call = this.#calls.get(key);
    if (call !== undefined) this.#letGo(call);
  }

  /** Cancels a call towards the server, and sends its caller what `reply` makes of its id. */
  giveUp(call: RunningCall, why: string, reply: (idToken: Bytes) => Bytes): void {
    const waits = this.#lines.calls.cancelled(call.key) !== null;
    call.isGivenUp = true;
    this.#letGo(call);
    this.#lines.toServer(cancellation(call.idToken, why));
    if (waits) this.#lines.toAgent(reply(call.idToken));
  }

  /** Forgets all. */
  clear(): void {
    for (const key of [...this.#calls.keys()]) this.settled(key);
    this.#cancellations.clear();
    this.#usage.reviewers.delete(this.#review);
  }

  /** Ends what was answered without a word to us: an answer that was too long, or refused. */
  readonly #review = (): void => {
    for (const { key, isLetGo } of [...this.#calls.values()]) {
      if (!isLetGo && this.#lines.calls.get(key) === null) this.settled(key);
    }
  };

  #letGo(call: RunningCall): void {
    call.isLetGo = true;
    call.limitTime(this.#clock, CANCELLED_CALL_GRACE_MS, () => {
      if (this.#calls.get(call.key) === call) this.settled(call.key);
    });
  }
}

function cancellation(idToken: Bytes, why: string): Bytes {
  return concat(
    utf8('{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":'),
    idToken,
    utf8(`,"reason":${JSON.stringify(why)}}}`),
  );
}
