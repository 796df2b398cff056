/**
 * What happens to every line between an agent and an MCP server, on both ends of the tunnel.
 *
 *     line ── scan ── pending calls ── interceptors ──▶ forward │ answer │ drop │ hold
 *
 * A line is forwarded as the bytes it came as, or not at all; only a batch of which a part is withheld is
 * put together anew from the bytes of the rest. Requests are noted per direction, so that every response
 * is known to answer something, and so that calls can be answered when the other end is gone. Whoever
 * waits for what is refused here is told: the asker of a request, and the asker whom a refused response
 * would have answered. Policy, pinning, audit and limits are interceptors. Pure but for the clock: no I/O.
 */

import { type Bytes, concat, fromUtf8Lossy, utf8 } from "../bytes.ts";
import type { Clock } from "../clock.ts";
import { type RpcErrorDetails, talosErrorReply } from "./jsonrpc.ts";
import type { MessageId } from "./message_id.ts";
import { type PendingCall, PendingCalls, type SettledCall } from "./pending.ts";
import { REFUSALS } from "./refusals.ts";
import { type RefusedMessage, refusedMessage } from "./refused_message.ts";
import {
  type BatchElement,
  type InvalidLine,
  scanLine,
  type ScannedMessage,
  type ScannedRequest,
  type Strictness,
} from "./scan.ts";
import type { ServerIds } from "./server_ids.ts";

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
  readonly call?: SettledCall;
}

/** What an interceptor decides. */
export type Verdict =
  /** Let it pass, as far as this interceptor is concerned. */
  | { readonly action: "forward" }
  /** Let `bytes` pass in its place: one line, of the same kind and with the same id. */
  | { readonly action: "replace"; readonly bytes: Bytes }
  /** Withhold a request and send its asker `bytes`, the reply. */
  | { readonly action: "answer"; readonly bytes: Bytes }
  /** Withhold it without a word to anyone but the log (to nobody for null): whoever waits for it is not told. */
  | { readonly action: "drop"; readonly why: string | null }
  /** Withhold it until this resolves; other messages pass meanwhile. */
  | { readonly action: "hold"; readonly until: Promise<Verdict> };

/**
 * Looks at every message and decides. Each is asked about what the one before it let pass, be it a
 * replacement or what was held for a while; the first that answers or drops ends the chain.
 */
export interface Interceptor {
  /** For logs. */
  readonly name: string;
  /**
   * Decides about one message. Must not keep its bytes without copying them. What it throws, and what a
   * held verdict rejects with, ends the session.
   */
  intercept(passing: Passing): Verdict;
  /** The session has ended, on the serving side: nothing passes any more. */
  ended?(): void;
}

/** What came of a line. */
export interface Passage {
  /** Lines to send on, in order. In place of a refused response: the error for its asker. */
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
  /**
   * How the agent sees the server's ids, if one server may take another's place. Interceptors and the table
   * of pending calls know the server's own.
   */
  readonly serverIds?: ServerIds;
}

/** The revision of MCP that had JSON-RPC batches. */
const BATCH_REVISION = "2025-03-26";

/** One end's view of the lines between an agent and a server. */
export class Pipeline {
  /** Calls without an answer yet, by the direction in which the request went. */
  readonly pending: Readonly<Record<Direction, PendingCalls>>;
  readonly #strictness: PipelineOptions["strictness"];
  readonly #interceptors: readonly Interceptor[];
  readonly #serverIds: ServerIds | undefined;
  readonly #heldCalls = new Set<PendingCall>();
  #protocolVersion: string | undefined;

  /** Begins with no call pending. */
  constructor({ strictness, interceptors = [], clock, serverIds }: PipelineOptions) {
    this.#strictness = strictness;
    this.#serverIds = serverIds;
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

  /** The id by which the present server knows its request that an agent's response answers; null for a former one's. */
  idAtServer(id: MessageId): MessageId | null {
    return this.#serverIds === undefined ? id : this.#serverIds.inwardId(id);
  }

  /** Whether an interceptor holds the request of this pending call, or failed on it: it was not sent on. */
  holds(call: PendingCall): boolean {
    return this.#heldCalls.has(call);
  }

  /**
   * Decides about one line without its line feed. What it returns are views into `line`, which must not
   * change any more. Throws what an interceptor throws, and TypeError for a verdict that makes no sense.
   */
  pass(direction: Direction, line: Bytes): Passage {
    const scanned = scanLine(line, this.#strictness[direction]);
    switch (scanned.kind) {
      case "invalid":
        return this.#refuseLine(direction, line, scanned);
      case "batch":
        return this.#passBatch(direction, line, scanned.elements);
      default:
        return this.#passMessage(direction, scanned, line);
    }
  }

  #passBatch(direction: Direction, line: Bytes, elements: readonly BatchElement[]): Passage {
    if (this.#protocolVersion !== BATCH_REVISION) {
      const why = `batches exist in MCP ${BATCH_REVISION} only`;
      const refused = together(
        elements.map(({ message, bytes }) => {
          const refused = direction === "to_agent"
            ? message
            : this.#serverIds?.inward(message, bytes)?.message ?? message;
          return this.#refuse(direction, refused, why, { reason: "batch" });
        }),
      );
      return { ...refused, notes: [`refused a batch of ${elements.length}: ${why}`] };
    }
    const passages = elements.map(({ message, bytes }) =>
      this.#passMessage(direction, message, bytes)
    );
    const passage = together(passages);
    if (passage.forward.length === 0) return passage;
    const untouched = elements.every(({ bytes }, at) => passages[at]?.forward[0] === bytes);
    return { ...passage, forward: [untouched ? line : batchOf(passage.forward)] };
  }

  #passMessage(direction: Direction, message: ScannedMessage, bytes: Bytes): Passage {
    if (direction === "to_agent" || this.#serverIds === undefined) {
      return this.#passOn(direction, message, bytes);
    }
    const inward = this.#serverIds.inward(message, bytes);
    if (inward !== null) return this.#passOn(direction, inward.message, inward.bytes);
    return dropped(`a ${message.kind} to a server that is gone`);
  }

  #passOn(direction: Direction, message: ScannedMessage, bytes: Bytes): Passage {
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
    const calls = this.pending[direction];
    const added = calls.add(message.id, message.method, message.name);
    if (added === "added") {
      try {
        return this.#ask({ direction, message, bytes });
      } catch (error) {
        const call = calls.get(message.id.key);
        if (call !== null) this.#heldCalls.add(call);
        throw error;
      }
    }
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

  /** Asks the interceptors from the one at `first` on. */
  #ask(passing: Passing, first = 0): Passage {
    for (let at = first; at < this.#interceptors.length; at++) {
      const interceptor = this.#interceptors[at]!;
      const verdict = interceptor.intercept(passing);
      if (verdict.action === "forward") continue;
      return this.#carryOut(passing, verdict, at);
    }
    return this.#forward(passing);
  }

  #forward({ direction, message, bytes }: Passing): Passage {
    if (direction === "to_server" || this.#serverIds === undefined) {
      return { ...NOTHING, forward: [bytes] };
    }
    const outward = this.#serverIds.outward(message, bytes);
    if (outward !== null) return { ...NOTHING, forward: [outward] };
    if (message.kind === "request") this.pending.to_agent.settle(message.id.key);
    return this.#refuse(
      direction,
      message,
      "its id or progress token is none that can be passed on",
      {
        reason: "identifier_too_long",
      },
    );
  }

  /** Carries out the verdict of the interceptor at `index`. */
  #carryOut(passing: Passing, verdict: Verdict, index: number): Passage {
    switch (verdict.action) {
      case "forward":
        return this.#ask(passing, index + 1);
      case "replace":
        return this.#ask(this.#replaced(passing, verdict.bytes, index), index + 1);
      case "answer":
        if (passing.message.kind !== "request") throw this.#misuse(index, "answers no request");
        this.#forget(passing);
        return { ...NOTHING, back: [verdict.bytes] };
      case "drop":
        this.#forget(passing);
        return dropped(verdict.why);
      case "hold":
        return { ...NOTHING, held: [this.#hold(passing, verdict.until, index)] };
      default:
        return verdict satisfies never;
    }
  }

  async #hold(passing: Passing, until: Promise<Verdict>, index: number): Promise<Passage> {
    const { direction, message } = passing;
    const call = message.kind === "request" ? this.pending[direction].get(message.id.key) : null;
    if (call === null) {
      const server = this.#serverIds?.server;
      const verdict = await until;
      const outlives = direction === "to_agent" && message.kind === "response";
      if (!outlives && server !== this.#serverIds?.server) {
        return dropped(`a ${message.kind} whose server is gone`);
      }
      return this.#carryOut(passing, verdict, index);
    }
    this.#heldCalls.add(call);
    const verdict = await until; // the call of one that fails stays held
    this.#heldCalls.delete(call);
    if (this.pending[direction].get(call.key) !== call) {
      return dropped(`${call.method}: its caller no longer waits`);
    }
    return this.#carryOut(passing, verdict, index);
  }

  /** What was checked is what is read: a replacement is scanned like the line it stands for. */
  #replaced(passing: Passing, bytes: Bytes, index: number): Passing {
    const message = scanLine(bytes, this.#strictness[passing.direction]);
    if (
      message.kind === "invalid" || message.kind === "batch" ||
      message.kind !== passing.message.kind || idKey(message) !== idKey(passing.message)
    ) {
      throw this.#misuse(index, "replaces a message by one of another kind or id");
    }
    return { ...passing, message, bytes };
  }

  #misuse(index: number, how: string): TypeError {
    return new TypeError(
      `Cannot pass message: interceptor ${this.#interceptors[index]?.name} ${how}`,
    );
  }

  #forget({ direction, message }: Passing): void {
    if (message.kind === "request") this.pending[direction].settle(message.id.key);
  }

  #refuseLine(direction: Direction, line: Bytes, invalid: InvalidLine): Passage {
    const { reason, offset } = invalid;
    if (reason === "empty_line") return NOTHING;
    const why = `the line ${REFUSALS[reason]} (byte ${offset})`;
    const notes = [`refused a line: ${reason}: ${why}`];
    const pending = this.pending[direction];
    const answered = this.pending[opposite(direction)];
    const idAtServer = invalid.id === null || direction === "to_agent"
      ? invalid.id
      : this.idAtServer(invalid.id);
    const message = refusedMessage(direction, line, { ...invalid, idAtServer }, pending, answered);
    if (message === null) return { ...NOTHING, notes };
    return { ...this.#refuse(direction, message, why, { reason, offset }), notes };
  }

  /** Withholds a message, and tells whoever waits for it or for what it answers. */
  #refuse(
    direction: Direction,
    message: RefusedMessage | ScannedMessage,
    why: string,
    details: RpcErrorDetails,
  ): Passage {
    if (message.kind === "request") {
      const text = `The message was not passed on: ${why}`;
      const token = message.id?.token ?? null;
      return { ...NOTHING, back: [talosErrorReply(token, "refused_line", text, details)] };
    }
    if (message.kind === "notification" || message.id === null) return NOTHING;
    const call = this.pending[opposite(direction)].settle(message.id.key);
    if (call === null) return NOTHING;
    const text = `The reply was not passed on: ${why}`;
    return { ...NOTHING, forward: [talosErrorReply(call.idToken, "refused_line", text, details)] };
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

function dropped(why: string | null): Passage {
  return why === null ? NOTHING : { ...NOTHING, notes: [`dropped ${why}`] };
}

function together(passages: readonly Passage[]): Passage {
  return {
    forward: passages.flatMap((passage) => passage.forward),
    back: passages.flatMap((passage) => passage.back),
    held: passages.flatMap((passage) => passage.held),
    notes: passages.flatMap((passage) => passage.notes),
  };
}

function idKey(message: ScannedMessage): string | null {
  return message.kind === "notification" ? null : message.id?.key ?? null;
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
