/** CipherState: nonces, rekey, limits, and what a failure leaves behind. */

import assert from "node:assert/strict";
import { gcm } from "@noble/ciphers/aes.js";
import { chacha20poly1305 } from "@noble/ciphers/chacha.js";
import { EMPTY, fromHex, hex, utf8 } from "../../lib/bytes.ts";
import { CipherState } from "../../lib/noise/cipher_state.ts";
import { TALOS_SUITE } from "../../lib/noise/suite.ts";
import { vectorSuite } from "./vector_suites.ts";

const KEY = fromHex("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f");
const AD = utf8("ad");
const CHACHA = TALOS_SUITE.cipher;
const AESGCM = vectorSuite("25519_AESGCM_SHA256")?.cipher ?? assert.fail();

const state = (nonce = 0) => new CipherState(CHACHA, KEY, nonce);

for (
  const [nonce, littleEndian] of [
    [0, "000000000000000000000000"],
    [1, "000000000100000000000000"],
    [0x01020304, "000000000403020100000000"],
    [0xffffffff, "00000000ffffffff00000000"],
    [2 ** 32, "000000000000000001000000"],
    [2 ** 53 - 2, "00000000feffffffffff1f00"],
  ] as const
) {
  Deno.test(`encryptWithAd() uses the nonce ${littleEndian} for message ${nonce}`, () => {
    const expected = chacha20poly1305(KEY, fromHex(littleEndian), AD).encrypt(utf8("text"));
    const ciphertext = state(nonce).encryptWithAd(AD, utf8("text"));
    assert.equal(hex(ciphertext), hex(new Uint8Array(expected)));
    assert.equal(hex(state(nonce).decryptWithAd(AD, ciphertext)), hex(utf8("text")));
  });
}

Deno.test("encryptWithAd() writes the counter big-endian for AESGCM", () => {
  const expected = gcm(KEY, fromHex("000000000000000102030405"), AD).encrypt(utf8("text"));
  const aes = new CipherState(AESGCM, KEY, 0x0102030405);
  assert.equal(hex(aes.encryptWithAd(AD, utf8("text"))), hex(new Uint8Array(expected)));
});

Deno.test("encryptWithAd() and decryptWithAd() count up by one for each message", () => {
  const [sender, receiver] = [state(), state()];
  for (let n = 0; n < 300; n++) {
    assert.equal(sender.nonce, n);
    assert.equal(
      hex(receiver.decryptWithAd(AD, sender.encryptWithAd(AD, utf8(`${n}`)))),
      hex(utf8(`${n}`)),
    );
  }
  assert.equal(receiver.nonce, 300);
});

Deno.test("encryptWithAd() throws nonce_exhausted at 2^53 − 1 and stays there", () => {
  const last = state(2 ** 53 - 2);
  const ciphertext = last.encryptWithAd(AD, EMPTY);
  for (let again = 0; again < 2; again++) {
    assert.throws(() => last.encryptWithAd(AD, EMPTY), { code: "nonce_exhausted" });
    assert.throws(() => last.decryptWithAd(AD, ciphertext), { code: "nonce_exhausted" });
  }
});

Deno.test("decryptWithAd() leaves the nonce alone when a message is not authentic", () => {
  const [sender, receiver] = [state(), state()];
  const ciphertext = sender.encryptWithAd(AD, utf8("first"));
  const forged = ciphertext.slice();
  forged[0] = (forged[0] ?? 0) ^ 1;
  assert.throws(() => receiver.decryptWithAd(AD, forged), { code: "decrypt_failed" });
  assert.throws(() => receiver.decryptWithAd(EMPTY, ciphertext), { code: "decrypt_failed" });
  assert.equal(hex(receiver.decryptWithAd(AD, ciphertext)), hex(utf8("first")));
});

Deno.test("decryptWithAd() throws decrypt_failed for a replayed, skipped or swapped message", () => {
  const [sender, receiver] = [state(), state()];
  const [first, second, third] = [1, 2, 3].map(() => sender.encryptWithAd(EMPTY, utf8("same")));
  assert(first && second && third);
  receiver.decryptWithAd(EMPTY, first);
  for (const wrong of [first, third]) {
    assert.throws(() => receiver.decryptWithAd(EMPTY, wrong), { code: "decrypt_failed" });
  }
  receiver.decryptWithAd(EMPTY, second);
});

for (const cipher of [CHACHA, AESGCM]) {
  Deno.test(`rekey() is ENCRYPT(k, 2^64 − 1, "", zeros) and keeps the nonce, ${cipher.name}`, () => {
    const nonce = fromHex("00000000ffffffffffffffff");
    const noble = cipher === CHACHA ? chacha20poly1305(KEY, nonce) : gcm(KEY, nonce);
    const newKey = new Uint8Array(noble.encrypt(new Uint8Array(32))).slice(0, 32);
    const rekeyed = new CipherState(cipher, KEY);
    rekeyed.encryptWithAd(AD, utf8("one"));
    rekeyed.rekey();
    assert.equal(rekeyed.nonce, 1);
    assert.equal(
      hex(rekeyed.encryptWithAd(AD, utf8("two"))),
      hex(new CipherState(cipher, newKey, 1).encryptWithAd(AD, utf8("two"))),
    );
  });
}

Deno.test("rekey() on both sides keeps them together, on one side tears them apart", () => {
  const [sender, receiver] = [state(), state()];
  sender.rekey();
  const ciphertext = sender.encryptWithAd(AD, utf8("x"));
  assert.throws(() => receiver.decryptWithAd(AD, ciphertext), { code: "decrypt_failed" });
  receiver.rekey();
  assert.equal(hex(receiver.decryptWithAd(AD, ciphertext)), "78");
});

Deno.test("rekey() is a literal for the key of RFC 8439 §2.8.2", () => {
  const rekeyed = state();
  rekeyed.rekey();
  assert.equal(
    hex(rekeyed.encryptWithAd(EMPTY, utf8("talos"))),
    "5a691ac3d465545317d9f397980de9532d80a3360f",
  );
});

Deno.test("encryptInto() writes what encryptWithAd() returns, at the offset and nowhere else", () => {
  const parts = [utf8("head"), EMPTY, utf8("body")];
  const out = new Uint8Array(40).fill(0xaa);
  assert.equal(state(5).encryptInto(AD, parts, out, 3), 24);
  assert.equal(hex(out.subarray(3, 27)), hex(state(5).encryptWithAd(AD, utf8("headbody"))));
  assert.equal(hex(out.subarray(0, 3)) + hex(out.subarray(27)), "aa".repeat(16));
});

Deno.test("encryptInto() throws buffer_too_small and uses up no nonce", () => {
  const cipher = state();
  const out = new Uint8Array(20);
  assert.throws(() => cipher.encryptInto(AD, [utf8("12345")], out, 0), {
    code: "buffer_too_small",
  });
  assert.throws(() => cipher.encryptInto(AD, [utf8("1234")], out, 1), { code: "buffer_too_small" });
  assert.equal(cipher.nonce, 0);
  assert.equal(cipher.encryptInto(AD, [utf8("1234")], out, 0), 20);
  const withoutKey = new CipherState(CHACHA);
  assert.throws(() => withoutKey.encryptInto(AD, [out], out, 1), { code: "buffer_too_small" });
  assert.equal(withoutKey.encryptInto(AD, [utf8("head"), utf8("body")], out, 12), 8);
  assert.equal(hex(out.subarray(12)), hex(utf8("headbody")));
});

Deno.test("a message of 65,535 bytes passes and one of 65,536 throws message_too_long", () => {
  const [sender, receiver] = [state(), state()];
  const longest = sender.encryptWithAd(EMPTY, new Uint8Array(65_519));
  assert.equal(longest.length, 65_535);
  assert.equal(receiver.decryptWithAd(EMPTY, longest).length, 65_519);
  const over = new Uint8Array(65_520);
  const out = new Uint8Array(70_000);
  assert.throws(() => sender.encryptWithAd(EMPTY, over), { code: "message_too_long" });
  assert.throws(() => sender.encryptInto(EMPTY, [over], out, 0), { code: "message_too_long" });
  assert.throws(() => receiver.decryptWithAd(EMPTY, new Uint8Array(65_536)), {
    code: "message_too_long",
  });
  assert.equal(sender.nonce, 1);
});

Deno.test("decryptWithAd() throws message_too_short below 16 bytes", () => {
  for (let length = 0; length < 16; length++) {
    const ciphertext = new Uint8Array(length);
    assert.throws(() => state().decryptWithAd(AD, ciphertext), { code: "message_too_short" });
  }
});

Deno.test("a cipher state without a key passes messages through, uncounted, and cannot rekey", () => {
  const open = new CipherState(CHACHA);
  const text = utf8("in the clear");
  assert.equal(open.hasKey, false);
  assert.equal(hex(open.encryptWithAd(AD, text)), hex(text));
  const read = open.decryptWithAd(AD, text);
  assert.equal(hex(read), hex(text));
  assert.notEqual(read.buffer, text.buffer);
  assert.equal(open.nonce, 0);
  assert.throws(() => open.rekey(), { code: "missing_key" });
});

Deno.test("the constructor throws bad_length when the key is not 32 bytes long, and copies it", () => {
  for (const length of [0, 16, 31, 33]) {
    assert.throws(() => new CipherState(CHACHA, new Uint8Array(length)), { code: "bad_length" });
  }
  const key = KEY.slice();
  const cipher = new CipherState(CHACHA, key);
  key.fill(0);
  assert.equal(hex(cipher.encryptWithAd(AD, EMPTY)), hex(state().encryptWithAd(AD, EMPTY)));
});

Deno.test("destroy() ends a cipher state: every further use throws dead", () => {
  const cipher = state();
  cipher.destroy();
  cipher.destroy();
  assert.equal(cipher.hasKey, false);
  const out = new Uint8Array(100);
  assert.throws(() => cipher.encryptWithAd(AD, EMPTY), { code: "dead" });
  assert.throws(() => cipher.encryptInto(AD, [], out, 0), { code: "dead" });
  assert.throws(() => cipher.decryptWithAd(AD, new Uint8Array(16)), { code: "dead" });
  assert.throws(() => cipher.rekey(), { code: "dead" });
});
