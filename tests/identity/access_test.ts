/** Who may open what: the decision, how grants and revocations change, and their text. */

import assert from "node:assert/strict";
import {
  type Access,
  ALL_SERVICES,
  type Grant,
  grant,
  isKnown,
  mayOpen,
  NO_ACCESS,
  type Revocation,
  revoke,
  type ServicePattern,
} from "../../lib/identity/access.ts";
import { parseAccess, serialiseAccess } from "../../lib/identity/access_format.ts";
import { IdentityError } from "../../lib/identity/errors.ts";
import { parseServiceName, type ServiceName } from "../../lib/identity/names.ts";
import type { PeerId } from "../../lib/identity/peer_id.ts";
import { SeededRandom } from "../../scripts/seeded_random.ts";
import { codeOf, messageFrom, samplePeer } from "./temporary_home.ts";

const ANN = samplePeer(1);
const BOB = samplePeer(2);
const FILES = parseServiceName("mcp/files");
const MESSAGES = parseServiceName("messages");
const NOW = 1_767_225_600_000;

function granted(peer: PeerId, service: ServicePattern, more: Partial<Grant> = {}): Grant {
  return { peer, service, origin: "command", grantedAt: NOW, expires: null, ...more };
}

function revoked(peer: PeerId, service: ServicePattern): Revocation {
  return { peer, service, revokedAt: NOW };
}

Deno.test("mayOpen() denies when nothing is granted", () => {
  assert.deepEqual(mayOpen(NO_ACCESS, [], ANN, FILES, NOW), { allowed: false, reason: "no_grant" });
});

Deno.test("mayOpen() allows exactly the peer and service of a grant", () => {
  const access = grant(NO_ACCESS, granted(ANN, FILES));
  assert.deepEqual(mayOpen(access, [], ANN, FILES, NOW), {
    allowed: true,
    origin: "command",
    expires: null,
  });
  assert.equal(mayOpen(access, [], ANN, MESSAGES, NOW).allowed, false);
  assert.equal(mayOpen(access, [], BOB, FILES, NOW).allowed, false);
});

Deno.test("mayOpen() allows every service when all are granted", () => {
  const access = grant(NO_ACCESS, granted(ANN, ALL_SERVICES));
  assert.equal(mayOpen(access, [], ANN, FILES, NOW).allowed, true);
  assert.equal(mayOpen(access, [], ANN, MESSAGES, NOW).allowed, true);
  assert.equal(mayOpen(access, [], BOB, FILES, NOW).allowed, false);
});

Deno.test("mayOpen() allows what a flag grants, and names the flag as its origin", () => {
  const flags = [granted(ANN, FILES, { origin: "flag" })];
  assert.deepEqual(mayOpen(NO_ACCESS, flags, ANN, FILES, NOW), {
    allowed: true,
    origin: "flag",
    expires: null,
  });
});

Deno.test("mayOpen() denies from the very moment at which a grant expires", () => {
  const access = grant(NO_ACCESS, granted(ANN, FILES, { expires: NOW + 1000 }));
  assert.deepEqual(mayOpen(access, [], ANN, FILES, NOW + 999), {
    allowed: true,
    origin: "command",
    expires: NOW + 1000,
  });
  assert.deepEqual(mayOpen(access, [], ANN, FILES, NOW + 1000), {
    allowed: false,
    reason: "expired",
  });
});

Deno.test("mayOpen() gives the latest end of all grants that cover the service", () => {
  const access = grant(
    grant(NO_ACCESS, granted(ANN, FILES, { expires: NOW + 1 })),
    granted(ANN, ALL_SERVICES, { expires: NOW + 5, origin: "invite" }),
  );
  assert.deepEqual(mayOpen(access, [], ANN, FILES, NOW), {
    allowed: true,
    origin: "invite",
    expires: NOW + 5,
  });
  const flags = [
    granted(ANN, FILES, { origin: "flag" }),
    granted(ANN, FILES, { expires: NOW + 9 }),
  ];
  assert.deepEqual(mayOpen(access, flags, ANN, FILES, NOW), {
    allowed: true,
    origin: "flag",
    expires: null,
  });
});

Deno.test("mayOpen() denies what is revoked, whatever is granted and by whatever", () => {
  const flags = [granted(ANN, FILES, { origin: "flag" }), granted(ANN, ALL_SERVICES)];
  for (const service of [FILES, ALL_SERVICES] as const) {
    const access: Access = {
      grants: [granted(ANN, FILES), granted(ANN, ALL_SERVICES)],
      revocations: [revoked(ANN, service)],
    };
    assert.deepEqual(mayOpen(access, flags, ANN, FILES, NOW), {
      allowed: false,
      reason: "revoked",
    });
    assert.equal(mayOpen(access, flags, BOB, FILES, NOW).allowed, false);
  }
  const access = revoke(NO_ACCESS, revoked(ANN, FILES));
  assert.equal(mayOpen(access, flags, ANN, MESSAGES, NOW).allowed, true);
});

Deno.test("revoke() drops the grants that it covers, so that lifting it brings none back", () => {
  let access = grant(NO_ACCESS, granted(ANN, FILES));
  access = grant(access, granted(ANN, MESSAGES));
  access = grant(access, granted(BOB, FILES));
  assert.deepEqual(revoke(access, revoked(ANN, FILES)).grants, [
    granted(ANN, MESSAGES),
    granted(BOB, FILES),
  ]);
  assert.deepEqual(revoke(access, revoked(ANN, ALL_SERVICES)).grants, [granted(BOB, FILES)]);
});

Deno.test("revoke() of one service keeps a grant for all, for the others", () => {
  const access = revoke(grant(NO_ACCESS, granted(ANN, ALL_SERVICES)), revoked(ANN, FILES));
  assert.equal(mayOpen(access, [], ANN, FILES, NOW).allowed, false);
  assert.equal(mayOpen(access, [], ANN, MESSAGES, NOW).allowed, true);
});

Deno.test("grant() lifts the revocation of the same and no other", () => {
  const both = revoke(revoke(NO_ACCESS, revoked(ANN, FILES)), revoked(ANN, MESSAGES));
  const access = grant(both, granted(ANN, FILES));
  assert.deepEqual(access.revocations, [revoked(ANN, MESSAGES)]);
  assert.equal(mayOpen(access, [], ANN, FILES, NOW).allowed, true);
  const all = grant(both, granted(ANN, ALL_SERVICES));
  assert.deepEqual(all.revocations.length, 2);
  assert.equal(mayOpen(all, [], ANN, FILES, NOW).allowed, false);
});

Deno.test("grant() throws access_revoked for one service while all are revoked", async () => {
  const access = revoke(NO_ACCESS, revoked(ANN, ALL_SERVICES));
  assert.equal(await codeOf(() => grant(access, granted(ANN, FILES))), "access_revoked");
  const lifted = grant(grant(access, granted(ANN, ALL_SERVICES)), granted(ANN, FILES));
  assert.equal(mayOpen(lifted, [], ANN, FILES, NOW).allowed, true);
  assert.ok(grant(access, granted(BOB, FILES)));
});

Deno.test("grant() and revoke() replace what was said before of the same, and change no argument", () => {
  const first = Object.freeze({
    grants: Object.freeze([granted(ANN, FILES)]),
    revocations: Object.freeze([revoked(BOB, FILES)]),
  });
  const later = granted(ANN, FILES, { expires: NOW });
  assert.deepEqual(grant(first, later).grants, [later]);
  const again = { ...revoked(BOB, FILES), revokedAt: NOW + 1 };
  assert.deepEqual(revoke(first, again).revocations, [again]);
});

Deno.test("isKnown() tells whether any grant holds that is not revoked", () => {
  const one = grant(NO_ACCESS, granted(ANN, FILES, { expires: NOW + 1 }));
  assert.equal(isKnown(one, [], ANN, NOW), true);
  assert.equal(isKnown(one, [], ANN, NOW + 1), false);
  assert.equal(isKnown(one, [], BOB, NOW), false);
  assert.equal(isKnown(NO_ACCESS, [granted(BOB, FILES)], BOB, NOW), true);
  const flags = [granted(ANN, FILES)];
  assert.equal(isKnown(revoke(one, revoked(ANN, FILES)), flags, ANN, NOW), false);
  assert.equal(isKnown(revoke(one, revoked(ANN, ALL_SERVICES)), flags, ANN, NOW), false);
  const all = revoke(grant(NO_ACCESS, granted(ANN, ALL_SERVICES)), revoked(ANN, FILES));
  assert.equal(isKnown(all, [], ANN, NOW), true);
});

// Properties over random histories of grants and revocations of few peers and services, so that they
// meet often.
const PEERS = [ANN, BOB, samplePeer(3)];
const SERVICES: readonly ServiceName[] = [FILES, MESSAGES, parseServiceName("mcp/default")];
const PATTERNS: readonly ServicePattern[] = [...SERVICES, ALL_SERVICES];

function randomGrant(random: SeededRandom): Grant {
  return granted(random.pick(PEERS), random.pick(PATTERNS), {
    origin: random.pick(["command", "invite", "flag"]),
    expires: random.chance(0.5) ? null : NOW + random.between(-2, 2),
  });
}

function randomAccess(random: SeededRandom): Access {
  let access = NO_ACCESS;
  for (let step = random.below(12); step > 0; step--) {
    if (random.chance(0.4)) {
      access = revoke(access, revoked(random.pick(PEERS), random.pick(PATTERNS)));
      continue;
    }
    try {
      access = grant(access, randomGrant(random));
    } catch (error) {
      if (!(error instanceof IdentityError) || error.code !== "access_revoked") throw error;
    }
  }
  return access;
}

function withCases(
  name: string,
  property: (random: SeededRandom, access: Access, flags: readonly Grant[]) => void,
): void {
  Deno.test(`${name}, for 1,000 seeded histories`, () => {
    for (let run = 0; run < 1000; run++) {
      const random = new SeededRandom(`access/${name}/${run}`);
      const access = randomAccess(random);
      const flags = Array.from({ length: random.below(4) }, () => randomGrant(random));
      try {
        property(random, access, flags);
      } catch (error) {
        throw new Error(`run ${run}`, { cause: error });
      }
    }
  });
}

withCases("mayOpen() allows exactly what the rules in words allow", (_, access, flags) => {
  for (const peer of PEERS) {
    for (const service of SERVICES) {
      const about = ({ peer: who, service: what }: Grant | Revocation) =>
        who === peer && (what === service || what === "*");
      const isRevoked = access.revocations.some(about);
      const isGranted = [...access.grants, ...flags].filter(about)
        .some(({ expires }) => expires === null || expires > NOW);
      assert.equal(mayOpen(access, flags, peer, service, NOW).allowed, isGranted && !isRevoked);
      if (mayOpen(access, flags, peer, service, NOW).allowed) {
        assert.ok(isKnown(access, flags, peer, NOW));
      }
    }
  }
});

withCases(
  "mayOpen() never allows what was just revoked, nor changes for others",
  (random, access, flags) => {
    const rule = revoked(random.pick(PEERS), random.pick(PATTERNS));
    const after = revoke(access, rule);
    for (const peer of PEERS) {
      for (const service of SERVICES) {
        const decision = mayOpen(after, flags, peer, service, NOW);
        const covered = peer === rule.peer && (rule.service === "*" || rule.service === service);
        if (covered) assert.deepEqual(decision, { allowed: false, reason: "revoked" });
        else assert.deepEqual(decision, mayOpen(access, flags, peer, service, NOW));
      }
    }
  },
);

withCases(
  "mayOpen() allows no more after a grant than what was granted",
  (random, access, flags) => {
    const added = randomGrant(random);
    let after: Access;
    try {
      after = grant(access, added);
    } catch (error) {
      if (error instanceof IdentityError) return;
      throw error;
    }
    for (const peer of PEERS) {
      for (const service of SERVICES) {
        const covered = peer === added.peer && (added.service === "*" || added.service === service);
        if (covered) continue;
        assert.deepEqual(
          mayOpen(after, flags, peer, service, NOW),
          mayOpen(access, flags, peer, service, NOW),
        );
      }
    }
  },
);

withCases("parseAccess() gives back what serialiseAccess() wrote", (_, access) => {
  const text = serialiseAccess(access);
  assert.deepEqual(parseAccess(text), access);
  assert.equal(serialiseAccess(parseAccess(text)), text);
});

const TEXT = `{
  "version": 1,
  "grants": [
    {
      "peer": "${ANN}",
      "service": "mcp/files",
      "origin": "invite",
      "granted_at": "2026-01-01T00:00:00.000Z",
      "expires": "2026-02-01T12:30:00.000Z"
    }
  ],
  "revocations": [
    {
      "peer": "${BOB}",
      "service": "*",
      "revoked_at": "2026-01-01T00:00:00.000Z"
    }
  ]
}
`;

Deno.test("serialiseAccess() writes exactly the documented text", () => {
  const access: Access = {
    grants: [granted(ANN, FILES, { origin: "invite", expires: 1_769_949_000_000 })],
    revocations: [revoked(BOB, ALL_SERVICES)],
  };
  assert.equal(serialiseAccess(access), TEXT);
  assert.deepEqual(parseAccess(TEXT), access);
});

Deno.test("parseAccess() takes other spellings of a time and a DID in place of a Peer ID", () => {
  const text = TEXT.replace("2026-02-01T12:30:00.000Z", "2026-02-01T14:30:00+02:00")
    .replace(ANN, `did:key:${ANN}`);
  assert.equal(serialiseAccess(parseAccess(text)), TEXT);
});

const REFUSED:
  readonly (readonly [what: string, from: string | RegExp, to: string, message: RegExp])[] = [
    ["it is empty", /^[^]*$/, "", /a value is missing at line 1, column 1/],
    ["it is truncated", /"revocations"[^]*$/, "", /a member name is missing at line 12/],
    ["the version is 2", '"version": 1', '"version": 2', /version is not an integer from 1 to 1/],
    ["the revocations are missing", /,\s*"revocations": \[[^]*\]/, "", /revocations is missing/],
    [
      "a list comes twice",
      '"grants": [',
      '"revocations": [], "grants": [',
      /a member name comes twice/,
    ],
    ["a field is unknown", '"origin"', '"note": "", "origin"', /grants\[0\]\.note is unknown/],
    [
      "a grant is text",
      /\{\s*"peer": "z6Mk\w*",\s*"service": "mcp[^}]*\}/,
      '"x"',
      /grants\[0\] is not an object/,
    ],
    ["the peer is a petname", ANN, "ann", /grants\[0\]\.peer: .*it has 3 characters/],
    ["the service is a server name", "mcp/files", "files", /grants\[0\]\.service: .*neither/],
    [
      "the service is the control service",
      "mcp/files",
      "talos/control",
      /grants\[0\]\.service: .*neither/,
    ],
    ["the service is a glob", "mcp/files", "mcp/*", /grants\[0\]\.service: .*neither/],
    ["the origin is empty", '"invite"', '""', /grants\[0\]\.origin: it is not 1 to 64 bytes/],
    [
      "the origin has a control character",
      '"invite"',
      '"\\u001b"',
      /grants\[0\]\.origin: it is not/,
    ],
    [
      "the end is a date without a time",
      "2026-02-01T12:30:00.000Z",
      "2026-02-01",
      /grants\[0\]\.expires is not a time/,
    ],
    ["the end has no offset", "12:30:00.000Z", "12:30:00", /grants\[0\]\.expires is not a time/],
    ["the end does not exist", "2026-02-01T", "2026-02-29T", /grants\[0\]\.expires is not a time/],
    [
      "the end is a number",
      '"2026-02-01T12:30:00.000Z"',
      "5",
      /grants\[0\]\.expires is not a string/,
    ],
    ["the end is missing", /,\s*"expires": "[^"]*"/, "", /grants\[0\]\.expires is missing/],
    [
      "a revocation is malformed",
      '"service": "*"',
      '"service": 1',
      /revocations\[0\]\.service is not a string/,
    ],
  ];

for (const [what, from, to, message] of REFUSED) {
  Deno.test(`parseAccess() throws access_corrupted when ${what}`, async () => {
    const text = TEXT.replace(from, to);
    assert.notEqual(text, TEXT);
    assert.equal(await codeOf(() => parseAccess(text)), "access_corrupted");
    assert.match(await messageFrom(() => parseAccess(text)), message);
  });
}

Deno.test("parseAccess() throws access_corrupted when two grants or revocations are about the same", async () => {
  const { grants, revocations } = parseAccess(TEXT);
  const twice = serialiseAccess({ grants: [...grants, ...grants], revocations });
  assert.match(
    await messageFrom(() => parseAccess(twice)),
    /grants\[1\] has the peer and service of grants\[0\]/,
  );
  const both = serialiseAccess({ grants, revocations: [...revocations, ...revocations] });
  assert.match(
    await messageFrom(() => parseAccess(both)),
    /revocations\[1\] has the peer and service/,
  );
});

Deno.test("parseAccess() throws access_corrupted at every truncation", async () => {
  for (let length = 0; length < TEXT.length - 1; length++) {
    assert.equal(await codeOf(() => parseAccess(TEXT.slice(0, length))), "access_corrupted");
  }
});
