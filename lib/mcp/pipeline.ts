/**
 * What happens to every line between an agent and an MCP server, on both ends of the tunnel.
 *
 *     line ── scan ── pending calls ── interceptors ──▶ forward │ answer │ drop │ hold
 *
 * A line is forwarded as the bytes it came as, or not at all; only a batch of which a part is withheld is
 * put together anew from the bytes of the rest. Requests are noted per direction, so that every response
 * is known to answer something, and so that calls can be answered when the other end is gone. Policy,
 * pinning, audit and limits are interceptors. Pure but for the clock: no I/O.
 */

import { type Bytes, concat, fromUtf8Lossy, utf8 } from "../bytes.ts";
import type { Clock } from "../clock.ts";
import { talosErrorReply } from "./jsonrpc.ts";
import { type PendingCall, PendingCalls } from "./pending.ts";
import { REFUSALS } from "./refusals.ts";
import {
  type BatchElement,
  type InvalidLine,
  scanLine,
  type ScannedMessage,
  type ScannedRequest,
  type Strictness,
} from "./scan.ts";

/** Which way a line goes. */
export type Direction = "to_server" | "to_agent";

/** One message on its way. */
export interface Passing {
  /** Which way it goes. */
  readonly direction: Direction;
  /** What it is. */
  readonly message: ScannedMessage;
  /** Its own bytes. */
  readonly bytes: Bytes;
  /** For a response: the call it answers. */
  readonly call?: PendingCall;
}

/** What an interceptor decides. */
export type Verdict =
  /** Let it pass. */
  | { readonly action: "forward" }
  /** Let `bytes` pass in its place: one message, one line. */
  | { readonly action: "replace"; readonly bytes: Bytes }
  /** Withhold it and send `bytes` back to where it came from. */
  | { readonly action: "answer"; readonly bytes: Bytes }
  /** Withhold it without a word to anyone but the log. */
  | { readonly action: "drop"; readonly why: string }
  /** Withhold it until this resolves; other messages pass meanwhile. */
  | { readonly action: "hold"; readonly until: Promise<Verdict> };

/** Looks at every message and decides. The first that does not forward ends the chain. */
export interface Interceptor {
  /** For logs. */
  readonly name: string;
  /** Decides about one message. Must not keep its bytes without copying them. */
  intercept(passing: Passing): Verdict;
}

/** What came of a line. */
export interface Passage {
  /** Lines to send on, in order. */
  readonly forward: readonly Bytes[];
  /** Lines to send back to where the line came from. */
  readonly back: readonly Bytes[];
  /** Messages whose fate is decided later. */
  readonly held: readonly Promise<Passage>[];
  /** Why something was withheld, for the log. */
  readonly notes: readonly string[];
}

/** What a pipeline is made of. */
export interface PipelineOptions {
  /** How lines are scanned, per direction. */
  readonly strictness: Readonly<Record<Direction, Strictness>>;
  /** In the order in which they are asked. */
  readonly interceptors?: readonly Interceptor[];
  /** Stamps pending calls. */
  readonly clock: Clock;
}

/** The revision of MCP that had JSON-RPC batches. */
const BATCH_REVISION = "2025-03-26";

/** One end's view of the lines between an agent and a server. */
export class Pipeline {
  /** Calls without an answer yet, by the direction in which the request went. */
  readonly pending: Readonly<Record<Direction, PendingCalls>>;
  readonly #strictness: PipelineOptions["strictness"];
  readonly #interceptors: readonly Interceptor[];
  #protocolVersion: string | undefined;

  /** Begins with no call pending. */
  constructor({ strictness, interceptors = [], clock }: PipelineOptions) {
    this.#strictness = strictness;
    this.#interceptors = interceptors;
    this.pending = {
      to_server: new PendingCalls(() => clock.monotonic()),
      to_agent: new PendingCalls(() => clock.monotonic()),
    };
  }

  /** The revision of MCP that a server answered `initialize` with, if one was asked. */
  get protocolVersion(): string | undefined {
    return this.#protocolVersion;
  }

  /** Decides about one line without its line feed. What it returns may be views into `line`. */
  pass(direction: Direction, line: Bytes): Passage {
    const scanned = scanLine(line, this.#strictness[direction]);
    switch (scanned.kind) {
      case "invalid":
        return direction === "to_server"
          ? refusedTowardsServer(scanned)
          : this.#refusedTowardsAgent(scanned);
      case "batch":
        return this.#passBatch(direction, line, scanned.elements);
      default:
        return this.#passMessage(direction, scanned, line);
    }
  }

  /** Nobody at the server waits for an answer; but if the line was one, the agent waits for it. */
  #refusedTowardsAgent(line: InvalidLine): Passage {
    if (line.reason === "empty_line") return NOTHING;
    const sentence = refusalText(line);
    const notes = [`refused a line: ${line.reason}: ${sentence}`];
    const call = line.method === null && line.id !== null
      ? this.pending.to_server.settle(line.id.key)
      : null;
    if (call === null) return { ...NOTHING, notes };
    const text = `The server's reply was not passed on: ${sentence}`;
    const details = { reason: line.reason, offset: line.offset };
    return {
      ...NOTHING,
      forward: [talosErrorReply(call.idToken, "refused_line", text, details)],
      notes,
    };
  }

  #passBatch(direction: Direction, line: Bytes, elements: readonly BatchElement[]): Passage {
    if (this.#protocolVersion !== BATCH_REVISION) {
      const why = `batches exist in MCP ${BATCH_REVISION} only`;
      return {
        ...NOTHING,
        back: elements.flatMap(({ message }) => refuseMessage(message, why)),
        notes: [`refused a batch of ${elements.length}: ${why}`],
      };
    }
    const passages = elements.map(({ message, bytes }) =>
      this.#passMessage(direction, message, bytes)
    );
    const forward = passages.flatMap((passage) => passage.forward);
    const untouched = elements.every(({ bytes }, at) => passages[at]?.forward[0] === bytes);
    return {
      forward: forward.length === 0 ? [] : [untouched ? line : batchOf(forward)],
      back: passages.flatMap((passage) => passage.back),
      held: passages.flatMap((passage) => passage.held),
      notes: passages.flatMap((passage) => passage.notes),
    };
  }

  #passMessage(direction: Direction, message: ScannedMessage, bytes: Bytes): Passage {
    switch (message.kind) {
      case "request":
        return this.#passRequest(direction, message, bytes);
      case "notification":
        if (message.cancels !== null) this.pending[direction].cancelled(message.cancels.key);
        return this.#ask({ direction, message, bytes });
      case "response": {
        if (message.id === null) return this.#ask({ direction, message, bytes });
        const call = this.pending[opposite(direction)].settle(message.id.key);
        if (call === null) return dropped("a response to no pending call");
        if (call.method === "initialize" && !message.isError) this.#noteInitialized(bytes);
        return this.#ask({ direction, message, bytes, call });
      }
      default:
        return message satisfies never;
    }
  }

  #passRequest(direction: Direction, message: ScannedRequest, bytes: Bytes): Passage {
    const added = this.pending[direction].add(message.id, message.method, message.name);
    if (added === "added") return this.#ask({ direction, message, bytes });
    const [name, why] = added === "duplicate"
      ? ["refused_line", "its id belongs to a call that is still pending"] as const
      : ["busy", "too many calls are pending"] as const;
    const text = `The request was not passed on: ${why}`;
    return {
      ...NOTHING,
      back: [talosErrorReply(message.id.token, name, text, { reason: added })],
      notes: [`refused ${message.method}: ${why}`],
    };
  }

  #ask(passing: Passing): Passage {
    for (const interceptor of this.#interceptors) {
      const verdict = interceptor.intercept(passing);
      if (verdict.action !== "forward") return this.#withheld(passing, verdict);
    }
    return { ...NOTHING, forward: [passing.bytes] };
  }

  #withheld(passing: Passing, verdict: Exclude<Verdict, { action: "forward" }>): Passage {
    switch (verdict.action) {
      case "replace":
        return { ...NOTHING, forward: [verdict.bytes] };
      case "answer":
        this.#forget(passing);
        return { ...NOTHING, back: [verdict.bytes] };
      case "drop":
        this.#forget(passing);
        return dropped(verdict.why);
      case "hold": {
        const kept = { ...passing, bytes: passing.bytes.slice() };
        const later = verdict.until.then((decided) =>
          decided.action === "forward"
            ? { ...NOTHING, forward: [kept.bytes] }
            : this.#withheld(kept, decided)
        );
        return { ...NOTHING, held: [later] };
      }
      default:
        return verdict satisfies never;
    }
  }

  #forget({ direction, message }: Passing): void {
    if (message.kind === "request") this.pending[direction].settle(message.id.key);
  }

  #noteInitialized(response: Bytes): void {
    const parsed: unknown = JSON.parse(fromUtf8Lossy(response));
    const version = member(member(parsed, "result"), "protocolVersion");
    if (typeof version === "string") this.#protocolVersion = version;
  }
}

const NOTHING: Passage = { forward: [], back: [], held: [], notes: [] };
const OPEN_BRACKET = utf8("[");
const COMMA = utf8(",");
const CLOSE_BRACKET = utf8("]");

function opposite(direction: Direction): Direction {
  return direction === "to_server" ? "to_agent" : "to_server";
}

function dropped(why: string): Passage {
  return { ...NOTHING, notes: [`dropped ${why}`] };
}

/** Its sender waits for an answer, unless it was a notification. */
function refusedTowardsServer(line: InvalidLine): Passage {
  if (line.reason === "empty_line") return NOTHING;
  const sentence = refusalText(line);
  const notes = [`refused a line: ${line.reason}: ${sentence}`];
  if (line.id === null && line.method !== null) return { ...NOTHING, notes };
  const text = `The message was not passed on: ${sentence}`;
  const details = { reason: line.reason, offset: line.offset };
  return {
    ...NOTHING,
    back: [talosErrorReply(line.id?.token ?? null, "refused_line", text, details)],
    notes,
  };
}

function refusalText({ reason, offset }: InvalidLine): string {
  return `the line ${REFUSALS[reason]} (byte ${offset})`;
}

function refuseMessage(message: ScannedMessage, why: string): Bytes[] {
  if (message.kind !== "request") return [];
  const text = `The message was not passed on: ${why}`;
  return [talosErrorReply(message.id.token, "refused_line", text, { reason: "batch" })];
}

function batchOf(elements: readonly Bytes[]): Bytes {
  const parts = elements.flatMap((element, at) => at === 0 ? [element] : [COMMA, element]);
  return concat(OPEN_BRACKET, ...parts, CLOSE_BRACKET);
}

function member(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null
    ? (value as Record<string, unknown>)[name]
    : undefined;
}
