import assert from "node:assert/strict";
import { ed25519 } from "@noble/curves/ed25519.js";
import { sha512 } from "@noble/hashes/sha2.js";
import { type Bytes, concat, fromHex, hex, utf8 } from "../../lib/bytes.ts";
import { generateX25519KeyPair } from "../../lib/crypto/x25519.ts";
import type { LocalIdentity } from "../../lib/identity/local_identity.ts";
import { NoiseError } from "../../lib/noise/errors.ts";
import type { DhKeyPair } from "../../lib/noise/suite.ts";
import { SessionError } from "../../lib/session/errors.ts";
import { initiate, respond } from "../../lib/session/handshake.ts";
import { decodePayload, encodePayload, type Role } from "../../lib/session/handshake_payload.ts";
import { memoryPair } from "../../lib/transport/memory.ts";
import { encode, type MsgPackInput } from "../../lib/wire/msgpack.ts";
import { SeededRandom } from "../../scripts/seeded_random.ts";
import { ScriptedTransport } from "../transport/faulty.ts";
import { FakeClock } from "./fake_clock.ts";
import { answerForged, forgedMessage1, type Forgery } from "./forged_handshake.ts";
import { ALICE, failure, HOST, initiating, MALLORY, responding } from "./peers.ts";

const HASH = new Uint8Array(32).fill(0x5a);
const LABELS = {
  initiator: "talos/1 handshake initiator",
  responder: "talos/1 handshake responder",
} as const;

type Fields = Record<string, MsgPackInput>;

/** An honest payload of `from`, as fields to be changed. */
function fieldsOf(from: LocalIdentity, hash: Bytes, role: Role = "initiator"): Fields {
  return {
    min: 1,
    max: 1,
    caps: ["a"],
    t: 1_750_000_000_000,
    ed: from.publicKey,
    sig: from.sign(LABELS[role], hash),
  };
}

function decoded(fields: Fields, staticKey: Bytes = ALICE.staticKey.publicKey) {
  return decodePayload("initiator", encode(fields), HASH, staticKey);
}

Deno.test("encodePayload() gives the published fields in their order", () => {
  const payload = encodePayload("responder", HOST, HASH, {
    caps: ["resume"],
    time: 1_750_000_000_000,
    refused: "clock",
    strict: true,
  });
  const expected = encode({
    min: 1,
    max: 1,
    caps: ["resume"],
    t: 1_750_000_000_000,
    ed: HOST.publicKey,
    sig: HOST.sign("talos/1 handshake responder", HASH),
    refused: "clock",
    strict: true,
  });
  assert.equal(hex(payload), hex(expected));
});

Deno.test("decodePayload() returns what was said when it is proven", () => {
  assert.deepEqual(decoded(fieldsOf(ALICE, HASH)), {
    peer: ALICE.peerId,
    versions: { min: 1, max: 1 },
    caps: ["a"],
    time: 1_750_000_000_000,
  });
  assert.deepEqual(decoded({ ...fieldsOf(ALICE, HASH), refused: "busy", strict: false, new: [] }), {
    peer: ALICE.peerId,
    versions: { min: 1, max: 1 },
    caps: ["a"],
    time: 1_750_000_000_000,
    refused: "busy",
    strict: false,
  });
});

Deno.test("decodePayload() throws when a field is missing", () => {
  for (const name of ["min", "max", "caps", "t", "ed", "sig"]) {
    const { [name]: _, ...rest } = fieldsOf(ALICE, HASH);
    assert.throws(() => decoded(rest), { code: "field_missing" }, name);
  }
});

Deno.test("decodePayload() throws when a field has the wrong type, length or range", () => {
  const wrong: readonly (readonly [string, readonly MsgPackInput[]])[] = [
    ["min", [0, 2, -1, "1", null, true]],
    ["max", [0, 256, -1, "1", null]],
    ["caps", ["a", null, [1], Array(17).fill("a"), ["x".repeat(33)], new Uint8Array(1)]],
    ["t", [-1, 8_640_000_000_000_001, "now", null, new Uint8Array(8)]],
    ["ed", [new Uint8Array(31), new Uint8Array(33), "x".repeat(32), null]],
    ["sig", [new Uint8Array(63), new Uint8Array(65), "x".repeat(64), null]],
    ["refused", ["", "no", 1, null, true]],
    ["strict", [0, 1, "true", null]],
  ];
  for (const [name, values] of wrong) {
    for (const value of values) {
      assert.throws(
        () => decoded({ ...fieldsOf(ALICE, HASH), [name]: value }),
        { code: "field_invalid", path: /^HANDSHAKE initiator\./ },
        `${name} ${String(value)}`,
      );
    }
  }
  assert.equal(decoded({ ...fieldsOf(ALICE, HASH), max: 255 }).versions.max, 255);
  const caps = Array<string>(16).fill("x".repeat(32));
  assert.deepEqual(decoded({ ...fieldsOf(ALICE, HASH), caps }).caps, caps);
});

Deno.test("decodePayload() throws when it is no map, not all of it, or more", () => {
  const honest = encode(fieldsOf(ALICE, HASH));
  const key = ALICE.staticKey.publicKey;
  for (
    const bytes of [
      new Uint8Array(0),
      encode([]),
      encode(null),
      honest.slice(0, -1),
      concat(honest, Uint8Array.of(0xc0)),
      concat(Uint8Array.of(0x87), honest.subarray(1), utf8("\xa1t\x01")),
    ]
  ) {
    assert.throws(() => decodePayload("initiator", bytes, HASH, key), { name: "WireError" });
  }
});

const unproven = (state: string) => ({
  code: "handshake_failed",
  message: `Cannot accept the peer's identity: ${state}`,
});
const NOT_SAFE = unproven("its Ed25519 key is not a safe one");
const NOT_USED = unproven("its Ed25519 key is not the one that the handshake used");
const NOT_SIGNED = unproven("its signature does not verify");

Deno.test("decodePayload() throws when the signature is of another hash, role, label or key", () => {
  const signed = (sig: Bytes) => () => decoded({ ...fieldsOf(ALICE, HASH), sig });
  const otherHash = HASH.slice();
  otherHash[31]! ^= 1;
  assert.throws(signed(ALICE.sign(LABELS.initiator, otherHash)), NOT_SIGNED);
  assert.throws(signed(ALICE.sign(LABELS.responder, HASH)), NOT_SIGNED);
  assert.throws(signed(ALICE.sign("talos/1", HASH)), NOT_SIGNED);
  assert.throws(signed(MALLORY.sign(LABELS.initiator, HASH)), NOT_SIGNED);
  assert.throws(signed(new Uint8Array(64)), NOT_SIGNED);
});

Deno.test("decodePayload() throws when any bit of a signature is changed", () => {
  const sig = ALICE.sign(LABELS.initiator, HASH);
  for (let bit = 0; bit < 512; bit += 3) {
    const altered = sig.slice();
    altered[bit >> 3]! ^= 1 << (bit & 7);
    assert.throws(() => decoded({ ...fieldsOf(ALICE, HASH), sig: altered }), NOT_SIGNED, `${bit}`);
  }
});

const L = ed25519.Point.Fn.ORDER;

function littleEndian(value: bigint): Bytes {
  const bytes = new Uint8Array(32);
  for (let i = 0; i < 32; i++) bytes[i] = Number((value >> BigInt(8 * i)) & 0xffn);
  return bytes;
}

function fromLittleEndian(bytes: Bytes): bigint {
  return BigInt("0x" + hex(bytes.slice().reverse()));
}

Deno.test("decodePayload() throws when a signature is a second encoding of a valid one", () => {
  const sig = ALICE.sign(LABELS.initiator, HASH);
  const s = fromLittleEndian(sig.slice(32));
  for (const multiple of [1n, 2n, 7n]) {
    const larger = s + multiple * L;
    if (larger >= 1n << 256n) continue;
    const altered = concat(sig.subarray(0, 32), littleEndian(larger));
    assert.throws(() => decoded({ ...fieldsOf(ALICE, HASH), sig: altered }), NOT_SIGNED);
  }
});

Deno.test("decodePayload() throws when a signature's R has a torsion component or is of small order", () => {
  const sig = ALICE.sign(LABELS.initiator, HASH);
  for (const point of TORSION) {
    const r = ed25519.Point.fromBytes(sig.slice(0, 32)).add(point);
    const shifted = concat(r.toBytes(), sig.subarray(32));
    if (!point.is0()) {
      assert.throws(() => decoded({ ...fieldsOf(ALICE, HASH), sig: shifted }), NOT_SIGNED);
    }
    const small = concat(point.toBytes(), sig.subarray(32));
    assert.throws(() => decoded({ ...fieldsOf(ALICE, HASH), sig: small }), NOT_SIGNED);
  }
});

/** The eight points of the torsion subgroup: multiples of one of order 8. */
const TORSION = (() => {
  const generator = ed25519.Point.fromHex(
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
  );
  return Array.from(
    { length: 8 },
    (_, i) => i === 0 ? ed25519.Point.ZERO : generator.multiplyUnsafe(BigInt(i)),
  );
})();

/** Encodings of points of small order: canonical ones, and those with y ≥ p or a sign for x = 0. */
const SMALL_ORDER = [
  "0100000000000000000000000000000000000000000000000000000000000000",
  "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "0000000000000000000000000000000000000000000000000000000000000000",
  "0000000000000000000000000000000000000000000000000000000000000080",
  "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
  "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
  "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
  "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
  "0100000000000000000000000000000000000000000000000000000000000080",
  "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
  "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
  "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
].map(fromHex);

Deno.test("decodePayload() throws when its key is of small order, in any encoding", () => {
  for (const ed of SMALL_ORDER) {
    // Whatever static key Noise authenticated: the key alone is refused.
    for (const staticKey of [ALICE.staticKey.publicKey, new Uint8Array(32)]) {
      assert.throws(() => decoded({ ...fieldsOf(ALICE, HASH), ed }, staticKey), NOT_SAFE, hex(ed));
    }
  }
});

Deno.test("decodePayload() throws when its key is no point", () => {
  // y = 2 has no x on the curve.
  const ed = littleEndian(2n);
  assert.throws(() => decoded({ ...fieldsOf(ALICE, HASH), ed }), NOT_SAFE);
});

Deno.test("decodePayload() throws when its key has a torsion component, and Noise used its X25519 form", () => {
  for (const point of TORSION.slice(1)) {
    const ed = ed25519.Point.fromBytes(ALICE.publicKey).add(point).toBytes().slice();
    const staticKey = ed25519.utils.toMontgomery(ed).slice();
    assert.throws(() => decoded({ ...fieldsOf(ALICE, HASH), ed }, staticKey), NOT_SAFE);
  }
});

Deno.test("decodePayload() throws when its key is a safe one that Noise did not use", () => {
  assert.throws(() => decoded(fieldsOf(MALLORY, HASH)), NOT_USED);
  // The key of Noise with the bit that X25519 ignores.
  const staticKey = ALICE.staticKey.publicKey.slice();
  staticKey[31]! |= 0x80;
  assert.throws(() => decoded(fieldsOf(ALICE, HASH), staticKey), NOT_USED);
});

/** The negative of an identity: another Ed25519 key whose X25519 form is the same. */
function negativeOf(seed: string) {
  const secret = new SeededRandom(seed).bytes(32);
  const { scalar, prefix, point } = ed25519.utils.getExtendedPublicKey(secret);
  const publicKey = point.negate().toBytes().slice();
  return {
    publicKey,
    /** Signs as RFC 8032 §5.1.6 does, with the scalar L − a. */
    sign(label: string, message: Bytes): Bytes {
      const signed = concat(utf8(label), Uint8Array.of(0), message);
      const r = ed25519.Point.Fn.create(
        fromLittleEndian(sha512(concat(prefix.slice(), signed)).slice()),
      );
      const R = ed25519.Point.BASE.multiply(r).toBytes().slice();
      const digest = sha512(concat(R, publicKey, signed)).slice();
      const k = ed25519.Point.Fn.create(fromLittleEndian(digest));
      return concat(R, littleEndian(ed25519.Point.Fn.create(r + k * (L - scalar))));
    },
  };
}

Deno.test("decodePayload() tells A from −A, whose X25519 forms are the same", () => {
  const negative = negativeOf("alice");
  const key = ALICE.staticKey.publicKey;
  assert.equal(hex(ed25519.utils.toMontgomery(negative.publicKey)), hex(key));
  // −A with a signature by A, and A with one by −A.
  const honest = fieldsOf(ALICE, HASH);
  assert.throws(() => decoded({ ...honest, ed: negative.publicKey }), NOT_SIGNED);
  const sig = negative.sign(LABELS.initiator, HASH);
  assert.throws(() => decoded({ ...honest, sig }), NOT_SIGNED);
  // −A with its own signature is a peer of its own, with another Peer ID.
  assert.notEqual(decoded({ ...honest, ed: negative.publicKey, sig }).peer, ALICE.peerId);
});

// From here on whole handshakes, with everything honest but what is named.

async function refusedInSilence(forgery: Forgery): Promise<SessionError> {
  const transport = new ScriptedTransport(forgedMessage1(forgery));
  const error = await failure(respond(transport, responding()), "handshake_failed");
  assert.equal(transport.written.length, 0);
  assert.equal(transport.closed, true);
  return error;
}

const honestPayload = (hash: Bytes) => encode(fieldsOf(ALICE, hash));

Deno.test("respond() accepts what forgedMessage1() makes when nothing is forged", async () => {
  const transport = new ScriptedTransport(forgedMessage1({ payload: honestPayload }));
  const connection = await respond(transport, responding());
  assert.equal(connection.peer, ALICE.peerId);
  connection.channel.close();
});

Deno.test("respond() says nothing when the sealed payload is not as it must be", async () => {
  const forged: readonly ((hash: Bytes) => Bytes)[] = [
    () => new Uint8Array(0),
    (hash) => encode({ ...fieldsOf(ALICE, hash), min: "1" }),
    (hash) => encode({ ...fieldsOf(ALICE, hash), caps: Array(17).fill("a") }),
    (hash) => encode({ ...fieldsOf(ALICE, hash), ed: MALLORY.publicKey }),
    (hash) => encode(fieldsOf(MALLORY, hash)),
    (hash) => encode(fieldsOf(ALICE, hash, "responder")),
    () => encode(fieldsOf(ALICE, HASH)),
    (hash) => encode({ ...fieldsOf(ALICE, hash), x: new Uint8Array(2500) }).slice(0, -1),
  ];
  for (const payload of forged) await refusedInSilence({ payload });
});

/** X25519 keys whose every agreement is all zero, canonical and not (RFC 7748 §6.1), and unused bits. */
const LOW_ORDER = [
  "0000000000000000000000000000000000000000000000000000000000000000",
  "0100000000000000000000000000000000000000000000000000000000000000",
  "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
  "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
  "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
].flatMap((text) => {
  const unused = fromHex(text);
  unused[31]! |= 0x80;
  return [fromHex(text), unused];
});

/** A key pair that presents `publicKey` and agrees on zeros, as everybody does with such a key. */
function lowOrder(publicKey: Bytes): DhKeyPair {
  return { publicKey, diffieHellman: () => new Uint8Array(32) };
}

const badKey = (error: SessionError) => {
  assert.ok(error.cause instanceof NoiseError);
  assert.equal(error.cause.code, "bad_remote_key");
};

Deno.test("respond() says nothing when the ephemeral key is of low order", async () => {
  for (const key of LOW_ORDER) {
    badKey(await refusedInSilence({ e: lowOrder(key), payload: honestPayload }));
  }
});

Deno.test("respond() says nothing when the static key is of low order", async () => {
  for (const key of LOW_ORDER) {
    badKey(await refusedInSilence({ s: lowOrder(key), payload: honestPayload }));
  }
});

Deno.test("initiate() fails when the ephemeral key is of low order", async () => {
  for (const key of LOW_ORDER) {
    const [a, b] = memoryPair();
    const answering = answerForged(b, { e: lowOrder(key), payload: () => utf8("unread") });
    badKey(await failure(initiate(a, initiating()), "handshake_failed"));
    await answering;
  }
});

Deno.test("respond() says nothing when the static key is encoded another way, and all agreements hold", async () => {
  const publicKey = ALICE.staticKey.publicKey.slice();
  publicKey[31]! |= 0x80;
  const s = {
    publicKey,
    diffieHellman: (remote: Bytes) => ALICE.staticKey.diffieHellman(remote),
  };
  const error = await refusedInSilence({ s, payload: honestPayload });
  assert.equal(error.message, NOT_USED.message);
});

Deno.test("respond() says nothing when the static key has a torsion component, and all agreements hold", async () => {
  for (const point of TORSION.slice(1)) {
    // Clamped scalars are multiples of 8, so A + T agrees on whatever A agrees on.
    const ed = ed25519.Point.fromBytes(ALICE.publicKey).add(point).toBytes().slice();
    const s = {
      publicKey: ed25519.utils.toMontgomery(ed).slice(),
      diffieHellman: (remote: Bytes) => ALICE.staticKey.diffieHellman(remote),
    };
    const payload = (hash: Bytes) => encode({ ...fieldsOf(ALICE, hash), ed });
    assert.equal((await refusedInSilence({ s, payload })).message, NOT_SAFE.message);
  }
});

async function answeredWith(payload: (hash: Bytes) => Bytes, options = {}): Promise<SessionError> {
  const [a, b] = memoryPair();
  const answering = answerForged(b, {
    payload,
    e: generateX25519KeyPair(new SeededRandom("e").bytes),
  });
  try {
    const connection = await initiate(a, initiating(options));
    connection.channel.close();
  } catch (error) {
    assert.ok(error instanceof SessionError);
    await answering;
    assert.equal(await a.read(new Uint8Array(1)), null); // closed
    return error;
  }
  assert.fail("connected");
}

Deno.test("initiate() fails when the sealed payload is not as it must be", async () => {
  const forged: readonly ((hash: Bytes) => Bytes)[] = [
    () => new Uint8Array(0),
    (hash) => encode({ ...fieldsOf(HOST, hash, "responder"), t: "now" }),
    (hash) => encode({ ...fieldsOf(HOST, hash, "responder"), refused: "tired" }),
    (hash) => encode({ ...fieldsOf(HOST, hash, "responder"), ed: SMALL_ORDER[4]! }),
    (hash) => encode(fieldsOf(HOST, hash, "initiator")),
    (hash) => encode(fieldsOf(MALLORY, hash, "responder")),
    () => encode(fieldsOf(HOST, HASH, "responder")),
  ];
  for (const payload of forged) {
    assert.equal((await answeredWith(payload)).code, "handshake_failed");
  }
});

Deno.test("initiate() fails when −A answers for A, with a signature of its own", async () => {
  const negative = negativeOf("host");
  const error = await answeredWith((hash) =>
    encode({
      ...fieldsOf(HOST, hash, "responder"),
      ed: negative.publicKey,
      sig: negative.sign(LABELS.responder, hash),
    })
  );
  assert.equal(error.code, "handshake_failed");
  assert.match(error.message, new RegExp(`expected was ${HOST.peerId}$`));
});

Deno.test("initiate() aborts when a responder lets a downgrade pass", async () => {
  const payload = (hash: Bytes) => encode({ ...fieldsOf(HOST, hash, "responder"), max: 2 });
  const error = await answeredWith(payload, { versions: { min: 1, max: 2 } });
  assert.equal(error.code, "version");
});

Deno.test("initiate() with a strict clock fails when the host lets a difference pass", async () => {
  const clock = new FakeClock();
  const payload = (hash: Bytes) =>
    encode({ ...fieldsOf(HOST, hash, "responder"), t: clock.now() - 61_000 });
  const error = await answeredWith(payload, { clock, strictClock: true });
  assert.equal(error.code, "clock");
  assert.equal(error.strict, true);
  assert.equal(error.skewMs, -61_000);
});
