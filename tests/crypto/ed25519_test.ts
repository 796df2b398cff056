/** Ed25519: RFC 8032 §7.1, noble as the oracle, and the edge cases on which libraries differ. */

import assert from "node:assert/strict";
import { ed25519 } from "@noble/curves/ed25519.js";
import { sha512 } from "@noble/hashes/sha2.js";
import { type Bytes, concat, EMPTY, fromHex, hex, utf8 } from "../../lib/bytes.ts";
import { branded } from "../../lib/crypto/brand.ts";
import {
  ed25519PublicKey,
  generateEd25519SecretKey,
  isSafeEd25519PublicKey,
  parseEd25519SecretKey,
  sign,
  verify,
} from "../../lib/crypto/ed25519.ts";
import { systemRandom } from "../../lib/crypto/random.ts";

const LABEL = "talos/test";

/** RFC 8032 §7.1, TEST 1 to 3: seed, public key, message, signature. */
const RFC_8032 = [
  [
    "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
    "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
    "",
    "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
  ],
  [
    "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
    "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
    "72",
    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
  ],
  [
    "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
    "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
    "af82",
    "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
  ],
] as const;

/** By noble, with the seed of TEST 1, over the bytes "talos/test" 00 "hello". */
const GOLDEN_SIGNATURE =
  "42705efa1fd4606640eb0aac225a19737384edd2350e141443657076e876a7b5e628df6641676fc9748098f0a8d6fcfb4fdb9eab52757a29259a55f96c72c104";

/** The eight points of small order, in their canonical encoding. */
const SMALL_ORDER = {
  "order 1": ["0100000000000000000000000000000000000000000000000000000000000000"],
  "order 2": ["ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"],
  "order 4": [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
  ],
  "order 8": [
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
  ],
};

/** What decodes to a point of small order where a library is lenient. */
const NON_CANONICAL_SMALL_ORDER = [
  // x = 0 with the sign bit set, for y = 1 and y = −1.
  "0100000000000000000000000000000000000000000000000000000000000080",
  "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
  // y = p, that is 0.
  "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
  // y = p + 1, that is 1.
  "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
];

/** y from p + 2 to 2^255 − 1: every other encoding that is not canonical. */
const NON_CANONICAL_Y = Array.from(
  { length: 17 },
  (_, i) => (0xef + i).toString(16) + "ff".repeat(30) + "7f",
);

const randomKey = () => generateEd25519SecretKey(systemRandom);
const messageOfLength = (length: number) => systemRandom(length);

for (const [seed, publicKey, message, signature] of RFC_8032) {
  Deno.test(`ed25519PublicKey() is RFC 8032 §7.1 for the message 0x${message}`, () => {
    assert.equal(hex(ed25519PublicKey(parseEd25519SecretKey(fromHex(seed)))), publicKey);
    // Talos signs only what bears a label, so here the RFC holds the oracle of the other tests.
    assert.equal(hex(new Uint8Array(ed25519.sign(fromHex(message), fromHex(seed)))), signature);
  });
}

Deno.test("sign() signs label, NUL and message with the seed of RFC 8032 §7.1 TEST 1", () => {
  const secret = parseEd25519SecretKey(fromHex(RFC_8032[0][0]));
  assert.equal(hex(sign(LABEL, secret, utf8("hello"))), GOLDEN_SIGNATURE);
});

Deno.test("sign() and ed25519PublicKey() equal noble for 300 random keys and messages", () => {
  for (let round = 0; round < 300; round++) {
    const secret = randomKey();
    const message = messageOfLength(round);
    const signature = sign(LABEL, secret, message);
    const signed = concat(utf8(LABEL), Uint8Array.of(0), message);
    assert.equal(
      hex(ed25519PublicKey(secret)),
      hex(new Uint8Array(ed25519.getPublicKey(secret))),
    );
    assert.equal(hex(signature), hex(new Uint8Array(ed25519.sign(signed, secret))));
  }
});

Deno.test("verify() accepts 300 signatures of noble and refuses them with one bit flipped", () => {
  for (let round = 0; round < 300; round++) {
    const secret = randomKey();
    const publicKey = ed25519PublicKey(secret);
    const message = messageOfLength(round);
    const signed = concat(utf8(LABEL), Uint8Array.of(0), message);
    const signature = new Uint8Array(ed25519.sign(signed, secret));
    assert.equal(verify(LABEL, publicKey, message, signature), true);
    const flipped = flipBit(signature, round % 512);
    assert.equal(verify(LABEL, publicKey, message, flipped), false);
    assert.equal(ed25519.verify(flipped, signed, publicKey), false);
  }
});

Deno.test("verify() is false when the label, the message or the key is another one", () => {
  const secret = randomKey();
  const publicKey = ed25519PublicKey(secret);
  const signature = sign(LABEL, secret, utf8("x"));
  assert.equal(verify(LABEL, publicKey, utf8("x"), signature), true);
  assert.equal(verify("talos/tesu", publicKey, utf8("x"), signature), false);
  assert.equal(verify("talos/tes", publicKey, utf8("t\0x"), signature), false);
  assert.equal(verify(LABEL, publicKey, utf8("y"), signature), false);
  assert.equal(verify(LABEL, ed25519PublicKey(randomKey()), utf8("x"), signature), false);
});

Deno.test("verify() is false and does not throw when the signature is not 64 bytes long", () => {
  const secret = randomKey();
  const publicKey = ed25519PublicKey(secret);
  const signature = sign(LABEL, secret, EMPTY);
  for (let length = 0; length <= 130; length++) {
    const other = new Uint8Array(length);
    other.set(signature.subarray(0, length));
    assert.equal(verify(LABEL, publicKey, EMPTY, other), length === 64);
  }
});

Deno.test("verify() is false when S is not reduced: S + L", () => {
  const secret = randomKey();
  const publicKey = ed25519PublicKey(secret);
  const signature = sign(LABEL, secret, EMPTY);
  const s = littleEndian(signature.subarray(32));
  const malleated = concat(signature.subarray(0, 32), encode32(s + ed25519.Point.Fn.ORDER));
  assert.equal(verify(LABEL, publicKey, EMPTY, signature), true);
  assert.equal(verify(LABEL, publicKey, EMPTY, malleated), false);
});

Deno.test("verify() is false when R has a torsion component, which noble accepts", () => {
  const secret = randomKey();
  const publicKey = ed25519PublicKey(secret);
  const { scalar } = ed25519.utils.getExtendedPublicKey(secret);
  const nonce = 12345n;
  const torsion = ed25519.Point.fromHex(SMALL_ORDER["order 8"][0] ?? "");
  const r = new Uint8Array(ed25519.Point.BASE.multiply(nonce).add(torsion).toBytes());
  const signed = concat(utf8(LABEL), Uint8Array.of(0));
  const challenge = littleEndian(sha512(concat(r, publicKey, signed)));
  const s = (nonce + challenge * scalar) % ed25519.Point.Fn.ORDER;
  const signature = concat(r, encode32(s));
  assert.equal(ed25519.verify(signature, signed, publicKey), true);
  assert.equal(verify(LABEL, publicKey, EMPTY, signature), false);
});

Deno.test("verify() is false and does not throw when the key is no point at all", () => {
  for (const text of ["02" + "00".repeat(31), "ff".repeat(32)]) {
    const forged = branded<"Ed25519PublicKey">(fromHex(text));
    assert.equal(verify(LABEL, forged, EMPTY, new Uint8Array(64)), false);
  }
});

Deno.test("sign() and verify() throw bad_label when the label is empty, not ASCII or has NUL", () => {
  const secret = randomKey();
  for (const label of ["", "a\0b", "ü", "\0", "a\u0080"]) {
    assert.throws(() => sign(label, secret, EMPTY), { code: "bad_label" });
    const publicKey = ed25519PublicKey(secret);
    assert.throws(() => verify(label, publicKey, EMPTY, new Uint8Array(64)), { code: "bad_label" });
  }
});

for (const [order, encodings] of Object.entries(SMALL_ORDER)) {
  for (const encoding of encodings) {
    Deno.test(`isSafeEd25519PublicKey() is false for the point of ${order} ${encoding}`, () => {
      assert.equal(ed25519.Point.fromHex(encoding).isSmallOrder(), true);
      assert.equal(isSafeEd25519PublicKey(fromHex(encoding)), false);
    });
  }
}

for (const encoding of NON_CANONICAL_SMALL_ORDER) {
  Deno.test(`isSafeEd25519PublicKey() is false for the non-canonical ${encoding}`, () => {
    assert.equal(isSafeEd25519PublicKey(fromHex(encoding)), false);
  });
}

Deno.test("isSafeEd25519PublicKey() is false for every y ≥ p, with either sign", () => {
  let points = 0;
  for (const encoding of NON_CANONICAL_Y) {
    for (const bytes of [fromHex(encoding), flipBit(fromHex(encoding), 255)]) {
      assert.equal(isSafeEd25519PublicKey(bytes), false);
      // The lenient decoding of ZIP 215 shows that some of these would be points.
      if (decodesLeniently(bytes)) points++;
    }
  }
  assert.equal(points, 20);
});

Deno.test("isSafeEd25519PublicKey() is false for a known key of mixed order", () => {
  // A of the case "mixed order" in Chalkias, Garillot, Nikolaenko: Taming the Many EdDSAs.
  const mixed = "cdb267ce40c5cd45306fa5d2f29731459387dbf9eb933b7bd5aed9a765b88d4d";
  const point = ed25519.Point.fromHex(mixed);
  assert.equal(point.isSmallOrder(), false);
  assert.equal(point.isTorsionFree(), false);
  assert.equal(isSafeEd25519PublicKey(fromHex(mixed)), false);
});

Deno.test("isSafeEd25519PublicKey() is false for A + T, T any of the seven torsion points", () => {
  for (let round = 0; round < 10; round++) {
    const key = ed25519PublicKey(randomKey());
    assert.equal(isSafeEd25519PublicKey(key), true);
    const torsions = Object.entries(SMALL_ORDER).filter(([order]) => order !== "order 1");
    for (const encoding of torsions.flatMap(([, encodings]) => encodings)) {
      const sum = ed25519.Point.fromBytes(key).add(ed25519.Point.fromHex(encoding));
      assert.equal(isSafeEd25519PublicKey(new Uint8Array(sum.toBytes())), false);
    }
  }
});

Deno.test("isSafeEd25519PublicKey() is false for y without x on the curve and other lengths", () => {
  const key = ed25519PublicKey(randomKey());
  assert.equal(isSafeEd25519PublicKey(fromHex("02" + "00".repeat(31))), false);
  assert.equal(isSafeEd25519PublicKey(EMPTY), false);
  assert.equal(isSafeEd25519PublicKey(key.slice(0, 31)), false);
  assert.equal(isSafeEd25519PublicKey(concat(key, Uint8Array.of(0))), false);
});

Deno.test("parseEd25519SecretKey() throws bad_length when the seed is not 32 bytes long", () => {
  for (const length of [0, 31, 33, 64]) {
    assert.throws(() => parseEd25519SecretKey(new Uint8Array(length)), { code: "bad_length" });
  }
});

Deno.test("generateEd25519SecretKey() takes its 32 bytes from the given source", () => {
  const lengths: number[] = [];
  const secret = generateEd25519SecretKey((length) => {
    lengths.push(length);
    return new Uint8Array(length).fill(7);
  });
  assert.deepEqual(lengths, [32]);
  assert.equal(hex(secret), "07".repeat(32));
});

function flipBit(bytes: Bytes, bit: number): Bytes {
  const copy = bytes.slice();
  copy[bit >> 3] = (copy[bit >> 3] ?? 0) ^ (1 << (bit & 7));
  return copy;
}

function littleEndian(bytes: Uint8Array): bigint {
  return BigInt("0x" + new Uint8Array(bytes).reverse().toHex());
}

function encode32(value: bigint): Bytes {
  return fromHex(value.toString(16).padStart(64, "0")).reverse();
}

function decodesLeniently(bytes: Bytes): boolean {
  try {
    ed25519.Point.fromBytes(bytes, true);
    return true;
  } catch {
    return false;
  }
}
