import assert from "node:assert/strict";
import {
  isClosing,
  nextStanding,
  OPENING,
  type SessionEvent,
  type Standing,
} from "../../lib/session/session_state.ts";

const FAILURE = new Error("it failed");
const AT = 1234;

const EVENTS: readonly SessionEvent[] = [
  { kind: "granted" },
  { kind: "closing" },
  { kind: "lost", at: AT },
  { kind: "carried" },
  { kind: "ended", failure: FAILURE },
];

/** Each state, and what it becomes with each of {@link EVENTS}: `(x)` is detached from x. */
const TABLE: readonly (readonly [Standing, string])[] = [
  [{ is: "opening" }, "live closing (opening) opening ended"],
  [{ is: "live" }, "live closing (live) live ended"],
  [{ is: "closing" }, "closing closing (closing) closing ended"],
  [detached("opening"), "(live) (closing) (opening) opening ended"],
  [detached("live"), "(live) (closing) (live) live ended"],
  [detached("closing"), "(closing) (closing) (closing) closing ended"],
  [{ is: "ended", failure: null }, "ended ended ended ended ended"],
];

function detached(was: "opening" | "live" | "closing"): Standing {
  return { is: "detached", was, since: AT };
}

function shown(standing: Standing): string {
  return standing.is === "detached" ? `(${standing.was})` : standing.is;
}

for (const [standing, expected] of TABLE) {
  Deno.test(`nextStanding() follows the table when a session is ${shown(standing)}`, () => {
    assert.equal(EVENTS.map((event) => shown(nextStanding(standing, event))).join(" "), expected);
  });
}

Deno.test("nextStanding() keeps the moment of the first loss when another follows", () => {
  const lost = nextStanding({ is: "live" }, { kind: "lost", at: 1 });
  assert.deepEqual(lost, { is: "detached", was: "live", since: 1 });
  assert.equal(nextStanding(lost, { kind: "lost", at: 2 }), lost);
});

Deno.test("nextStanding() keeps the first reason when a session has ended", () => {
  const ended = nextStanding({ is: "live" }, { kind: "ended", failure: FAILURE });
  assert.deepEqual(ended, { is: "ended", failure: FAILURE });
  for (const event of EVENTS) assert.equal(nextStanding(ended, event), ended);
  assert.equal(nextStanding(ended, { kind: "ended", failure: null }), ended);
});

Deno.test("isClosing() holds when the end was asked for, connection or not, until it has come", () => {
  const closing = nextStanding(OPENING, { kind: "closing" });
  const lost = nextStanding(closing, { kind: "lost", at: AT });
  assert.deepEqual(
    [OPENING, closing, lost, nextStanding(lost, { kind: "ended", failure: null })].map(isClosing),
    [false, true, true, false],
  );
});
