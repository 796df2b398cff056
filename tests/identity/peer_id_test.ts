/** Peer IDs: the did:key examples of the W3C, and every reason for which a text is refused. */

import assert from "node:assert/strict";
import { concat, fromHex, hex } from "../../lib/bytes.ts";
import { ed25519PublicKey, isSafeEd25519PublicKey } from "../../lib/crypto/ed25519.ts";
import { generateEd25519SecretKey } from "../../lib/crypto/ed25519.ts";
import { encodeBase58 } from "../../lib/identity/base58.ts";
import { IdentityError } from "../../lib/identity/errors.ts";
import {
  parsePeerId,
  PEER_ID_CHARACTERS,
  peerIdOf,
  publicKeyOf,
  shortPeerId,
} from "../../lib/identity/peer_id.ts";
import { SeededRandom } from "../../scripts/seeded_random.ts";

// The did:key Method §1.1 and its Ed25519 examples; RFC 8032 §7.1, TEST 1.
const VECTORS = [
  [
    "2e6fcce36701dc791488e0d0b1745cc1e33a4c1c9fcc41c63bd343dbbe0970e6",
    "z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK",
  ],
  [
    "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
    "z6MktwupdmLXVVqTzCw4i46r4uGyosGXRnR3XjN4Zq7oMMsw",
  ],
] as const;

const GOOD = VECTORS[0][1];

for (const [key, id] of VECTORS) {
  Deno.test(`peerIdOf() and publicKeyOf() agree with the vector ${id}`, () => {
    const publicKey = fromHex(key);
    assert(isSafeEd25519PublicKey(publicKey));
    assert.equal(peerIdOf(publicKey), id);
    assert.equal(hex(publicKeyOf(parsePeerId(id))), key);
  });
}

Deno.test("parsePeerId() takes did:key: off when it stands before a Peer ID", () => {
  assert.equal(parsePeerId(`did:key:${GOOD}`), GOOD);
});

Deno.test("parsePeerId() accepts what peerIdOf() made, for seeded keys", () => {
  const random = new SeededRandom("peer id");
  for (let run = 0; run < 50; run++) {
    const key = ed25519PublicKey(generateEd25519SecretKey(random.bytes));
    const id = peerIdOf(key);
    assert.equal(id.length, PEER_ID_CHARACTERS);
    assert.match(id, /^z6Mk/);
    assert.equal(parsePeerId(id), id);
    assert.deepEqual(publicKeyOf(id), key);
  }
});

function idOf(codec: string, key: string): string {
  return "z" + encodeBase58(concat(fromHex(codec), fromHex(key)));
}

const KEY = VECTORS[0][0];

const REFUSED: readonly (readonly [what: string, text: string, message: RegExp])[] = [
  ["it is empty", "", /it has 0 characters, a Peer ID has 48/],
  ["a character is missing", GOOD.slice(0, -1), /it has 47 characters/],
  ["a character is too many", GOOD + "1", /it has 49 characters/],
  ["a space follows", GOOD + " ", /it has 49 characters/],
  ["did:key: comes twice", `did:key:did:key:${GOOD}`, /it has 56 characters/],
  ["the DID method is another", `did:web:${GOOD}`, /it has 56 characters/],
  ["the DID has a fragment", `did:key:${GOOD}#${GOOD}`, /it has 97 characters/],
  ["it begins with another multibase", "Q" + GOOD.slice(1), /begins with "Q6Mk"/],
  ["it is upper case", GOOD.toUpperCase(), /begins with "Z6MK"/],
  ["it has a 0", "z6Mk0" + GOOD.slice(5), /character 5 is "0" \(Peer IDs have no 0, O, I and l/],
  ["it has an O", GOOD.slice(0, 46) + "O" + "K", /character 47 is "O" \(/],
  ["it has an I", GOOD.slice(0, 47) + "I", /character 48 is "I" \(/],
  ["it has an l", GOOD.slice(0, 10) + "l" + GOOD.slice(11), /character 11 is "l" \(/],
  ["it has a hyphen", GOOD.slice(0, 10) + "-" + GOOD.slice(11), /character 11 is "-"$/],
  ["it has a NUL", GOOD.slice(0, 10) + "\0" + GOOD.slice(11), /character 11 is "\ufffd"$/],
  ["it has an emoji", GOOD.slice(0, 10) + "😀" + GOOD.slice(12), /character 11 is "😀"$/u],
  [
    "it has half an emoji",
    GOOD.slice(0, 10) + "\ud83d" + GOOD.slice(11),
    /character 11 is "\ufffd"$/,
  ],
  ["it is an X25519 key", idOf("ec01", KEY), /an X25519 key \(multicodec 0xec01\)/],
  ["it is no key at all", idOf("ff01", KEY), /not an Ed25519 key \(multicodec 0xff01\)/],
  ["it begins with z6Ml", "z6Mz" + GOOD.slice(4), /not an Ed25519 key \(multicodec 0xed../],
  ["it is all ones", "z" + "1".repeat(47), /not an Ed25519 key \(multicodec 0x0000\)/],
  ["it is all z", "z".repeat(48), /not an Ed25519 key \(multicodec 0x/],
  // y = 1, the neutral element; y = 0, order 4; a point of order 8; y = 2, not on the curve; p + 1.
  [
    "its key is neutral",
    idOf("ed01", "01" + "00".repeat(31)),
    /: at least one character is wrong: what it says is no key/,
  ],
  [
    "its key has order 4",
    idOf("ed01", "00".repeat(32)),
    /: at least one character is wrong: what it says is no key/,
  ],
  [
    "its key has order 8",
    idOf("ed01", "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
    /: at least one character is wrong: what it says is no key/,
  ],
  [
    "its key is off the curve",
    idOf("ed01", "02" + "00".repeat(31)),
    /: at least one character is wrong: what it says is no key/,
  ],
  [
    "its key is not canonical",
    idOf("ed01", "ee" + "ff".repeat(30) + "7f"),
    /: at least one character is wrong: what it says is no key/,
  ],
];

for (const [what, text, message] of REFUSED) {
  Deno.test(`parsePeerId() throws peer_id_invalid when ${what}`, () => {
    assert.throws(
      () => parsePeerId(text),
      (error) =>
        error instanceof IdentityError && error.code === "peer_id_invalid" &&
        message.test(error.message) && error.hints.length === 1,
    );
  });
}

Deno.test("parsePeerId() refuses each of 2,000 mutated Peer IDs or gives one with another key", () => {
  const random = new SeededRandom("peer id mutations");
  const digits = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz0OIl-";
  for (let run = 0; run < 2000; run++) {
    const at = random.below(48);
    const text = GOOD.slice(0, at) + random.pick([...digits]) + GOOD.slice(at + 1);
    try {
      const id = parsePeerId(text);
      assert.equal(id, text);
      assert.equal(peerIdOf(publicKeyOf(id)), text);
    } catch (error) {
      if (!(error instanceof IdentityError)) throw error;
    }
  }
});

Deno.test("shortPeerId() shows z6Mk and eight characters", () => {
  assert.equal(shortPeerId(parsePeerId(GOOD)), "z6MkhaXgBZDv…");
});
