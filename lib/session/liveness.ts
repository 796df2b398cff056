/**
 * When a connection is asked for a sign of life, and when it counts as dead. Pure: times go in,
 * a decision comes out.
 *
 * Whatever comes in proves life. A ping is due after 15 s of silence, or 2 s where somebody waits for an
 * answer; after 2 s of DATA that nobody acknowledged and silence since; or at once when this machine seems
 * to have slept. If nothing at all arrives within 3 s of a ping, the connection is dead. A slow link is not
 * a dead one: as long as anything comes in, no ping is sent.
 */

import {
  PING_AFTER_EXPECTANT_MS,
  PING_AFTER_SILENCE_MS,
  PING_AFTER_UNACKED_MS,
  PONG_TIMEOUT_MS,
} from "../limits.ts";

/** What is known of a connection, in monotonic milliseconds. */
export interface Liveness {
  /** When the last record arrived. */
  readonly heardAt: number;
  /** Since when DATA awaits its acknowledgement, or null when none does. */
  readonly unackedSince: number | null;
  /** Whether somebody waits for a message of the other end. */
  readonly expectsAnswer: boolean;
  /** When the ping was sent that nothing followed yet, or null. */
  readonly pingedAt: number | null;
  /** When the wall clock was found to have jumped, with nothing heard since, or null. */
  readonly jumpedAt: number | null;
}

/** What to do now. */
export type LivenessStep =
  | { readonly action: "wait"; readonly ms: number }
  | { readonly action: "ping" }
  | { readonly action: "dead"; readonly silentMs: number };

/** Decides what to do at `now`. */
export function livenessStep(state: Liveness, now: number): LivenessStep {
  const { heardAt, unackedSince, expectsAnswer, pingedAt, jumpedAt } = state;
  if (pingedAt !== null) {
    const deadAt = pingedAt + PONG_TIMEOUT_MS;
    return now >= deadAt
      ? { action: "dead", silentMs: now - heardAt }
      : { action: "wait", ms: deadAt - now };
  }
  const silence = heardAt + (expectsAnswer ? PING_AFTER_EXPECTANT_MS : PING_AFTER_SILENCE_MS);
  const unacked = unackedSince === null
    ? Infinity
    : Math.max(unackedSince, heardAt) + PING_AFTER_UNACKED_MS;
  const pingAt = Math.min(silence, unacked, jumpedAt ?? Infinity);
  return now >= pingAt ? { action: "ping" } : { action: "wait", ms: pingAt - now };
}
