/**
 * Mistakes planted in the windows: what the model is for is to find them.
 *
 * Each is one edit of `lib/session/window.ts` as it stands, loaded beside the real one. An edit that finds
 * no place any more fails loudly: then the source has changed, and the mistake needs a new place. The
 * mistakes that a session makes with windows that are right, {@link Mistake}, are in the model.
 */

import { type ReceiveHalf, type SendHalf } from "./window_model_reference.ts";
import type { Windows } from "./window_model_endpoint.ts";

const SOURCE = new URL("../../lib/session/window.ts", import.meta.url);

/** A mistake that a session could make with windows that are right. */
export type Mistake =
  /** Now and then an ACK is noted as sent and does not leave. */
  | "ack_lost"
  /** After a resumption nothing is granted anew. */
  | "no_ack_at_resume"
  /** The first fragment that is lacking is named one too early. */
  | "next_too_low"
  /** The first fragment that is lacking is named one too late. */
  | "next_too_high"
  /** A fragment is acknowledged when it is on its way. */
  | "ack_before_holding"
  /** Credit of one byte that the receiver does not know of. */
  | "credit_too_many"
  /** A part of a message is forgotten at a resumption. */
  | "part_forgotten"
  /** The host takes a RESUME for a session of the process before it. */
  | "resume_after_crash"
  /** The host takes a RESUME that is older than one it took. */
  | "older_attempt";

/** A mistake and what the model says of it. */
export interface PlantedMistake {
  /** What is wrong, in a few words. */
  readonly name: string;
  /** Where it is: in the session around the windows, or in their source. */
  readonly plant: Mistake | readonly [from: string, to: string];
  /** What the session does with an edit that does nothing by itself. */
  readonly mistake?: Mistake;
  /** What the model says of it, in the schedules of the seed `planted`. */
  readonly noticed: RegExp;
}

/** All of them. */
export const PLANTED_MISTAKES: readonly PlantedMistake[] = [
  { name: "an ACK is dropped", plant: "ack_lost", noticed: /is stuck: / },
  { name: "no ACK follows a resumption", plant: "no_ack_at_resume", noticed: /is stuck: / },
  {
    name: "a replay begins one fragment early",
    plant: "next_too_low",
    noticed: /Cannot resume at fragment 0: it must be from 1 to /,
  },
  {
    name: "a replay begins one fragment late",
    plant: "next_too_high",
    noticed: /Cannot resume at fragment 2: it must be from 1 to 1/,
  },
  {
    name: "a fragment is acknowledged before it is held",
    plant: "ack_before_holding",
    noticed: /Cannot resume at fragment 1: it must be from 2 to /,
  },
  {
    name: "a session takes one byte of credit too many",
    plant: "credit_too_many",
    noticed: /Cannot take fragment 54: it costs 63940 bytes, granted were 63939/,
  },
  {
    name: "a session outlives the host's crash",
    plant: "resume_after_crash",
    noticed: /Cannot resume at fragment 59: it must be from 1 to 1/,
  },
  {
    name: "the host takes an older RESUME",
    plant: "older_attempt",
    noticed: /Cannot resume at fragment 36: it must be from 1 to 1/,
  },
  {
    name: "a part of a message is forgotten at a resumption",
    plant: [
      "  advertised(): void {",
      "  forgetPart(): void { this.#partial = []; this.#partialBytes = 0; }\n  advertised(): void {",
    ],
    mistake: "part_forgotten",
    noticed: /message 0 arrives with 132575 bytes, 135391 were sent/,
  },
  {
    name: "next() takes no account of what a fragment costs",
    plant: ["this.#credit - this.#keptCost - FRAGMENT_COST_BYTES", "this.#credit - this.#keptCost"],
    noticed: /cost 3328 bytes, granted were 3072/,
  },
  {
    name: "next() grants itself one byte",
    plant: ["this.#keptCost - FRAGMENT_COST_BYTES;", "this.#keptCost - FRAGMENT_COST_BYTES + 1;"],
    noticed: /cost 3073 bytes, granted were 3072/,
  },
  {
    name: "next() cuts crumbs",
    plant: ["length < MIN_FRAGMENT_BYTES) return null", "length < 1) return null"],
    noticed: /fragment 5 has 483 bytes/,
  },
  {
    name: "next() leaves a fragment out of a replay",
    plant: [
      "this.#sent++;\n      return again;",
      "if (this.#sent++ === 0 && again.seq > 1 && this.#kept.length > 1) return this.#kept.at(this.#sent) ?? again;\n      return again;",
    ],
    noticed: /fragment 14 leaves, 13 is next/,
  },
  {
    name: "a cut goes on at a wrong place",
    plant: ["this.#offset = more ? end : 0;", "this.#offset = more ? length : 0;"],
    noticed: /fragment 4 is not the next part of message 1/,
  },
  {
    name: "a cut forgets that it took from the queue",
    plant: ["this.#queuedBytes -= length;", ""],
    noticed: /the sender says it holds 200360 bytes, it is 134863/,
  },
  {
    name: "a cut costs nothing",
    plant: ["    this.#keptCost += costOf(fragment);\n", ""],
    noticed: /the sender says it holds 69110 bytes, it is 134863/,
  },
  {
    name: "acknowledge() takes no credit",
    plant: ["    this.#credit = credit;\n    return freed;", "    return freed;"],
    noticed: /the two talk without end: /,
  },
  {
    name: "acknowledge() adds up credit",
    plant: [
      "    this.#credit = credit;\n    return freed;",
      "    this.#credit += credit;\n    return freed;",
    ],
    noticed: /cost 1744800 bytes, granted were 1742986/,
  },
  {
    name: "acknowledge() leaves the last fragment",
    plant: ["const freed = this.#forget(ack);", "const freed = this.#forget(ack - 1);"],
    noticed: /ack 5 frees 134095 bytes, not 197925/,
  },
  {
    name: "an acknowledgement does not give back what it cost",
    plant: ["      this.#keptCost -= costOf(fragment);\n", ""],
    noticed: /the sender says it holds 199205 bytes, it is 0/,
  },
  {
    name: "an acknowledgement does not count down what was sent",
    plant: ["      this.#sent--;\n", ""],
    noticed: /fragment 5 leaves, 4 is next/,
  },
  {
    name: "rewind() forgets one fragment too few",
    plant: ["this.#forget(next - 1)", "this.#forget(next - 2)"],
    noticed: /ack 7 frees 49819 bytes, not 49914/,
  },
  {
    name: "rewind() forgets one fragment too many",
    plant: ["this.#forget(next - 1)", "this.#forget(Math.min(next, lastSent))"],
    noticed: /ack 0 frees 399 bytes, not 0/,
  },
  {
    name: "rewind() sends nothing again",
    plant: ["    this.#sent = 0;\n    return freed;", "    return freed;"],
    noticed: /fragment 5 leaves, 1 is next/,
  },
  {
    name: "rewind() sends all but the first again",
    plant: [
      "    this.#sent = 0;\n    return freed;",
      "    this.#sent = Math.min(1, this.#kept.length);\n    return freed;",
    ],
    noticed: /fragment 2 leaves, 1 is next/,
  },
  {
    name: "rewind() leaves credit that was used up",
    plant: ["    this.#credit -= costBefore - this.#keptCost;\n", ""],
    noticed: /cost 1123060 bytes, granted were 1118576/,
  },
  {
    name: "the receiver takes no account of what it granted",
    plant: ["    this.#granted -= cost;\n", ""],
    noticed: /credit 1118576 is beyond the window, which has 919371 bytes left/,
  },
  {
    name: "the receiver takes back what it granted",
    plant: ["least, this.#granted)", "least)"],
    noticed: /credit 0 takes back 64439 bytes/,
  },
  {
    name: "the receiver grants nothing to a message that is alone",
    plant: ["alone ? MAX_FRAGMENT_BYTES + FRAGMENT_COST_BYTES : 0", "0"],
    noticed: /is stuck: 7680 of 7681 messages taken/,
  },
  {
    name: "the receiver grants one fragment too many",
    plant: [
      "this.#window - this.#buffered, least",
      "this.#window - this.#buffered + MAX_FRAGMENT_BYTES, least",
    ],
    noticed: /credit 1117073 is beyond the window, which has 1051576 bytes left/,
  },
  {
    name: "the receiver does not note what it granted",
    plant: ["    this.#granted = this.credit;\n", ""],
    noticed: /Cannot take fragment 1: it costs 65753 bytes, granted were 3072/,
  },
  {
    name: "the receiver is never in a hurry when the sender is short",
    plant: ["return this.#granted < MAX_FRAGMENT_BYTES &&", "return false &&"],
    noticed: /is stuck: .* 0 bytes of credit left/,
  },
  {
    name: "the receiver never owes an acknowledgement",
    plant: ["return this.#advertisedAck !== this.#received;", "return false;"],
    noticed: /is stuck: .* 5 of 5 fragments received, 0 acknowledged/,
  },
  {
    name: "the receiver loses the last part of a message",
    plant: ["whole.set(last, at);", ""],
    noticed: /message 0 is another one/,
  },
  {
    name: "the receiver keeps the parts of the message before",
    plant: ["    this.#partial = [];\n", ""],
    noticed: /offset is out of bounds/,
  },
  {
    name: "a message that is taken gives back the cost of its last fragment alone",
    plant: ["this.#costs.push(this.#partialCost);", "this.#costs.push(cost);"],
    noticed: /the receiver says it holds 131506 bytes, it is 0/,
  },
  {
    name: "a message that is taken gives nothing back",
    plant: ["this.#buffered -= this.#costs.shift()!;", ""],
    noticed: /the receiver says it holds 199205 bytes, it is 0/,
  },
  {
    name: "the receiver takes no account of the bytes of a message with several parts",
    plant: ["      this.#partialBytes += bytes.length;\n", ""],
    noticed: /offset is out of bounds/,
  },
];

/** What loading the source gives, as far as it is used. */
interface WindowModule {
  readonly SendWindow: new (initialCredit: number) => SendHalf;
  readonly ReceiveWindow: new (maxMessage: number, granted: number) => ReceiveHalf;
}

/** Loads the windows with `from` replaced by `to` in their source. Throws when it is not there once. */
export async function windowsWith(from: string, to: string): Promise<Windows> {
  const source = await Deno.readTextFile(SOURCE);
  if (source.split(from).length !== 2) {
    throw new TypeError(`Cannot plant a mistake: ${JSON.stringify(from)} is not there once`);
  }
  const edited = source.replace(from, () => to)
    .replace(/ from "(\.[^"]+)"/g, (_, path: string) => ` from "${new URL(path, SOURCE)}"`);
  const url = `data:application/typescript,${encodeURIComponent(edited)}`;
  const { SendWindow, ReceiveWindow }: WindowModule = await import(url);
  return {
    send: (initialCredit) => new SendWindow(initialCredit),
    receive: (maxMessage, granted) => new ReceiveWindow(maxMessage, granted),
  };
}
