import assert from "node:assert/strict";

import { readInvites, updateInvites } from "../../lib/identity/invites_file.ts";
import { parseInvites, serialiseInvites } from "../../lib/identity/invites_format.ts";
import type { Invite } from "../../lib/identity/invites.ts";
import { mcpService, parsePetname, parseServerName } from "../../lib/identity/names.ts";
import { codeOf, samplePeer, temporaryHome } from "./temporary_home.ts";

const INVITE: Invite = {
  id: "invite-0123456789ab",
  key: new Uint8Array(32).fill(7),
  service: mcpService(parseServerName("notes")),
  petname: parsePetname("anna"),
  uses: 2,
  usedBy: [samplePeer(1)],
  createdAt: 1_750_000_000_000,
  expires: 1_750_086_400_000,
  revokedAt: null,
};

const TEXT = `{
  "version": 1,
  "invites": [
    {
      "id": "invite-0123456789ab",
      "key": "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc",
      "service": "mcp/notes",
      "name": "anna",
      "uses": 2,
      "used_by": [
        "${samplePeer(1)}"
      ],
      "created_at": "2025-06-15T15:06:40.000Z",
      "expires": "2025-06-16T15:06:40.000Z",
      "revoked_at": null
    }
  ]
}
`;

Deno.test("serialiseInvites() writes JSON for people, and parseInvites() reads it", () => {
  assert.equal(serialiseInvites([INVITE]), TEXT);
  assert.deepEqual(parseInvites(TEXT), [INVITE]);
  const other = { ...INVITE, petname: null, revokedAt: 1_750_000_000_001 };
  assert.deepEqual(parseInvites(serialiseInvites([other])), [other]);
});

Deno.test("parseInvites() throws invites_corrupted for whatever it did not write", async () => {
  const wrong: readonly (readonly [string, string])[] = [
    ['"version": 1', '"version": 2'],
    ["invite-0123456789ab", "invite-0123456789AB"],
    ["BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc", "BwcH"],
    ["BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc", "!"],
    ["mcp/notes", "talos/control"],
    ['"anna"', '"a b"'],
    ['"uses": 2', '"uses": 0'],
    ['"uses": 2', '"uses": 101'],
    [samplePeer(1), "z6Mk"],
    [`"${samplePeer(1)}"`, "1"],
    [`"${samplePeer(1)}"`, Array(3).fill(`"${samplePeer(1)}"`).join()],
    ['"revoked_at": null', '"revoked_at": "yesterday"'],
    ['"revoked_at": null', '"revoked_at": null, "more": 1'],
  ];
  for (const [from, to] of wrong) {
    const text = TEXT.replace(from, to);
    assert.notEqual(text, TEXT);
    assert.equal(await codeOf(() => parseInvites(text)), "invites_corrupted", to);
  }
});

Deno.test("updateInvites() writes a private file, and readInvites() reads it", async () => {
  await using home = await temporaryHome();
  assert.deepEqual(readInvites(home.paths), []);
  const result = await updateInvites(home.paths, (before) => [[...before, INVITE], "made"]);
  assert.equal(result, "made");
  assert.deepEqual(readInvites(home.paths), [INVITE]);
  if (Deno.build.os !== "windows") {
    assert.equal((Deno.statSync(home.paths.invites).mode ?? 0) & 0o777, 0o600);
  }
});

Deno.test("updateInvites() loses nothing when many change it at once", async () => {
  await using home = await temporaryHome();
  const ids = Array.from({ length: 20 }, (_, n) => `invite-0000000000${10 + n}`);
  await Promise.all(
    ids.map((id) =>
      updateInvites(home.paths, (before) => [[...before, { ...INVITE, id }], undefined])
    ),
  );
  assert.deepEqual(readInvites(home.paths).map(({ id }) => id).sort(), ids);
});

Deno.test({
  name: "readInvites() throws invites_permissions when others can read the file",
  ignore: Deno.build.os === "windows",
  async fn() {
    await using home = await temporaryHome();
    await Deno.writeTextFile(home.paths.invites, TEXT, { mode: 0o644 });
    assert.equal(await codeOf(() => readInvites(home.paths)), "invites_permissions");
  },
});
