import assert from "node:assert/strict";
import { connectFailure } from "../../lib/transport/tcp.ts";

// What Deno says on each system for a name that nobody has.
for (
  const [os, text] of [
    ["linux", "failed to lookup address information: Name or service not known"],
    ["linux", "failed to lookup address information: Temporary failure in name resolution"],
    [
      "darwin",
      "failed to lookup address information: nodename nor servname provided, or not known",
    ],
    ["windows", "No such host is known. (os error 11001)"],
  ] as const
) {
  Deno.test(`connectFailure() is name_unknown when ${os} says "${text}"`, () => {
    assert.deepEqual(connectFailure(new Error(text)), ["name_unknown", "the name has no address"]);
  });
}

for (
  const [os, text] of [
    ["linux", "Network is unreachable (os error 101)"],
    ["darwin", "No route to host (os error 65)"],
    [
      "windows",
      "A socket operation was attempted to an unreachable network. (os error 10051)",
    ],
  ] as const
) {
  Deno.test(`connectFailure() is unreachable, in its own words, when ${os} says "${text}"`, () => {
    assert.deepEqual(connectFailure(new Error(text)), ["unreachable", text]);
  });
}

Deno.test("connectFailure() is refused when nothing listens, whatever the system says", () => {
  assert.deepEqual(
    connectFailure(new Deno.errors.ConnectionRefused("tcp connect error")),
    ["refused", "nothing listens there (connection refused)"],
  );
});

Deno.test("connectFailure() is unreachable when time ran out", () => {
  assert.deepEqual(
    connectFailure(new DOMException("The signal has been aborted", "AbortError")),
    ["unreachable", "no answer in time"],
  );
  assert.deepEqual(
    connectFailure(new Deno.errors.TimedOut("os error 110")),
    ["unreachable", "no answer in time"],
  );
});
