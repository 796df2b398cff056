/**
 * ML-KEM-768: sizes, determinism, the modulus check, implicit rejection, and the keys inside the
 * published Noise vectors.
 */

import assert from "node:assert/strict";
import { type Bytes, fromHex, hex } from "../../lib/bytes.ts";
import {
  mlkem768Decapsulate,
  mlkem768Encapsulate,
  mlkem768KeyPair,
} from "../../lib/crypto/mlkem768.ts";
import { branded } from "../../lib/crypto/brand.ts";
import { systemRandom } from "../../lib/crypto/random.ts";
import { sha256 } from "../../lib/crypto/sha256.ts";
import { sharedVectors, whyIgnored } from "../noise/shared_vectors.ts";

const SEED = new Uint8Array(64).fill(0x15);
const M = new Uint8Array(32).fill(0x16);

Deno.test("mlkem768KeyPair() and mlkem768Encapsulate() have the sizes of FIPS 203 table 3", () => {
  const { publicKey, secretKey } = mlkem768KeyPair(SEED);
  const { ciphertext, sharedSecret } = mlkem768Encapsulate(publicKey, M);
  assert.equal(publicKey.length, 1184);
  assert.equal(secretKey.length, 2400);
  assert.equal(ciphertext.length, 1088);
  assert.equal(sharedSecret.length, 32);
});

Deno.test("mlkem768Decapsulate() returns the encapsulated secret for 20 random pairs", () => {
  for (let round = 0; round < 20; round++) {
    const { publicKey, secretKey } = mlkem768KeyPair(systemRandom(64));
    const { ciphertext, sharedSecret } = mlkem768Encapsulate(publicKey, systemRandom(32));
    assert.equal(hex(mlkem768Decapsulate(ciphertext, secretKey)), hex(sharedSecret));
  }
});

const FILE = "noise-mlkem768.json";

Deno.test({
  name: `mlkem768KeyPair() and mlkem768Encapsulate() give what ${FILE} has${whyIgnored(FILE)}`,
  ignore: sharedVectors(FILE) === null,
  fn: () => {
    const { xxhfs, ikhfs_selfmade } = JSON.parse(sharedVectors(FILE) ?? "");
    // The first message of XXhfs is in the clear: 32 bytes of e, then e1.
    for (const { kem_keygen_seed, messages } of xxhfs) {
      const { publicKey } = mlkem768KeyPair(fromHex(kem_keygen_seed));
      assert.equal(hex(publicKey), messages[0].ciphertext.slice(64, 64 + 2 * 1184));
    }
    for (const { kem_keygen_seed, kem_encaps_m, kem_shared_secret } of ikhfs_selfmade) {
      const { publicKey } = mlkem768KeyPair(fromHex(kem_keygen_seed));
      const { sharedSecret } = mlkem768Encapsulate(publicKey, fromHex(kem_encaps_m));
      assert.equal(hex(sharedSecret), kem_shared_secret);
    }
    assert.equal(xxhfs.length, 1);
    assert.equal(ikhfs_selfmade.length, 4);
  },
});

Deno.test("mlkem768Encapsulate() throws bad_public_key when a coefficient is not below 3329", () => {
  const { publicKey } = mlkem768KeyPair(SEED);
  // Two coefficients of 12 bits in each 3 bytes; 0xd01 is 3329, the modulus.
  for (const at of [0, 3, 600, 1149]) {
    for (const [low, high] of [[0x01, 0x0d], [0xff, 0x0f]] as const) {
      const broken = publicKey.slice();
      broken[at] = low;
      broken[at + 1] = ((broken[at + 1] ?? 0) & 0xf0) | high;
      assert.throws(() => mlkem768Encapsulate(broken, M), { code: "bad_public_key" });
    }
    const largest = publicKey.slice();
    largest[at] = 0x00;
    largest[at + 1] = ((largest[at + 1] ?? 0) & 0xf0) | 0x0d;
    assert.equal(mlkem768Encapsulate(largest, M).ciphertext.length, 1088);
  }
});

Deno.test("mlkem768Decapsulate() returns another secret when a bit of the ciphertext is flipped", () => {
  const { publicKey, secretKey } = mlkem768KeyPair(SEED);
  const { ciphertext, sharedSecret } = mlkem768Encapsulate(publicKey, M);
  for (const at of [0, 500, 1087]) {
    const flipped = ciphertext.slice();
    flipped[at] = (flipped[at] ?? 0) ^ 1;
    const rejected = mlkem768Decapsulate(flipped, secretKey);
    assert.equal(rejected.length, 32);
    assert.notEqual(hex(rejected), hex(sharedSecret));
    // Implicit rejection is deterministic (FIPS 203 §6.3).
    assert.equal(hex(mlkem768Decapsulate(flipped, secretKey)), hex(rejected));
  }
});

Deno.test("every function throws bad_length when an input is a byte short or long", () => {
  const { publicKey, secretKey } = mlkem768KeyPair(SEED);
  const { ciphertext } = mlkem768Encapsulate(publicKey, M);
  const wrong = (bytes: Bytes) => [bytes.slice(1), new Uint8Array(bytes.length + 1)];
  const refused = (call: () => unknown) => assert.throws(call, { code: "bad_length" });
  for (const seed of wrong(SEED)) refused(() => mlkem768KeyPair(seed));
  for (const key of wrong(publicKey)) refused(() => mlkem768Encapsulate(key, M));
  for (const m of wrong(M)) refused(() => mlkem768Encapsulate(publicKey, m));
  for (const text of wrong(ciphertext)) refused(() => mlkem768Decapsulate(text, secretKey));
  for (const key of wrong(secretKey)) {
    refused(() => mlkem768Decapsulate(ciphertext, branded<"MlKem768SecretKey">(key)));
  }
});

Deno.test("mlkem768KeyPair() is a literal for the seed of the libp2p draft's vector 1", () => {
  assert.equal(
    hex(sha256(mlkem768KeyPair(SEED).publicKey)),
    "c29190dab0bdfa382433df4a438b162e2221862d611ef305de46c28c9d2730ab",
  );
});
