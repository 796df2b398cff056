import assert from "node:assert/strict";

import { fromHex } from "../../lib/bytes.ts";
import { mcpService, parseServerName } from "../../lib/identity/names.ts";
import {
  decodeAnswer,
  decodeJoin,
  encodeAnswer,
  encodeJoin,
  inviteIdOf,
  inviteKeyOf,
  isJoinProof,
  type JoinAnswer,
  joinProof,
} from "../../lib/session/join.ts";
import { encode } from "../../lib/wire/msgpack.ts";
import { samplePeer } from "../identity/temporary_home.ts";

const SECRET = fromHex("000102030405060708090a0b0c0d0e0f");
const HASH = new Uint8Array(32).fill(9);
const GUEST = samplePeer(1);

// By an independent implementation: hashlib and hmac of Python.
const ID = "invite-40bf070d6bbf";
const KEY = "d985ee0ebb86ee25288f6743f49f2bae2eaf9b877fbc8308953b41b52e1e50a0";
const PROOF = "6d02d5aac9bc2ba0fff7d4600aec3be5719bd6dd60387729086bc5a204e7c7d2";

const NOTES = mcpService(parseServerName("notes"));

Deno.test("inviteIdOf(), inviteKeyOf() and joinProof() are those of the protocol", () => {
  assert.equal(inviteIdOf(SECRET), ID);
  assert.equal(inviteKeyOf(SECRET).toHex(), KEY);
  assert.equal(joinProof(inviteKeyOf(SECRET), HASH, GUEST).toHex(), PROOF);
});

Deno.test("isJoinProof() is true for the secret, this connection and this peer alone", () => {
  const key = inviteKeyOf(SECRET);
  const proof = joinProof(key, HASH, GUEST);
  assert.equal(isJoinProof(proof, key, HASH, GUEST), true);
  assert.equal(isJoinProof(proof, key, HASH, samplePeer(2)), false);
  assert.equal(isJoinProof(proof, key, new Uint8Array(32), GUEST), false);
  assert.equal(isJoinProof(proof, inviteKeyOf(new Uint8Array(16)), HASH, GUEST), false);
  for (let bit = 0; bit < 256; bit++) {
    const altered = proof.slice();
    altered[bit >> 3]! ^= 1 << (bit & 7);
    assert.equal(isJoinProof(altered, key, HASH, GUEST), false);
  }
});

Deno.test("decodeJoin() returns what encodeJoin() was given, and refuses what names no invite", () => {
  const request = { invite: "invite-0123456789ab", proof: HASH, name: "Anna's Mac" };
  assert.deepEqual(decodeJoin(encodeJoin(request)), request);
  for (
    const wrong of [
      { ...request, invite: "invite-0123456789AB" },
      { ...request, proof: HASH.subarray(1) },
      { ...request, name: "x".repeat(65) },
    ]
  ) assert.throws(() => decodeJoin(encodeJoin(wrong)), { code: "field_invalid" });
  const named = decodeJoin(encodeJoin({ ...request, name: "a\u001b[2J" }));
  assert.doesNotMatch(named.name, /\p{Cc}/u);
});

Deno.test("decodeAnswer() returns what encodeAnswer() was given", () => {
  const joined = { name: "Linux Box", service: NOTES, called: "anna" };
  const answers: readonly JoinAnswer[] = [
    { joined },
    {
      joined: {
        ...joined,
        endpoint: { record: Uint8Array.of(1, 2), signature: new Uint8Array(64) },
      },
    },
    { refused: "invite_used", reason: "the ticket was used already" },
  ];
  for (const answer of answers) assert.deepEqual(decodeAnswer(encodeAnswer(answer)), answer);
});

Deno.test("decodeAnswer() takes the refusal of a newer host for unauthorized", () => {
  const bytes = encode({ error: { code: "wrong_moon", reason: "the moon is wrong" } });
  assert.deepEqual(decodeAnswer(bytes), { refused: "unauthorized", reason: "the moon is wrong" });
});

Deno.test("decodeAnswer() throws protocol for what is no answer", () => {
  for (const value of [null, {}, { name: "a", service: "talos/control", called: "b" }]) {
    assert.throws(() => decodeAnswer(encode(value)), { code: "protocol" });
  }
});
