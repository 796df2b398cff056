/** X25519: RFC 7748 §5.2 and §6.1, noble as the oracle, points of small order, Ed25519 conversion. */

import assert from "node:assert/strict";
import { ed25519, x25519 as nobleX25519 } from "@noble/curves/ed25519.js";
import { type Bytes, fromHex, hex } from "../../lib/bytes.ts";
import {
  ed25519PublicKey,
  generateEd25519SecretKey,
  isSafeEd25519PublicKey,
} from "../../lib/crypto/ed25519.ts";
import { systemRandom } from "../../lib/crypto/random.ts";
import {
  generateX25519KeyPair,
  parseX25519SecretKey,
  x25519FromEd25519Public,
  x25519FromEd25519Secret,
  X25519KeyPair,
} from "../../lib/crypto/x25519.ts";

const pairOf = (secretKey: Bytes) => new X25519KeyPair(parseX25519SecretKey(secretKey));
const plain = (bytes: Uint8Array): Bytes => new Uint8Array(bytes);

/** u-coordinates whose multiples by a clamped scalar are all zero; each also with bit 255 set. */
const SMALL_ORDER = [
  // 0, order 4.
  "0000000000000000000000000000000000000000000000000000000000000000",
  // 1, order 1.
  "0100000000000000000000000000000000000000000000000000000000000000",
  // Order 8.
  "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
  "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
  // p − 1, order 2.
  "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  // p, that is 0.
  "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  // p + 1, that is 1.
  "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
];

Deno.test("diffieHellman() is RFC 7748 §5.2 for both single multiplications", () => {
  assert.equal(
    hex(
      pairOf(fromHex("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4"))
        .diffieHellman(
          fromHex("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c"),
        ),
    ),
    "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552",
  );
  assert.equal(
    hex(
      pairOf(fromHex("4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d"))
        .diffieHellman(
          fromHex("e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493"),
        ),
    ),
    "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957",
  );
});

Deno.test("diffieHellman() is RFC 7748 §5.2 after 1 and after 1,000 iterations", () => {
  let k: Bytes = fromHex("09" + "00".repeat(31));
  let u = k;
  for (let round = 1; round <= 1000; round++) {
    [k, u] = [pairOf(k).diffieHellman(u), k];
    if (round === 1) {
      assert.equal(hex(k), "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079");
    }
  }
  assert.equal(hex(k), "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51");
});

Deno.test("X25519KeyPair and its diffieHellman() are RFC 7748 §6.1", () => {
  const alice = pairOf(
    fromHex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a"),
  );
  const bob = pairOf(
    fromHex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb"),
  );
  const shared = "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742";
  assert.equal(
    hex(alice.publicKey),
    "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a",
  );
  assert.equal(
    hex(bob.publicKey),
    "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f",
  );
  assert.equal(hex(alice.diffieHellman(bob.publicKey)), shared);
  assert.equal(hex(bob.diffieHellman(alice.publicKey)), shared);
  // The key object is kept: a second agreement gives the same.
  assert.equal(hex(alice.diffieHellman(bob.publicKey)), shared);
});

Deno.test("diffieHellman() equals noble for 300 random pairs, any 32 bytes as keys", () => {
  for (let round = 0; round < 300; round++) {
    const secret = parseX25519SecretKey(systemRandom(32));
    const remote = systemRandom(32);
    const pair = new X25519KeyPair(secret);
    const expected = hex(plain(nobleX25519.getSharedSecret(secret, remote)));
    assert.equal(hex(pair.publicKey), hex(plain(nobleX25519.getPublicKey(secret))));
    assert.equal(hex(pair.diffieHellman(remote)), expected);
  }
});

for (const encoding of SMALL_ORDER) {
  Deno.test(`diffieHellman() throws low_order_point for the point ${encoding}`, () => {
    for (const point of [fromHex(encoding), withHighBit(fromHex(encoding))]) {
      const pair = generateX25519KeyPair(systemRandom);
      assert.throws(() => pair.diffieHellman(point), { code: "low_order_point" });
    }
  });
}

Deno.test("x25519FromEd25519Public() and …Secret() give one key pair and equal noble", () => {
  for (let round = 0; round < 300; round++) {
    const seed = generateEd25519SecretKey(systemRandom);
    const pair = new X25519KeyPair(x25519FromEd25519Secret(seed));
    const point = ed25519PublicKey(seed);
    assert.equal(hex(x25519FromEd25519Public(point)), hex(pair.publicKey));
    assert.equal(hex(pair.publicKey), hex(plain(ed25519.utils.toMontgomery(point))));
  }
});

Deno.test("x25519FromEd25519Public() is a literal for the key of RFC 8032 §7.1 TEST 1", () => {
  const secret = fromHex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60");
  const pair = new X25519KeyPair(
    x25519FromEd25519Secret(generateEd25519SecretKey(() => secret)),
  );
  assert.equal(
    hex(pair.publicKey),
    "d85e07ec22b0ad881537c2f44d662d1a143cf830c57aca4305d85c7a90f6b62e",
  );
});

Deno.test("x25519FromEd25519Public() is the same for A and −A", () => {
  const key = ed25519PublicKey(generateEd25519SecretKey(systemRandom));
  const negated = plain(ed25519.Point.fromBytes(key).negate().toBytes());
  assert(isSafeEd25519PublicKey(negated));
  assert.notEqual(hex(negated), hex(key));
  assert.equal(hex(x25519FromEd25519Public(negated)), hex(x25519FromEd25519Public(key)));
});

Deno.test("parseX25519SecretKey() and diffieHellman() throw bad_length when not 32 bytes", () => {
  for (const length of [0, 31, 33]) {
    const bytes = new Uint8Array(length);
    assert.throws(() => parseX25519SecretKey(bytes), { code: "bad_length" });
    const pair = generateX25519KeyPair(systemRandom);
    assert.throws(() => pair.diffieHellman(bytes), { code: "bad_length" });
  }
});

Deno.test("generateX25519KeyPair() takes its 32 bytes from the given source", () => {
  const pair = generateX25519KeyPair((length) => new Uint8Array(length).fill(7));
  assert.equal(hex(pair.secretKey), "07".repeat(32));
});

Deno.test("a key pair does not show its secret when it is printed", () => {
  const pair = generateX25519KeyPair((length) => new Uint8Array(length).fill(7));
  assert.doesNotMatch(Deno.inspect(pair), /\b7, 7\b|0707/);
  assert.doesNotMatch(JSON.stringify(pair), /7,"1":7|secret/i);
});

function withHighBit(bytes: Bytes): Bytes {
  bytes[31] = (bytes[31] ?? 0) | 0x80;
  return bytes;
}
