import assert from "node:assert/strict";
import { fromHex, hex } from "../../lib/bytes.ts";
import { ed25519PublicKey, parseEd25519SecretKey } from "../../lib/crypto/ed25519.ts";
import { firstContact } from "../../registry/first_contact.ts";

// RFC 8032 §7.1, test 1.
const KEY = ed25519PublicKey(
  parseEd25519SecretKey(
    fromHex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"),
  ),
);

/** The action, and the bytes of an answer. */
function actionOf(preface: string): string {
  const contact = firstContact(fromHex(preface), KEY);
  return contact.action === "answer" ? `answer ${hex(contact.bytes)}` : contact.action;
}

Deno.test("firstContact() shakes hands when the caller wants a registry", () => {
  assert.equal(actionOf("54414c4f53010100"), "handshake");
});

Deno.test("firstContact() takes a leg when the caller wants a circuit", () => {
  assert.equal(actionOf("54414c4f53010300"), "circuit");
});

Deno.test("firstContact() answers the preface and the public key when asked who it is", () => {
  assert.equal(
    actionOf("54414c4f53010200"),
    "answer 54414c4f53010200d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
  );
});

Deno.test("firstContact() answers the versions it speaks when it does not know the caller's", () => {
  assert.equal(actionOf("54414c4f53020100"), "answer 54414c4f53010100");
  assert.equal(actionOf("54414c4f53ff0900"), "answer 54414c4f53010100");
});

for (
  const [what, preface] of [
    ["wants a peer", "54414c4f53010000"],
    ["names an unknown kind", "54414c4f53010400"],
    ["ends its preface with another byte than 0", "54414c4f53010201"],
    ["speaks HTTP", "474554202f204854"],
  ] as const
) {
  Deno.test(`firstContact() closes without a word when the caller ${what}`, () => {
    assert.equal(actionOf(preface), "close");
  });
}
