/** ChaCha20-Poly1305: RFC 8439 §2.8.2, noble as the oracle, tampering, buffers. */

import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { chacha20poly1305 } from "@noble/ciphers/chacha.js";
import { concat, EMPTY, fromHex, hex, utf8 } from "../../lib/bytes.ts";
import { open, seal, sealInto } from "../../lib/crypto/chacha20poly1305.ts";
import { systemRandom } from "../../lib/crypto/random.ts";

// RFC 8439 §2.8.2.
const KEY = fromHex("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f");
const NONCE = fromHex("070000004041424344454647");
const AD = fromHex("50515253c0c1c2c3c4c5c6c7");
const PLAINTEXT = utf8(
  "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, " +
    "sunscreen would be it.",
);
const SEALED = "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d6" +
  "3dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b36" +
  "92ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc" +
  "3ff4def08e4b7a9de576d26586cec64b6116" +
  "1ae10b594f09e26a7e902ecbd0600691";

const LENGTHS = [0, 1, 15, 16, 17, 63, 64, 65, 127, 128, 1000, 16_384, 65_519];

Deno.test("seal() and open() are RFC 8439 §2.8.2", () => {
  assert.equal(hex(seal(KEY, NONCE, AD, PLAINTEXT)), SEALED);
  assert.equal(hex(open(KEY, NONCE, AD, fromHex(SEALED))), hex(PLAINTEXT));
});

Deno.test("seal() and open() equal noble for 500 random inputs", () => {
  for (let round = 0; round < 500; round++) {
    const length = LENGTHS[round % LENGTHS.length] ?? 0;
    const [key, nonce] = [systemRandom(32), systemRandom(12)];
    const [ad, plaintext] = [systemRandom(round % 40), systemRandom(length)];
    const expected = new Uint8Array(chacha20poly1305(key, nonce, ad).encrypt(plaintext));
    const sealed = seal(key, nonce, ad, plaintext);
    // Compared by the engine, for the large ones.
    assert.equal(Buffer.compare(sealed, expected), 0);
    assert.equal(Buffer.compare(open(key, nonce, ad, expected), plaintext), 0);
  }
});

Deno.test("sealInto() writes what seal() returns when the plaintext comes in parts", () => {
  const whole = systemRandom(300);
  const expected = seal(KEY, NONCE, AD, whole);
  const splits = [
    [whole],
    [whole.subarray(0, 22), whole.subarray(22)],
    [EMPTY, whole.subarray(0, 1), EMPTY, whole.subarray(1, 299), whole.subarray(299), EMPTY],
    Array.from(whole, (byte) => Uint8Array.of(byte)),
  ];
  for (const parts of splits) {
    const out = new Uint8Array(400).fill(0xaa);
    assert.equal(sealInto(KEY, NONCE, AD, parts, out, 7), 316);
    assert.equal(hex(out.subarray(7, 323)), hex(expected));
    assert.equal(hex(out.subarray(0, 7)), "aa".repeat(7));
    assert.equal(hex(out.subarray(323)), "aa".repeat(77));
  }
});

Deno.test("sealInto() writes the tag alone when there is no plaintext", () => {
  const out = new Uint8Array(16);
  assert.equal(sealInto(KEY, NONCE, AD, [], out, 0), 16);
  assert.equal(hex(out), hex(seal(KEY, NONCE, AD, EMPTY)));
});

Deno.test("sealInto() seals in place when the plaintext lies where its ciphertext goes", () => {
  const buffer = concat(new Uint8Array(2), PLAINTEXT, new Uint8Array(16));
  const text = buffer.subarray(2, 2 + PLAINTEXT.length);
  sealInto(KEY, NONCE, AD, [text], buffer, 2);
  assert.equal(hex(buffer), "0000" + SEALED);
});

Deno.test("sealInto() throws buffer_too_small and writes nothing when the buffer is short", () => {
  const out = new Uint8Array(PLAINTEXT.length + 16 + 4);
  assert.throws(() => sealInto(KEY, NONCE, AD, [PLAINTEXT], out, 5), { code: "buffer_too_small" });
  assert.equal(hex(out), "00".repeat(out.length));
  assert.equal(sealInto(KEY, NONCE, AD, [PLAINTEXT], out, 4), PLAINTEXT.length + 16);
});

Deno.test("open() throws authentication_failed when any bit of anything is flipped", () => {
  const sealed = fromHex(SEALED);
  for (const input of [KEY, NONCE, AD, sealed]) {
    for (let bit = 0; bit < input.length * 8; bit += 3) {
      input[bit >> 3] = (input[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      assert.throws(() => open(KEY, NONCE, AD, sealed), { code: "authentication_failed" });
      input[bit >> 3] = (input[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    }
  }
  assert.equal(hex(open(KEY, NONCE, AD, sealed)), hex(PLAINTEXT));
});

Deno.test("open() throws authentication_failed when the message is cut at any length", () => {
  const sealed = fromHex(SEALED);
  for (let length = 0; length < sealed.length; length++) {
    const cut = sealed.subarray(0, length);
    assert.throws(() => open(KEY, NONCE, AD, cut), { code: "authentication_failed" });
  }
});

Deno.test("open() throws authentication_failed when the associated data is left out", () => {
  assert.throws(() => open(KEY, NONCE, EMPTY, fromHex(SEALED)), {
    code: "authentication_failed",
  });
});

Deno.test("open() returns memory of its own", () => {
  const sealed = fromHex(SEALED);
  const plaintext = open(KEY, NONCE, AD, sealed);
  sealed.fill(0);
  assert.equal(hex(plaintext), hex(PLAINTEXT));
  assert.equal(plaintext.constructor, Uint8Array);
});

Deno.test("seal() and open() throw bad_length when key or nonce has another length", () => {
  for (const [key, nonce] of [[31, 12], [33, 12], [32, 11], [32, 13], [0, 0]] as const) {
    const [k, n] = [new Uint8Array(key), new Uint8Array(nonce)];
    assert.throws(() => seal(k, n, EMPTY, EMPTY), { code: "bad_length" });
    assert.throws(() => open(k, n, EMPTY, new Uint8Array(16)), { code: "bad_length" });
  }
});
