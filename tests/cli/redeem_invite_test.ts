import assert from "node:assert/strict";

import { type GuestSession, hasPendingInvite, Redeemer } from "../../lib/cli/redeem_invite.ts";
import { grant, revoke } from "../../lib/identity/access.ts";
import { readAccess, updateAccess } from "../../lib/identity/access_file.ts";
import { addContact, petnameOf } from "../../lib/identity/contacts.ts";
import { Database } from "../../lib/identity/database.ts";
import { addInvite, type Invite, revokeInvite } from "../../lib/identity/invites.ts";
import { readInvites, updateInvites } from "../../lib/identity/invites_file.ts";
import type { LocalIdentity } from "../../lib/identity/local_identity.ts";
import { mcpService, parsePetname, parseServerName } from "../../lib/identity/names.ts";
import { inviteIdOf, inviteKeyOf, type JoinAnswer, joinProof } from "../../lib/session/join.ts";
import { seededIdentity } from "../../scripts/seeded_identity.ts";
import { keptLog, type TemporaryHome, temporaryHome } from "../identity/temporary_home.ts";
import { FakeClock } from "../session/fake_clock.ts";

const HOST = seededIdentity("host");
const ANNA = seededIdentity("anna");
const BOB = seededIdentity("bob");
const NOW = 1_750_000_000_000;
const DAY = 86_400_000;
const SECRET = new Uint8Array(16).fill(5);
const ID = inviteIdOf(SECRET);
const NOTES = mcpService(parseServerName("notes"));
const HASH = new Uint8Array(32).fill(9);

/** A home with one invite, and what lets in those who hold its ticket. */
class Scene implements AsyncDisposable {
  readonly clock = new FakeClock(NOW);
  readonly kept = keptLog();
  readonly home: TemporaryHome;
  readonly database: Database;
  readonly redeemer: Redeemer;

  private constructor(home: TemporaryHome) {
    this.home = home;
    this.database = new Database(home.paths, HOST.peerId);
    this.redeemer = this.another();
  }

  static async make(part: Partial<Invite> = {}): Promise<Scene> {
    const scene = new Scene(await temporaryHome());
    const invite: Invite = {
      id: ID,
      key: inviteKeyOf(SECRET),
      service: NOTES,
      petname: null,
      uses: 1,
      usedBy: [],
      createdAt: NOW,
      expires: NOW + DAY,
      revokedAt: null,
      ...part,
    };
    await updateInvites(scene.home.paths, (all) => [addInvite(all, invite, NOW), undefined]);
    return scene;
  }

  /** Another process of the home. */
  another(): Redeemer {
    return new Redeemer({
      paths: this.home.paths,
      database: this.database,
      clock: this.clock,
      log: this.kept.log,
      name: "Linux Box",
      endpoint: () => undefined,
    });
  }

  /** Shows a ticket. */
  async join(guest: LocalIdentity, options: {
    readonly secret?: Uint8Array<ArrayBuffer>;
    readonly source?: string;
    readonly name?: string;
    readonly proof?: Uint8Array<ArrayBuffer>;
    readonly by?: Redeemer;
  } = {}): Promise<JoinAnswer> {
    const { secret = SECRET, source = "192.0.2.1", name = "Anna's Mac", by } = options;
    const session: GuestSession = {
      connection: { peer: guest.peerId, handshakeHash: HASH },
      path: { kind: "direct", remote: `${source}:1`, source },
    };
    return await (by ?? this.redeemer).redeem(session, {
      invite: inviteIdOf(secret),
      proof: options.proof ?? joinProof(inviteKeyOf(secret), HASH, guest.peerId),
      name,
    });
  }

  /** Who is granted what, and by what. */
  get grants(): string[] {
    return readAccess(this.home.paths).grants.map(({ peer, service, origin, expires }) => {
      const who = peer === ANNA.peerId ? "anna" : peer === BOB.peerId ? "bob" : peer;
      return `${who} ${service} ${origin} ${expires}`;
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.database[Symbol.dispose]();
    await this.home[Symbol.asyncDispose]();
  }
}

function codeIn(answer: JoinAnswer): string {
  return "joined" in answer ? "joined" : answer.refused;
}

Deno.test("Redeemer lets in who proves the secret: a grant, a contact, and its answer", async () => {
  await using scene = await Scene.make();
  assert.deepEqual(await scene.join(ANNA), {
    joined: { name: "Linux Box", service: "mcp/notes", called: "Anna-s-Mac" },
  });
  assert.deepEqual(scene.grants, ["anna mcp/notes invite null"]);
  assert.equal(petnameOf(scene.database, ANNA.peerId), "Anna-s-Mac");
  assert.deepEqual(readInvites(scene.home.paths)[0]?.usedBy, [ANNA.peerId]);
  assert.match(scene.kept.lines.join("\n"), /a ticket was used.* words="[a-z]+ [a-z]+ [a-z]+"/);
});

Deno.test("Redeemer calls a guest as the invite says, or as before", async () => {
  await using scene = await Scene.make({ petname: parsePetname("team"), uses: 3 });
  addContact(scene.database, parsePetname("robert"), BOB.peerId, NOW);
  const called = async (guest: LocalIdentity) => {
    const answer = await scene.join(guest);
    return "joined" in answer ? answer.joined.called : answer.refused;
  };
  assert.equal(await called(ANNA), "team");
  assert.equal(await called(BOB), "robert");
  assert.equal(await called(seededIdentity("carol")), "team-2");
});

Deno.test("Redeemer says that a ticket was used to the next one, and again yes to the same one", async () => {
  await using scene = await Scene.make();
  assert.equal(codeIn(await scene.join(ANNA)), "joined");
  assert.deepEqual(await scene.join(BOB), {
    refused: "invite_used",
    reason: "the ticket was used already, and is good for once",
  });
  assert.equal(codeIn(await scene.join(ANNA)), "joined", "the answer may have been lost");
  assert.deepEqual(scene.grants, ["anna mcp/notes invite null"]);
});

Deno.test("Redeemer gives nobody back what was taken away since", async () => {
  await using scene = await Scene.make({ uses: 2 });
  await scene.join(ANNA);
  const rule = { peer: ANNA.peerId, service: NOTES, revokedAt: NOW };
  await updateAccess(scene.home.paths, (access) => revoke(access, rule));
  assert.deepEqual(await scene.join(ANNA), {
    refused: "unauthorized",
    reason: "this peer was revoked there",
  });
  await updateAccess(scene.home.paths, () => ({ grants: [], revocations: [] }));
  assert.equal(codeIn(await scene.join(BOB)), "joined");
  assert.equal(codeIn(await scene.join(ANNA)), "invite_used", "the file was edited by hand");
  assert.deepEqual(scene.grants, ["bob mcp/notes invite null"]);
});

Deno.test("Redeemer lets in nobody who is revoked, and the ticket stays good for others", async () => {
  await using scene = await Scene.make();
  const rule = { peer: ANNA.peerId, service: "*", revokedAt: NOW } as const;
  await updateAccess(scene.home.paths, (access) => revoke(access, rule));
  assert.equal(codeIn(await scene.join(ANNA)), "unauthorized");
  assert.equal(codeIn(await scene.join(BOB)), "joined");
  assert.deepEqual(scene.grants, ["bob mcp/notes invite null"]);
});

Deno.test("Redeemer makes a permission that would expire one that does not", async () => {
  await using scene = await Scene.make();
  await updateAccess(scene.home.paths, (access) =>
    grant(access, {
      peer: ANNA.peerId,
      service: NOTES,
      origin: "command",
      grantedAt: NOW,
      expires: NOW + 1,
    }));
  assert.equal(codeIn(await scene.join(ANNA)), "joined");
  assert.deepEqual(scene.grants, ["anna mcp/notes invite null"]);
});

Deno.test("Redeemer says that a ticket expired when its time is over", async () => {
  await using scene = await Scene.make();
  await scene.clock.advance(DAY - 1);
  assert.equal(codeIn(await scene.join(ANNA, { secret: new Uint8Array(16) })), "invite_unknown");
  await scene.clock.advance(1);
  assert.deepEqual(await scene.join(ANNA), {
    refused: "invite_expired",
    reason: "the ticket held until 2025-06-16T15:06:40.000Z",
  });
  assert.deepEqual(scene.grants, []);
});

Deno.test("Redeemer says that a ticket was withdrawn, also to one who used it", async () => {
  await using scene = await Scene.make({ uses: 2 });
  assert.equal(codeIn(await scene.join(ANNA)), "joined");
  await updateInvites(scene.home.paths, (all) => [revokeInvite(all, ID, NOW), undefined]);
  const refused = {
    refused: "invite_revoked",
    reason: "the ticket was withdrawn at 2025-06-15T15:06:40.000Z",
  };
  assert.deepEqual(await scene.join(BOB), refused);
  assert.deepEqual(await scene.join(ANNA), refused);
});

Deno.test("Redeemer tells who proves nothing that there is no such ticket, whatever there is", async () => {
  await using scene = await Scene.make();
  const unknown = { refused: "invite_unknown", reason: "the host knows no such ticket" };
  const proofs = {
    "of another peer": joinProof(inviteKeyOf(SECRET), HASH, BOB.peerId),
    "of another connection": joinProof(inviteKeyOf(SECRET), new Uint8Array(32), ANNA.peerId),
    "of another secret": joinProof(inviteKeyOf(new Uint8Array(16)), HASH, ANNA.peerId),
    "with the secret itself as its key": joinProof(SECRET, HASH, ANNA.peerId),
  };
  let source = 1;
  for (const [what, proof] of Object.entries(proofs)) {
    const answer = await scene.join(ANNA, { proof, source: `192.0.2.${source++}` });
    assert.deepEqual(answer, unknown, what);
  }
  await updateInvites(scene.home.paths, (all) => [revokeInvite(all, ID, NOW), undefined]);
  assert.deepEqual(await scene.join(ANNA, { proof: new Uint8Array(32) }), unknown);
  assert.deepEqual(scene.grants, []);
});

Deno.test("Redeemer looks at no ticket of a source that guessed five times, until a while later", async () => {
  await using scene = await Scene.make();
  const guess = (source: string) => scene.join(BOB, { secret: new Uint8Array(16), source });
  for (let count = 0; count < 5; count++) {
    assert.equal(codeIn(await guess("203.0.113.1")), "invite_unknown");
  }
  assert.deepEqual(await guess("203.0.113.1"), {
    refused: "invite_limited",
    reason: "too many wrong tickets came; try again in 12 s",
  });
  assert.equal(codeIn(await scene.join(ANNA, { source: "203.0.113.1" })), "invite_limited");
  assert.equal(codeIn(await scene.join(ANNA, { source: "192.0.2.1" })), "joined");
  await scene.clock.advance(12_000);
  assert.equal(codeIn(await guess("203.0.113.1")), "invite_unknown");
  const logged = scene.kept.lines.filter((line) => line.includes("a ticket was refused"));
  assert.equal(logged.length, 6, "what was not looked at is not logged");
});

Deno.test("Redeemer counts guesses that come at once", async () => {
  await using scene = await Scene.make();
  const secret = new Uint8Array(16);
  const answers = await Promise.all(
    Array.from({ length: 8 }, () => scene.join(BOB, { secret, source: "203.0.113.1" })),
  );
  const counted = (code: string) => answers.filter((answer) => codeIn(answer) === code).length;
  assert.deepEqual([counted("invite_unknown"), counted("invite_limited")], [5, 3]);
});

Deno.test("Redeemer bounds guesses from everywhere together", async () => {
  await using scene = await Scene.make();
  for (let count = 0; count < 50; count++) {
    const source = `198.51.100.${count}`;
    const answer = await scene.join(BOB, { secret: new Uint8Array(16), source });
    assert.equal(codeIn(answer), "invite_unknown");
  }
  assert.equal(codeIn(await scene.join(ANNA)), "invite_limited");
  await scene.clock.advance(1_000);
  assert.equal(codeIn(await scene.join(ANNA)), "joined");
});

Deno.test("Redeemer lets one of two in when they race for one use, in two processes as well", async () => {
  await using scene = await Scene.make();
  const answers = await Promise.all([
    scene.join(ANNA),
    scene.join(BOB, { by: scene.another() }),
    scene.join(seededIdentity("carol")),
  ]);
  assert.deepEqual(answers.map(codeIn).sort(), ["invite_used", "invite_used", "joined"]);
  assert.equal(scene.grants.length, 1);
});

Deno.test("Redeemer tells a guest nothing of a broken file, and the log everything", async () => {
  await using scene = await Scene.make();
  await Deno.writeTextFile(scene.home.paths.invites, "{");
  await assert.rejects(scene.join(ANNA), {
    code: "service_failed",
    message: "the ticket cannot be looked at",
  });
  assert.match(scene.kept.lines.join("\n"), /a ticket cannot be looked at.*invites\.json/);
  assert.equal(hasPendingInvite(scene.home.paths, NOW), false);
});

Deno.test("hasPendingInvite() tells whether any ticket is good now", async () => {
  await using scene = await Scene.make();
  assert.equal(hasPendingInvite(scene.home.paths, NOW), true);
  assert.equal(hasPendingInvite(scene.home.paths, NOW + DAY), false);
});
