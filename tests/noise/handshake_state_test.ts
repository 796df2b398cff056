/** HandshakeState: a whole IKhfs handshake, misuse, tampering with every byte, and what failure leaves. */

import assert from "node:assert/strict";
import { type Bytes, concat, EMPTY, equalBytes, hex, utf8 } from "../../lib/bytes.ts";
import { generateX25519KeyPair } from "../../lib/crypto/x25519.ts";
import type { HandshakeOptions } from "../../lib/noise/handshake_options.ts";
import { HandshakeState } from "../../lib/noise/handshake_state.ts";
import { handshakePattern } from "../../lib/noise/patterns.ts";
import { type NoiseSuite, TALOS_SUITE } from "../../lib/noise/suite.ts";

const filled = (value: number) => (length: number) => new Uint8Array(length).fill(value);
const PROLOGUE = utf8("talos/1");
const INITIATOR_S = generateX25519KeyPair(filled(1));
const RESPONDER_S = generateX25519KeyPair(filled(2));
const PAYLOAD_1 = utf8("hello");
const PAYLOAD_2 = utf8("welcome");

/** The fields of both messages, by their length on the wire. */
const MESSAGE_1_BYTES = 32 + (1184 + 16) + (32 + 16) + (5 + 16);
const MESSAGE_2_BYTES = 32 + (1088 + 16) + (7 + 16);

const INITIATOR: HandshakeOptions = {
  pattern: handshakePattern("IKhfs"),
  suite: TALOS_SUITE,
  role: "initiator",
  prologue: PROLOGUE,
  s: INITIATOR_S,
  e: generateX25519KeyPair(filled(3)),
  rs: RESPONDER_S.publicKey,
  kemSeed: filled(4)(64),
};

const RESPONDER: HandshakeOptions = {
  pattern: handshakePattern("IKhfs"),
  suite: TALOS_SUITE,
  role: "responder",
  prologue: PROLOGUE,
  s: RESPONDER_S,
  e: generateX25519KeyPair(filled(5)),
  kemRandom: filled(6)(32),
};

const initiator = (changes: Partial<HandshakeOptions> = {}) =>
  new HandshakeState({ ...INITIATOR, ...changes });
const responder = (changes: Partial<HandshakeOptions> = {}) =>
  new HandshakeState({ ...RESPONDER, ...changes });

const MESSAGE_1 = initiator().writeMessage(PAYLOAD_1);
const MESSAGE_2 = afterMessage1().writeMessage(PAYLOAD_2);

/** A responder that has read message 1. */
function afterMessage1(changes: Partial<HandshakeOptions> = {}): HandshakeState {
  const state = responder(changes);
  state.readMessage(MESSAGE_1);
  return state;
}

/** An initiator that waits for message 2. */
function waiting(changes: Partial<HandshakeOptions> = {}): HandshakeState {
  const state = initiator(changes);
  state.writeMessage(PAYLOAD_1);
  return state;
}

function flipped(bytes: Bytes, at: number, mask: number): Bytes {
  const copy = bytes.slice();
  copy[at] = (copy[at] ?? 0) ^ mask;
  return copy;
}

function assertDead(state: HandshakeState): void {
  assert.equal(state.finished, false);
  assert.throws(() => state.readMessage(MESSAGE_1), { code: "dead" });
  assert.throws(() => state.readMessage(MESSAGE_2), { code: "dead" });
  assert.throws(() => state.writeMessage(EMPTY), { code: "dead" });
  assert.throws(() => state.split(), { code: "dead" });
}

Deno.test("an IKhfs handshake ends with one hash, both static keys and a channel each way", () => {
  const [i, r] = [initiator(), responder()];
  const message1 = i.writeMessage(PAYLOAD_1);
  assert.equal(message1.length, MESSAGE_1_BYTES);
  assert.equal(r.remoteStatic, undefined);
  assert.equal(hex(r.readMessage(message1)), hex(PAYLOAD_1));
  assert.equal(hex(r.remoteStatic ?? EMPTY), hex(INITIATOR_S.publicKey));
  assert.equal(hex(r.remoteEphemeral ?? EMPTY), hex(message1.subarray(0, 32)));
  assert.equal(r.finished, false);

  const message2 = r.writeMessage(PAYLOAD_2);
  assert.equal(message2.length, MESSAGE_2_BYTES);
  assert.equal(r.finished, true);
  assert.equal(hex(i.readMessage(message2)), hex(PAYLOAD_2));
  assert.equal(i.finished, true);

  const [ofInitiator, ofResponder] = [i.split(), r.split()];
  assert.equal(hex(ofInitiator.handshakeHash), hex(ofResponder.handshakeHash));
  for (let round = 0; round < 5; round++) {
    for (const [from, to] of [[ofInitiator, ofResponder], [ofResponder, ofInitiator]] as const) {
      const ciphertext = from.send.encryptWithAd(EMPTY, utf8(`round ${round}`));
      assert.equal(hex(to.receive.decryptWithAd(EMPTY, ciphertext)), hex(utf8(`round ${round}`)));
    }
  }
});

Deno.test("split() gives two different keys, each for one direction", () => {
  const [i, r] = [waiting(), afterMessage1()];
  i.readMessage(r.writeMessage(PAYLOAD_2));
  const [ofInitiator, ofResponder] = [i.split(), r.split()];
  const ciphertext = ofInitiator.send.encryptWithAd(EMPTY, EMPTY);
  assert.notEqual(hex(ciphertext), hex(ofResponder.send.encryptWithAd(EMPTY, EMPTY)));
  assert.throws(() => ofInitiator.receive.decryptWithAd(EMPTY, ciphertext), {
    code: "decrypt_failed",
  });
  ofResponder.receive.decryptWithAd(EMPTY, ciphertext);
});

Deno.test("writeMessage() hands the hash before the payload to a function, and readers see it", () => {
  const [i, r] = [initiator(), responder()];
  assert.equal(i.hashBeforePayload, undefined);
  const hashes: string[] = [];
  const say = (text: string) => (hash: Bytes) => {
    hashes.push(hex(hash));
    return utf8(text);
  };
  r.readMessage(i.writeMessage(say("hello")));
  assert.equal(hex(i.hashBeforePayload ?? EMPTY), hashes[0]);
  assert.equal(hex(r.hashBeforePayload ?? EMPTY), hashes[0]);
  i.readMessage(r.writeMessage(say("welcome")));
  assert.equal(hex(i.hashBeforePayload ?? EMPTY), hashes[1]);
  assert.equal(hex(r.hashBeforePayload ?? EMPTY), hashes[1]);
  assert.equal(new Set([...hashes, hex(i.handshakeHash)]).size, 3);
});

Deno.test("writeMessage() gives the same bytes for a payload and for a function that returns it", () => {
  assert.equal(hex(initiator().writeMessage(() => PAYLOAD_1)), hex(MESSAGE_1));
});

Deno.test("the hash before the payload covers e1 and s, the hash after it the payload too", () => {
  const hashOf = (changes: Partial<HandshakeOptions>, payload: Bytes) => {
    const state = initiator(changes);
    state.writeMessage(payload);
    return [hex(state.hashBeforePayload ?? EMPTY), hex(state.handshakeHash)];
  };
  const [before, after] = hashOf({}, PAYLOAD_1);
  const [beforeOtherPayload, afterOtherPayload] = hashOf({}, PAYLOAD_2);
  assert.equal(beforeOtherPayload, before);
  assert.notEqual(afterOtherPayload, after);
  assert.notEqual(hashOf({ kemSeed: filled(9)(64) }, PAYLOAD_1)[0], before);
  assert.notEqual(hashOf({ s: RESPONDER_S }, PAYLOAD_1)[0], before);
  assert.notEqual(hashOf({ prologue: EMPTY }, PAYLOAD_1)[0], before);
});

for (const mask of [0x01, 0x80]) {
  Deno.test(`readMessage() refuses message 1 with bits 0x${mask.toString(16)} of any byte flipped`, () => {
    for (let at = 0; at < MESSAGE_1.length; at++) {
      const state = responder();
      assert.throws(() => state.readMessage(flipped(MESSAGE_1, at, mask)), {
        code: "decrypt_failed",
      });
      assertDead(state);
    }
  });

  Deno.test(`readMessage() refuses message 2 with bits 0x${mask.toString(16)} of any byte flipped`, () => {
    for (let at = 0; at < MESSAGE_2.length; at++) {
      const state = waiting();
      assert.throws(() => state.readMessage(flipped(MESSAGE_2, at, mask)), {
        code: "decrypt_failed",
      });
      assertDead(state);
    }
  });
}

Deno.test("readMessage() refuses message 1 cut at any length, with message_too_short inside a field", () => {
  for (let length = 0; length < MESSAGE_1.length; length++) {
    const state = responder();
    const short = length < 32 + 1200 + 48 + 16;
    assert.throws(() => state.readMessage(MESSAGE_1.slice(0, length)), {
      code: short ? "message_too_short" : "decrypt_failed",
    });
    assertDead(state);
  }
});

Deno.test("readMessage() refuses message 2 cut at any length, with message_too_short inside a field", () => {
  for (let length = 0; length < MESSAGE_2.length; length++) {
    const state = waiting();
    const short = length < 32 + 1104 + 16;
    assert.throws(() => state.readMessage(MESSAGE_2.slice(0, length)), {
      code: short ? "message_too_short" : "decrypt_failed",
    });
    assertDead(state);
  }
});

Deno.test("readMessage() refuses a message with a byte behind it, and one above 65,535 bytes", () => {
  const longer = concat(MESSAGE_1, Uint8Array.of(0));
  assert.throws(() => responder().readMessage(longer), { code: "decrypt_failed" });
  const state = responder();
  assert.throws(
    () => state.readMessage(concat(MESSAGE_1, new Uint8Array(65_536 - MESSAGE_1_BYTES))),
    {
      code: "message_too_long",
    },
  );
  assertDead(state);
});

Deno.test("writeMessage() throws message_too_long above 65,535 bytes, and the handshake is dead", () => {
  const overhead = MESSAGE_1_BYTES - PAYLOAD_1.length;
  const longest = initiator().writeMessage(new Uint8Array(65_535 - overhead));
  assert.equal(longest.length, 65_535);
  assert.equal(responder().readMessage(longest).length, 65_535 - overhead);
  const state = initiator();
  assert.throws(() => state.writeMessage(new Uint8Array(65_536 - overhead)), {
    code: "message_too_long",
  });
  assertDead(state);
});

Deno.test("a call out of turn throws out_of_turn and changes nothing", () => {
  const [i, r] = [initiator(), responder()];
  const outOfTurn = (call: () => unknown) => assert.throws(call, { code: "out_of_turn" });
  outOfTurn(() => i.readMessage(MESSAGE_2));
  outOfTurn(() => i.split());
  outOfTurn(() => r.writeMessage(PAYLOAD_2));
  outOfTurn(() => r.split());
  assert.equal(hex(i.writeMessage(PAYLOAD_1)), hex(MESSAGE_1));
  outOfTurn(() => i.writeMessage(PAYLOAD_1));
  r.readMessage(MESSAGE_1);
  outOfTurn(() => r.readMessage(MESSAGE_1));
  outOfTurn(() => i.split());
  assert.equal(hex(r.writeMessage(PAYLOAD_2)), hex(MESSAGE_2));
  i.readMessage(MESSAGE_2);
  for (const state of [i, r]) {
    outOfTurn(() => state.writeMessage(EMPTY));
    outOfTurn(() => state.readMessage(MESSAGE_2));
    state.split();
    // The same keys with nonces from 0 again would be the end of both.
    outOfTurn(() => state.split());
    assert.equal(state.finished, true);
  }
});

Deno.test("a handshake is dead when the function that makes its payload throws", () => {
  const state = initiator();
  const broken = () => {
    throw new RangeError("no payload");
  };
  assert.throws(() => state.writeMessage(broken), RangeError);
  assertDead(state);
});

Deno.test("destroy() ends a handshake at every point before split() and harms nothing after it", () => {
  for (const state of [initiator(), responder(), waiting(), afterMessage1()]) {
    state.destroy();
    assertDead(state);
  }
  const finished = afterMessage1();
  finished.writeMessage(PAYLOAD_2);
  finished.destroy();
  assertDead(finished);
  const split = afterMessage1();
  split.writeMessage(PAYLOAD_2);
  const { send, handshakeHash } = split.split();
  split.destroy();
  assert.equal(split.finished, true);
  assert.equal(hex(split.handshakeHash), hex(handshakeHash));
  assert.equal(send.encryptWithAd(EMPTY, EMPTY).length, 16);
});

Deno.test("readMessage() throws decrypt_failed when prologue or a static key differs", () => {
  const other = generateX25519KeyPair(filled(7));
  for (
    const changes of [{ prologue: EMPTY }, { prologue: utf8("talos/2") }, { s: other }]
  ) {
    const state = responder(changes);
    assert.throws(() => state.readMessage(MESSAGE_1), { code: "decrypt_failed" });
    assertDead(state);
  }
  // The initiator spoke to somebody else's key.
  const message1 = initiator({ rs: other.publicKey }).writeMessage(PAYLOAD_1);
  assert.throws(() => responder().readMessage(message1), { code: "decrypt_failed" });
});

Deno.test("readMessage() throws decrypt_failed when message 2 answers another message 1", () => {
  const state = waiting({ e: generateX25519KeyPair(filled(8)) });
  assert.throws(() => state.readMessage(MESSAGE_2), { code: "decrypt_failed" });
});

Deno.test("readMessage() throws bad_remote_key when an ephemeral key is of small order", () => {
  for (const first of [0, 1]) {
    const zero = concat(Uint8Array.of(first), new Uint8Array(31));
    const state = responder();
    assert.throws(() => state.readMessage(concat(zero, MESSAGE_1.subarray(32))), {
      code: "bad_remote_key",
    });
    assertDead(state);
    const answer = concat(zero, MESSAGE_2.subarray(32));
    assert.throws(() => waiting().readMessage(answer), { code: "bad_remote_key" });
  }
});

Deno.test("writeMessage() throws bad_remote_key when rs is of small order", () => {
  const state = initiator({ rs: new Uint8Array(32) });
  assert.throws(() => state.writeMessage(PAYLOAD_1), { code: "bad_remote_key" });
  assertDead(state);
});

Deno.test("writeMessage() throws bad_remote_key when the remote's KEM key fails the modulus check", () => {
  const broken: NoiseSuite = {
    ...TALOS_SUITE,
    kem: {
      ...TALOS_SUITE.kem,
      keyPair: (seed) => ({
        ...TALOS_SUITE.kem.keyPair(seed),
        publicKey: new Uint8Array(1184).fill(0xff),
      }),
    },
  };
  const state = responder();
  state.readMessage(initiator({ suite: broken }).writeMessage(PAYLOAD_1));
  assert.throws(() => state.writeMessage(PAYLOAD_2), { code: "bad_remote_key" });
  assertDead(state);
});

for (const name of ["s", "e", "rs", "kemSeed"] as const) {
  Deno.test(`new HandshakeState() throws missing_key for an IKhfs initiator without ${name}`, () => {
    assert.throws(() => initiator({ [name]: undefined }), { code: "missing_key" });
  });
}

for (const name of ["s", "e", "kemRandom"] as const) {
  Deno.test(`new HandshakeState() throws missing_key for an IKhfs responder without ${name}`, () => {
    assert.throws(() => responder({ [name]: undefined }), { code: "missing_key" });
  });
}

Deno.test("new HandshakeState() throws unexpected_key for a key that the role has no use for", () => {
  const psks = [filled(0)(32)];
  for (const changes of [{ kemRandom: filled(0)(32) }, { psks }]) {
    assert.throws(() => initiator(changes), { code: "unexpected_key" });
  }
  for (const changes of [{ rs: INITIATOR_S.publicKey }, { kemSeed: filled(0)(64) }, { psks }]) {
    assert.throws(() => responder(changes), { code: "unexpected_key" });
  }
});

Deno.test("new HandshakeState() throws bad_length for a key or randomness of another length", () => {
  for (const length of [0, 31, 33]) {
    const wrong = new Uint8Array(length);
    assert.throws(() => initiator({ rs: wrong }), { code: "bad_length" });
    assert.throws(() => initiator({ kemSeed: wrong }), { code: "bad_length" });
    assert.throws(() => responder({ kemRandom: wrong }), { code: "bad_length" });
    const pair = { publicKey: wrong, diffieHellman: () => EMPTY };
    assert.throws(() => initiator({ s: pair }), { code: "bad_length" });
    assert.throws(() => initiator({ e: pair }), { code: "bad_length" });
  }
});

Deno.test("new HandshakeState() throws missing_key for hfs with a suite that has no KEM", () => {
  const { dh, cipher, hash } = TALOS_SUITE;
  assert.throws(() => initiator({ suite: { dh, cipher, hash } }), { code: "missing_key" });
});

Deno.test("psk handshakes refuse a missing, superfluous, short or wrong pre-shared key", () => {
  const pattern = handshakePattern("XXpsk0+psk3");
  const [psk, other] = [filled(1)(32), filled(2)(32)];
  const side = (role: "initiator" | "responder", psks: Bytes[]) =>
    new HandshakeState({
      pattern,
      suite: TALOS_SUITE,
      role,
      prologue: EMPTY,
      s: role === "initiator" ? INITIATOR_S : RESPONDER_S,
      e: generateX25519KeyPair(filled(role === "initiator" ? 3 : 5)),
      psks,
    });
  assert.throws(() => side("initiator", []), { code: "missing_key" });
  assert.throws(() => side("initiator", [psk]), { code: "missing_key" });
  assert.throws(() => side("initiator", [psk, psk, psk]), { code: "unexpected_key" });
  assert.throws(() => side("initiator", [psk, psk.slice(1)]), { code: "bad_length" });
  assert.throws(
    () =>
      side("responder", [other, psk]).readMessage(
        side("initiator", [psk, psk]).writeMessage(EMPTY),
      ),
    { code: "decrypt_failed" },
  );
  const [i, r] = [side("initiator", [psk, psk]), side("responder", [psk, other])];
  r.readMessage(i.writeMessage(EMPTY));
  i.readMessage(r.writeMessage(EMPTY));
  const last = i.writeMessage(EMPTY);
  assert.throws(() => r.readMessage(last), { code: "decrypt_failed" });
  assert.equal(hex(psk), "01".repeat(32), "the caller's key is left alone");
});

Deno.test("a handshake neither overwrites nor depends on what its caller handed in", () => {
  const given = {
    rs: RESPONDER_S.publicKey.slice(),
    prologue: PROLOGUE.slice(),
    kemSeed: filled(4)(64),
  };
  const state = initiator(given);
  for (const bytes of Object.values(given)) bytes.fill(0xee);
  assert.equal(hex(state.writeMessage(PAYLOAD_1)), hex(MESSAGE_1));
  for (const bytes of Object.values(given)) assert(bytes.every((byte) => byte === 0xee));
  const message = MESSAGE_1.slice();
  const reader = responder();
  const payload = reader.readMessage(message);
  message.fill(0);
  assert.equal(hex(payload), hex(PAYLOAD_1));
  assert(equalBytes(reader.remoteEphemeral ?? EMPTY, MESSAGE_1.subarray(0, 32)));
  reader.remoteStatic?.fill(0);
  reader.hashBeforePayload?.fill(0);
  reader.handshakeHash.fill(0);
  assert.equal(hex(reader.writeMessage(PAYLOAD_2)), hex(MESSAGE_2));
});

Deno.test("messages differ in every field when the ephemeral key or the KEM seed differs", () => {
  const otherE = initiator({ e: generateX25519KeyPair(filled(8)) }).writeMessage(PAYLOAD_1);
  const otherSeed = initiator({ kemSeed: filled(8)(64) }).writeMessage(PAYLOAD_1);
  for (const [start, end] of [[32, 1232], [1232, 1280], [1280, MESSAGE_1_BYTES]] as const) {
    const field = (message: Bytes) => hex(message.subarray(start, end));
    assert.notEqual(field(otherE), field(MESSAGE_1));
    assert.notEqual(field(otherSeed), field(MESSAGE_1));
  }
});
