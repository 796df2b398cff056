/**
 * How it stands with a session: its states, pure, and what leads from one to another.
 *
 *                granted    closing    lost       carried     ended
 *     opening    live       closing    detached   opening     ended
 *     live       live       closing    detached   live        ended
 *     closing    closing    closing    detached   closing     ended
 *     detached   detached¹  detached¹  detached   as it was   ended
 *     ended      ended      ended      ended      ended       ended
 *
 *     ¹ as the state that it was lost in would be by now
 *
 * `granted` is OPENED; `closing` is that we asked for the end; `lost` and `carried` concern connections. An
 * ended session stays as it ended: the first reason is the one that is told.
 */

/** How it stands with a session. `closing`: we have asked for its end. */
export type SessionState = Standing["is"];

/** The states of a session that a connection carries, or is to carry for the first time. */
export type CarriedState = "opening" | "live" | "closing";

/** The state of a session, and what is true of it only there. */
export type Standing =
  | { readonly is: CarriedState }
  | {
    readonly is: "detached";
    /** What the session goes on with once it is carried again. */
    readonly was: CarriedState;
    /** When its connection was lost, in monotonic milliseconds. */
    readonly since: number;
  }
  | {
    readonly is: "ended";
    /** What ended it; null when it was ended in order. */
    readonly failure: Error | null;
  };

/** What may happen to a session. */
export type SessionEvent =
  | { readonly kind: "granted" | "closing" | "carried" }
  | { readonly kind: "lost"; readonly at: number }
  | { readonly kind: "ended"; readonly failure: Error | null };

/** What every session begins with. */
export const OPENING: Standing = { is: "opening" };

/** Returns how it stands with a session after `event`; the very same value when nothing changes. */
export function nextStanding(standing: Standing, event: SessionEvent): Standing {
  if (standing.is === "ended") return standing;
  switch (event.kind) {
    case "granted":
      return carriedStateOf(standing) === "opening" ? changed(standing, "live") : standing;
    case "closing":
      return changed(standing, "closing");
    case "lost":
      if (standing.is === "detached") return standing;
      return { is: "detached", was: standing.is, since: event.at };
    case "carried":
      return standing.is === "detached" ? { is: standing.was } : standing;
    case "ended":
      return { is: "ended", failure: event.failure };
    default:
      return event satisfies never;
  }
}

/** Whether we have asked for the end of the session, carried or not. */
export function isClosing(standing: Standing): boolean {
  return standing.is !== "ended" && carriedStateOf(standing) === "closing";
}

function carriedStateOf(standing: Exclude<Standing, { is: "ended" }>): CarriedState {
  return standing.is === "detached" ? standing.was : standing.is;
}

function changed(standing: Exclude<Standing, { is: "ended" }>, to: CarriedState): Standing {
  if (carriedStateOf(standing) === to) return standing;
  return standing.is === "detached" ? { ...standing, was: to } : { is: to };
}
