/**
 * The policy between one agent and its server: what the interceptor of a session does.
 *
 * A request is decided about, by the bytes that the server gets; then it is counted; then it passes. Lists
 * come back without what may not be used. A call that takes too long, or that a new policy forbids, is
 * cancelled towards the server and answered here. Each element of a batch comes here by itself.
 *
 * What waits (for the server's own list, for a person) is decided about once more when it goes on. Results
 * are not looked into, lists aside: what a permitted tool says, it says.
 */

import type { Bytes } from "../../bytes.ts";
import type { Clock } from "../../clock.ts";
import type { RandomBytes } from "../../crypto/random.ts";
import { shortPeerId } from "../../identity/peer_id.ts";
import type { Log } from "../../log.ts";
import { type RpcErrorDetails, type RpcErrorName, talosErrorReply } from "../jsonrpc.ts";
import type { Caller } from "../launcher.ts";
import type { PendingCall, SettledCall } from "../pending.ts";
import type { Interceptor, Passing, Verdict } from "../pipeline.ts";
import { REFUSALS, Violation } from "../refusals.ts";
import type { ScannedNotification, ScannedRequest } from "../scan.ts";
import type { SessionLines } from "../session_lines.ts";
import type { Ask } from "./asking.ts";
import {
  type Circumstances,
  decide,
  decideSubject,
  type Decision,
  type Permissions,
  permissionsOf,
} from "./decide.ts";
import { KnownResults } from "./known_results.ts";
import { findList, type Listing, LISTINGS, withElements } from "./listing.ts";
import { countsAs } from "./methods.ts";
import { OwnListing } from "./own_listing.ts";
import type { Policy } from "./policy.ts";
import { type PolicyRequest, requestOf } from "./request.ts";
import { RunningCall, RunningCalls } from "./running_calls.ts";
import type { Usage } from "./usage.ts";
import type { UsageBook } from "./usage_book.ts";

/** What enforcing a policy needs. */
export interface EnforcementOptions {
  /** Who calls. */
  readonly caller: Caller;
  /** The ends of the session. */
  readonly lines: SessionLines;
  /** What holds at first. */
  readonly policy: Policy;
  /** Who used how much. */
  readonly usage: UsageBook;
  /** Time. */
  readonly clock: Clock;
  /** Makes ids that nobody guesses. */
  readonly random: RandomBytes;
  /** The host's log. */
  readonly log: Log;
  /** Asks a person; nobody is asked, and nothing allowed, where it is missing. */
  readonly ask?: Ask;
  /** The session has ended. */
  readonly onEnd?: () => void;
}

const FORWARD: Verdict = { action: "forward" };
const CONSUMED: Verdict = { action: "drop", why: null };

/** The interceptor of one session. */
export class PolicyEnforcement implements Interceptor {
  /** For logs. */
  readonly name = "policy";
  readonly #options: EnforcementOptions;
  readonly #usage: Usage;
  readonly #listing: OwnListing;
  readonly #running: RunningCalls;
  readonly #results = new KnownResults();
  readonly #ended = new AbortController();
  #permissions: Permissions;

  /** Begins a session under a policy. */
  constructor(options: EnforcementOptions) {
    this.#options = options;
    this.#permissions = permissionsOf(options.policy, options.caller);
    this.#usage = options.usage.of(options.caller);
    this.#listing = new OwnListing(options);
    this.#running = new RunningCalls(options.lines, options.clock, this.#usage);
  }

  /** Another policy holds from now on: for calls that run, too. */
  policyChanged(policy: Policy): void {
    const { caller } = this.#options;
    this.#permissions = permissionsOf(policy, caller);
    for (const call of this.#running.calls) {
      const decision = decide(this.#permissions, withoutArguments(call.request), this.#now());
      if (decision.verdict !== "deny") continue;
      this.#noteRefused(call.request, decision.rule, decision.why);
      this.#running.giveUp(
        call,
        "the policy has changed",
        (id) => this.#denial(id, call.request, decision),
      );
    }
  }

  /** Nothing passes any more. */
  ended(): void {
    this.#ended.abort();
    this.#listing.end();
    this.#running.clear();
    this.#options.onEnd?.();
  }

  /** Decides about one message. */
  intercept(passing: Passing): Verdict {
    this.#countBytes(passing.bytes.length);
    const { direction, message, bytes } = passing;
    if (direction === "to_agent") return this.#fromServer(passing);
    if (message.kind === "response") return FORWARD;
    const request = requestOf(message, bytes, (id) => this.#results.toolOf(id));
    if (message.kind === "notification") return this.#notification(message, request);
    if (!this.#needsListing(request)) return this.#request(message, bytes, request);
    const fetched = this.#listing.fetch(bytes);
    return this.#later(
      message,
      fetched.then(() => true),
      () => this.#request(message, bytes, request),
    );
  }

  #notification(message: ScannedNotification, request: PolicyRequest): Verdict {
    const decision = decide(this.#permissions, request, this.#now());
    if (decision.verdict !== "allow") {
      return { action: "drop", why: `${message.method}: ${decision.why} (${decision.rule})` };
    }
    if (message.cancels !== null) this.#running.cancelled(message.cancels.key);
    return FORWARD;
  }

  #request(message: ScannedRequest, bytes: Bytes, request: PolicyRequest): Verdict {
    const decision = decide(this.#permissions, request, this.#now());
    if (decision.verdict === "deny") return this.#refuse(message, request, decision);
    if (decision.verdict === "allow") return this.#admit(message, bytes, request);
    const { ask } = this.#options;
    if (ask === undefined || request.kind !== "use" && request.kind !== "unknown") {
      return this.#refuse(message, request, {
        ...decision,
        why: "nobody can be asked at this host",
      });
    }
    return this.#askFirst(ask, message, bytes, request, decision);
  }

  #askFirst(
    ask: Ask,
    message: ScannedRequest,
    bytes: Bytes,
    request: PolicyRequest & { readonly kind: "use" | "unknown" },
    decision: Decision,
  ): Verdict {
    const { caller, lines } = this.#options;
    const over = this.#limitReached(message, request);
    if (over !== null) return over;
    const answer = ask({
      caller,
      method: request.method,
      subject: request.kind === "use" ? request.subject : "methods",
      names: request.kind === "use" ? request.names : [request.method],
      request: bytes.slice(),
      rule: decision.rule,
      signal: AbortSignal.any([this.#ended.signal, this.#running.cancellation(message.id.key)]),
      tell: (line) => lines.toAgent(line),
    });
    return this.#later(message, answer, (allowed) => {
      if (!allowed) {
        return this.#refuse(message, request, {
          ...decision,
          why: "nobody at the host allowed it",
        });
      }
      const again = decide(this.#permissions, request, this.#now());
      if (again.verdict === "deny") return this.#refuse(message, request, again);
      return this.#admit(message, bytes, request);
    });
  }

  /** Holds a request until something is known, unless its caller waits no longer then. */
  #later(
    message: ScannedRequest,
    known: Promise<boolean>,
    then: (known: boolean) => Verdict,
  ): Verdict {
    const { lines } = this.#options;
    const call = lines.calls.get(message.id.key);
    const until = known.then((value): Verdict => {
      this.#running.settled(message.id.key);
      const isWaitedFor = call !== null && lines.calls.get(call.key) === call;
      return isWaitedFor && !this.#ended.signal.aborted ? then(value) : CONSUMED;
    });
    return { action: "hold", until };
  }

  /** Lets a request pass, unless there were too many; counts it. */
  #admit(message: ScannedRequest, bytes: Bytes, request: PolicyRequest): Verdict {
    const counts = countsAs(message.method);
    if (counts === undefined) return FORWARD;
    const { requestsPerMinute, secondsPerCall } = this.#permissions.limits;
    const isRetry = this.#results.takeRetry(request, bytes);
    const over = this.#limitReached(message, request, isRetry);
    if (over !== null) return over;
    const { usage, clock } = this.#options;
    if (requestsPerMinute !== undefined && !isRetry) {
      this.#usage.addRequest(usage.steadyNow);
      usage.touched();
    }
    const call = new RunningCall(message, request, counts === "call");
    this.#running.add(call);
    if (secondsPerCall !== undefined && counts === "call") {
      const { value, rule } = secondsPerCall;
      call.limitTime(clock, value * 1000, () => this.#timedOut(call, value, rule));
    }
    return FORWARD;
  }

  /** Returns the refusal of a request for which a limit leaves no room; null where all do. */
  #limitReached(message: ScannedRequest, request: PolicyRequest, isRetry = false): Verdict | null {
    const counts = countsAs(message.method);
    const { bytesPerDay, requestsPerMinute, concurrentCalls } = this.#permissions.limits;
    const { usage, clock } = this.#options;
    if (bytesPerDay !== undefined && this.#usage.bytes(clock.now()) >= bytesPerDay.value) {
      const why = `${bytesPerDay.value} bytes of today are used up`;
      return this.#limited(message, request, bytesPerDay.rule, why, {});
    }
    const steady = usage.steadyNow;
    if (
      requestsPerMinute !== undefined && !isRetry &&
      this.#usage.requests(steady) >= requestsPerMinute.value
    ) {
      const why = `${requestsPerMinute.value} requests were made within a minute`;
      const details = { retry_after_s: this.#usage.retryAfter(steady) };
      return this.#limited(message, request, requestsPerMinute.rule, why, details);
    }
    if (
      concurrentCalls !== undefined && counts === "call" &&
      this.#usage.isBusy(concurrentCalls.value)
    ) {
      const why = `${concurrentCalls.value} calls are running`;
      return this.#limited(message, request, concurrentCalls.rule, why, {});
    }
    return null;
  }

  #timedOut(call: RunningCall, seconds: number, rule: string): void {
    const why = `it took longer than ${seconds} s`;
    this.#noteRefused(call.request, rule, why);
    this.#running.giveUp(
      call,
      why,
      (id) =>
        this.#error(id, "limit_reached", `The call was given up: ${why}`, call.request, rule, {
          run: "unknown",
        }),
    );
  }

  #fromServer(passing: Passing): Verdict {
    const { message, bytes, call } = passing;
    if (message.kind === "response") {
      return call === undefined ? FORWARD : this.#response(bytes, call, message.isError);
    }
    if (message.kind === "request") return FORWARD;
    if (message.method === "notifications/tools/list_changed") this.#listing.changed();
    if (message.method !== "notifications/resources/updated" || message.uri === null) {
      return FORWARD;
    }
    const decision = decideSubject(this.#permissions, "resources", message.uri, this.#now());
    return decision.verdict === "deny" ? CONSUMED : FORWARD;
  }

  #response(bytes: Bytes, call: SettledCall, isError: boolean): Verdict {
    if (this.#listing.take(call.key, bytes)) return CONSUMED;
    const running = this.#running.settled(call.key);
    // Who was answered here, or cancelled long ago, waits for nothing.
    if (running === null ? call.cancelled : running.isGivenUp) return CONSUMED;
    if (isError) return FORWARD;
    const listing = LISTINGS.get(call.method);
    if (listing !== undefined) return this.#filtered(bytes, call, listing);
    if (running !== null) this.#results.remember(bytes, call, running.request);
    return FORWARD;
  }

  #filtered(bytes: Bytes, call: PendingCall, listing: Listing): Verdict {
    try {
      const list = findList(bytes, listing);
      if (list === null) return FORWARD;
      const kept = withElements(bytes, list, (name) => this.#isListed(listing, name));
      return kept === bytes ? FORWARD : { action: "replace", bytes: kept };
    } catch (error) {
      if (!(error instanceof Violation)) throw error;
      const text = `The reply was not passed on: the list ${REFUSALS[error.reason]}`;
      const reply = talosErrorReply(call.idToken, "refused_line", text, { reason: error.reason });
      return { action: "replace", bytes: reply };
    }
  }

  #isListed({ subject }: Listing, name: string): boolean {
    const called = subject === "tasks" ? this.#results.toolOf(name) : name;
    if (called === null) return false;
    const of = subject === "tasks" ? "tools" : subject;
    return decideSubject(this.#permissions, of, called, this.#now()).verdict !== "deny";
  }

  /** Whether a decision takes the server's own list of tools, which there is none of now. */
  #needsListing(request: PolicyRequest): boolean {
    if (this.#permissions.readOnly === null || this.#listing.isFresh) return false;
    return request.kind === "use" ? request.subject === "tools" : request.method === "tools/list";
  }

  #now(): Circumstances {
    return {
      now: this.#options.clock.now(),
      isReadOnly: (tool) => this.#listing.isReadOnly(tool),
    };
  }

  #countBytes(count: number): void {
    if (this.#permissions.limits.bytesPerDay === undefined) return;
    this.#usage.addBytes(count, this.#options.clock.now());
    this.#options.usage.touched();
  }

  #refuse(message: ScannedRequest, request: PolicyRequest, decision: Decision): Verdict {
    this.#noteRefused(request, decision.rule, decision.why);
    return { action: "answer", bytes: this.#denial(message.id.token, request, decision) };
  }

  #denial(id: Bytes, request: PolicyRequest, { rule, why }: Decision): Bytes {
    const text = `The host's policy does not permit this: ${why}`;
    return this.#error(id, "not_permitted", text, request, rule, { run: "no" });
  }

  #limited(
    message: ScannedRequest,
    request: PolicyRequest,
    rule: string,
    why: string,
    details: RpcErrorDetails,
  ): Verdict {
    this.#noteRefused(request, rule, why);
    const text = `A limit of the host's policy is reached: ${why}`;
    const more = { run: "no", ...details } as const;
    return {
      action: "answer",
      bytes: this.#error(message.id.token, "limit_reached", text, request, rule, more),
    };
  }

  #error(
    id: Bytes,
    error: RpcErrorName,
    text: string,
    request: PolicyRequest,
    rule: string,
    details: RpcErrorDetails,
  ): Bytes {
    const name = request.kind === "use" ? request.names[0] ?? "-" : "-";
    const hint = [
      `who runs the host sees why: talos policy explain FILE ${this.#options.caller.peer} ${request.method} ${
        quoted(name)
      }`,
    ];
    return talosErrorReply(id, error, text, { rule, ...details, hint });
  }

  #noteRefused(request: PolicyRequest, rule: string, why: string): void {
    const { caller, log } = this.#options;
    log.warn("refused by the policy", {
      peer: shortPeerId(caller.peer),
      service: caller.service,
      method: request.method,
      name: request.kind === "use" ? request.names.join(", ") : undefined,
      rule,
      why,
    });
  }
}

/** Returns what is asked for by names alone: arguments of a call that runs were checked. */
function withoutArguments(request: PolicyRequest): PolicyRequest {
  return request.kind === "use" ? { ...request, args: null } : request;
}

function quoted(name: string): string {
  return /^[\w./:@-]+$/.test(name) ? name : JSON.stringify(name);
}
