import assert from "node:assert/strict";

import { parsePetname } from "../../lib/identity/names.ts";
import { suggestedPetname } from "../../lib/identity/suggested_petname.ts";
import { SeededRandom } from "../../scripts/seeded_random.ts";
import { samplePeer } from "./temporary_home.ts";

const PEER = samplePeer(1);

Deno.test("suggestedPetname() makes a name that can be typed of what a peer calls itself", () => {
  const names: Record<string, string> = {
    "anna": "anna",
    "LinuxBox": "LinuxBox",
    "Anna's MacBook Pro": "Anna-s-MacBook-Pro",
    "Ops/Anna Müller": "Ops-Anna-Müller",
    "anna@home": "anna-home",
    "--force": "force",
    "../../etc": "etc",
    "a\u202eb\u200bc": "abc",
    "ｆｕｌｌ": "full",
    "talos: rm -rf ~": "talos-rm--rf",
    "安娜": "安娜",
    ["x".repeat(64)]: "x".repeat(60),
  };
  for (const [called, name] of Object.entries(names)) {
    assert.equal(suggestedPetname(called, PEER, []), name);
  }
});

Deno.test("suggestedPetname() names the peer when nothing of its name can be used", () => {
  const fallback = `peer-${PEER.slice(4, 10).toLowerCase()}`;
  for (const called of ["", "   ", "///", "\u202e", "z6MkSomebodyElse", "invite-0123456789ab"]) {
    assert.equal(suggestedPetname(called, PEER, []), fallback, JSON.stringify(called));
  }
});

Deno.test("suggestedPetname() counts when the name is taken, in whatever case", () => {
  assert.equal(suggestedPetname("Anna", PEER, ["anna"]), "Anna-2");
  assert.equal(suggestedPetname("anna", PEER, ["ANNA", "anna-2", "anna-3"]), "anna-4");
});

Deno.test("suggestedPetname() returns a petname for every text", () => {
  const random = new SeededRandom("petnames");
  for (let round = 0; round < 2_000; round++) {
    const length = random.below(40);
    const called = Array.from(
      { length },
      () => String.fromCodePoint(random.below(random.pick([0x80, 0x300, 0x3000, 0xd800]))),
    ).join("");
    const name = suggestedPetname(called, PEER, [called]);
    assert.equal(parsePetname(name), name);
  }
});
