import assert from "node:assert/strict";

import {
  addInvite,
  type Invite,
  inviteState,
  revokeInvite,
  useInvite,
} from "../../lib/identity/invites.ts";
import { mcpService, parseServerName } from "../../lib/identity/names.ts";
import { codeOf, samplePeer } from "./temporary_home.ts";

const NOW = 1_750_000_000_000;
const DAY = 86_400_000;
const ANNA = samplePeer(1);
const BOB = samplePeer(2);

/** An invite that holds for a day. */
export function invite(part: Partial<Invite> = {}): Invite {
  return {
    id: "invite-0123456789ab",
    key: new Uint8Array(32).fill(7),
    service: mcpService(parseServerName("default")),
    petname: null,
    uses: 1,
    usedBy: [],
    createdAt: NOW,
    expires: NOW + DAY,
    revokedAt: null,
    ...part,
  };
}

Deno.test("inviteState() is pending until the invite's end, its last use or its withdrawal", () => {
  assert.equal(inviteState(invite(), NOW), "pending");
  assert.equal(inviteState(invite(), NOW + DAY - 1), "pending");
  assert.equal(inviteState(invite(), NOW + DAY), "expired");
  assert.equal(inviteState(invite({ usedBy: [ANNA] }), NOW), "used");
  assert.equal(inviteState(invite({ usedBy: [ANNA], uses: 2 }), NOW), "pending");
  assert.equal(inviteState(invite({ usedBy: [ANNA, BOB], uses: 2 }), NOW), "used");
  assert.equal(inviteState(invite({ revokedAt: NOW }), NOW), "revoked");
  assert.equal(inviteState(invite({ revokedAt: NOW, usedBy: [ANNA] }), NOW + DAY), "revoked");
});

Deno.test("addInvite() keeps spent invites for 30 days behind their end", () => {
  const old = invite({ id: "invite-000000000000" });
  const kept = addInvite([old], invite(), NOW + 31 * DAY - 1);
  assert.deepEqual(kept.map(({ id }) => id), ["invite-000000000000", "invite-0123456789ab"]);
  const dropped = addInvite([old], invite(), NOW + 31 * DAY);
  assert.deepEqual(dropped.map(({ id }) => id), ["invite-0123456789ab"]);
});

Deno.test("addInvite() throws invite_limit for too many, too long and too often", async () => {
  const many = Array.from({ length: 256 }, () => invite());
  assert.equal(await codeOf(() => addInvite(many, invite(), NOW)), "invite_limit");
  assert.equal(addInvite(many.slice(1), invite(), NOW).length, 256);
  for (const uses of [0, 101, 1.5]) {
    assert.equal(await codeOf(() => addInvite([], invite({ uses }), NOW)), "invite_limit");
  }
  const expires = NOW + 365 * DAY;
  assert.equal(addInvite([], invite({ expires }), NOW).length, 1);
  assert.equal(
    await codeOf(() => addInvite([], invite({ expires: expires + 1 }), NOW)),
    "invite_limit",
  );
});

Deno.test("useInvite() adds a peer to those who used the invite, and leaves others alone", () => {
  const other = invite({ id: "invite-000000000000" });
  const [before, after] = useInvite([other, invite()], invite().id, ANNA);
  assert.equal(before, other);
  assert.deepEqual(after?.usedBy, [ANNA]);
});

Deno.test("revokeInvite() withdraws once, and throws no_such_invite when there is none", async () => {
  const [once] = revokeInvite([invite()], invite().id, NOW + 1);
  assert.equal(once?.revokedAt, NOW + 1);
  const [twice] = revokeInvite([invite({ revokedAt: NOW + 1 })], invite().id, NOW + 2);
  assert.equal(twice?.revokedAt, NOW + 1);
  assert.equal(
    await codeOf(() => revokeInvite([], invite().id, NOW)),
    "no_such_invite",
  );
});
