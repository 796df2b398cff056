/**
 * What runs of the model of the windows reach, counted by name. A run of some size that leaves one of these
 * at zero has not tested what it claims to.
 */

import { MIN_FRAGMENT_BYTES } from "../../lib/limits.ts";
import {
  type Endpoint,
  type ModelConnection,
  type ModelFrame,
  type Side,
  SIDES,
} from "./window_model_endpoint.ts";
import type { Reference } from "./window_model_reference.ts";

/** What a run reached, counted. */
export const COVERAGE = [
  "cuts while idle",
  "cuts before any data",
  "cuts in the middle of a message",
  "cuts with DATA in flight",
  "cuts with acknowledgements in flight",
  "cuts at a full window",
  "cuts while resuming",
  "cuts during a replay",
  "cuts with nothing in between",
  "frames sent into the void",
  "resumptions",
  "RESUMEs that came too late",
  "replayed fragments",
  "replays of a part of a message",
  "crashes of the initiator",
  "crashes of the host",
  "messages lost by crashes",
  "messages taken",
  "messages of several fragments",
  "empty messages",
  "full windows",
  "full send buffers",
  "stalls for lack of credit",
  "acknowledgements along with DATA",
  "acknowledgements at once",
  "acknowledgements after a delay",
  "grants to a message that is alone",
] as const;

/** How often each of {@link COVERAGE} was reached. */
export type Coverage = Record<typeof COVERAGE[number], number>;

/** Returns a coverage of nothing. */
export function noCoverage(): Coverage {
  return Object.fromEntries(COVERAGE.map((name) => [name, 0])) as Coverage;
}

/** A connection that is about to be cut, and what it is between. */
export interface Cut {
  /** The connection. */
  readonly connection: ModelConnection;
  /** The two ends. */
  readonly ends: Readonly<Record<Side, Endpoint>>;
  /** What each side sends. */
  readonly references: Readonly<Record<Side, Reference>>;
  /** Whether no DATA has arrived since the last cut. */
  readonly isQuiet: boolean;
}

/** Counts the circumstances in which a connection is cut. */
export function countCut(coverage: Coverage, cut: Cut): void {
  const { connection: { towards }, isQuiet } = cut;
  const reached = (name: keyof Coverage, when: boolean) => {
    if (when) coverage[name]++;
  };
  const any = (type: ModelFrame["type"]) =>
    SIDES.some((side) => towards[side].some((frame) => frame.type === type));
  const ends = SIDES.map((side) => cut.ends[side]);
  const references = SIDES.map((side) => cut.references[side]);
  const isIdle = ends.every(({ sender }) => sender.heldBytes === 0);
  const nothingSent = references.every((reference) => reference.cut === 0);
  reached("cuts while idle", isIdle && !nothingSent);
  reached("cuts before any data", nothingSent);
  reached("cuts in the middle of a message", references.some((it) => it.isMidMessage));
  reached("cuts with DATA in flight", any("data"));
  reached("cuts with acknowledgements in flight", any("ack"));
  reached("cuts at a full window", ends.some((it) => it.receiver.credit < MIN_FRAGMENT_BYTES));
  reached("cuts while resuming", !cut.ends.initiator.resumed);
  reached("cuts during a replay", ends.some((it) => it.isReplaying));
  reached("cuts with nothing in between", isQuiet);
}
