/** SHA-256, HMAC and the HKDF of Noise: FIPS 180-4, RFC 4231, and noble as the oracle. */

import assert from "node:assert/strict";
import { hkdf } from "@noble/hashes/hkdf.js";
import { hmac } from "@noble/hashes/hmac.js";
import { sha256 as nobleSha256 } from "@noble/hashes/sha2.js";
import { concat, EMPTY, hex, utf8 } from "../../lib/bytes.ts";
import { noiseHkdf2, noiseHkdf3 } from "../../lib/crypto/hkdf.ts";
import { systemRandom } from "../../lib/crypto/random.ts";
import { hmacSha256, sha256 } from "../../lib/crypto/sha256.ts";

const hexOf = (bytes: Uint8Array) => bytes.toHex();

Deno.test("sha256() is FIPS 180-4 for abc and for nothing", () => {
  const abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
  assert.equal(hex(sha256(utf8("abc"))), abc);
  assert.equal(hex(sha256(utf8("a"), EMPTY, utf8("bc"))), abc);
  assert.equal(hex(sha256()), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
});

Deno.test("hmacSha256() is RFC 4231 §4.3", () => {
  const tag = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
  assert.equal(hex(hmacSha256(utf8("Jefe"), utf8("what do ya want for nothing?"))), tag);
  assert.equal(hex(hmacSha256(utf8("Jefe"), utf8("what do ya "), utf8("want for nothing?"))), tag);
});

Deno.test("sha256() and hmacSha256() equal noble for 300 random inputs", () => {
  for (let round = 0; round < 300; round++) {
    const [a, b, key] = [systemRandom(round), systemRandom(300 - round), systemRandom(round % 130)];
    assert.equal(hex(sha256(a, b)), hexOf(nobleSha256(concat(a, b))));
    assert.equal(hex(hmacSha256(key, a, b)), hexOf(hmac(nobleSha256, key, concat(a, b))));
  }
});

Deno.test("noiseHkdf2() and noiseHkdf3() are HKDF with empty info, cut at 32 bytes", () => {
  for (let round = 0; round < 50; round++) {
    const [ck, ikm] = [systemRandom(32), systemRandom(round)];
    const okm = hexOf(hkdf(nobleSha256, ikm, ck, EMPTY, 96));
    assert.equal(noiseHkdf2(hmacSha256, ck, ikm).map(hex).join(""), okm.slice(0, 128));
    assert.equal(noiseHkdf3(hmacSha256, ck, ikm).map(hex).join(""), okm);
  }
});

Deno.test("systemRandom() returns as many fresh bytes as asked for, beyond the quota too", () => {
  assert.equal(systemRandom(0).length, 0);
  assert.notEqual(hex(systemRandom(32)), hex(systemRandom(32)));
  const large = systemRandom(65_536 * 2 + 40);
  assert.equal(large.length, 131_112);
  for (const at of [0, 65_504, 65_536, 131_072]) {
    assert.notEqual(hex(large.subarray(at, at + 32)), "00".repeat(32));
  }
});
