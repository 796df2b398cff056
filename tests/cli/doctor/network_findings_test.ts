import assert from "node:assert/strict";

import type { Finding } from "../../../lib/cli/doctor/finding.ts";
import {
  handshakeFindings,
  peerFinding,
  presenceFindings,
  serverFinding,
  wayFindings,
} from "../../../lib/cli/doctor/peer_findings.ts";
import {
  clockFinding,
  msText,
  registrationFinding,
  registryFindings,
} from "../../../lib/cli/doctor/registry_findings.ts";
import { TalosError } from "../../../lib/errors.ts";

const CLOCK = { now: () => 100_000 };

/** Returns findings as `check status: fact`. */
function lines(findings: readonly Finding[]): string[] {
  return findings.map(({ check, status, fact }) => `${check} ${status}: ${fact}`);
}

Deno.test("registryFindings() says who chose it, whose key it has and how the clocks differ", () => {
  const facts = {
    place: "reg.example:8765",
    chosenBy: "environment",
    key: "z6MkREG",
    keyFrom: "pinned",
    ms: 12.34,
    skewMs: -61_000,
    observed: "192.0.2.1",
  } as const;
  assert.deepEqual(lines(registryFindings(facts)), [
    "registry ok: reg.example:8765, chosen by TALOS_SERVER, answers in 12 ms, " +
    "sees this machine as 192.0.2.1",
    "registry_key ok: z6MkREG, as pinned",
    "registry_clock warn: clocks differ by 61.0 s, the limit is 60 s: " +
    "the registry's is behind this machine's",
  ]);
});

Deno.test("clockFinding() warns beyond 60 s", () => {
  assert.equal(clockFinding("peer_clock", "the peer's", 60_000).status, "ok");
  const { status, fact, fixes } = clockFinding("peer_clock", "the peer's", 60_001);
  assert.equal(status, "warn");
  assert.match(fact, /the peer's is ahead of this machine's$/);
  assert.deepEqual(fixes, [
    "compare both with the true time, and set the wrong one: date -u",
  ]);
});

Deno.test("msText() has more digits for what is short", () => {
  assert.deepEqual([0.04, 9.99, 10, 9_999, 12_345].map(msText), [
    ...["0.0 ms", "10.0 ms", "10 ms", "9999 ms", "12.3 s"],
  ]);
});

Deno.test("registrationFinding() warns where nobody can find a service that runs", () => {
  const found = { name: "anna", online: false };
  assert.deepEqual(
    lines([
      registrationFinding(null, "reg:1", false),
      registrationFinding({ ...found, online: true }, "reg:1", true),
      registrationFinding(found, "reg:1", false),
      registrationFinding(found, "reg:1", true),
    ]),
    [
      "registration warn: this peer is not registered there: it finds others, and nobody finds it",
      'registration ok: registered as "anna", online',
      'registration ok: registered as "anna", away: nothing is shared here',
      'registration warn: registered as "anna", away, although a service runs here',
    ],
  );
  assert.deepEqual(registrationFinding(null, "reg:1", false).fixes, [
    "make it known: talos register --server reg:1",
  ]);
});

Deno.test("peerFinding() says who is meant", () => {
  const who = { peer: "z6MkX", petname: undefined, isSelf: false };
  assert.equal(peerFinding(who).fact, "z6MkX, no contact of yours");
  assert.equal(peerFinding({ ...who, petname: "anna" }).fact, "z6MkX, your contact anna");
  assert.equal(peerFinding({ ...who, isSelf: true }).fact, "z6MkX, this machine's own identity");
});

Deno.test("presenceFindings() only warns where an address was given", () => {
  const notFound = new TalosError("peer_not_found", "it is not registered", {
    hints: ["register"],
  });
  const facts = { found: null, notFound, hasAddress: false, clock: CLOCK };
  const away = { name: "b", online: false, lastSeen: 40_000 };
  assert.deepEqual(presenceFindings(facts), [{
    check: "peer_registered",
    status: "fail",
    fact: "it is not registered",
    fixes: ["register"],
    code: "peer_not_found",
  }]);
  assert.equal(presenceFindings({ ...facts, hasAddress: true })[0]?.status, "warn");
  assert.deepEqual(lines(presenceFindings({ ...facts, found: away })), [
    'peer_registered ok: registered as "b"',
    "peer_online fail: away: no service of it is connected to the registry, last seen 60 s ago",
  ]);
  assert.equal(presenceFindings({ ...facts, found: away })[1]?.code, "peer_away");
  assert.equal(presenceFindings({ ...facts, found: away, hasAddress: true })[1]?.status, "warn");
});

Deno.test("wayFindings() fails for an address only where no other way is there", () => {
  const refused = new TalosError("refused", "Cannot connect to 192.0.2.1:1: refused");
  const bad = { address: { host: "192.0.2.1", port: 1 }, error: refused };
  const good = { address: { host: "192.0.2.2", port: 1 }, tcpMs: 1.25, handshakeMs: 3 };
  const silent = { ...good, error: new TalosError("handshake_timeout", "silent") };
  const joined = { relay: "reg:8765", joinedMs: 20, handshakeMs: 5 };
  const skipped = { skipped: "not asked: an address was given" };
  const failed = { error: new TalosError("relay_failed", "Cannot use the relay") };
  assert.deepEqual(lines(wayFindings([bad, good], skipped)), [
    "address warn: Cannot connect to 192.0.2.1:1: refused",
    "address ok: 192.0.2.2:1 answers in 1.3 ms",
    "relay skip: not asked: an address was given",
  ]);
  assert.deepEqual(lines(wayFindings([bad], joined)), [
    "address warn: Cannot connect to 192.0.2.1:1: refused",
    "relay ok: reg:8765 leads there in 20 ms",
  ]);
  assert.deepEqual(lines(wayFindings([bad], failed)), [
    "address fail: Cannot connect to 192.0.2.1:1: refused",
    "relay fail: Cannot use the relay",
  ]);
  assert.deepEqual(lines(wayFindings([silent], failed)), [
    "address ok: 192.0.2.2:1 answers in 1.3 ms",
    "relay warn: Cannot use the relay",
  ]);
  assert.deepEqual(lines(wayFindings([], joined)), [
    "address ok: the peer published none",
    "relay ok: reg:8765 leads there in 20 ms",
  ]);
  assert.equal(wayFindings([], skipped)[0]?.code, "peer_unreachable");
});

Deno.test("handshakeFindings() tells a peer that refuses from one that is another", () => {
  const facts = {
    peer: "z6MkX",
    path: "direct 192.0.2.2:1",
    ms: 4.2,
    skewMs: 100,
    versions: { min: 1, max: 2 },
  };
  assert.deepEqual(lines(handshakeFindings(facts)), [
    "handshake ok: z6MkX proved its key in 4.2 ms, direct 192.0.2.2:1",
    "peer_clock ok: differs by 0.1 s, the limit is 60 s",
    "peer_version ok: it speaks protocol 1 to 2",
  ]);
  const seen = (code: string) => lines(handshakeFindings(new TalosError(code, "so it is")));
  assert.deepEqual(seen("handshake_failed"), ["handshake fail: so it is"]);
  assert.deepEqual(seen("clock"), [
    "handshake ok: the peer proved its key, and refuses this machine's clock",
    "peer_clock fail: so it is",
  ]);
  assert.deepEqual(seen("version").at(-1), "peer_version fail: so it is");
});

Deno.test("serverFinding() warns of a server that takes 5 s to begin", () => {
  const facts = { name: "fs", version: "1.0", tools: 1, initializeMs: 4_999, roundTripMs: 1 };
  assert.equal(serverFinding(facts).fact, "fs 1.0, 1 tool, began in 4999 ms, round trip 1.0 ms");
  const { status, fact, fixes } = serverFinding({ ...facts, tools: 2, initializeMs: 5_000 });
  assert.equal(status, "warn");
  assert.equal(fact, "fs 1.0, 2 tools, slow: it took 5000 ms to begin, round trip 1.0 ms");
  assert.deepEqual(fixes, ["on the host, keep one ready: talos mcp-serve --prewarm 1 …"]);
});
